use crate::advice::vector_index::{choose, operator_text};
use crate::advice::vector_search::{MIN_ROWS, finding, is_same_key, is_usable, large, serving};
use crate::facts::vector::{Limit, Operator, Order, VectorColumn, VectorIndex, VectorSearch};
use crate::facts::{Facts, Namer};
use crate::finding::{Finding, Rollback, Severity};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "vector_operator_not_indexed",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A search on a vector column with at least min_rows rows orders by an operator that no index on what \
                it compares has, while one is there for another operator.",
    effect: "An index serves the operator of its operator class alone: every search reads the whole table, and the \
             index is maintained for others, if there are any.",
    workaround: "Search by the operator that is indexed where both give the same order, or create an index for the \
                 search's.",
    sources: &[
        "https://github.com/pgvector/pgvector#indexing",
        "https://www.postgresql.org/docs/17/indexes-opclass.html",
    ],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::RelationNames, Need::Vectors],
    cases: &[
        Case {
            name: "searched by the inner product, indexed by cosine",
            setup: "do $$ begin execute format('alter database %I set example.arguments = %L', current_database(), \
                    'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create extension vector; create \
                    extension pg_stat_statements; create table atoms (id int primary key, tenant int, embedding \
                    vector(3)); insert into atoms select g, g % 10, array[random(), random(), random()]::vector from \
                    generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw (embedding \
                    vector_cosine_ops); analyze atoms; select dbre.configure_rule('vector_operator_not_indexed', \
                    options => '{\"min_rows\": 100}'); create table traffic as select 1 as step, 'select id from \
                    atoms order by embedding <#> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "of normalized vectors the order is the same",
            setup: "do $$ begin execute format('alter database %I set example.arguments = %L', current_database(), \
                    'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create extension vector; create \
                    extension pg_stat_statements; create table atoms (id int primary key, tenant int, embedding \
                    vector(3)); insert into atoms select g, g % 10, array[random(), random(), random()]::vector from \
                    generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw (embedding \
                    vector_cosine_ops); update atoms set embedding = l2_normalize(embedding); vacuum full atoms; \
                    analyze atoms; select dbre.configure_rule('vector_operator_not_indexed', options => \
                    '{\"min_rows\": 100}'); create table traffic as select 1 as step, 'select id from atoms order by \
                    embedding <-> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "by the operator that is indexed",
            setup: "do $$ begin execute format('alter database %I set example.arguments = %L', current_database(), \
                    'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create extension vector; create \
                    extension pg_stat_statements; create table atoms (id int primary key, tenant int, embedding \
                    vector(3)); insert into atoms select g, g % 10, array[random(), random(), random()]::vector from \
                    generate_series(1, 2000) g; create index atoms_cosine on atoms using hnsw (embedding \
                    vector_cosine_ops); analyze atoms; select dbre.configure_rule('vector_operator_not_indexed', \
                    options => '{\"min_rows\": 100}'); create table traffic as select 1 as step, 'select id from \
                    atoms order by embedding <=> ''[1,%s,0]'' limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "no index at all",
            setup: "do $$ begin execute format('alter database %I set example.arguments = %L', current_database(), \
                    'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$; create extension vector; create \
                    extension pg_stat_statements; create table atoms (id int primary key, tenant int, embedding \
                    vector(3)); insert into atoms select g, g % 10, array[random(), random(), random()]::vector from \
                    generate_series(1, 2000) g; analyze atoms; select \
                    dbre.configure_rule('vector_operator_not_indexed', options => '{\"min_rows\": 100}'); create \
                    table traffic as select 1 as step, 'select id from atoms order by embedding <#> ''[1,%s,0]'' \
                    limit 5' as query, 3 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Norms that differ by no more are those of normalized vectors in single precision.
const SAME_NORM: f64 = 1e-3;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let mut namer = facts.relation_names().namer();
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for (column, search) in large(vectors, options.number("min_rows")) {
        let served = search.order == Order::Ascending
            && search.limit != Limit::None
            && search.function.is_none()
            && !search.joined;
        let kind = (column.table, column.number, &search.key, search.operator);
        if !served || serving(column, search).next().is_some() || seen.contains(&kind) {
            continue;
        }
        let index =
            column.indexes.iter().find(|index| is_usable(index, search) && is_same_key(&index.key, &search.key));
        let Some(index) = index else { continue };
        seen.push(kind);
        findings.extend(finding_of(facts, &mut namer, column, search, index));
    }
    Ok(findings)
}

fn finding_of(
    facts: &Facts,
    namer: &mut Namer,
    column: &VectorColumn,
    search: &VectorSearch,
    index: &VectorIndex,
) -> Option<Finding> {
    let vectors = facts.vectors();
    let extension = vectors.extension.as_ref()?;
    let (wanted, indexed) = (search.operator, index.operator);
    let mut base = finding(vectors, column, search);
    base.evidence.insert("index".to_string(), index.name.to_string().into());
    base.evidence.insert("indexed_operator".to_string(), indexed.sql().into());
    let said = Finding {
        object: format!("{} searched by {} {}", column.object(), search.key_sql, wanted.sql()),
        summary: format!(
            "Searches of {} order by {} ({}), and {} is for {} ({})",
            column.object(),
            wanted.sql(),
            wanted.distance(),
            index.name,
            indexed.sql(),
            indexed.distance(),
        ),
        ..base
    };
    if is_normalized(column) && comparable(wanted) && comparable(indexed) {
        let operator = operator_text(extension, indexed);
        return Some(Finding {
            cause: format!(
                "No index on {} has an operator class for {}. All sampled vectors have norm 1: by {} their order is the same.",
                search.key_sql,
                wanted.sql(),
                indexed.sql(),
            ),
            app_fix: Some(format!(
                "ORDER BY {} {operator} {} LIMIT …: the same rows in the same order, as long as the stored vectors are normalized; \
                 the distance itself is another.",
                search.key_sql, search.compared_with
            )),
            ..said
        });
    }
    let advice = choose(vectors, column, Some((&search.key, wanted)));
    if advice.chosen().is_some_and(|chosen| chosen.design.is_none()) {
        return None;
    }
    let as_searched = advice.design().filter(|design| design.key == search.key);
    let Some(creation) = as_searched.and_then(|design| design.creation(facts, namer, column)) else {
        let mut said = said;
        said.evidence
            .insert("alternatives".to_string(), advice.candidates.iter().map(|other| other.described(None)).collect());
        return Some(Finding {
            cause: format!(
                "No index on {} has an operator class for {}, and none for it as it is searched fits into what is given. {}",
                search.key_sql,
                wanted.sql(),
                advice.why
            ),
            app_fix: Some(
                "Give the build more memory or disk, search by the operator that is indexed if that is what is meant, or change \
                 the search to the key of one of the alternatives in the evidence."
                    .to_string(),
            ),
            ..said
        });
    };
    Some(Finding {
        cause: format!(
            "No index on {} has an operator class for {}. {} is not the same order as {}: which of the two is meant is the \
             application's to know. If it is {}, the query is wrong, not the index. {}",
            search.key_sql,
            wanted.sql(),
            wanted.sql(),
            indexed.sql(),
            indexed.sql(),
            advice.why
        ),
        fix_sql: Some(creation.fix_sql),
        risk: creation.risk,
        rollback: Rollback::Sql(creation.rollback_sql),
        verify_sql: Some(creation.verify_sql),
        ..said
    })
}

fn is_normalized(column: &VectorColumn) -> bool {
    let sample = column.sample.as_ref().filter(|sample| sample.zero_fraction == 0.0);
    sample
        .and_then(|sample| sample.norms)
        .is_some_and(|(least, most)| (least - 1.0).abs().max((most - 1.0).abs()) < SAME_NORM)
}

fn comparable(operator: Operator) -> bool {
    matches!(operator, Operator::L2 | Operator::InnerProduct | Operator::Cosine)
}
