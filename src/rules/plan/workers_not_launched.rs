use crate::advice::plan_weight::{Explains, finding};
use crate::facts::{Explained, Facts, PlanOrigin};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "workers_not_launched",
    category: "plan",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "A Gather got fewer workers than were planned.",
    effect: "A plan that was chosen for several processes is run by fewer: slower than planned, and than another plan might be.",
    workaround: "Let max_parallel_workers and max_worker_processes leave room for the parallel queries that run at the same time, \
                 or plan fewer workers (max_parallel_workers_per_gather).",
    sources: &[
        "https://www.postgresql.org/docs/17/how-parallel-query-works.html",
        "https://www.postgresql.org/docs/17/runtime-config-resource.html#GUC-MAX-PARALLEL-WORKERS",
    ],
    options: &[],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "no worker may be launched",
            setup: "create table t (id int, n numeric); insert into t select g, g from generate_series(1, 200000) g; vacuum analyze \
                    t; create table example as select 'select sum(n) from t' as query, true as analyze; alter database :\"DBNAME\" \
                    set max_parallel_workers = 0; alter database :\"DBNAME\" set min_parallel_table_scan_size = 0; alter database \
                    :\"DBNAME\" set parallel_setup_cost = 0; alter database :\"DBNAME\" set parallel_tuple_cost = 0",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "nothing parallel was planned",
            setup: "create table t (id int, n numeric); insert into t select g, g from generate_series(1, 200000) g; vacuum analyze \
                    t; create table example as select 'select sum(n) from t' as query, true as analyze; alter database :\"DBNAME\" \
                    set max_parallel_workers_per_gather = 0",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let plan = &facts.explained().plan;
    Ok((0..plan.nodes.len()).filter_map(|node| judge(facts, node)).collect())
}

fn judge(facts: &Facts, node: usize) -> Option<Finding> {
    let explained = facts.explained();
    let gather = explained.node(node);
    let (planned, launched) = (gather.workers_planned?, gather.workers_launched?);
    // Those of later executions of the same Gather are not told apart.
    if launched >= planned || gather.actual?.loops == 0.0 {
        return None;
    }
    let explains = Explains::by_branch(explained, node);
    let mut finding = finding(facts, node, explains)?;
    if launched > 0 {
        finding.severity = Severity::low;
    }
    finding.summary = format!("{launched} of {planned} planned workers were launched for {}", explains.told());
    finding.cause = format!(
        "The plan is for {} processes, and ran with {}. {}",
        planned + 1,
        launched + 1,
        why(explained, planned)
    );
    finding.evidence.extend(object! {
        "workers_planned": planned,
        "workers_launched": launched,
        "max_parallel_workers": explained.settings.get("max_parallel_workers"),
        "max_worker_processes": explained.settings.get("max_worker_processes"),
        "max_parallel_workers_per_gather": explained.settings.get("max_parallel_workers_per_gather"),
    });
    Some(finding)
}

fn why(explained: &Explained, planned: u32) -> String {
    if explained.origin == PlanOrigin::Given {
        return "Where it ran, max_parallel_workers or max_worker_processes left no more, or other queries had taken them.".to_string();
    }
    for name in ["max_parallel_workers", "max_worker_processes"] {
        if let Some(limit) = explained.setting(name).filter(|limit| *limit < f64::from(planned)) {
            return format!(
                "{name} is {limit}: there can never be as many as planned. Raise it, or lower max_parallel_workers_per_gather to it."
            );
        }
    }
    format!(
        "The limits allow them (max_parallel_workers {}, max_worker_processes {}): other queries or background workers had taken the \
         rest at that moment. Where that is common, parallel plans promise what they cannot keep.",
        explained.settings.get("max_parallel_workers").map_or("unknown", String::as_str),
        explained.settings.get("max_worker_processes").map_or("unknown", String::as_str),
    )
}
