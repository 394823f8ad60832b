use crate::advice::plan_estimates::statistics_name;
use crate::advice::plan_estimates::{ANALYZE_RISK, Cause, Expression, finding, misestimates};
use crate::db::quote_literal;
use crate::facts::{Facts, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "expression_without_statistics",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A row estimate is off by 10 times or more where it starts, at a scan that compares an expression over columns, on \
                 which there are no statistics and no index.",
    effect: "Of an expression the planner knows nothing: it takes half a percent of the rows to be equal to any value, and a third \
                 to be above it.",
    workaround: "CREATE STATISTICS on the expression, then ANALYZE; or compare the bare column.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-createstatistics.html",
        "https://www.postgresql.org/docs/17/row-estimation-examples.html",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a function of a column",
            setup: "create table t (id int primary key, v text); insert into t select g, case when g % 5 = 0 then 'Open' else md5(g::text) \
                    end from generate_series(1, 100000) g; vacuum analyze t; create table example as select 'select count(id) from t where \
                    lower(v) = ''open''' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an operator between columns",
            setup: "create table t (id int primary key, a int, b int); insert into t select g, g, 2 * g from generate_series(1, 100000) g; \
                    vacuum analyze t; create table example as select 'select count(id) from t where b - 2 * a = 0' as query, true as \
                    analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "it has statistics, or is not immutable",
            setup: "create table t (id int primary key, v text, at timestamptz); insert into t select g, case when g % 5 = 0 then 'Open' \
                    else md5(g::text) end, now() from generate_series(1, 100000) g; create statistics s on (lower(v)) from t; vacuum \
                    analyze t; create table example as select 'select count(id) from t where lower(v) = ''open'' and date_trunc(''year'', \
                    at) > ''2000-01-01''' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let findings = misestimates(facts).into_iter().filter_map(|wrong| match &wrong.cause {
        Cause::Expression(table, expression) => Some(judge(facts, table, expression, finding(facts, &wrong)?)),
        _ => None,
    });
    Ok(findings.collect())
}

fn judge(facts: &Facts, table: &Table, expression: &Expression, mut finding: Finding) -> Finding {
    let statistics = facts.explained().statistics.get(&table.oid);
    finding.cause = format!(
        "The planner has no statistics on the expression {} of {}, and assumes a fixed share of the rows. {}",
        expression.text, table.name, finding.cause
    );
    finding.evidence.extend(object! { "expression": expression.text });
    if !expression.is_fixed {
        finding.cause += " Statistics on it are refused unless it is immutable, which could not be told or is not so: what depends on \
                          TimeZone, for one, is not. Compare the bare column with values computed beforehand, or the column AT TIME \
                          ZONE a named one.";
        return finding;
    }
    let name = statistics_name(statistics, table, &["expr"]);
    finding.fix_sql = Some(format!(
        "CREATE STATISTICS {name} ON ({}) FROM {};\nANALYZE {};",
        expression.text, table.name, table.name
    ));
    finding.rollback = Rollback::Sql(format!("DROP STATISTICS IF EXISTS {name};"));
    finding.risk = ANALYZE_RISK.to_string();
    finding.verify_sql = Some(format!(
        "select statistics_name, expr, n_distinct, null_frac from pg_catalog.pg_stats_ext_exprs where statistics_name = {};",
        quote_literal(name.name.raw())
    ));
    finding
}
