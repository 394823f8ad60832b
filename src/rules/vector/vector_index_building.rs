use crate::facts::Facts;
use crate::facts::vector::{Build, VectorColumn};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Count, Days, rounded};

pub static RULE: Rule = Rule {
    id: "vector_index_building",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "An HNSW or IVFFlat index of the table is being built now.",
    effect: "Searches do not use the index before it is valid, and the build takes memory and processors from them.",
    workaround: "Wait. To stop it, cancel its process: a build with CONCURRENTLY then leaves an invalid index to drop.",
    sources: &[
        "https://www.postgresql.org/docs/17/progress-reporting.html#CREATE-INDEX-PROGRESS-REPORTING",
        "https://github.com/pgvector/pgvector#index-build-time",
    ],
    options: &[],
    needs: &[Need::Vectors],
    cases: &[
        // A build takes a session of its own: tests/scenarios/vector_size.rs shows one.
        Case {
            name: "one is being built by another session",
            setup: "create extension vector; create extension dblink; create table t (embedding vector(256)); insert into t \
                    select (select array_agg(random()) from generate_series(1, 256) where g > 0)::vector from \
                    generate_series(1, 2500) g; vacuum analyze t; select dblink_connect('other', format('dbname=%s host=%s \
                    user=%s', current_database(), split_part(current_setting('unix_socket_directories'), ',', 1), \
                    current_user)); select dblink_send_query('other', 'set max_parallel_maintenance_workers = 0; create index \
                    on t using hnsw (embedding vector_l2_ops) with (m = 100, ef_construction = 1000)'); select pg_sleep(1)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "none is",
            setup: "create extension vector; create table t (embedding vector(3)); create index on t using hnsw (embedding \
                    vector_l2_ops)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = vectors.builds.iter().filter_map(|build| {
        let columns: Vec<_> = vectors.columns.iter().filter(|column| column.table == build.table).collect();
        Some(finding(build, columns.first()?, columns.len()))
    });
    Ok(findings.collect())
}

fn finding(build: &Build, column: &VectorColumn, columns: usize) -> Finding {
    let share = share(build, column);
    let name = match &build.index_name {
        Some(name) => name.to_string(),
        None => format!("a new index ({})", build.method),
    };
    // Rows are added ever more slowly: what is left takes longer than its share.
    let rest = share.filter(|share| *share > 0.01).map(|share| build.seconds * (1.0 - share) / share);
    let done = share.map_or(String::new(), |share| format!(", {:.0}% done", 100.0 * share));
    let after = match rest {
        Some(seconds) => format!(" At this pace the phase ends in {} or more.", Days(seconds / 86_400.0)),
        None => String::new(),
    };
    Finding {
        object: match columns {
            1 => format!("{} built by process {}", column.object(), build.pid),
            _ => format!("{} built by process {}", column.table_name, build.pid),
        },
        summary: format!(
            "On {} {name} is being built since {:.0} s: {}{done}",
            column.table_name, build.seconds, build.phase
        ),
        cause: format!(
            "Process {} is at \"{}\" with {} beside it.{after}",
            build.pid,
            build.phase,
            Count(build.workers.into()).of("worker"),
        ),
        evidence: object! {
            "pid": build.pid,
            "method": build.method,
            "phase": build.phase,
            "tuples_done": build.tuples_done,
            "tuples_expected": column.vectors() as u64,
            "blocks_done": build.blocks_done,
            "blocks_total": build.blocks_total,
            "share_done": share.map(rounded),
            "running_seconds": rounded(build.seconds),
            "estimated_rest_seconds": rest.map(rounded),
            "workers": build.workers,
        },
        ..Finding::that_changes_nothing()
    }
}

/// Of the phase; None: nothing tells.
fn share(build: &Build, column: &VectorColumn) -> Option<f64> {
    let of = |done: u64, total: f64| (total > 0.0 && done > 0).then(|| (done as f64 / total).min(1.0));
    let total = if build.tuples_total > 0 { build.tuples_total as f64 } else { column.vectors() };
    of(build.tuples_done, total).or_else(|| of(build.blocks_done, build.blocks_total as f64))
}
