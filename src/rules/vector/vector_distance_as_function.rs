use crate::advice::vector_search::{MIN_ROWS, finding, large, rewritten};
use crate::facts::Facts;
use crate::facts::vector::Order;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_distance_as_function",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search on a vector column with at least min_rows rows orders by a function of pgvector, as \
                cosine_distance(embedding, q), in the place of its operator.",
    effect: "Indexes serve operators, not functions, even if they compute the same: every search reads the whole \
             table.",
    workaround: "Write the operator.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "cosine_distance()",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_as_function', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by cosine_distance(embedding, \
                    ''[1,%s,0]'') limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "inner_product(), greatest first",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_as_function', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by inner_product(embedding, \
                    ''[1,%s,0]'') desc limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the operator; the function in the output only",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_distance_as_function', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id, cosine_distance(embedding, ''[1,%s,0]'') from \
                    atoms order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = large(vectors, options.number("min_rows")).filter_map(|(column, search)| {
        let function = search.function.as_ref().filter(|_| search.order == Order::Ascending && !search.joined)?;
        let operator = search.operator.sql();
        Some(Finding {
            summary: format!("A search of {} orders by {function}(), which no index serves", column.object()),
            cause: format!(
                "Indexes serve operators: {function}() computes what {operator} does, but is not in any operator class."
            ),
            app_fix: Some(rewritten(vectors, column, search)),
            ..finding(vectors, column, search)
        })
    });
    Ok(findings.collect())
}
