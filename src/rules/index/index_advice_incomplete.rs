use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;

pub static RULE: Rule = Rule {
    id: "index_advice_incomplete",
    category: "index",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "time_limit ended the search of dbre.index_advice() before it had planned all that it wanted to.",
    effect: "What is advised was planned all the same, but more, or better, might be found; indexes without use are not looked for.",
    workaround: "Call it with a longer time_limit, or with fewer queries (max_queries, schemas).",
    sources: &["docs/rules/missing_index.md"],
    options: &[],
    needs: &[Need::IndexAdvice],
    cases: &[
        Case {
            name: "the planner takes longer than there is time",
            setup: "create table t (id int primary key, a int); create function slow(int) returns int immutable language \
                    plpgsql as $$ begin perform pg_sleep(0.2); return $1; end $$; create table workload as select 'select * \
                    from t where a = slow(' || n || ')' as query, 10 as calls, 9.0 as mean_ms from generate_series(1, 2) n; \
                    do $$ begin execute format('alter database %I set example.time_limit = %L', current_database(), '100 \
                    ms'); end $$",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "there was time",
            setup: "create table t (id int primary key, a int); create table workload as select 'select * from t where a = 1' \
                    as query, 10 as calls, 9.0 as mean_ms",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let advice = facts.index_advice();
    if advice.selection.complete {
        return Ok(Vec::new());
    }
    let seconds = advice.elapsed.as_secs_f64();
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "index advice".to_string(),
        weight: 0,
        summary: format!(
            "time_limit ended the search after {seconds:.1} s and {}, while {}",
            Count(advice.selection.statistics.plans as u64).of("plan"),
            advice.stage(),
        ),
        cause: format!(
            "{} queries and {} candidates were more than it suffices for.",
            Count(advice.queries.len() as u64),
            Count(advice.selection.statistics.candidates as u64),
        ),
        evidence: object! { "workload": advice.summary() },
        ..Finding::that_changes_nothing()
    }])
}
