use crate::advice::plan_conditions::{called, calls, computed, functions, is_constant, tested_per_row};
use crate::advice::plan_weight::{Explains, finding, shown};
use crate::facts::plan::Operand;
use crate::facts::{Facts, Function, Volatility};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::rules::row_security_per_row;
use crate::units::listing;
use std::collections::BTreeSet;

pub static RULE: Rule = Rule {
    id: "function_per_row",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A filter or an output calls a function that is not built in for at least min_calls rows, and by its declared cost, or as far as \
                nothing else is in the node, the calls take at least min_share of the query. Calls of a policy of row security are \
                row_security_per_row's.",
    effect: "A STABLE or VOLATILE function without a column among its arguments returns the same for all rows, yet is called for each: \
             the planner evaluates only IMMUTABLE functions beforehand. One of a column is computed anew at each query.",
    workaround: "Put a call that does not depend on the row into a subquery: (SELECT f()) is evaluated once. For one of a column, index \
                 the expression if the function is IMMUTABLE, keep its result in a column, or test cheaper conditions first by giving \
                 the function its true COST.",
    sources: &[
        "https://www.postgresql.org/docs/17/xfunc-volatility.html",
        "https://www.postgresql.org/docs/17/sql-createfunction.html",
    ],
    options: &[
        OptionSpec::number("min_calls", (1000.0, "calls"), (2.0, 1e12), "Fewer are left alone."),
        OptionSpec::number(
            "min_share",
            (0.2, "of the query's time or cost"),
            (0.0, 1.0),
            "Calls that take less are left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a stable function of no column, for each row",
            setup: "create function current_owner() returns text stable language plpgsql as $$ begin return \
                    current_setting('app.owner', true); end $$; create table t (id int primary key, owner text); insert into t \
                    select g, 'u' || g % 100 from generate_series(1, 100000) g; vacuum analyze t; create table example as select \
                    'select * from t where owner = current_owner()' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a slow function of a column, planned only",
            setup: "create function checksum(v text) returns bigint immutable language plpgsql as $$ declare sum bigint := 0; begin \
                    for i in 1..length(v) loop sum := sum + ascii(substr(v, i, 1)); end loop; return sum; end $$; create table t (id int \
                    primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 50000) g; vacuum analyze \
                    t; create table example as select 'select * from t where checksum(v) = 1900' as query, false as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a function in the SELECT list",
            setup: "create function checksum(v text) returns bigint immutable language plpgsql as $$ declare sum bigint := 0; begin \
                    for i in 1..length(v) loop sum := sum + ascii(substr(v, i, 1)); end loop; return sum; end $$; create table t (id int \
                    primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 50000) g; vacuum analyze \
                    t; create table example as select 'select sum(checksum(v)) from t' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "evaluated once, by an index, beforehand, or built in",
            setup: "create function current_owner() returns text stable language plpgsql as $$ begin return \
                    current_setting('app.owner', true); end $$; create function fixed() returns text immutable language plpgsql as \
                    $$ begin return 'u7'; end $$; create table t (id int primary key, owner text, at timestamptz default now()); \
                    insert into t select g, 'u' || g % 5000 from generate_series(1, 100000) g; create index on t (owner); vacuum \
                    analyze t; create table example as select 'select id from t where owner = (select current_owner()) union all \
                    select id from t where owner = current_owner() union all select id from t where id % 7 = 3 and at > now() - \
                    interval ''1 hour'' and owner || ''x'' = fixed()' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    Ok((0..plan.nodes.len()).filter_map(|node| judge(facts, options, node)).collect())
}

fn judge(facts: &Facts, options: &Options, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    if explained.plan.share(node) < options.number("min_share") {
        return None;
    }
    let (conditions, outputs) = (tested_per_row(explained.node(node)), computed(&explained.plan, node));
    let tested = (rows_tested(facts, node), calls(&conditions));
    let returned = (rows_computed(facts, node), calls(&outputs));
    let mut found: Vec<(&Operand, &Function, f64)> = Vec::new();
    for (times, calls) in [tested, returned] {
        let of_users = calls.into_iter().filter_map(|call| {
            let function = dear(&functions(explained, called(call)?))?;
            (!row_security_per_row::is_of_policy(facts, node, call)).then_some((call, function, times))
        });
        found.extend(of_users);
    }
    let (call, function, tests) = *found.iter().max_by(|a, b| (a.1.cost * a.2).total_cmp(&(b.1.cost * b.2)))?;
    let units = found.iter().map(|(_, function, times)| function.cost * times).sum();
    let explains = share_of_calls(facts, node, units);
    if tests < options.number("min_calls") || explains.share < options.number("min_share") {
        return None;
    }
    let mut finding = finding(facts, node, explains)?;
    let names: BTreeSet<&str> = found.iter().filter_map(|(call, ..)| called(call)).collect();
    let names: Vec<&str> = names.into_iter().collect();
    finding.summary =
        format!("{} is called for each of {} rows: about {}", listing(&names), shown(tests), explains.told());
    finding.cause = format!(
        "{} computes {}. {} What the calls take is reckoned from the function's COST ({}) against that of the rest of the node; EXPLAIN \
         does not time functions.",
        explained.node(node).describe(),
        call.text,
        remedy(call, function),
        function.cost,
    );
    finding.app_fix = is_constant(call).then(|| {
        format!(
            "SQL: (SELECT {}) in place of {0}. SQLAlchemy: select(func.{}(…)).scalar_subquery() in place of func.{1}(…).",
            call.text, function.name
        )
    });
    finding.evidence.extend(object! {
        "condition": call.text,
        "calls": tests.round(),
        "function": function.signature,
        "function_cost": function.cost,
        "function_language": function.language,
        "function_volatility": volatility(function),
    });
    Some(finding)
}

/// Built-in functions cost next to nothing. Of several overloads, all must be of users.
fn dear<'a>(functions: &[&'a Function]) -> Option<&'a Function> {
    let is_built_in = |function: &&Function| {
        function.schema == "pg_catalog" || ["c", "internal"].contains(&function.language.as_str())
    };
    let returns_set = |function: &&Function| function.rows.is_some();
    if functions.iter().any(is_built_in) || functions.iter().any(returns_set) {
        return None;
    }
    functions.first().copied()
}

/// Rows that the node's conditions were put to, or are expected to be.
pub fn rows_tested(facts: &Facts, node: usize) -> f64 {
    let explained = facts.explained();
    let plan = &explained.plan;
    if let Some(rows) = plan.total_rows(node) {
        return rows + plan.removed_rows(node);
    }
    let here = explained.node(node);
    let of_table =
        explained.statistics_of(node).and_then(|table| table.rows).filter(|_| here.kind.ends_with("Seq Scan"));
    of_table.unwrap_or(here.rows).max(here.rows)
}

/// Rows for which the node computes its output; an aggregate its arguments.
fn rows_computed(facts: &Facts, node: usize) -> f64 {
    let plan = &facts.explained().plan;
    let rows = |node: usize| plan.total_rows(node).unwrap_or(plan.nodes[node].rows);
    match plan.nodes[node].kind.as_str() {
        "Aggregate" | "WindowAgg" => plan.nodes[node].children.iter().map(|child| rows(*child)).fold(0.0, f64::max),
        _ => rows(node),
    }
}

/// `units`: costs of the functions times their calls. The planner counts cpu_operator_cost for each; what is more than the
/// node's share of its cost cannot be.
pub fn share_of_calls(facts: &Facts, node: usize, units: f64) -> Explains {
    let explained = facts.explained();
    let own = explained.plan.own_cost(node);
    let part = units * explained.setting("cpu_operator_cost").unwrap_or(0.0025);
    let part = if own > 0.0 { (part / own).min(1.0) } else { 0.0 };
    match explained.plan.own_ms(node) {
        Some(ms) => Explains::by_ms(explained, ms * part),
        None => Explains::by_cost(explained, own * part),
    }
}

fn remedy(call: &Operand, function: &Function) -> String {
    match (is_constant(call), function.volatility) {
        (true, Volatility::Stable) => format!(
            "No argument is a column, and the function is STABLE: its result is the same for all rows of the statement. (SELECT {}) \
             is evaluated once, before the scan, and lets an index be used.",
            call.text
        ),
        (true, Volatility::Volatile) => format!(
            "No argument is a column, but the function is VOLATILE, which is what CREATE FUNCTION makes of one that does not say: the \
             server must call it for each row. If it changes nothing and returns the same within a statement, declare it STABLE and \
             write (SELECT {}).",
            call.text
        ),
        (true, Volatility::Immutable) => {
            "It is IMMUTABLE, so that its arguments, not known when planning, keep it from being evaluated once.".to_string()
        }
        (false, Volatility::Immutable) => {
            "It is IMMUTABLE: an index on the expression, or a stored generated column, computes it when rows are written.".to_string()
        }
        (false, _) => {
            "It depends on the row, and is not IMMUTABLE: keep its result in a column, or filter by other conditions first. Its COST \
             tells the planner to test it last."
                .to_string()
        }
    }
}

fn volatility(function: &Function) -> &'static str {
    match function.volatility {
        Volatility::Immutable => "IMMUTABLE",
        Volatility::Stable => "STABLE",
        Volatility::Volatile => "VOLATILE",
    }
}
