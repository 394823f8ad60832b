use crate::advice::vector_search::{MIN_ROWS, finding, large, rewritten};
use crate::facts::Facts;
use crate::facts::vector::{Limit, Order};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_search_without_limit",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search on a vector column with at least min_rows rows orders by distance and has no LIMIT.",
    effect: "It returns and sorts the whole table, and no index helps: an HNSW scan would find no more than \
             hnsw.ef_search rows, so the planner only takes it for a few.",
    workaround: "Say how many of the nearest are needed. For all within a distance, the most that can be used is a \
                 LIMIT too.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "no LIMIT",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_search_without_limit', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]''' as \
                    query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "no LIMIT, but a greatest distance",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_without_limit', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms where embedding <=> ''[1,%s,0]'' < 0.2 \
                    order by embedding <=> ''[1,%s,0]''' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a LIMIT",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_without_limit', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' \
                    limit 7' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "few rows are left by the filter",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_without_limit', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms where id = %s order by embedding <=> \
                    ''[1,%s,0]''' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let min_rows = options.number("min_rows");
    let findings = large(vectors, min_rows).filter_map(|(column, search)| {
        let left = search.selectivity.map_or(1.0, |selectivity| selectivity.share) * vectors.rows(column);
        if search.order != Order::Ascending || search.limit != Limit::None || search.joined || left < min_rows {
            return None;
        }
        let rows = search.rows_per_call.map_or(String::new(), |rows| format!(" and returned {rows:.0} rows per call"));
        Some(Finding {
            summary: format!("A search of {} orders all rows by distance: it has no LIMIT{rows}", column.object()),
            cause: "The planner takes an index on vectors for the first rows of an order. Without LIMIT all of them are asked for, \
                    and the table is read and sorted."
                .to_string(),
            app_fix: Some(format!("LIMIT with as many as the application uses:\n{}", rewritten(vectors, column, search))),
            ..finding(vectors, column, search)
        })
    });
    Ok(findings.collect())
}
