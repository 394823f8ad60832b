use crate::advice::measured_query::{excerpt, finding, judged, percent};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_planned_longer_than_executed",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "With pg_stat_statements.track_planning, a query was planned at least min_plans times, took at least min_planning_ms for it \
                 each time, and more for planning than for execution in all. Of severity medium where planning takes slow_planning_ms each \
                 time and a tenth of the database's time, else low.",
    effect: "More than half of what a user waits for is spent on finding the plan, again and again.",
    workaround: "Prepare the statement, so that a plan may be kept; join fewer tables; drop indexes and partitions that nothing uses.",
    sources: &[
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
        "https://www.postgresql.org/docs/17/sql-prepare.html",
    ],
    options: &[
        OptionSpec::number("min_planning_ms", (5.0, "ms"), (0.0, 3.6e6), "Planning that takes less is left alone."),
        OptionSpec::number(
            "slow_planning_ms",
            (50.0, "ms"),
            (0.0, 3.6e6),
            "From here on it may be of severity medium.",
        ),
        OptionSpec::number("min_plans", (5.0, "plans"), (1.0, 1e12), "The first ones fill the caches of a connection."),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "eleven tables joined to return nothing",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set pg_stat_statements.track_planning = on; do $$ begin \
                    for i in 1..11 loop execute format('create table t%s (id int primary key, a int, b int)', i); execute format('create \
                    index on t%s (a)', i); execute format('create index on t%s (b, a)', i); end loop; end $$; analyze; alter database \
                    :\"DBNAME\" set join_collapse_limit = 11; alter database :\"DBNAME\" set from_collapse_limit = 11; create table traffic \
                    as select 1 as step, 'select * from t1 join t2 using (id) join t3 using (id) join t4 using (id) join t5 using (id) join \
                    t6 using (id) join t7 using (id) join t8 using (id) join t9 using (id) join t10 using (id) join t11 using (id) where \
                    t1.a = 5' as query, 6 as times",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a lookup",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set pg_stat_statements.track_planning = on; create table \
                    t (id int primary key); create table traffic as select 1 as step, 'select * from t where id = 5' as query, 20 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    Ok(judged(facts).filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    let (plans, planning) = (statement.plans as f64, statement.planning_ms);
    let each = planning / plans.max(1.0);
    if plans < options.number("min_plans") || each < options.number("min_planning_ms") || planning <= statement.total_ms
    {
        return None;
    }
    let totals = &facts.statement_statistics().totals;
    let share = (planning / (totals.total_ms + totals.planning_ms).max(f64::MIN_POSITIVE)).min(1.0);
    let mut finding = finding(facts, statement, kind, planning);
    let heavy = each >= options.number("slow_planning_ms") && share >= 0.1;
    finding.severity = if heavy { Severity::medium } else { Severity::low };
    finding.summary = format!(
        "{}: planning takes {} ms, executing {} ms; {} with {} of the database's time",
        excerpt(&statement.text),
        shown(each),
        shown(statement.mean_ms()),
        Count(statement.plans).of("plan"),
        percent(share),
    );
    finding.cause = match plans >= 0.5 * statement.calls as f64 {
        true => "It is planned at nearly each call: nobody prepares it, or its plans depend so much on the parameters that no generic one is \
                 kept."
            .to_string(),
        false => "Some sessions keep a plan, others plan it anew.".to_string(),
    };
    finding.evidence.extend(object! {
        "plans": statement.plans,
        "planning_ms_per_plan": rounded(each),
        "planning_ms": rounded(planning),
        "share_with_planning": rounded(share),
    });
    finding.app_fix = Some(
        "Let the driver prepare it: psycopg prepares after 5 executions on a connection (prepare_threshold), asyncpg always; behind \
         PgBouncer in transaction mode set max_prepared_statements."
            .to_string(),
    );
    Some(finding)
}
