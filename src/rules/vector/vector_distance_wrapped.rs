use crate::advice::vector_rewrite::nearest_first;
use crate::advice::vector_search::{MIN_ROWS, candidates, finding, large, rewritten};
use crate::facts::Facts;
use crate::facts::vector::Order;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_distance_wrapped",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search on a vector column with at least min_rows rows orders by an expression of the distance, as \
                1 - (embedding <=> q) DESC.",
    effect: "An index on vectors delivers rows in the order of the distance itself: ordered by anything else, every \
             search computes the distance of every row.",
    workaround: "Order by the distance, nearest first; the expression may stay in the output.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/indexes-ordering.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a similarity, greatest first; by its alias",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_wrapped', options => '{\"min_rows\": 100}'); create table \
                    traffic as select 1 as step, 'select id, 1 - (embedding <=> ''[1,%s,0]'') as similarity from \
                    atoms order by similarity desc limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a score of distance and another column",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_wrapped', options => '{\"min_rows\": 100}'); create table \
                    traffic as select 1 as step, 'select id from atoms order by (embedding <=> ''[1,%s,0]'') * (1 + \
                    tenant) limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the distance itself, with the similarity in the output",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_wrapped', options => '{\"min_rows\": 100}'); create table \
                    traffic as select 1 as step, 'select id, 1 - (embedding <=> ''[1,%s,0]'') as similarity from \
                    atoms order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a small table",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_wrapped', options => '{\"min_rows\": 10000}'); create table \
                    traffic as select 1 as step, 'select id from atoms order by 1 - (embedding <=> ''[1,%s,0]'') \
                    desc limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = large(vectors, options.number("min_rows")).filter_map(|(column, search)| {
        let Order::Wrapped { expression, descending } = &search.order else { return None };
        // Farthest first has another answer, and so have pairs of rows.
        let nearest = nearest_first(search);
        if search.joined || nearest == Some(false) {
            return None;
        }
        let direction = if *descending { " DESC" } else { "" };
        let same_order = match nearest {
            Some(_) => "Its order is that of the distance, nearest first.",
            None => {
                "Its order is not that of the distance alone: let an inner query find candidates by the distance, and order these \
                 by the expression."
            }
        };
        Some(Finding {
            summary: format!("A search of {} orders by {expression}{direction}, which no index serves", column.object()),
            cause: format!(
                "An index on vectors delivers rows by `{} {} …`, ascending, and by nothing that is made of it. {same_order}",
                search.key_sql,
                search.operator.sql(),
            ),
            app_fix: Some(match nearest {
                Some(_) => rewritten(vectors, column, search),
                None => candidates(vectors, column, search),
            }),
            ..finding(vectors, column, search)
        })
    });
    Ok(findings.collect())
}
