use crate::advice::eager_loading::is_served;
use crate::advice::lookups::{Relation, relations};
use crate::advice::measured_query::excerpt;
use crate::facts::{Facts, Namer, ReadingStatement, shortened};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::foreign_key_without_index::{narrowed, solution};
use crate::units::{Count, listing, rounded};
use serde_json::json;
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "repeated_lookup_without_index",
    category: "query",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "Statements of pg_stat_statements that look up the rows of a foreign key's value ran at least min_calls times, no index leads \
                with the key's columns or with a column of another of their equalities, and the table has at least min_rows rows.",
    effect: "Each lookup reads the whole table. Where it is repeated for each row of another statement, the page reads it N times.",
    workaround: "Create the index concurrently. It serves the one statement that replaces the lookups too.",
    sources: &["https://www.postgresql.org/docs/17/indexes-intro.html"],
    options: &[
        OptionSpec::number("min_calls", (100.0, "calls"), (1.0, 1e12), "Lookups that ran less often are left alone."),
        OptionSpec::number("min_rows", (1000.0, "rows"), (1.0, 1e12), "A smaller table is read quickly."),
        OptionSpec::number(
            "high_ms",
            (10.0, "ms"),
            (0.0, 1e9),
            "Mean time of a lookup from which on it is of severity high.",
        ),
        OptionSpec::number("medium_ms", (1.0, "ms"), (0.0, 1e9), "Mean time from which on it is of severity medium."),
        OptionSpec::number("medium_total_ms", (1000.0, "ms"), (0.0, 1e15), "Total time from which on it is, too."),
    ],
    needs: &[Need::Catalog, Need::ColumnStatistics, Need::RelationNames, Need::Lookups],
    cases: &[
        Case {
            name: "the comments of each post",
            setup: "create extension pg_stat_statements; create table posts (id int primary key); create table comments (id int primary key, \
                    post_id int not null references posts, body text); insert into posts select generate_series(1, 300); insert into \
                    comments select g, 1 + g % 300, 'b' from generate_series(1, 3000) g; analyze; create table traffic as select * from \
                    (values (1, 'select id, body from comments where post_id = %s', 200)) t (step, query, times)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an index leads with the column, another table is small",
            setup: "create extension pg_stat_statements; create table posts (id int primary key); create table comments (id int primary key, \
                    post_id int not null references posts, body text); create index on comments (post_id, id); create table pins (post_id \
                    int references posts); insert into posts select generate_series(1, 300); insert into comments select g, 1 + g % \
                    300, 'b' from generate_series(1, 3000) g; analyze; create table traffic as select * from (values (1, 'select id, \
                    body from comments where post_id = %s', 200), (2, 'select * from pins where post_id = %s', 200)) t (step, \
                    query, times)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// Of one foreign key.
type Lookups<'a> = (Relation<'a>, Vec<&'a ReadingStatement>);

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let mut namer = facts.relation_names().namer();
    let mut keys: BTreeMap<(u32, Vec<i16>), Lookups> = BTreeMap::new();
    for statement in &facts.lookups().statements {
        let all = relations(catalog, &statement.shape).into_iter();
        for relation in all.filter(|one| !is_served(catalog, one) && !is_served_otherwise(facts, statement, one)) {
            let key = (relation.table, relation.columns.clone());
            keys.entry(key).or_insert_with(|| (relation, Vec::new())).1.push(statement);
        }
    }
    let mut findings = Vec::new();
    for (relation, statements) in keys.into_values() {
        let rows = catalog.rows(catalog.table(relation.table)).map_or(0.0, |rows| rows.0 as f64);
        let calls: u64 = statements.iter().map(|statement| statement.measured.calls).sum();
        if calls as f64 >= options.number("min_calls") && rows >= options.number("min_rows") {
            findings.extend(finding(facts, options, &mut namer, &relation, &statements));
        }
    }
    Ok(findings)
}

/// An index leads with a column of another condition.
fn is_served_otherwise(facts: &Facts, statement: &ReadingStatement, relation: &Relation) -> bool {
    let Some(lookup) = &statement.shape.lookup else { return false };
    let fixed = &statement.shape.sources[lookup.source].fixed;
    facts.catalog().table(relation.table).indexes.iter().filter(|index| index.is_usable()).any(|index| {
        let first = index.key_attributes().next();
        first.is_some_and(|column| fixed.contains(&column) && !relation.columns.contains(&column))
    })
}

/// None: no index could serve the key.
fn finding(
    facts: &Facts,
    options: &Options,
    namer: &mut Namer,
    relation: &Relation,
    statements: &[&ReadingStatement],
) -> Option<Finding> {
    let catalog = facts.catalog();
    let table = catalog.table(relation.table);
    let solution = solution(catalog, namer, relation.key?)?;
    let calls: u64 = statements.iter().map(|statement| statement.measured.calls).sum();
    let total_ms: f64 = statements.iter().map(|statement| statement.measured.total_ms).sum();
    let found: u64 = statements.iter().map(|statement| statement.measured.rows).sum();
    let mean_ms = total_ms / calls.max(1) as f64;
    let rows = catalog.rows(table)?;
    let worst = statements.iter().max_by(|a, b| a.measured.total_ms.total_cmp(&b.measured.total_ms))?;
    let columns = table.columns_of(&relation.columns);
    let narrowed = narrowed(facts, relation.key?);
    let read = match &narrowed {
        Some(narrowed) => narrowed.rows,
        None => Some(rows.0 as f64),
    };
    let how = match &narrowed {
        Some(narrowed) => format!(
            "No usable index is on all of {columns}; {} narrows it to {}",
            narrowed.index,
            listing(&narrowed.columns)
        ),
        None => format!("No usable index leads with {columns}: the whole table is read"),
    };
    Some(Finding {
        severity: if mean_ms >= options.number("high_ms") {
            Severity::high
        } else if mean_ms >= options.number("medium_ms") || total_ms >= options.number("medium_total_ms") {
            Severity::medium
        } else {
            Severity::low
        },
        weight: total_ms as u64,
        summary: format!(
            "{} by {columns} without an index: {mean_ms:.2} ms each, of {}",
            Count(calls).of("lookup"),
            rows.of("row")
        ),
        cause: format!(
            "{how} for the {:.1} rows of {}.{}",
            found as f64 / calls.max(1) as f64,
            excerpt(&worst.measured.text),
            solution.cause
        ),
        evidence: object! {
            "table": table.name.to_string(),
            "columns": table.column_names(&relation.columns),
            "table_rows": rows,
            "table_bytes": catalog.bytes(table),
            "narrowing_index": narrowed.as_ref().map(|narrowed| &narrowed.index),
            "calls": calls,
            "total_ms": rounded(total_ms),
            "mean_ms": rounded(mean_ms),
            "statements": statements.iter().take(5).map(|statement| json!({
                "query_id": statement.measured.query_id,
                "role": statement.measured.role_name,
                "query": shortened(&statement.measured.text),
                "calls": statement.measured.calls,
            })).collect::<Vec<_>>(),
        },
        impact: object! {
            "rows_read_per_lookup": change((read.map(rounded), "estimated"), (rounded(found as f64 / calls.max(1) as f64), "measured")),
        },
        fix_sql: solution.fix_sql,
        app_fix: solution.app_fix,
        risk: solution.risk,
        rollback: solution.rollback,
        verify_sql: solution.verify_sql,
        object: columns,
    })
}
