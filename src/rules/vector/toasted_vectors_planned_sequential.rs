use crate::advice::vector_index::{Design, Setting, exact_ms, of_pgvector};
use crate::facts::Facts;
use crate::facts::vector::{
    Element, Extension, Limit, Method, Operator, Order, Sample, VectorColumn, VectorIndex, VectorSearch,
};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

/// As functions in SQL or PL/pgSQL have.
const COST: u32 = 100;
/// From here on vectors are out of line as a rule.
const MOSTLY: f64 = 0.5;

pub static RULE: Rule = Rule {
    id: "toasted_vectors_planned_sequential",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search is planned as a scan of the whole table though a valid index serves it, the vectors are stored out of line \
                (TOAST), and the scan is estimated to take at least min_ratio times as long.",
    effect: "The planner counts the pages of the table alone, not those of TOAST, nor what it takes to read each vector from there: to it \
             the scan looks cheap.",
    workaround: "Raise the cost of the distance function, which counts for each row of a scan; or keep vectors that fit a page in line (SET \
                 STORAGE PLAIN, and write the table anew); or SET LOCAL enable_seqscan = off around the search.",
    sources: &[
        "https://github.com/pgvector/pgvector#why-isnt-a-query-using-an-index",
        "Measured: 3,000 vectors of 1,536 dimensions out of line, planned as 20 pages",
    ],
    options: &[OptionSpec::number(
        "min_ratio",
        (2.0, "times as long"),
        (1.0, 1e6),
        "Estimated time of the scan to that of the index, from which the plan is called wrong.",
    )],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "many rows per page, and few neighbors of many",
            setup: "create extension vector; create extension pg_stat_statements; create table t (id int, e vector(600)); insert into t \
                    select g, (select array_agg(sin(g * d)) from generate_series(1, 600) d)::vector from generate_series(1, 2000) g; \
                    create index on t using hnsw (e vector_cosine_ops) with (m = 4, ef_construction = 8); vacuum analyze t; create table \
                    traffic (step int, query text, times int); insert into traffic select 1, format('select id from t order by e <=> %L \
                    limit 100', (select e from t where id = 1)), 3; do $$ begin execute format('alter database %I set hnsw.ef_search = \
                    200', current_database()); end $$",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the index is used, or vectors are in line",
            setup: "create extension vector; create extension pg_stat_statements; create table t (id int, e vector(600)); insert into t \
                    select g, (select array_agg(sin(g * d)) from generate_series(1, 600) d)::vector from generate_series(1, 2000) g; \
                    create index on t using hnsw (e vector_cosine_ops) with (m = 4, ef_construction = 8); create table u (id int, e \
                    vector(3)); insert into u select g, array[g, 1, 2]::vector from generate_series(1, 100) g; create index on u using \
                    hnsw (e vector_cosine_ops); vacuum analyze; create table traffic (step int, query text, times int); insert into \
                    traffic select 1, format('select id from t order by e <=> %L limit 5', (select e from t where id = 1)), 3; insert into \
                    traffic values (2, 'select id from u order by e <=> ''[1,%s,0]'' limit 20', 3)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    for column in vectors.judged() {
        let Some(sample) = column.sample.as_ref().filter(|sample| sample.toasted_fraction >= MOSTLY) else { continue };
        for search in &column.searches {
            let indexes = column.indexes.iter().filter(|index| could_serve(index, search));
            let timed = indexes.filter_map(|index| Some((index, index_ms(column, index, search)?)));
            if let Some((index, ms)) = timed.min_by(|a, b| a.1.total_cmp(&b.1)) {
                findings.extend(finding(extension, options, (column, sample), search, (index, ms)));
            }
        }
    }
    Ok(findings)
}

fn could_serve(index: &VectorIndex, search: &VectorSearch) -> bool {
    let plain = search.order == Order::Ascending
        && search.limit != Limit::None
        && search.filters.is_empty()
        && search.function.is_none()
        && !search.joined;
    plain
        && index.valid
        && index.ready
        && index.predicate.is_none()
        && index.operator == search.operator
        && index.key == search.key
        && search.planned_sequential
        && search.planned_indexes.as_ref().is_some_and(|planned| !planned.contains(&index.oid))
}

/// Estimated.
fn index_ms(column: &VectorColumn, index: &VectorIndex, search: &VectorSearch) -> Option<f64> {
    let setting = match index.method {
        Method::Hnsw { .. } => Setting::EfSearch(search.settings.ef_search),
        Method::Ivfflat { .. } => Setting::Probes(search.settings.probes),
    };
    Some(Design::of(column, index)?.search_ms(&setting))
}

fn finding(
    extension: &Extension,
    options: &Options,
    (column, sample): (&VectorColumn, &Sample),
    search: &VectorSearch,
    (index, index_ms): (&VectorIndex, f64),
) -> Option<Finding> {
    let scan_ms = exact_ms(column, column.rows);
    if scan_ms < options.number("min_ratio") * index_ms {
        return None;
    }
    let function = function(extension, index.element, search.operator);
    let evidence = object! {
        "query_id": search.query_id,
        "calls": search.calls,
        "mean_ms": rounded(search.mean_ms),
        "index": index.name.to_string(),
        "toasted_share": sample.toasted_fraction,
        "table_bytes": column.table_bytes,
        "toast_bytes": column.toast_bytes,
        "scan_ms_estimated": rounded(scan_ms),
        "index_ms_estimated": rounded(index_ms),
        "function": function,
    };
    Some(Finding {
        severity: RULE.severity,
        object: match search.query_id {
            Some(id) => format!("{} searched by query {id}", column.object()),
            None => format!("{} searched by {} {}", column.object(), search.key_sql, search.operator.sql()),
        },
        weight: (search.total_ms()) as u64,
        summary: format!(
            "A search on {} is planned to read the whole table, past {}: the planner does not see that the vectors are out of line",
            column.object(),
            index.name
        ),
        cause: format!(
            "{:.0}% of the vectors are in TOAST. The planner counts {} bytes of the table for a scan, not the {} bytes of TOAST that it \
             reads as well, and {function} costs it no more than an addition. By estimate the scan takes {scan_ms:.1} ms, the index \
             {index_ms:.1} ms.",
            100.0 * sample.toasted_fraction,
            column.table_bytes,
            column.toast_bytes
        ),
        evidence,
        impact: object! { "search_ms": change((rounded(scan_ms), "estimated"), (rounded(index_ms), "estimated")) },
        fix_sql: Some(format!("ALTER FUNCTION {function} COST {COST};")),
        app_fix: Some(format!(
            "For one search alone: BEGIN; SET LOCAL enable_seqscan = off; the search; COMMIT.{}",
            match index.element.value_bytes(f64::from(index.dimensions.unwrap_or(0))) {
                bytes if bytes < 8000.0 => format!(
                    " Or in line, which writes the table anew under ACCESS EXCLUSIVE: ALTER TABLE {} ALTER COLUMN {} SET STORAGE PLAIN; \
                     VACUUM FULL {0};",
                    column.table_name, column.name
                ),
                _ => String::new(),
            }
        )),
        risk: "Only the owner of the function, who created the extension, may do it. All queries of this database that compute this \
               distance are planned anew, as more expensive than before; a dump does not contain it."
            .to_string(),
        rollback: Rollback::Sql(format!("ALTER FUNCTION {function} COST 1;")),
        verify_sql: Some(format!(
            "SELECT procost = {COST} FROM pg_catalog.pg_proc WHERE oid = '{}'::pg_catalog.regprocedure;",
            function.replace('\'', "''")
        )),
    })
}

/// Behind the operator.
fn function(extension: &Extension, element: Element, operator: Operator) -> String {
    let name = match operator {
        Operator::L2 => "l2_distance".to_string(),
        Operator::InnerProduct => format!("{}_negative_inner_product", element.name()),
        Operator::Cosine => "cosine_distance".to_string(),
        Operator::L1 => "l1_distance".to_string(),
        Operator::Hamming => "hamming_distance".to_string(),
        Operator::Jaccard => "jaccard_distance".to_string(),
    };
    let argument = match element {
        Element::Bit => "bit".to_string(),
        element => of_pgvector(extension, element.name()),
    };
    format!("{}({argument}, {argument})", of_pgvector(extension, &name))
}
