use crate::advice::plan_estimates::statistics_name;
use crate::advice::plan_estimates::{ANALYZE_RISK, Cause, finding, misestimates};
use crate::advice::plan_weight::shown;
use crate::db::quote_literal;
use crate::facts::{Facts, Sample, Table};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{listing, rounded};

pub static RULE: Rule = Rule {
    id: "correlated_columns",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A row estimate is off by 10 times or more where it starts, at a scan that compares two or more columns with values, \
                 the table's statistics are fresh, and a sample shows that the columns depend on each other.",
    effect: "The planner multiplies the shares of the columns as if they were independent, and expects far fewer rows (or, for \
                 combinations that do not occur, far more) than there are.",
    workaround: "CREATE STATISTICS on the columns, then ANALYZE.",
    sources: &[
        "https://www.postgresql.org/docs/17/planner-stats.html#PLANNER-STATS-EXTENDED",
        "https://www.postgresql.org/docs/17/sql-createstatistics.html",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "a town and its postal code",
            setup: "create table t (id int primary key, town int, code int, v text); insert into t select g, g % 300, (g % 300) * 7, \
                    md5(g::text) from generate_series(1, 200000) g; vacuum analyze t; create table example as select 'select count(v) from \
                    t where town = 7 and code = 49' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "independent columns",
            setup: "create table t (id int primary key, a int, b int, v text); insert into t select g, g % 20, g / 20 % 20, md5(g::text) \
                    from generate_series(1, 200000) g; vacuum analyze t; create table example as select 'select count(v) from t where a = \
                    7 and b = 9' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "they have statistics",
            setup: "create table t (id int primary key, town int, code int, v text); insert into t select g, g % 300, (g % 300) * 7, \
                    md5(g::text) from generate_series(1, 200000) g; create statistics s on town, code from t; vacuum analyze t; create \
                    table example as select 'select count(v) from t where town = 7 and code = 49' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let findings = misestimates(facts).into_iter().filter_map(|wrong| match wrong.cause {
        Cause::Correlated(table, sample) => Some(judge(facts, table, sample, finding(facts, &wrong)?)),
        _ => None,
    });
    Ok(findings.collect())
}

fn judge(facts: &Facts, table: &Table, sample: &Sample, mut finding: Finding) -> Finding {
    let statistics = facts.explained().statistics.get(&table.oid);
    let columns = table.column_names(&sample.columns);
    finding.cause = format!(
        "{} of {} depend on each other: in a sample of {} rows they have {} combinations of values, where independent columns with {} \
         values would have up to {}; {:.0}% of the rows follow from one column. {}",
        listing(&columns),
        table.name,
        shown(sample.rows),
        shown(sample.distinct_together),
        sample.distinct.iter().map(|distinct| shown(*distinct)).collect::<Vec<_>>().join(" and "),
        shown(sample.distinct.iter().product::<f64>().min(sample.rows)),
        100.0 * sample.dependency,
        finding.cause,
    );
    finding.evidence.extend(object! {
        "columns": columns,
        "sample_rows": sample.rows,
        "sample_distinct": sample.distinct,
        "sample_distinct_together": sample.distinct_together,
        "dependency": rounded(sample.dependency),
    });
    let raw: Vec<&str> = sample.columns.iter().filter_map(|number| Some(table.column(*number)?.name.raw())).collect();
    let name = statistics_name(statistics, table, &raw);
    finding.fix_sql = Some(format!(
        "CREATE STATISTICS {name} (dependencies, ndistinct, mcv) ON {} FROM {};\nANALYZE {};",
        columns.join(", "),
        table.name,
        table.name
    ));
    finding.rollback = Rollback::Sql(format!("DROP STATISTICS IF EXISTS {name};"));
    finding.risk = ANALYZE_RISK.to_string();
    finding.verify_sql = Some(format!(
        "select statistics_name, n_distinct, dependencies from pg_catalog.pg_stats_ext where statistics_name = {};",
        quote_literal(name.name.raw())
    ));
    finding.app_fix = Some(format!(
        "Alembic: op.execute({:?}); op.execute(\"ANALYZE {}\").",
        format!(
            "CREATE STATISTICS {name} (dependencies, ndistinct, mcv) ON {} FROM {}",
            columns.join(", "),
            table.name
        ),
        table.name
    ));
    finding
}
