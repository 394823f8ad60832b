use crate::advice::statements::{MIN_ROWS, largest};
use crate::facts::Facts;
use crate::facts::statement_tree::{Call, Expression, Kind, Volatility};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "volatile_function_in_condition",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A condition of WHERE or of an inner join calls a volatile function, in a query that may read many rows of a table \
                with at least min_rows rows. The share of rows that random() < constant takes is meant, so it is no finding.",
    effect: "The function runs for every row that gets so far, and may answer differently each time; no index can serve the \
             condition, and it is not evaluated before a join or in a parallel worker.",
    workaround: "Where one value for the whole query is meant: now() rather than clock_timestamp(), or compute it once, in a \
                 subquery: (SELECT f()). A function of one's own that changes nothing should be declared STABLE or IMMUTABLE; \
                 without a word it is VOLATILE.",
    sources: &["https://www.postgresql.org/docs/17/xfunc-volatility.html"],
    options: &[MIN_ROWS],
    needs: &[Need::Catalog, Need::Statement],
    cases: &[
        Case {
            name: "clock_timestamp()",
            setup: "create table t (id int primary key, at timestamptz); insert into t select g, now() from generate_series(1, \
                    20000) g; analyze t; create table example as select 'select id from t where at > clock_timestamp() - interval \
                    ''1 day''' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a function that was not declared",
            setup: "create table t (id int primary key, a int); insert into t select g, g from generate_series(1, 20000) g; \
                    analyze t; create function f(int) returns int language sql as 'select $1 + 1'; create table example as select \
                    'select x.id from t x join t y on y.id = f(x.a)' as query",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "now(), computed once, a sample, in the output",
            setup: "create table t (id int primary key, at timestamptz); insert into t select g, now() from generate_series(1, \
                    20000) g; analyze t; create table example as select 'select id, clock_timestamp() from t where at > now() and \
                    at < (select clock_timestamp()) and random() < 0.01' as query",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "one row by its key, and a small table",
            setup: "create table t (id int primary key, at timestamptz); insert into t select g, now() from generate_series(1, \
                    20000) g; create table u (at timestamptz); insert into u values (now()); analyze t, u; create table example as \
                    select 'select id from t where id = 5 and at < clock_timestamp() union all select 1 from u where at < \
                    clock_timestamp()' as query",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (catalog, statement) = (facts.catalog(), facts.statement());
    let min_rows = options.number("min_rows");
    let mut calls: BTreeMap<String, Finding> = BTreeMap::new();
    for query in statement.selects() {
        for condition in query.conjuncts() {
            let call = condition.all().into_iter().find_map(|part| match &part.kind {
                Kind::Function(call) if call.volatility == Volatility::Volatile => Some((call, part.location)),
                _ => None,
            });
            let Some((call, location)) = call.filter(|(call, _)| !is_sample(condition, call)) else { continue };
            let Some((table, rows)) = largest(query, catalog, min_rows) else {
                continue;
            };
            let name = if call.builtin { call.name.clone() } else { format!("{}.{}", call.schema, call.name) };
            let evidence = object! {
                "query": statement.excerpt(condition.location),
                "position": statement.position(location),
                "function": name,
                "table": table.name.to_string(),
                "table_rows": rows,
            };
            let finding = Finding {
                severity: RULE.severity,
                object: statement.object(&format!("{name}()")),
                weight: rows.0,
                summary: format!("{name}() is volatile and is called for each row of {}", table.name),
                cause: format!(
                    "{name}() is declared VOLATILE, so that the server calls it anew for every row that the condition is \
                     evaluated on: {} has about {}.",
                    table.name,
                    rows.of("row")
                ),
                evidence,
                app_fix: Some(mend(call, &name)),
                ..Finding::that_changes_nothing()
            };
            calls.entry(name).or_insert(finding);
        }
    }
    Ok(calls.into_values().collect())
}

fn mend(call: &Call, name: &str) -> String {
    let constant = call.arguments.iter().all(Expression::is_constant);
    match (call.builtin, constant, name) {
        (true, _, "clock_timestamp" | "timeofday") => "Use now(), the time at which the transaction began.".to_string(),
        (_, true, _) => format!("If one value is meant for all rows: (SELECT {name}(…)) is computed once."),
        (true, false, _) => "Move the call out of the condition.".to_string(),
        (false, false, _) => format!(
            "If {name}() only computes: ALTER FUNCTION … STABLE, or IMMUTABLE where it depends on its arguments alone. That is \
             for whoever knows its body to decide."
        ),
    }
}

/// `random() < 0.01`
fn is_sample(condition: &Expression, call: &Call) -> bool {
    call.builtin && call.name == "random" && condition.columns().is_empty()
}
