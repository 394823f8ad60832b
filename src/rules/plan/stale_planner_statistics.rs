use crate::advice::plan_estimates::{ANALYZE_RISK, Cause, finding, misestimates};
use crate::advice::plan_weight::shown;
use crate::db::quote_literal;
use crate::facts::{Facts, PlanOrigin, PlannedTable, Table};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::{Days, rounded};

pub static RULE: Rule = Rule {
    id: "stale_planner_statistics",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A row estimate is off by 10 times or more where it starts, and the table there (of a join, one of its tables) was \
                 never analyzed, or at least a tenth of its rows were written since.",
    effect: "The planner chooses joins, indexes and memory for a table that is no longer there.",
    workaround: "ANALYZE; then let autovacuum come sooner: autovacuum_analyze_scale_factor of the table.",
    sources: &[
        "https://www.postgresql.org/docs/17/planner-stats.html",
        "https://www.postgresql.org/docs/17/routine-vacuuming.html",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "written since",
            setup: "create table t (id int primary key, a int, v text) with (autovacuum_enabled = off); insert into t select g, g, \
                    md5(g::text) from generate_series(1, 100000) g; vacuum analyze t; insert into t select g, 7, 'x' from \
                    generate_series(100001, 200000) g; create table example as select 'select count(v) from t where a = 7' as query, true \
                    as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "never analyzed, and joined",
            setup: "create table p (id int primary key, v text); create table t (id int primary key, a int, v text) with \
                    (autovacuum_enabled = off); insert into p select g, md5(g::text) from generate_series(1, 100000) g; insert into t \
                    select g, g % 3, md5(g::text) from generate_series(1, 100000) g; vacuum analyze p; create table example as select \
                    'select count(p.v) from t join p on p.id = t.id where t.a = 2' as query, true as analyze",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "analyzed",
            setup: "create table t (id int primary key, a int, v text); insert into t select g, g % 100, md5(g::text) from \
                    generate_series(1, 100000) g; vacuum analyze t; create table example as select 'select count(v) from t where a = 7' as \
                    query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let mut tables = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    for wrong in misestimates(facts) {
        let Cause::Stale(table) = wrong.cause else { continue };
        // One ANALYZE mends all of them.
        if tables.contains(&table.oid) {
            continue;
        }
        let (Some(told), Some(known)) = (finding(facts, &wrong), facts.explained().statistics.get(&table.oid)) else {
            continue;
        };
        tables.push(table.oid);
        findings.push(judge(facts, table, known, told));
    }
    Ok(findings)
}

fn judge(facts: &Facts, table: &Table, known: &PlannedTable, mut finding: Finding) -> Finding {
    let rows = known.rows.unwrap_or_default().max(known.live_rows);
    let (since, own) = match known.analyzed_days_ago {
        Some(days) => (format!("was analyzed {} ago", Days(days)), true),
        None => ("was never analyzed as far as is known".to_string(), false),
    };
    let from_elsewhere = if facts.explained().origin == PlanOrigin::Given {
        " The plan is from elsewhere: the table may have been another then."
    } else {
        ""
    };
    finding.cause = format!(
        "{} {since}, and {} of its {} rows were written since{}. {}{from_elsewhere}",
        table.name,
        shown(known.modified_rows),
        shown(rows),
        if own { "" } else { " it was created or its statistics were reset" },
        finding.cause
    );
    finding.evidence.extend(object! {
        "statistics_of": table.name.to_string(),
        "modified_rows": known.modified_rows,
        "live_rows": known.live_rows,
        "analyzed_days_ago": known.analyzed_days_ago.map(rounded),
    });
    finding.fix_sql = Some(format!("ANALYZE {};", table.name));
    finding.risk = ANALYZE_RISK.to_string();
    finding.verify_sql = Some(format!(
        "select last_analyze, last_autoanalyze, n_mod_since_analyze from pg_catalog.pg_stat_all_tables where relid = {}::regclass;",
        quote_literal(&table.name.to_string())
    ));
    finding
}
