use crate::advice::plan_weight::{Explains, shown};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::rounded;

pub static RULE: Rule = Rule {
    id: "many_partitions_planned",
    category: "plan",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The plan has at least min_partitions partitions in it (those that run-time pruning left out are counted), and \
                planning took at least min_planning_ms and min_share of planning and execution together.",
    effect: "The planner opens, locks and plans each partition that it cannot leave out: memory and time grow with their number, for \
             each execution.",
    workaround: "Give a condition on the partition key whose value is known when planning. Make fewer, larger partitions: merge old \
                 ones, or detach what nobody reads. With more than 16 relations in a query its locks leave the fast path.",
    sources: &["https://www.postgresql.org/docs/17/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-BEST-PRACTICES"],
    options: &[
        OptionSpec::number("min_partitions", (100.0, "partitions"), (2.0, 1e9), "Fewer are left alone."),
        OptionSpec::number(
            "min_planning_ms",
            (5.0, "ms"),
            (0.0, 3_600_000.0),
            "Planning that takes less is left alone.",
        ),
        OptionSpec::number(
            "min_share",
            (0.2, "of planning and execution"),
            (0.0, 1.0),
            "Planning that takes less is left alone.",
        ),
    ],
    needs: &[Need::Catalog, Need::Plan],
    cases: &[
        Case {
            name: "400 partitions for one row",
            setup: "create table t (id int, at int, v text) partition by range (at); do $$ begin for i in 0..399 loop execute \
                    format('create table t_%s partition of t for values from (%s) to (%s)', i, i, i + 1); end loop; end $$; create \
                    index on t (id); insert into t select g, g % 400, 'x' from generate_series(1, 4000) g; analyze; create table \
                    example as select 'select * from t where id = 7' as query, true as analyze",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "the same with the partition key",
            setup: "create table t (id int, at int, v text) partition by range (at); do $$ begin for i in 0..399 loop execute \
                    format('create table t_%s partition of t for values from (%s) to (%s)', i, i, i + 1); end loop; end $$; create \
                    index on t (id); insert into t select g, g % 400, 'x' from generate_series(1, 4000) g; analyze; create table \
                    example as select 'select * from t where id = 7 and at = 7' as query, true as analyze",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let explained = facts.explained();
    let plan = &explained.plan;
    let partitions = partitions(facts);
    let Some(planning) = plan.planning_ms else { return Ok(Vec::new()) };
    let explains = Explains::by_planning(explained, planning);
    if (partitions as f64) < options.number("min_partitions")
        || planning < options.number("min_planning_ms")
        || (plan.is_analyzed() && explains.share < options.number("min_share"))
    {
        return Ok(Vec::new());
    }
    let removed: u32 = plan.nodes.iter().filter_map(|node| node.subplans_removed).sum();
    Ok(vec![Finding {
        severity: if planning >= 100.0 { Severity::medium } else { Severity::low },
        object: "planning".to_string(),
        weight: explains.weight(),
        summary: match plan.execution_ms() {
            Some(execution) => {
                format!(
                    "Planning {partitions} partitions took {} ms, executing {} ms",
                    shown(planning),
                    shown(execution)
                )
            }
            None => format!("Planning {partitions} partitions took {} ms", shown(planning)),
        },
        cause: format!(
            "When it planned, the planner could leave out none of {partitions} partitions: it locks and plans each of them.{} \
             partitions_not_pruned says why, where it can be told.",
            match removed {
                0 => String::new(),
                _ => format!(
                    " {removed} of them were left out before or while it ran, too late for planning: their values were parameters or \
                     stable functions."
                ),
            }
        ),
        evidence: object! {
            "node": "planning",
            "share": rounded(explains.share),
            "basis": explains.basis.name(),
            "planning_ms": rounded(planning),
            "execution_ms": plan.execution_ms().map(rounded),
            "partitions": partitions,
            "partitions_removed_at_run_time": removed,
        },
        ..Finding::that_changes_nothing()
    }])
}

/// Partitions that were planned: members of Appends, and those that are not shown because they were left out at run time.
/// 0: too few to be worth a word.
pub fn partitions(facts: &Facts) -> usize {
    const FEW: usize = 20;
    let explained = facts.explained();
    let plan = &explained.plan;
    let is_partition = |child: &&usize| match explained.tables[**child].and_then(|oid| facts.catalog().known(oid)) {
        Some(table) => table.is_partition(),
        None => plan.nodes[**child].relation.is_some(),
    };
    let appends = plan.nodes.iter().filter(|node| matches!(node.kind.as_str(), "Append" | "Merge Append"));
    let planned: usize = appends
        .map(|node| node.children.iter().filter(is_partition).count() + node.subplans_removed.unwrap_or(0) as usize)
        .sum();
    if planned < FEW { 0 } else { planned }
}
