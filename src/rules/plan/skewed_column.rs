use crate::advice::plan_estimates::{ANALYZE_RISK, Cause, finding, misestimates};
use crate::advice::plan_weight::shown;
use crate::facts::{Facts, Name, PlannedColumn, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "skewed_column",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A row estimate is off by 10 times or more where it starts, at a scan that compares one column, whose list of common \
                 values or histogram is full, with a value that is beyond them.",
    effect: "Of values outside the list the planner expects the average, which is far off where some of them are frequent and most \
                 are not.",
    workaround: "Raise the column's statistics target, then ANALYZE.",
    sources: &[
        "https://www.postgresql.org/docs/17/planner-stats.html",
        "https://www.postgresql.org/docs/17/row-estimation-examples.html",
    ],
    options: &[OptionSpec::number(
        "factor",
        (10.0, "times the target in force"),
        (1.0, 1000.0),
        "The new target; 10,000 at most.",
    )],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "one value beyond the hundred most common",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, case when g <= 200000 then g % 100 when g \
                    <= 201000 then 777777 else g end, 'x' from generate_series(1, 400000) g; vacuum analyze t; create table example as \
                    select 'select count(v) from t where a = 777777' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a common value",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, case when g <= 200000 then g % 100 when g \
                    <= 201000 then 777777 else g end, 'x' from generate_series(1, 400000) g; vacuum analyze t; create table example as \
                    select 'select count(v) from t where a = 77' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let findings = misestimates(facts).into_iter().filter_map(|wrong| match wrong.cause {
        Cause::Skewed(table, column) => Some(judge(facts, options, table, column, finding(facts, &wrong)?)),
        _ => None,
    });
    Ok(findings.collect())
}

fn judge(facts: &Facts, options: &Options, table: &Table, column: &PlannedColumn, mut finding: Finding) -> Finding {
    let default = facts.explained().setting("default_statistics_target").unwrap_or(100.0);
    let own = column.target.filter(|target| *target > 0);
    let target = own.map_or(default, f64::from);
    let new = (target * options.number("factor")).clamp(target, 10_000.0);
    let name = Name::from(column.name.clone());
    finding.cause = format!(
        "{name} of {} has statistics on its {} most common values and a histogram of {} bounds (target {target}), and the value \
         compared is beyond what they tell. {}",
        table.name,
        column.common.len(),
        column.histogram_bounds,
        finding.cause
    );
    finding.evidence.extend(object! {
        "column": name.to_string(),
        "statistics_target": target,
        "common_values": column.common.len(),
        "n_distinct": column.n_distinct,
    });
    let alter = format!("ALTER TABLE {} ALTER COLUMN {name} SET STATISTICS", table.name);
    finding.fix_sql = Some(format!("{alter} {new};\nANALYZE {};", table.name));
    finding.rollback = Rollback::Sql(format!("{alter} {};\nANALYZE {};", own.unwrap_or(-1), table.name));
    finding.risk = format!(
        "ALTER TABLE takes SHARE UPDATE EXCLUSIVE for a moment. {ANALYZE_RISK} Its sample is {} times as large, and planning reads a \
         longer list.",
        shown(new / target)
    );
    finding
}
