use crate::advice::vector_search::{MIN_ROWS, distance, finding, large};
use crate::facts::Facts;
use crate::facts::vector::Order;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_distance_in_condition_only",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query on a vector column with at least min_rows rows takes the rows within a distance by WHERE, \
                and does not order by the distance.",
    effect: "No index on vectors serves a condition: every row's distance is computed.",
    workaround: "Order by the distance with the LIMIT of what can be used, and keep the condition.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a greatest distance",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_in_condition_only', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select id from atoms where embedding <=> ''[1,%s,0]'' \
                    < 0.1' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a least similarity",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_in_condition_only', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select count(*) from atoms where 1 - (embedding <=> \
                    ''[1,%s,0]'') > 0.9' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "with the order",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_in_condition_only', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select id from atoms where embedding <=> ''[1,%s,0]'' \
                    < 0.1 order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "of a row that a key finds",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_in_condition_only', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select id from atoms where id = %s and embedding <=> \
                    ''[1,%s,0]'' < 0.1' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    let min_rows = options.number("min_rows");
    let findings = large(vectors, min_rows).filter_map(|(column, search)| {
        let left = search.selectivity.map_or(1.0, |selectivity| selectivity.share) * vectors.rows(column);
        if search.order != Order::None || !search.within_condition || search.joined || left < min_rows {
            return None;
        }
        let distance = distance(extension, search);
        Some(Finding {
            summary: format!("A query of {} takes the rows within a distance, which no index serves", column.object()),
            cause: "Indexes on vectors serve ORDER BY with LIMIT, no conditions: the distance of every row is computed.".to_string(),
            app_fix: Some(format!(
                "Keep the condition and add ORDER BY {distance} LIMIT <as many as can be used>. With an HNSW index set \
                 hnsw.iterative_scan = 'strict_order' for a LIMIT above hnsw.ef_search. An exact count of all rows within a distance \
                 needs the whole table."
            )),
            ..finding(vectors, column, search)
        })
    });
    Ok(findings.collect())
}
