use crate::facts::Facts;
use crate::facts::vector::{Method, VectorColumn, VectorIndex};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, Count, rounded};

pub static RULE: Rule = Rule {
    id: "dead_rows_in_vector_index",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Of the rows of a table with a valid HNSW or IVFFlat index, at least dead_share are dead. Medium for HNSW where \
                hnsw.ef_search, less the dead, leaves fewer than k; else low.",
    effect: "A search gives its candidates to dead rows too: HNSW without iterative scan returns fewer rows than LIMIT, and \
             nearer ones are missed.",
    workaround: "VACUUM the table, and let autovacuum come earlier.",
    sources: &[
        "https://github.com/pgvector/pgvector#vacuuming",
        "https://www.postgresql.org/docs/17/routine-vacuuming.html",
    ],
    options: &[
        OptionSpec::number("dead_share", (0.2, "of the rows"), (0.0, 1.0), "Share of dead rows."),
        OptionSpec::number("min_dead_rows", (1000.0, "rows"), (0.0, 1e12), "Fewer dead rows are left to autovacuum."),
    ],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "half of the rows were updated",
            setup: "create extension vector; create table t (id int, embedding vector(3)) with (autovacuum_enabled = off); \
                    insert into t select g, array[random(), random(), random()]::vector from generate_series(1, 2500) g; \
                    create index on t using hnsw (embedding vector_l2_ops) with (m = 4, ef_construction = 16); vacuum analyze \
                    t; update t set id = id + 1 where id <= 1500",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "few are dead, or no vector index has them",
            setup: "create extension vector; create table t (id int, embedding vector(3)) with (autovacuum_enabled = off); \
                    insert into t select g, array[random(), random(), random()]::vector from generate_series(1, 2000) g; \
                    create index on t using hnsw (embedding vector_l2_ops) with (m = 4, ef_construction = 16); vacuum analyze \
                    t; update t set id = id + 1 where id <= 100; create table u (id int, embedding vector(3)) with \
                    (autovacuum_enabled = off); insert into u select id, embedding from t; update u set id = id + 1",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// The first version of pgvector without the bugs in HNSW's vacuum.
const VACUUM_REPAIRED: [u32; 3] = [0, 8, 4];

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let mut findings = Vec::new();
    for column in vectors.columns.iter().filter(|column| !column.partitioned) {
        let share = column.dead_rows / (column.rows + column.dead_rows).max(1.0);
        let enough = share >= options.number("dead_share") && column.dead_rows >= options.number("min_dead_rows");
        let whole = |index: &&VectorIndex| index.valid;
        if enough && let Some(index) = column.indexes.iter().filter(whole).max_by_key(|index| index.scans) {
            findings.push(finding(facts, column, index, share));
        }
    }
    Ok(findings)
}

fn finding(facts: &Facts, column: &VectorColumn, index: &VectorIndex, share: f64) -> Finding {
    let vectors = facts.vectors();
    let (k, ef_search) = (vectors.goal.k, vectors.server.ef_search);
    let hnsw = matches!(index.method, Method::Hnsw { .. });
    let alive = f64::from(ef_search) * (1.0 - share);
    let short = hnsw && alive < f64::from(k) && vectors.server.hnsw_iterative_scan == "off";
    let dead = Count(column.dead_rows as u64).of("row");
    let version = vectors.extension.as_ref().map(|extension| extension.version);
    let outdated = hnsw && version.is_some_and(|version| version < VACUUM_REPAIRED);
    let table = &column.table_name;
    Finding {
        severity: if short { RULE.severity } else { Severity::low },
        object: column.object(),
        weight: index.bytes,
        summary: match hnsw {
            true => format!(
                "{:.0}% of the rows of {table} are dead: of {ef_search} candidates of a search in {} about {alive:.0} are alive",
                100.0 * share,
                index.name
            ),
            false => {
                format!("{:.0}% of the rows of {table} are dead, and {} still holds them", 100.0 * share, index.name)
            }
        },
        cause: format!(
            "{dead} died since the last VACUUM. An index keeps what is dead until VACUUM takes it out; a search meets it, and \
             finds only in the table that it is dead.{}",
            match short {
                true => format!(" With hnsw.iterative_scan off, a search for {k} gets fewer."),
                false => String::new(),
            }
        ),
        evidence: object! {
            "table": table.to_string(),
            "index": index.name.to_string(),
            "dead_rows": column.dead_rows as u64,
            "live_rows": column.rows as u64,
            "dead_share": rounded(share),
            "index_bytes": Bytes(index.bytes),
            "ef_search": ef_search,
            "candidates_alive": rounded(alive),
            "k": k,
            "iterative_scan": vectors.server.hnsw_iterative_scan,
            "basis": "rows as the server counts them; candidates are estimated as if the dead were spread evenly",
        },
        impact: object! {
            "dead_rows": change((column.dead_rows as u64, "measured"), (0, "estimated")),
        },
        fix_sql: Some(format!("VACUUM {table};")),
        app_fix: Some(format!(
            "If rows change all the time, let autovacuum come earlier: ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = \
             0.05). Do not update the row of a vector for columns that change often: keep them in a table of their own."
        )),
        risk: format!(
            "SHARE UPDATE EXCLUSIVE: reads and writes go on. VACUUM of a vector index is slow: HNSW repairs the graph around \
             each dead row.{}",
            match outdated {
                true =>
                    " pgvector before 0.8.4 has bugs in the vacuum of HNSW (an index may be damaged, inserts at the same time \
                     may fail): update pgvector first, or REINDEX INDEX CONCURRENTLY instead.",
                false => "",
            }
        ),
        rollback: Rollback::None,
        verify_sql: Some(format!(
            "SELECT n_dead_tup < 1000 OR n_dead_tup < n_live_tup AS vacuumed FROM pg_catalog.pg_stat_all_tables WHERE relid = \
             {}::pg_catalog.regclass;",
            crate::db::quote_literal(&table.to_string())
        )),
    }
}
