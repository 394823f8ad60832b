use crate::advice::plan_estimates::{Cause, finding, misestimates};
use crate::advice::plan_weight::shown;
use crate::facts::{Facts, Function};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "function_without_row_estimate",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A function that returns a set returns 10 times as many rows as it is declared to (ROWS, 1000 by default), or a tenth \
                 of them.",
    effect: "Joins and sorts above the function are planned for the declared number, whatever the function returns.",
    workaround: "ALTER FUNCTION … ROWS with what it returns as a rule; in SQL, a function that can be inlined (LANGUAGE sql, STABLE, \
                 one SELECT) is estimated like any query.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-createfunction.html",
        "https://www.postgresql.org/docs/17/xfunc-optimization.html",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a thousand declared, fifty thousand returned",
            setup: "create function f() returns setof int language plpgsql stable as 'begin return query select g from generate_series(1, \
                    50000) g; end'; create table t (id int primary key, v text); insert into t select g, md5(g::text) from \
                    generate_series(1, 100000) g; vacuum analyze t; create table example as select 'select count(t.v) from f() x join t on \
                    t.id = x' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "declared as it is",
            setup: "create function f() returns setof int language plpgsql stable rows 50000 as 'begin return query select g from \
                    generate_series(1, 50000) g; end'; create table t (id int primary key, v text); insert into t select g, md5(g::text) \
                    from generate_series(1, 100000) g; vacuum analyze t; create table example as select 'select count(t.v) from f() x join \
                    t on t.id = x' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let findings = misestimates(facts).into_iter().filter_map(|wrong| match wrong.cause {
        Cause::Function(function) => {
            let executions = facts.explained().plan.executions(wrong.node).unwrap_or(1.0).max(1.0);
            Some(judge(function, wrong.actual / executions, finding(facts, &wrong)?))
        }
        _ => None,
    });
    Ok(findings.collect())
}

fn judge(function: &Function, returned: f64, mut finding: Finding) -> Finding {
    let declared = function.rows.unwrap_or(1000.0);
    finding.cause = format!(
        "{} is declared to return {} rows, and returned {}. {}",
        function.signature,
        shown(declared),
        shown(returned),
        finding.cause
    );
    finding.evidence.extend(object! {
        "function": function.signature,
        "declared_rows": declared,
        "returned_rows": returned.round(),
    });
    finding.fix_sql = Some(format!("ALTER FUNCTION {} ROWS {};", function.signature, two_digits(returned)));
    finding.rollback = Rollback::Sql(format!("ALTER FUNCTION {} ROWS {declared};", function.signature));
    finding.risk = "Plans of all queries that call it change; results do not. The figure is of this call: other arguments may return \
                    other numbers of rows. It must be run by the function's owner."
        .to_string();
    finding
}

fn two_digits(rows: f64) -> f64 {
    let rows = rows.max(1.0);
    let unit = 10_f64.powf((rows.log10().floor() - 1.0).max(0.0));
    (rows / unit).round() * unit
}
