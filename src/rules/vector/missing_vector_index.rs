use crate::advice::vector_index::{Advice, Design, choose};
use crate::advice::vector_search::{is_same_key, serving};
use crate::facts::vector::{Element, Key, Limit, Method, Operator, Order, VectorColumn, VectorSearch, Vectors};
use crate::facts::{Facts, Namer};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "missing_vector_index",
    category: "vector",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A vector column has no valid index for nearest neighbors, and an index is estimated to be cheaper than comparing \
                all rows, with building and upkeep counted: by rows, bytes of the vectors, the searches and writes that are \
                known, and the target recall. High where such searches take at least slow_query_ms; low where no search is \
                known and the column has at least rows_without_searches vectors. Not where an index for the table is being \
                built.",
    effect: "Every search for neighbors computes the distance to every row.",
    workaround: "Create the index, set what searches need for the recall, and measure with dbre.vector_recall().",
    sources: &["https://github.com/pgvector/pgvector#indexing", "https://github.com/pgvector/pgvector#hnsw"],
    options: &[
        OptionSpec::number(
            "slow_query_ms",
            (1000.0, "ms"),
            (0.0, 3_600_000.0),
            "Mean time of the searches from which the finding is high.",
        ),
        OptionSpec::number(
            "rows_without_searches",
            (10_000.0, "vectors"),
            (0.0, 1e12),
            "Where no search is known: vectors from which an index is proposed all the same.",
        ),
    ],
    needs: &[Need::Catalog, Need::RelationNames, Need::Vectors],
    cases: &[
        Case {
            name: "many vectors, no search known",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    12000) g; vacuum analyze t",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "searched by L2 distance, in another schema, partitioned and with names that need quotes",
            setup: "create extension pg_stat_statements; create schema ext; create extension vector schema ext; create table \
                    \"T\" (id int, \"Ü b\" ext.vector(64)) partition by range (id); create table t_1 partition of \"T\" for \
                    values from (0) to (4000); create table t_2 partition of \"T\" for values from (4000) to (9000); insert \
                    into \"T\" select g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::ext.vector \
                    from generate_series(1, 8000) g; vacuum analyze \"T\"; create table traffic (step int, query text, times \
                    int); insert into traffic values (1, format('select id from \"T\" order by \"Ü b\" operator(ext.<->) %L \
                    limit 5', (select \"Ü b\" from \"T\" limit 1)), 5)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "searched by bits, and indexed by nothing like it",
            setup: "create extension pg_stat_statements; create extension vector; create table t (id int primary key, \
                    embedding vector(512)); insert into t select g, (select array_agg(random() - 0.5) from generate_series(1, \
                    512) where g > 0)::vector from generate_series(1, 6000) g; create index on t using ivfflat (embedding \
                    vector_cosine_ops) with (lists = 6); vacuum analyze t; create table traffic (step int, query text, times \
                    int); insert into traffic values (1, format('select id from t order by \
                    binary_quantize(embedding)::bit(512) <~> binary_quantize(%L::vector)::bit(512) limit 5', (select \
                    embedding from t limit 1)), 5)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "no index fits into the disk that is given",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    12000) g; vacuum analyze t; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'disk_budget => ''1 MB'''); end $$",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "few rows: comparing all of them is as fast",
            setup: "create extension vector; create table t (id int primary key, embedding vector(3)); insert into t select g, \
                    array[random(), random(), random()]::vector from generate_series(1, 3000) g; create table none (embedding \
                    vector(3)); vacuum analyze",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "it has one, or its table expects no rows",
            setup: "create extension vector; create table t (id int primary key, embedding vector(64)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 64) where g > 0)::vector from generate_series(1, \
                    12000) g; create index on t using ivfflat (embedding vector_cosine_ops) with (lists = 10); vacuum analyze",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "rows expected, memory for the build given",
            setup: "create extension vector; create table t (id int primary key, embedding vector(384)); insert into t select \
                    g, (select array_agg(random()) from generate_series(1, 384) where g > 0)::vector from generate_series(1, \
                    1500) g; vacuum analyze t; do $$ begin execute format('alter database %I set example.arguments = %L', \
                    current_database(), 'expected_rows => 1000000, memory_budget => ''4 GB'''); end $$",
            finds: 1,
            fix_clears: true,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let vectors = facts.vectors();
    let mut namer = facts.relation_names().namer();
    let mut findings = Vec::new();
    for column in &vectors.columns {
        let root_is_known =
            column.partition_of.is_some_and(|root| vectors.columns.iter().any(|other| other.table == root));
        let building = vectors.builds.iter().any(|build| build.table == column.table);
        if root_is_known || building {
            continue;
        }
        let kinds = kinds(column);
        if kinds.is_empty() {
            let indexed = column.indexes.iter().any(|index| index.valid);
            let searched = !column.searches.is_empty();
            if !indexed && !searched && vectors.rows(column) >= options.number("rows_without_searches") {
                findings.extend(finding(facts, &mut namer, column, None, options));
            }
            continue;
        }
        for (key, operator) in kinds {
            findings.extend(finding(facts, &mut namer, column, Some((key, operator)), options));
        }
    }
    Ok(findings)
}

/// Keys and operators of searches that an index could serve as they are and none does.
fn kinds(column: &VectorColumn) -> Vec<(&Key, Operator)> {
    let mut kinds = Vec::new();
    for search in column.searches.iter().filter(|search| unserved(column, search)) {
        if !kinds.contains(&(&search.key, search.operator)) {
            kinds.push((&search.key, search.operator));
        }
    }
    kinds
}

/// An index with the same key and another operator, or the same operator and another key, is another rule's.
fn unserved(column: &VectorColumn, search: &VectorSearch) -> bool {
    let valid = || column.indexes.iter().filter(|index| index.valid && index.predicate.is_none());
    search.order == Order::Ascending
        && search.limit != Limit::None
        && search.function.is_none()
        && !search.joined
        && serving(column, search).next().is_none()
        && !valid().any(|index| is_same_key(&index.key, &search.key) || index.operator == search.operator)
}

fn finding(
    facts: &Facts,
    namer: &mut Namer,
    column: &VectorColumn,
    kind: Option<(&Key, Operator)>,
    options: &Options,
) -> Option<Finding> {
    let vectors = facts.vectors();
    // That the column takes no index as it is, says another rule, with what can be done about it.
    if kind.is_none_or(|(key, _)| *key == Key::Column)
        && column.dimensions.is_none_or(|dimensions| {
            column.element != Element::Sparsevec && dimensions > column.element.most_indexable_dimensions()
        })
    {
        return None;
    }
    let advice = choose(vectors, column, kind);
    if advice.unfit {
        return Some(Finding {
            object: object(vectors, column, kind, &advice),
            ..unfit(column, kind, &advice, options)
        });
    }
    let chosen = advice.chosen()?;
    let fix = chosen.fix(facts, namer, column)?;
    let design = chosen.design.as_ref()?;
    let searches = of_kind(column, kind);
    let (calls, mean_ms) = totals(&searches);
    let counted = vectors.rows(column);
    let rows = match counted > column.rows {
        true => format!("{} (expected; {} now)", Count(counted as u64).of("row"), Count(column.rows as u64)),
        false => Count(counted as u64).of("row"),
    };
    let mut evidence = fix.evidence;
    evidence.extend(object! {
        "table_rows": counted as u64,
        "table_rows_now": column.rows as u64,
        "vector_type": column.element.name(),
        "dimensions": design.dimensions,
        "operator": advice.operator.sql(),
        "operator_basis": advice.operator_basis,
        "searches_calls": calls as u64,
        "searches_mean_ms": mean_ms.map(rounded),
        "query_ids": searches.iter().filter_map(|search| search.query_id).collect::<Vec<_>>(),
        "alternatives": advice.alternatives(),
    });
    let before = match mean_ms {
        Some(ms) => (rounded(ms), "measured"),
        None => (rounded(exact_ms(&advice)), "estimated"),
    };
    Some(Finding {
        severity: severity(mean_ms, options),
        object: object(vectors, column, kind, &advice),
        weight: (calls * mean_ms.unwrap_or(0.0)) as u64,
        summary: match mean_ms {
            Some(ms) => format!(
                "{} on {} compare all {rows} for want of an index: {ms:.1} ms each",
                Count(calls as u64).of("search"),
                column.object()
            ),
            None => {
                format!("{} has {rows} and no index for nearest neighbors; no search of it is known", column.object())
            }
        },
        cause: format!(
            "The column has no valid index of method hnsw or ivfflat. {} {}",
            advice.why,
            known(vectors, mean_ms.is_some())
        ),
        evidence,
        impact: object! {
            "search_ms": change(before, (rounded(chosen.search_ms), "estimated")),
            "recall": change((1.0, "estimated"), (rounded(chosen.recall), "estimated")),
            "disk_bytes": change((0, "measured"), (chosen.size, "estimated")),
        },
        fix_sql: Some(fix.fix_sql),
        app_fix: fix.app_fix,
        risk: fix.risk,
        rollback: Rollback::Sql(fix.rollback_sql),
        verify_sql: Some(fix.verify_sql),
    })
}

fn severity(mean_ms: Option<f64>, options: &Options) -> Severity {
    match mean_ms {
        Some(ms) if ms >= options.number("slow_query_ms") => Severity::high,
        Some(_) => Severity::medium,
        None => Severity::low,
    }
}

/// The column, or what of it the searches compare, with the operator class that serves them.
fn object(vectors: &Vectors, column: &VectorColumn, kind: Option<(&Key, Operator)>, advice: &Advice) -> String {
    let design = kind.and_then(|(key, operator)| {
        let method = Method::Hnsw { m: 16, ef_construction: 64 };
        Design::new(column, method, key.clone(), operator, column.rows)
    });
    match (design, &vectors.extension, kind) {
        (Some(design), Some(extension), _) => {
            format!("{}({})", column.table_name, design.key_and_class(extension, column))
        }
        (_, _, Some(_)) => format!("{} by {}", column.object(), advice.operator.sql()),
        _ => column.object(),
    }
}

/// An index would pay, and none fits into what was given for it.
fn unfit(column: &VectorColumn, kind: Option<(&Key, Operator)>, advice: &Advice, options: &Options) -> Finding {
    let (calls, mean_ms) = totals(&of_kind(column, kind));
    Finding {
        severity: severity(mean_ms, options),
        weight: (calls * mean_ms.unwrap_or(0.0)) as u64,
        summary: format!("Searches on {} would need an index, and none fits into what is given for it", column.object()),
        cause: advice.why.clone(),
        evidence: object! {
            "operator": advice.operator.sql(),
            "operator_basis": advice.operator_basis,
            "searches_calls": calls as u64,
            "searches_mean_ms": mean_ms.map(rounded),
            "alternatives": advice.alternatives(),
        },
        app_fix: Some(
            "Give it more memory or disk, ask for less recall, or index part of the rows or of each vector: the evidence has what              each alternative would take."
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    }
}

fn of_kind<'a>(column: &'a VectorColumn, kind: Option<(&Key, Operator)>) -> Vec<&'a VectorSearch> {
    let matches = |search: &&VectorSearch| {
        kind.is_some_and(|(key, operator)| search.key == *key && search.operator == operator)
            && unserved(column, search)
    };
    column.searches.iter().filter(matches).collect()
}

fn totals(searches: &[&VectorSearch]) -> (f64, Option<f64>) {
    let calls: f64 = searches.iter().map(|search| search.calls).sum();
    let total: f64 = searches.iter().map(|search| search.total_ms()).sum();
    (calls, (calls > 0.0).then(|| total / calls))
}

fn exact_ms(advice: &Advice) -> f64 {
    advice.candidates.iter().find(|candidate| candidate.design.is_none()).map_or(0.0, |exact| exact.search_ms)
}

fn known(vectors: &Vectors, searched: bool) -> &'static str {
    match (searched, vectors.workload.statements) {
        (true, _) => "",
        (false, true) => "pg_stat_statements has no search on it: if there will be none, nothing needs to be done.",
        (false, false) => "pg_stat_statements could not be read, so that searches may be there that are not seen here.",
    }
}
