//! Findings on nodes that work_mem was too small for.

use super::plan_weight::{self, Explains, shown};
use crate::facts::Facts;
use crate::facts::plan::Plan;
use crate::finding::{Finding, Rollback, change, object};
use crate::units::Bytes;

/// More than this is not asked for by a session of an application.
const MOST_MEGABYTES: f64 = 1024.0;

/// `what`: `Sort by a of 200,000 rows wrote 9 MB to disk`.
pub fn finding(facts: &Facts, node: usize, explains: Explains, what: String) -> Option<Finding> {
    let mut finding = plan_weight::finding(facts, node, explains)?;
    finding.summary = format!("{what}: {}", explains.told());
    Some(finding)
}

/// work_mem that the node needs, in whole MB; None: unknown, or not beyond what is set.
pub fn megabytes(facts: &Facts, node: usize) -> Option<f64> {
    let explained = facts.explained();
    let multiplier = explained.setting("hash_mem_multiplier").unwrap_or(2.0);
    let needed = explained.plan.memory_needed_kilobytes(node, multiplier)?;
    // A plan from elsewhere ran under another setting, perhaps.
    let set = explained.setting("work_mem").unwrap_or(4096.0);
    Some((needed.max(set + 1.0) / 1024.0).ceil())
}

/// The finding with work_mem as its fix, as far as it is one.
pub fn fixed(facts: &Facts, node: usize, mut finding: Finding) -> Finding {
    let explained = facts.explained();
    let set = explained.settings.get("work_mem").cloned().unwrap_or_else(|| "4MB".to_string());
    finding.evidence.extend(object! { "work_mem": set });
    let Some(megabytes) = megabytes(facts, node) else {
        finding.cause += " How much memory it needs cannot be told from the plan.";
        return finding;
    };
    finding.evidence.extend(object! { "work_mem_needed_bytes": megabytes * Bytes::MIB as f64 });
    if megabytes > MOST_MEGABYTES {
        finding.cause +=
            &format!(" It would need {} MB of work_mem: ask for fewer rows or narrower ones.", shown(megabytes));
        return finding;
    }
    let uses = uses(&explained.plan);
    let sessions = explained.setting("max_connections").unwrap_or(100.0);
    finding.cause += &format!(" With work_mem = {megabytes} MB it stays in memory.");
    if let Some(trial) = explained.trial("work_mem") {
        finding.impact.extend(object! {
            "query_cost": change((trial.cost_before, "planned"), (trial.cost_after, "planned")),
        });
        match (trial.ms_before, trial.ms_after) {
            (Some(before), Some(after)) => {
                finding.impact.extend(object! { "query_ms": change((before, "measured"), (after, "measured")) });
                finding.cause += &format!(
                    " Run again with work_mem = {}: {} ms instead of {} ms.",
                    trial.value,
                    shown(after),
                    shown(before)
                );
            }
            _ => {
                finding.cause += &format!(
                    " With work_mem = {} the planner's cost of the query is {} instead of {}; not run again (compare_runs does).",
                    trial.value,
                    shown(trial.cost_after),
                    shown(trial.cost_before)
                );
            }
        }
    }
    finding.fix_sql = Some(format!("set work_mem = '{megabytes}MB';"));
    finding.rollback = Rollback::Sql("reset work_mem;".to_string());
    finding.app_fix = Some(format!(
        "For this query alone: begin; set local work_mem = '{megabytes}MB'; and the query. SQLAlchemy, in the transaction: \
         connection.exec_driver_sql(\"set local work_mem = '{megabytes}MB'\"). For all queries of a role: ALTER ROLE … SET work_mem."
    ));
    finding.risk = format!(
        "Each sort, hash table and the like may take that much at once, in each process: {} in this query, up to {} MB. Set for all of \
         max_connections ({sessions}) it could be {} MB.",
        shown(uses),
        shown(uses * megabytes),
        shown(uses * megabytes * sessions),
    );
    finding
}

/// How many nodes of the plan may hold work_mem, in all processes.
fn uses(plan: &Plan) -> f64 {
    let holds = |kind: &str| {
        matches!(
            kind,
            "Sort"
                | "Incremental Sort"
                | "Hash"
                | "Materialize"
                | "Memoize"
                | "CTE Scan"
                | "Bitmap Heap Scan"
                | "WindowAgg"
        )
    };
    let hashed = |strategy: Option<&str>| matches!(strategy, Some("Hashed" | "Mixed"));
    let nodes = plan
        .nodes
        .iter()
        .filter(|node| holds(&node.kind) || (node.kind == "Aggregate" && hashed(node.strategy.as_deref())));
    let workers =
        plan.nodes.iter().filter_map(|node| node.workers_launched.or(node.workers_planned)).max().unwrap_or(0);
    (nodes.count() as f64).max(1.0) * (f64::from(workers) + 1.0)
}
