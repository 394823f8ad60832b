//! Names of nodes, as EXPLAIN's text format gives them.

use super::super::{Node, Plan};
use std::collections::HashMap;

impl Node {
    /// `Parallel Seq Scan on public.orders o`
    pub fn describe(&self) -> String {
        let mut text = self.label();
        if let Some(index) = &self.index {
            let preposition = if self.kind == "Bitmap Index Scan" { "on" } else { "using" };
            text += &format!(" {preposition} {}", quoted(index));
        }
        if let Some(relation) = &self.relation {
            let schema = relation.schema.iter().map(|schema| quoted(schema) + ".").collect::<String>();
            text += &format!(" on {schema}{}", quoted(&relation.name));
            if relation.alias != relation.name {
                text += &format!(" {}", quoted(&relation.alias));
            }
        } else if let Some(name) = self.cte.as_ref().or(self.function.as_ref()) {
            text += &format!(" on {}", quoted(name));
        }
        text
    }

    /// `Hash Left Join`, `Partial HashAggregate`: kind and variant.
    pub fn label(&self) -> String {
        let join = self.join_type.as_deref().filter(|&join| join != "Inner");
        let kind = match (self.kind.as_str(), self.strategy.as_deref(), join) {
            ("Aggregate", Some("Sorted"), _) => "GroupAggregate".to_string(),
            ("Aggregate", Some("Hashed"), _) => "HashAggregate".to_string(),
            ("Aggregate", Some("Mixed"), _) => "MixedAggregate".to_string(),
            ("SetOp", Some("Hashed"), _) => "HashSetOp".to_string(),
            ("ModifyTable", _, _) => self.operation.clone().unwrap_or_else(|| self.kind.clone()),
            ("Nested Loop", _, Some(join)) => format!("Nested Loop {join} Join"),
            ("Hash Join", _, Some(join)) => format!("Hash {join} Join"),
            ("Merge Join", _, Some(join)) => format!("Merge {join} Join"),
            (kind, _, _) => kind.to_string(),
        };
        let parallel = if self.parallel_aware { "Parallel " } else { "" };
        let mode = self.partial_mode.as_deref().filter(|&mode| mode != "Simple");
        let mode = mode.map(|mode| mode.to_string() + " ").unwrap_or_default();
        let backward = if self.scan_direction.as_deref() == Some("Backward") { " Backward" } else { "" };
        format!("{parallel}{mode}{kind}{backward}")
    }
}

/// Steps of a path that are shown at its beginning and at its end.
const FIRST: usize = 2;
const LAST: usize = 4;

/// By node. The middle of a long path is left out; a path that another node has already is numbered.
pub fn paths(plan: &Plan) -> Vec<String> {
    let mut tops: Vec<Vec<usize>> = Vec::new();
    let mut depths: Vec<usize> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut paths = Vec::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        let (mut top, depth) = match node.parent {
            Some(parent) => (tops[parent].clone(), depths[parent] + 1),
            None => (Vec::new(), 0),
        };
        if top.len() < FIRST {
            top.push(i);
        }
        let path = path(plan, i, &top, depth);
        tops.push(top);
        depths.push(depth);
        let same = seen.entry(path.clone()).or_default();
        *same += 1;
        paths.push(if *same == 1 { path } else { format!("{path} #{same}") });
    }
    paths
}

fn path(plan: &Plan, i: usize, top: &[usize], depth: usize) -> String {
    let above = (depth + 1).min(LAST);
    let mut last: Vec<usize> = std::iter::once(i).chain(plan.ancestors(i)).take(above).collect();
    last.reverse();
    let mut steps: Vec<String> = Vec::new();
    if depth + 1 > LAST {
        steps.extend(top.iter().take(depth + 1 - LAST).map(|&i| step(&plan.nodes[i])));
    }
    if depth + 1 > FIRST + LAST {
        steps.push("…".to_string());
    }
    steps.extend(last.iter().map(|&i| step(&plan.nodes[i])));
    let aside = |i: usize| plan.nodes[i].relationship.name().map(|name| name.to_string() + ": ").unwrap_or_default();
    if let Some(step) = steps.last_mut() {
        *step = aside(i) + &plan.nodes[i].describe();
    }
    steps.join(" > ")
}

fn step(node: &Node) -> String {
    match node.relationship.name() {
        Some(name) => format!("{name}: {}", node.label()),
        None => node.label(),
    }
}

/// As PostgreSQL writes identifiers; keywords are left as they are.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit() || c == '$';
    match name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') {
        true => name.to_string(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}
