//! What a plan does to many partitions of one table is one finding, not as many as there are partitions.

use super::plan_weight::{Basis, Explains};
use crate::engine::Reported;
use crate::facts::{Catalog, Facts};
use crate::finding::fingerprint;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// Findings of one rule on partitions of one table that one Append reads become one: that with a fix, or the weightiest.
pub fn merged(findings: Vec<Reported>, facts: &Facts) -> Vec<Reported> {
    let (explained, catalog) = (facts.explained(), facts.catalog());
    let plan = &explained.plan;
    let nodes: HashMap<&str, usize> = (0..plan.nodes.len()).map(|node| (plan.path(node), node)).collect();
    let mut groups = BTreeMap::<(&str, usize, u32), Vec<Reported>>::new();
    let mut alone = Vec::new();
    for reported in findings {
        let node = reported.finding.evidence.get("node").and_then(|path| nodes.get(path.as_str()?)).copied();
        let place = node.and_then(|node| {
            let table = root(explained.tables[node].and_then(|oid| catalog.known(oid))?.oid, catalog)?;
            let append = plan.ancestors(node).find(|above| plan.nodes[*above].kind.ends_with("Append"))?;
            Some((reported.rule.id, append, table))
        });
        match place {
            Some(place) => groups.entry(place).or_default().push(reported),
            None => alone.push(reported),
        }
    }
    alone.extend(groups.into_iter().map(|((_, append, table), group)| one(group, (append, table), facts)));
    alone
}

/// The partitioned table; None: the table is no partition.
fn root(table: u32, catalog: &Catalog) -> Option<u32> {
    let parent = |oid: &u32| catalog.known(*oid).and_then(|table| table.parent);
    std::iter::successors(Some(table), parent).skip(1).last()
}

fn one(mut group: Vec<Reported>, (append, table): (usize, u32), facts: &Facts) -> Reported {
    let (explained, catalog) = (facts.explained(), facts.catalog());
    let partitions = group.len();
    let (whole, basis) = match explained.plan.execution_ms() {
        Some(ms) => (ms, Basis::Measured),
        None => (explained.plan.nodes[0].total_cost, Basis::Planned),
    };
    // A rule may have found less in it than its share of the time.
    let toned_down = group.iter().max_by_key(|reported| reported.finding.weight).is_some_and(|reported| {
        let alone = Explains { share: reported.finding.weight as f64 / 1e6, whole, basis }.severity();
        alone.is_some_and(|alone| reported.finding.severity > alone)
    });
    let weight = group.iter().fold(0, |sum: u64, reported| sum + reported.finding.weight).min(1_000_000);
    let severities = group.iter().map(|reported| reported.finding.severity).min();
    group.sort_by_key(|reported| {
        let finding = &reported.finding;
        (finding.fix_sql.is_none(), std::cmp::Reverse(finding.weight), finding.object.clone())
    });
    let mut first = group.swap_remove(0);
    if partitions == 1 {
        return first;
    }
    let together = Explains { share: weight as f64 / 1e6, whole, basis };
    let name = catalog.known(table).map_or_else(String::new, |table| table.name.to_string());
    let finding = &mut first.finding;
    // Which of them takes most is not the same each time.
    finding.object = facts.object_in_plan(&format!("{} > {name}", explained.plan.path(append)));
    first.fingerprint = fingerprint(first.rule.id, &finding.object);
    finding.weight = weight;
    finding.severity =
        severities.into_iter().chain(together.severity().filter(|_| !toned_down)).fold(finding.severity, Ord::min);
    finding.summary += &format!("; and so of {} more partitions", partitions - 1);
    finding.cause +=
        &format!(" The same holds for {} other partitions of {name}: together {}.", partitions - 1, together.told());
    finding.evidence.insert("partitions".to_string(), json!(partitions));
    finding.evidence.insert("share_of_partitions".to_string(), json!(together.share));
    first
}
