//! Who pays for what: a node's figures less those of its children.
//!
//! An InitPlan hangs on the topmost node of its query, yet runs inside the first node that asks for its result, and a
//! CTE inside the CTE Scans, one row after another: these nodes' figures contain it, so there it is taken off.

use super::super::{Node, Plan, Relationship};
use super::shape::{Shape, expressions, numbered};
use std::collections::{HashMap, HashSet};

pub struct Charge<'a> {
    plan: &'a Plan,
    init_plans: Vec<InitPlan>,
}

/// Nodes that are looked at for one InitPlan, and InitPlans for which the whole plan is searched. A limit to what it can cost.
const SEARCHED: usize = 100;

struct InitPlan {
    node: usize,
    /// The nodes inside which it may have run; none is known: anywhere in the subtree of its parent.
    payers: Vec<usize>,
}

impl<'a> Charge<'a> {
    pub fn of(plan: &'a Plan, shape: &Shape) -> Charge<'a> {
        let is_init_plan = |i: &usize| matches!(plan.nodes[*i].relationship, Relationship::InitPlan(_));
        let mut nodes: Vec<usize> = (0..plan.nodes.len()).filter(is_init_plan).collect();
        // CTEs last: a CTE Scan that asks for an InitPlan may have waited while that read rows of the same CTE.
        nodes.sort_by_key(|&node| plan.nodes[node].relationship.cte().is_some());
        let mentions = if nodes.is_empty() { HashMap::new() } else { mentions(plan) };
        let init_plans = nodes.into_iter().map(|node| {
            let payers = match plan.nodes[node].relationship.cte() {
                Some(_) => shape.cte_scans.get(&node).cloned().unwrap_or_default(),
                None => evaluators(plan, node, &mentions, &shape.gather),
            };
            InitPlan { node, payers }
        });
        Charge { plan, init_plans: init_plans.collect() }
    }

    /// `total`: of a node with all below it, in all executions.
    pub fn own(&self, total: impl Fn(usize) -> f64) -> Vec<f64> {
        let of_children = |node: &Node| -> f64 {
            let children = node.children.iter().filter(|&&child| !self.is_init_plan(child));
            children.map(|&child| total(child)).sum()
        };
        let nodes = self.plan.nodes.iter().enumerate();
        let mut own: Vec<f64> = nodes.map(|(i, node)| (total(i) - of_children(node)).max(0.0)).collect();
        for init_plan in &self.init_plans {
            let mut rest = total(init_plan.node);
            if rest <= 0.0 {
                continue;
            }
            for payer in self.payers(init_plan, &own, rest) {
                let paid = rest.min(own[payer]);
                own[payer] -= paid;
                rest -= paid;
                if rest <= 0.0 {
                    break;
                }
            }
        }
        own
    }

    fn is_init_plan(&self, i: usize) -> bool {
        matches!(self.plan.nodes[i].relationship, Relationship::InitPlan(_))
    }

    /// The largest first: it is the one inside which the plan ran, the others found its result. Then what is above them:
    /// what the workers of a Gather did is counted when they end, which may be after the scan that read their rows.
    fn payers(&self, init_plan: &InitPlan, own: &[f64], amount: f64) -> Vec<usize> {
        let mut payers = init_plan.payers.clone();
        let is_cte = self.plan.nodes[init_plan.node].relationship.cte().is_some();
        let parent = self.plan.nodes[init_plan.node].parent.unwrap_or_default();
        // A CTE that nobody scans ran after the root was through.
        if payers.is_empty() && !is_cte && self.init_plans.len() > SEARCHED {
            payers.push(parent);
        } else if payers.is_empty() && !is_cte {
            let inside: HashSet<usize> = self.plan.subtree(init_plan.node).collect();
            let outside = self.plan.subtree(parent).filter(|i| !inside.contains(i));
            let largest = outside.max_by(|&a, &b| own[a].total_cmp(&own[b]).then(b.cmp(&a)));
            payers.extend(if own[parent] >= amount { Some(parent) } else { largest });
        }
        payers.sort_by(|&a, &b| own[b].total_cmp(&own[a]).then(a.cmp(&b)));
        let is_late = self.plan.nodes[init_plan.node].kind == "ModifyTable";
        if let Some(&first) = payers.first().filter(|_| !is_late) {
            payers.extend(self.plan.ancestors(first));
        }
        payers
    }
}

/// By `InitPlan 1` (`$0` before PostgreSQL 17): the nodes whose expressions have its result.
fn mentions(plan: &Plan) -> HashMap<&str, Vec<usize>> {
    let mut mentions: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        for text in expressions(node) {
            for name in numbered(text, "InitPlan ").chain(numbered(text, "$")) {
                mentions.entry(name).or_default().push(i);
            }
        }
    }
    mentions
}

/// The nodes that ask for the InitPlan's result. Below a Gather nobody asks: Gather does, before it starts its workers.
fn evaluators(
    plan: &Plan,
    init_plan: usize,
    mentions: &HashMap<&str, Vec<usize>>,
    gather: &[Option<usize>],
) -> Vec<usize> {
    let Relationship::InitPlan(name) = &plan.nodes[init_plan].relationship else { return Vec::new() };
    let names = match name.split_once(" (returns ") {
        Some((_, results)) => results.trim_end_matches(')').split(',').collect(),
        None => vec![name.as_str()],
    };
    let parent = plan.nodes[init_plan].parent;
    let within = |i: usize| Some(i) == parent || plan.ancestors(i).any(|above| Some(above) == parent);
    let beside = |i: usize| i != init_plan && !plan.ancestors(i).any(|above| above == init_plan);
    let mentioned = names.iter().filter_map(|name| mentions.get(name)).flatten().copied().take(SEARCHED);
    let mut evaluators: Vec<usize> = mentioned
        .filter(|&i| within(i) && beside(i))
        .map(|i| if gather[i] == gather[init_plan] { i } else { gather[i].unwrap_or(i) })
        .collect();
    evaluators.sort_unstable();
    evaluators.dedup();
    evaluators
}

/// Own parts of the root's cost. A node's cost is that of one execution, so it is scaled to what its parent's cost says of
/// it: below a Limit to the part that is read, inside a nested loop to its repetitions.
pub fn cost(plan: &Plan, shape: &Shape) -> Vec<f64> {
    let mut charged = vec![0.0; plan.nodes.len()];
    let mut own = charged.clone();
    for (i, node) in plan.nodes.iter().enumerate() {
        if node.parent.is_none() {
            charged[i] = node.total_cost;
        }
        let scale = if node.total_cost > 0.0 { charged[i] / node.total_cost } else { 0.0 };
        // How often the planner expects a child to run for one execution of the node.
        let outer_rows = shape.outer[i].map_or(node.rows, |outer| plan.nodes[outer].rows).max(1.0);
        let repetitions = |child: usize| match &plan.nodes[child].relationship {
            Relationship::Inner if node.kind == "Nested Loop" => outer_rows,
            Relationship::SubPlan(name) if !shape.is_hashed(name) => outer_rows,
            _ => 1.0,
        };
        let (repeated, once): (Vec<usize>, Vec<usize>) =
            node.children.iter().copied().partition(|&child| repetitions(child) > 1.0);
        let mut rest = node.total_cost;
        for children in [once, repeated] {
            let wanted = |child: usize| plan.nodes[child].total_cost * repetitions(child);
            let all: f64 = children.iter().map(|&child| wanted(child)).sum();
            let part = if all > rest { rest / all } else { 1.0 };
            for child in children {
                charged[child] = wanted(child) * part * scale;
            }
            rest -= all * part;
        }
        own[i] = (rest * scale).max(0.0);
    }
    own
}
