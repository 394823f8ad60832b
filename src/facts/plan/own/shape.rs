//! What the figures of several nodes depend on, looked up once for the whole plan.

use super::super::{Node, Plan, Relationship};
use std::collections::{HashMap, HashSet};

pub struct Shape<'a> {
    /// By node: the Gather whose workers run it.
    pub gather: Vec<Option<usize>>,
    /// By node: its child that feeds it, of a join the outer one.
    pub outer: Vec<Option<usize>>,
    /// By node: of a join, its other child.
    pub inner: Vec<Option<usize>>,
    /// By CTE: the CTE Scans that read it.
    pub cte_scans: HashMap<usize, Vec<usize>>,
    /// Names of the SubPlans that run once and keep their rows.
    hashed: HashSet<&'a str>,
}

impl<'a> Shape<'a> {
    pub fn of(plan: &'a Plan) -> Shape<'a> {
        let mut outer = vec![None; plan.nodes.len()];
        let mut inner = outer.clone();
        for (i, node) in plan.nodes.iter().enumerate() {
            let side = match (node.parent, &node.relationship) {
                (Some(parent), Relationship::Outer) => &mut outer[parent],
                (Some(parent), Relationship::Inner) => &mut inner[parent],
                _ => continue,
            };
            side.get_or_insert(i);
        }
        let texts = plan.nodes.iter().flat_map(expressions);
        let hashed =
            texts.flat_map(|text| numbered(text, "hashed SubPlan ")).map(|name| &name["hashed ".len()..]).collect();
        Shape { gather: gathers(plan), outer, inner, cte_scans: cte_scans(plan), hashed }
    }

    pub fn is_hashed(&self, sub_plan: &str) -> bool {
        self.hashed.contains(sub_plan)
    }
}

/// The Gather above each node whose workers run it. InitPlans of a Gather run before it.
fn gathers(plan: &Plan) -> Vec<Option<usize>> {
    let mut gather = vec![None; plan.nodes.len()];
    for (i, node) in plan.nodes.iter().enumerate() {
        let Some(parent) = node.parent else { continue };
        let is_gather = plan.nodes[parent].kind.starts_with("Gather");
        gather[i] = if is_gather && node.relationship == Relationship::Outer { Some(parent) } else { gather[parent] };
    }
    gather
}

/// The CTE Scans of each CTE: a scan reads the CTE of its name that is nearest above it.
fn cte_scans(plan: &Plan) -> HashMap<usize, Vec<usize>> {
    let mut scans: HashMap<usize, Vec<usize>> = HashMap::new();
    let cte = |(i, node): (usize, &'_ Node)| Some(((node.parent?, node.relationship.cte()?.to_string()), i));
    let ctes: HashMap<(usize, String), usize> = plan.nodes.iter().enumerate().filter_map(cte).collect();
    for (i, node) in plan.nodes.iter().enumerate().filter(|(_, node)| node.kind == "CTE Scan" && !ctes.is_empty()) {
        let Some(name) = &node.cte else { continue };
        let mut above = std::iter::once(i).chain(plan.ancestors(i));
        if let Some(&cte) = above.find_map(|above| ctes.get(&(above, name.clone()))) {
            scans.entry(cte).or_default().push(i);
        }
    }
    scans
}

/// All that the node computes or compares.
pub fn expressions(node: &Node) -> impl Iterator<Item = &str> {
    let conditions = [
        &node.filter,
        &node.index_cond,
        &node.recheck_cond,
        &node.hash_cond,
        &node.merge_cond,
        &node.join_filter,
        &node.one_time_filter,
        &node.order_by,
        &node.cache_key,
        &node.run_condition,
    ];
    let lists = [&node.sort_key, &node.group_key, &node.output];
    let lists = lists.into_iter().flatten().map(String::as_str);
    conditions.into_iter().filter_map(|condition| condition.as_deref()).chain(lists)
}

/// The names in the text that are the prefix and a number.
pub fn numbered<'a>(text: &'a str, prefix: &'static str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).filter_map(move |(start, _)| {
        let digits = text[start + prefix.len()..].bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0).then(|| &text[start..start + prefix.len() + digits])
    })
}
