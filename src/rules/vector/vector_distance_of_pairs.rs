use crate::advice::vector_index::operator_text;
use crate::advice::vector_search::{MIN_ROWS, finding, large};
use crate::facts::Facts;
use crate::facts::vector::Order;
use crate::finding::{Finding, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_distance_of_pairs",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A query computes distances between the rows of a table with at least min_rows vectors and those of \
                another FROM item, and orders or selects by them.",
    effect: "The distance of each pair of rows is computed: rows times rows. An index on vectors serves one query \
             vector at a time.",
    workaround: "Put the search into a LATERAL subquery with ORDER BY and LIMIT, which an index serves for each row \
                 of the other side; take a single vector from a scalar subquery.",
    sources: &[
        "https://github.com/pgvector/pgvector#querying",
        "https://www.postgresql.org/docs/17/queries-table-expressions.html#QUERIES-LATERAL",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Vectors],
    cases: &[
        Case {
            name: "a join with itself",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_of_pairs', options => '{\"min_rows\": 100}'); create table \
                    traffic as select 1 as step, 'select a.id, b.id from atoms a join atoms b on a.id < b.id and \
                    a.tenant = b.tenant where a.id < 10 order by a.embedding <=> b.embedding limit %s' as query, 3 \
                    as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "LATERAL, and a scalar subquery",
            setup: "create extension vector; create extension pg_stat_statements; create table atoms (id int primary \
                    key, tenant int, embedding vector(3)); insert into atoms select g, g % 10, array[random(), \
                    random(), random()]::vector from generate_series(1, 2000) g; create index atoms_cosine on atoms \
                    using hnsw (embedding vector_cosine_ops); analyze atoms; select \
                    dbre.configure_rule('vector_distance_of_pairs', options => '{\"min_rows\": 100}'); create table \
                    traffic as select 1 as step, 'select a.id, n.id from atoms a cross join lateral (select b.id \
                    from atoms b order by b.embedding <=> a.embedding limit 2) n where a.id < 3 union all select 0, \
                    id from (select id from atoms order by embedding <=> (select embedding from atoms where id = %s) \
                    limit 3) s' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let Some(extension) = &vectors.extension else { return Ok(Vec::new()) };
    let pairs = large(vectors, options.number("min_rows"));
    let pairs = pairs.filter(|(_, search)| search.joined && (search.order != Order::None || search.within_condition));
    let findings = pairs.map(|(column, search)| {
        let (table, name) = (&column.table_name, &column.name);
        let operator = operator_text(extension, search.operator);
        Finding {
            summary: format!("A query computes the distances of pairs: {} and another FROM item", column.object()),
            cause: format!(
                "{} is compared with {}, which is of another FROM item of the same query: there is a distance for each pair of rows.",
                search.key_sql, search.compared_with
            ),
            app_fix: Some(format!(
                "… CROSS JOIN LATERAL (SELECT * FROM {table} n ORDER BY n.{name} {operator} <the other row's vector> LIMIT 10) AS \
                 nearest; where it is one vector: ORDER BY {name} {operator} (SELECT … WHERE id = …) LIMIT 10.",
            )),
            ..finding(vectors, column, search)
        }
    });
    Ok(findings.collect())
}
