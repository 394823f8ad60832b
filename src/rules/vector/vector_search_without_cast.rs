use crate::advice::vector_search::{MIN_ROWS, finding, large, served_by, with_other_key};
use crate::facts::Facts;
use crate::facts::vector::{Key, Limit, Order};
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_search_without_cast",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "Vector indexes on an expression of the column are there for the operator of a search, which compares \
                something else: the column without the cast, or with another one.",
    effect: "An index on an expression serves only what repeats the expression: every search reads the whole table.",
    workaround: "Repeat the index's expression in ORDER BY, and cast the query vector to its type.",
    sources: &[
        "https://github.com/pgvector/pgvector#half-precision-indexing",
        "https://github.com/pgvector/pgvector#binary-quantization",
        "https://www.postgresql.org/docs/17/indexes-expressional.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "the index has halfvec",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_half on atoms \
                    using hnsw ((embedding::halfvec(3)) halfvec_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_search_without_cast', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' \
                    limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the index has bits",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_bits on atoms \
                    using hnsw ((binary_quantize(embedding)::bit(3)) bit_hamming_ops); analyze atoms; select \
                    dbre.configure_rule('vector_search_without_cast', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' \
                    limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the query vector is a halfvec, and the column becomes one",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_search_without_cast', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> \
                    ''[1,%s,0]''::halfvec(3) limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "with the cast",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_half on atoms \
                    using hnsw ((embedding::halfvec(3)) halfvec_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_search_without_cast', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding::halfvec(3) <=> \
                    ''[1,%s,0]''::halfvec(3) limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "an index for each",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_half on atoms \
                    using hnsw ((embedding::halfvec(3)) halfvec_cosine_ops); create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_search_without_cast', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <=> ''[1,%s,0]'' \
                    limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let findings = large(vectors, options.number("min_rows")).filter_map(|(column, search)| {
        if search.order != Order::Ascending || search.function.is_some() || search.joined || search.limit == Limit::None {
            return None;
        }
        let index = with_other_key(column, search)?;
        let served = served_by(vectors, column, index, search)?;
        Some(Finding {
            summary: format!("A search compares {}, and the index {} is on {}", search.key_sql, index.name, index.key_sql),
            cause: format!(
                "{} is on {}, not on {}: PostgreSQL uses an index on an expression where a query repeats the expression.{}",
                index.name,
                index.key_sql,
                search.key_sql,
                match (&search.key, index.key == Key::Column) {
                    (Key::Column, _) => "",
                    (_, true) => " The query vector is of another type than the column, which is cast to that in every row.",
                    _ => "",
                },
            ),
            app_fix: Some(served),
            ..finding(vectors, column, search)
        })
    });
    Ok(findings.collect())
}
