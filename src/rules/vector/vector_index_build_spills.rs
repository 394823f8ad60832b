use crate::advice::vector_index::{Design, ceiling, workers};
use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "vector_index_build_spills",
    category: "vector",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "Built again with maintenance_work_mem (or the memory budget) as it is, an HNSW index would not fit into it and go \
                on outside memory, or an IVFFlat index would fail for want of it.",
    effect: "REINDEX, a restore of a dump, or a new index of the same kind takes several times as long, or fails.",
    workaround: "Raise maintenance_work_mem in the session that builds.",
    sources: &["https://github.com/pgvector/pgvector#index-build-time"],
    options: &[OptionSpec::number(
        "min_rows",
        (1000.0, "rows"),
        (0.0, 1e12),
        "Indexes on fewer rows are built fast all the same.",
    )],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "HNSW beyond maintenance_work_mem",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    2000) g; create index on t using hnsw (embedding vector_l2_ops) with (m = 8, ef_construction = 16); vacuum \
                    analyze t; do $$ begin execute format('alter database %I set maintenance_work_mem = ''1MB''', \
                    current_database()); end $$",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "IVFFlat that could not be built",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    2000) g; create index on t using ivfflat (embedding vector_l2_ops) with (lists = 2); vacuum analyze t; do \
                    $$ begin execute format('alter database %I set maintenance_work_mem = ''1MB''', current_database()); end \
                    $$",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "both fit",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    2000) g; create index on t using hnsw (embedding vector_l2_ops) with (m = 8, ef_construction = 16); create \
                    index on t using ivfflat (embedding vector_l2_ops) with (lists = 2); vacuum analyze t",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let now = vectors.goal.memory_bytes.unwrap_or(vectors.server.maintenance_work_mem_bytes);
    let findings = vectors.indexes().filter_map(|(column, index)| {
        let design = Design::of(column, index).filter(|_| index.valid && !index.partitioned)?;
        let design = match column.partition_of.is_none() && index.predicate.is_none() {
            true => {
                let nulls = column.sample.as_ref().map_or(0.0, |sample| sample.null_fraction);
                let rows = vectors.rows(column) * (1.0 - nulls);
                Design { rows, part_rows: rows, ..design }
            }
            false => design,
        };
        let fits = design.fits(now, workers(column, &vectors.server, now));
        (!fits && design.rows >= options.number("min_rows")).then(|| finding(facts, (column, index), &design, now))
    });
    Ok(findings.collect())
}

fn finding(facts: &Facts, (column, index): (&VectorColumn, &VectorIndex), design: &Design, now: u64) -> Finding {
    let vectors = facts.vectors();
    let most = ceiling(&vectors.server, vectors.goal.memory_bytes);
    let needed = design.maintenance_work_mem(workers(column, &vectors.server, most.max(now)));
    let processes = workers(column, &vectors.server, now);
    let (rows, fit) = (Count(design.rows as u64), design.rows_that_fit(now, processes));
    let hnsw = matches!(index.method, Method::Hnsw { .. });
    let possible = needed.0 <= most;
    let (before, after) = (design.build_seconds(now, processes), design.build_seconds(needed.0, processes));
    Finding {
        severity: RULE.severity,
        object: index.name.to_string(),
        weight: index.bytes,
        summary: match fit {
            Some(fit) => format!(
                "Building {} again spills after {} of {rows}: it takes {} of memory, {} are set",
                index.name,
                Count(fit as u64).of("row"),
                design.build_memory(processes),
                Bytes(now)
            ),
            None => format!(
                "Building {} again fails: it takes {} of memory, {} are set",
                index.name,
                design.build_memory(processes),
                Bytes(now)
            ),
        },
        cause: match hnsw {
            true => format!(
                "The graph takes {:.0} bytes for each row while it is built. What does not fit into maintenance_work_mem is \
                 written out, and from there on each row reads pages to find its neighbors.",
                design.build_memory(processes).0 as f64 / design.rows.max(1.0)
            ),
            false => {
                "k-means needs its samples, centers and bounds in memory at once, and IVFFlat refuses to start without."
                    .to_string()
            }
        },
        evidence: object! {
            "table": column.table_name.to_string(),
            "rows": rows,
            "rows_now": column.rows as u64,
            "rows_that_fit": fit.map(|fit| fit as u64),
            "index_bytes": Bytes(index.bytes),
            "estimated_bytes": design.size(),
            "memory_bytes": now,
            "build_memory_bytes": design.build_memory(processes),
            "needed_maintenance_work_mem_bytes": needed,
            "memory_ceiling_bytes": most,
            "parallel_workers": processes,
            "estimated_build_seconds": rounded(before),
            "estimated_build_seconds_in_memory": rounded(after),
            "basis": "size and memory by pgvector's own layout; seconds estimated from rates measured on two cores",
        },
        impact: match hnsw {
            true => object! { "build_seconds": change((rounded(before), "estimated"), (rounded(after), "estimated")) },
            false => object! {},
        },
        // To be set in the session that builds: there is no need for it elsewhere.
        fix_sql: (possible && vectors.goal.memory_bytes.is_none())
            .then(|| format!("SET maintenance_work_mem = '{}MB';", needed.0 / Bytes::MIB)),
        app_fix: Some(match possible {
            true => format!(
                "Set it in the session that builds, or with pg_restore: PGOPTIONS=\"-c maintenance_work_mem={}MB\".",
                needed.0 / Bytes::MIB
            ),
            false => format!(
                "A build is given {} here: build on a larger machine, or an index on halfvec or bits, which take less.",
                Bytes(most)
            ),
        }),
        risk: format!(
            "The session that builds takes up to {} of memory; with parallel workers it lies in /dev/shm, of which a container \
             may have 64 MB only.",
            design.build_memory(processes)
        ),
        rollback: match possible && vectors.goal.memory_bytes.is_none() {
            true => Rollback::Sql("RESET maintenance_work_mem;".to_string()),
            false => Rollback::None,
        },
        verify_sql: None,
    }
}
