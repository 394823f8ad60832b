use crate::advice::index_ddl::Removal;
use crate::advice::vector_search::is_same_key;
use crate::facts::Facts;
use crate::facts::vector::{Key, Order, VectorColumn};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "vector_operator_class_not_used",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "An index on vectors has not been scanned since statistics began min_days ago, no search of the \
                workload uses its operator on what it holds, and searches of the column use another.",
    effect: "It is written with every row, and HNSW inserts cost milliseconds each; it takes disk and memory from \
             the index that is used.",
    workaround: "Drop it, or correct the queries if the index has the operator that they should have.",
    sources: &[
        "https://github.com/pgvector/pgvector#indexing",
        "https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-ALL-INDEXES-VIEW",
    ],
    options: &[MIN_DAYS],
    needs: &[Need::Catalog, Need::Vectors],
    cases: &[
        Case {
            name: "indexed by L2, searched by cosine",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); create index atoms_l2 on atoms using hnsw (embedding \
                    vector_l2_ops); analyze atoms; select dbre.configure_rule('vector_operator_class_not_used', \
                    options => '{\"min_days\": 0}'); create table traffic as select 1 as step, 'select id from atoms \
                    order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "both are searched",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); create index atoms_l2 on atoms using hnsw (embedding \
                    vector_l2_ops); analyze atoms; select dbre.configure_rule('vector_operator_class_not_used', \
                    options => '{\"min_days\": 0}'); create table traffic as select 1 as step, 'select id from atoms \
                    order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times union all select 2, 'select id \
                    from atoms order by embedding <-> ''[1,%s,0]'' limit 5', 3",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "no search is known",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_operator_class_not_used', options => '{\"min_days\": 0}'); create \
                    table traffic as select 1 as step, 'select count(*) from atoms where id < %s' as query, 3 as \
                    times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "statistics are too young",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); create index atoms_l2 on atoms using hnsw (embedding \
                    vector_l2_ops); analyze atoms; select dbre.configure_rule('vector_operator_class_not_used', \
                    options => '{\"min_days\": 7}'); create table traffic as select 1 as step, 'select id from atoms \
                    order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const MIN_DAYS: OptionSpec = OptionSpec::number(
    "min_days",
    (14.0, "days"),
    (0.0, 3650.0),
    "For so long statistics of the table and of the searches must have counted.",
);

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (vectors, catalog) = (facts.vectors(), facts.catalog());
    let workload = &vectors.workload;
    if !workload.statements || workload.cut_off || !workload.not_analyzed.is_empty() {
        return Ok(Vec::new());
    }
    let min_days = options.number("min_days");
    let old_enough = |days: Option<f64>| days.is_some_and(|days| days >= min_days);
    let findings = vectors.indexes().filter_map(|(column, index)| {
        let known_search = column.searches.iter().find(|search| search.order == Order::Ascending)?;
        let used = column.searches.iter().any(|search| {
            search.operator == index.operator || is_same_key(&search.key, &index.key) && search.function.is_some()
        });
        let is_candidate = matches!(index.key, Key::BinaryQuantize { .. } | Key::Other(_));
        if used || is_candidate || index.scans > 0 || index.parent.is_some() || !old_enough(column.statistics_days) {
            return None;
        }
        if !column.searches.iter().any(|search| old_enough(search.counted_days)) {
            return None;
        }
        let table = catalog.known(column.table)?;
        let removal = Removal::of(table, table.indexes.iter().find(|other| other.oid == index.oid)?);
        Some(Finding {
            severity: RULE.severity,
            object: index.name.to_string(),
            weight: index.bytes,
            summary: format!(
                "Index {} is for {} ({}), which no search of {} uses",
                index.name,
                index.operator.sql(),
                index.operator.distance(),
                column.object()
            ),
            cause: format!(
                "Searches of the column order by {} ({}); the index has not been scanned in {:.0} days.",
                known_search.operator.sql(),
                known_search.operator.distance(),
                column.statistics_days.unwrap_or_default()
            ),
            evidence: object! {
                "table": column.table_name.to_string(),
                "index_bytes": index.bytes,
                "index_scans": index.scans,
                "statistics_days": column.statistics_days.map(rounded),
                "searched_operators": operators(column),
                "indexed_operator": index.operator.sql(),
                "inserts": column.inserts,
            },
            impact: object! { "disk_bytes": change((index.bytes, "measured"), (0, "estimated")) },
            fix_sql: Some(removal.fix_sql),
            app_fix: Some(removal.app_fix),
            risk: removal.risk,
            rollback: removal.rollback,
            verify_sql: Some(removal.verify_sql),
        })
    });
    Ok(findings.collect())
}

fn operators(column: &VectorColumn) -> Vec<&'static str> {
    let mut operators: Vec<&str> = column.searches.iter().map(|search| search.operator.sql()).collect();
    operators.sort_unstable();
    operators.dedup();
    operators
}
