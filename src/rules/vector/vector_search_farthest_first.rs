use crate::advice::vector_rewrite::nearest_first;
use crate::advice::vector_search::{MIN_ROWS, distance, finding, large};
use crate::facts::Facts;
use crate::facts::vector::Operator;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_search_farthest_first",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search on a vector column with at least min_rows rows returns the rows that are farthest from the \
                query vector.",
    effect: "Where the nearest are meant, the answers are the worst there are; where the farthest are, no index can \
             deliver them and every search reads the whole table.",
    workaround: "A distance is least where vectors are most alike: order by it ascending. A similarity, 1 - \
                 distance, is greatest there; <#> is the negative inner product, least for the most alike.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a distance, greatest first",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_farthest_first', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <#> ''[1,%s,0]'' \
                    desc limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a similarity, least first",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_farthest_first', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by 1 - (embedding <=> \
                    ''[1,%s,0]'') limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "nearest first",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_farthest_first', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' \
                    limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "the function of the inner product is greatest for the nearest",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_search_farthest_first', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by inner_product(embedding, \
                    ''[1,%s,0]'') desc limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    let farthest =
        large(vectors, options.number("min_rows")).filter(|(_, search)| nearest_first(search) == Some(false));
    let findings = farthest.map(|(column, search)| {
        let distance = distance(extension, search);
        Finding {
            summary: format!("A search of {} returns the farthest rows first", column.object()),
            cause: format!(
                "{} is least for the vectors that are most alike{}; the search puts them last.",
                search.operator.sql(),
                if search.operator == Operator::InnerProduct { ", for it is the negative of the inner product" } else { "" },
            ),
            app_fix: Some(format!(
                "For the nearest: ORDER BY {distance} LIMIT …. Where the farthest are meant, no index serves it: take them from a \
                 sample, or from a materialized view."
            )),
            ..finding(vectors, column, search)
        }
    });
    Ok(findings.collect())
}
