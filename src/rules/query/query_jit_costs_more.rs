use crate::advice::measured_query::{alter_role, excerpt, finding, judged, percent};
use crate::advice::plan_weight::shown;
use crate::advice::statement_kind::Kind;
use crate::facts::{Facts, MeasuredStatement};
use crate::finding::{Finding, Rollback, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, rounded};

pub static RULE: Rule = Rule {
    id: "query_jit_costs_more",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_share of a query's execution time, and min_ms per call, is compiling it (JIT), with at least min_calls \
                 calls. Of severity medium where its mean \
                 is above its target, else low. Parallel workers compile at the same time: their times are added up, so that a query with \
                 more is left alone.",
    effect: "Compiling is paid at each execution, and pays off only where many rows go through the expressions.",
    workaround: "Switch JIT off for the role, or raise jit_above_cost; where the planner's cost is far too high, correct its estimates.",
    sources: &[
        "https://www.postgresql.org/docs/17/jit-decision.html",
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
    ],
    options: &[
        OptionSpec::number("min_share", (0.3, "of the time"), (0.0, 1.0), "Less may pay off."),
        OptionSpec::number("min_ms", (5.0, "ms per call"), (0.0, 3.6e6), "Less is left alone."),
        OptionSpec::number("min_calls", (5.0, "calls"), (1.0, 1e12), "Queries with fewer are left alone."),
    ],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case {
            name: "a query on few rows that is compiled",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set jit = on; alter database :\"DBNAME\" set \
                    jit_above_cost = 0; alter database :\"DBNAME\" set jit_optimize_above_cost = 0; alter database :\"DBNAME\" set \
                    max_parallel_workers_per_gather = 0; create table t (id int primary key, a int); insert into t select g, g from \
                    generate_series(1, 1000) g; analyze t; create table traffic as select 1 as step, 'select sum(a + id * 3) from t where a \
                    % 7 = 3 group by a % 5' as query, 5 as times",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "not compiled",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set jit = off; create table t (id int primary key, a \
                    int); insert into t select g, g from generate_series(1, 1000) g; analyze t; create table traffic as select 1 as step, \
                    'select sum(a + id * 3) from t where a % 7 = 3 group by a % 5' as query, 5 as times",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// The clock of the compiler runs a little longer than that of the execution.
const ONE_PROCESS: f64 = 1.1;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let queries = judged(facts).filter(|(_, kind)| *kind != Kind::Utility);
    Ok(queries.filter_map(|(statement, kind)| judge(facts, options, statement, kind)).collect())
}

fn judge(facts: &Facts, options: &Options, statement: &MeasuredStatement, kind: Kind) -> Option<Finding> {
    if (statement.calls as f64) < options.number("min_calls") {
        return None;
    }
    let each = statement.jit_ms / statement.calls.max(1) as f64;
    let share = statement.jit_ms / statement.total_ms.max(f64::MIN_POSITIVE);
    if each < options.number("min_ms") || share < options.number("min_share") || share > ONE_PROCESS {
        return None;
    }
    let (each, share) = (each.min(statement.mean_ms()), share.min(1.0));
    let target = kind.target_ms(&facts.statement_statistics().targets);
    let mut finding = finding(facts, statement, kind, statement.jit_ms);
    let slow = target.is_some_and(|target| statement.mean_ms() > target);
    finding.severity = if slow { Severity::medium } else { Severity::low };
    finding.summary = format!(
        "{} spends {} of {} ms per call ({}) on JIT compilation, in {}",
        excerpt(&statement.text),
        shown(each),
        shown(statement.mean_ms()),
        percent(share),
        Count(statement.calls).of("call"),
    );
    finding.cause =
        "The planner's cost of the query is above jit_above_cost, so that the server compiles its expressions at each \
                     execution, prepared or not."
            .to_string();
    finding.evidence.extend(object! {
        "jit_ms": rounded(statement.jit_ms),
        "jit_ms_per_call": rounded(each),
        "jit_share": rounded(share),
    });
    let mean = statement.mean_ms();
    // How much slower the expressions run uncompiled is not known.
    finding.impact = object! { "mean_ms": change((rounded(mean), "measured"), (rounded(mean - each), "estimated")) };
    if let Some(role) = alter_role(facts, statement) {
        finding.fix_sql = Some(format!("{role} set jit = off;"));
        finding.rollback = Rollback::Sql(format!("{role} reset jit;"));
        finding.risk = "New sessions of the role have it. Its queries that compute much on millions of rows may take somewhat longer without \
                        JIT: then raise jit_above_cost instead."
            .to_string();
    }
    finding.app_fix = Some(
        "For this query alone, in its transaction: connection.exec_driver_sql(\"set local jit = off\").".to_string(),
    );
    Some(finding)
}
