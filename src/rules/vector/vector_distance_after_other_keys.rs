use crate::advice::vector_search::{MIN_ROWS, candidates, finding, large};
use crate::facts::Facts;
use crate::facts::vector::Order;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_distance_after_other_keys",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search on a vector column with at least min_rows rows orders by other keys before the distance.",
    effect: "An index on vectors delivers the order of the distance alone; behind another key it is of no use, and \
             every search computes the distance of every row that its conditions take.",
    workaround: "Find the nearest in an inner query, and order these as the application needs them. For the nearest \
                 of each group, use LATERAL with a LIMIT for each.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "behind a column",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_after_other_keys', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select id from atoms order by tenant, embedding <=> \
                    ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the nearest of each group by DISTINCT ON",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_after_other_keys', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select distinct on (tenant) tenant, id from atoms \
                    order by tenant, embedding <=> ''[1,%s,0]''' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "before a column that breaks ties",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_after_other_keys', options => '{\"min_rows\": 100}'); \
                    create table traffic as select 1 as step, 'select id from atoms order by embedding <=> \
                    ''[1,%s,0]'', id limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let later = large(vectors, options.number("min_rows"));
    let later = later.filter(|(_, search)| search.order == Order::Later && !search.joined);
    let findings = later.map(|(column, search)| Finding {
        summary: format!("A search of {} orders by other keys before the distance", column.object()),
        cause: "An index on vectors delivers rows by the distance alone: with other keys first, all rows are read and sorted.".to_string(),
        app_fix: Some(candidates(vectors, column, search)),
        ..finding(vectors, column, search)
    });
    Ok(findings.collect())
}
