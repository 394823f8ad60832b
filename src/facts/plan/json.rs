//! Reads EXPLAIN (FORMAT JSON), as PostgreSQL 12 to 18 print it.

mod measured;
mod memory;
mod object;

use super::{Jit, Node, Plan, Relation, Relationship, Trigger};
use measured::{actual, blocks, io_ms, wal};
use memory::Memory;
pub(super) use memory::worse;
use object::{Object, Wrong, flag, kind_of, list, number, objects, strings, text};
use serde_json::Value;
use std::fmt;

/// Why a text or a JSON value could not be read as a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPlan {
    pub message: String,
    pub hint: String,
    /// Where: a JSON path such as `$[0].Plan.Plans[1]`, or `line 12` of a text.
    pub at: String,
}

/// More than any plan has; a limit to what reading one can cost.
pub(super) const NODES: usize = 100_000;

const EXPLAIN: &str = "Pass what EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) prints, or what auto_explain logs with \
                       auto_explain.log_format = json.";
const UNCHANGED: &str = "Pass the plan as EXPLAIN printed it, without changes.";

impl fmt::Display for NotAPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} (at {})", self.message, self.at)
    }
}

impl std::error::Error for NotAPlan {}

impl NotAPlan {
    pub(super) fn new(message: impl Into<String>, at: impl Into<String>) -> NotAPlan {
        NotAPlan { message: message.into(), hint: EXPLAIN.into(), at: at.into() }
    }

    pub(super) fn changed(message: impl Into<String>, at: impl Into<String>) -> NotAPlan {
        NotAPlan { hint: UNCHANGED.into(), ..NotAPlan::new(message, at) }
    }
}

/// One plan for each statement. Takes EXPLAIN's array, one element of it, and a bare node.
pub fn parse(value: &Value) -> Result<Vec<Plan>, NotAPlan> {
    let plans = match value {
        // The one column of EXPLAIN's result, where a client exported rows as JSON.
        Value::Object(row) if row.contains_key("QUERY PLAN") => return parse(&row["QUERY PLAN"]),
        Value::Array(rows) if rows.first().is_some_and(|row| row.get("QUERY PLAN").is_some()) => {
            let each = rows.iter().filter_map(|row| row.get("QUERY PLAN")).map(parse);
            each.collect::<Result<Vec<_>, _>>()?.concat()
        }
        Value::Array(elements) => {
            // A utility statement is a string beside the plans.
            let plans = elements.iter().enumerate().filter(|(_, element)| !element.is_string());
            plans.map(|(i, element)| statement(element, format!("$[{i}]"))).collect::<Result<_, _>>()?
        }
        value => vec![statement(value, "$".into())?],
    };
    if plans.is_empty() {
        return Err(NotAPlan::new("there is no plan in this JSON array", "$"));
    }
    Ok(plans)
}

fn statement(value: &Value, at: String) -> Result<Plan, NotAPlan> {
    let Value::Object(object) = value else {
        return Err(NotAPlan::new(format!("{} is not a plan", kind_of(value)), at));
    };
    if object.contains_key("Node Type") {
        return Ok(Plan { nodes: nodes(object, &at)?, ..Plan::default() });
    }
    let root_at = format!("{at}.Plan");
    let root = match object.get("Plan") {
        Some(Value::Object(root)) => root,
        Some(other) => return Err(NotAPlan::new(format!("{} is not a plan", kind_of(other)), root_at)),
        None => return Err(NotAPlan::new("a JSON object without \"Plan\" or \"Node Type\" is not a plan", at)),
    };
    let nodes = nodes(root, &root_at)?;
    around(object, nodes).map_err(|wrong| wrong.at(at))
}

/// What EXPLAIN tells about the statement beside its nodes.
fn around(object: &Object, nodes: Vec<Node>) -> Result<Plan, Wrong> {
    let settings = object.get("Settings").and_then(Value::as_object).map(|settings| {
        settings.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_string())).collect()
    });
    let planning_blocks = match object.get("Planning").and_then(Value::as_object) {
        Some(planning) => blocks(planning)?,
        None => None,
    };
    Ok(Plan {
        nodes,
        planning_ms: number(object, "Planning Time")?,
        execution_ms: number(object, "Execution Time")?,
        planning_blocks,
        triggers: objects(object, "Triggers").map(trigger).collect::<Result<_, _>>()?,
        jit: object.get("JIT").and_then(Value::as_object).map(jit).transpose()?,
        settings,
        query: text(object, "Query Text")?,
        ..Plan::default()
    })
}

/// The node and all below it, in EXPLAIN's order. With a stack of its own: a plan may be nested deeper than ours reaches.
fn nodes(root: &Object, at: &str) -> Result<Vec<Node>, NotAPlan> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut ordinals = Vec::new();
    let mut open = vec![(root, None, 0)];
    while let Some((object, parent, ordinal)) = open.pop() {
        let i = nodes.len();
        ordinals.push(ordinal);
        let read = node(object, parent).and_then(|node| Ok((node, children(object)?)));
        let (node, children) = read.map_err(|wrong| {
            nodes.push(Node { parent, ..Node::default() });
            wrong.at(path(&nodes, &ordinals, at))
        })?;
        nodes.push(node);
        if let Some(parent) = parent {
            nodes[parent].children.push(i);
        }
        if i + open.len() + children.len() >= NODES {
            return Err(NotAPlan::new(format!("the plan has more than {NODES} nodes"), at));
        }
        open.extend(children.into_iter().enumerate().rev().map(|(ordinal, child)| (child, Some(i), ordinal)));
    }
    Ok(nodes)
}

fn children(object: &Object) -> Result<Vec<&Object>, Wrong> {
    let wrong = || Wrong::new("Plans", "is not an array of plan nodes");
    match object.get("Plans") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(plans)) => plans.iter().map(|plan| plan.as_object().ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

/// The JSON path of the last node, without the middle of a long one.
fn path(nodes: &[Node], ordinals: &[usize], at: &str) -> String {
    const SHOWN: usize = 20;
    let chain: Vec<usize> = std::iter::successors(Some(nodes.len() - 1), |&i| nodes[i].parent).collect();
    let steps = chain.iter().rev().skip(1).map(|&i| format!(".Plans[{}]", ordinals[i]));
    match chain.len() {
        short if short <= SHOWN => at.to_string() + &steps.collect::<String>(),
        depth => format!("{at} … {} ({depth} levels deep)", steps.skip(depth - SHOWN).collect::<String>()),
    }
}

fn node(object: &Object, parent: Option<usize>) -> Result<Node, Wrong> {
    let kind = text(object, "Node Type")?.ok_or_else(|| Wrong::new("Node Type", "is missing in a plan node"))?;
    let number = |key| number(object, key);
    let text = |key| text(object, key);
    // Most nodes have none of these: not asking saves half of the look-ups.
    let memory = Memory::of(&kind, object)?;
    let relation = match text("Relation Name")? {
        None => None,
        Some(name) => {
            Some(Relation { schema: text("Schema")?, alias: text("Alias")?.unwrap_or_else(|| name.clone()), name })
        }
    };
    Ok(Node {
        parent,
        children: Vec::new(),
        relationship: relationship(object, parent)?,
        kind,
        partial_mode: text("Partial Mode")?,
        strategy: text("Strategy")?,
        operation: text("Operation")?,
        join_type: text("Join Type")?,
        inner_unique: object.get("Inner Unique").and_then(Value::as_bool),
        parallel_aware: flag(object, "Parallel Aware"),
        relation,
        index: text("Index Name")?,
        scan_direction: text("Scan Direction")?,
        cte: text("CTE Name")?,
        function: text("Function Name")?,
        startup_cost: number("Startup Cost")?.unwrap_or_default(),
        total_cost: number("Total Cost")?.unwrap_or_default(),
        rows: number("Plan Rows")?.unwrap_or_default(),
        width: number("Plan Width")?.unwrap_or_default(),
        actual: actual(object)?,
        blocks: blocks(object)?,
        wal: wal(object)?,
        filter: text("Filter")?,
        index_cond: text("Index Cond")?,
        recheck_cond: text("Recheck Cond")?,
        hash_cond: text("Hash Cond")?,
        merge_cond: text("Merge Cond")?,
        join_filter: text("Join Filter")?,
        one_time_filter: text("One-Time Filter")?,
        order_by: text("Order By")?,
        sort_key: list(object, "Sort Key"),
        presorted_key: list(object, "Presorted Key"),
        group_key: group_key(object),
        cache_key: text("Cache Key")?,
        run_condition: text("Run Condition")?,
        output: list(object, "Output"),
        rows_removed_by_filter: number("Rows Removed by Filter")?,
        rows_removed_by_join_filter: number("Rows Removed by Join Filter")?,
        rows_removed_by_recheck: number("Rows Removed by Index Recheck")?,
        heap_fetches: number("Heap Fetches")?,
        exact_heap_blocks: memory.exact_heap_blocks,
        lossy_heap_blocks: memory.lossy_heap_blocks,
        sort: memory.sort,
        hash: memory.hash,
        aggregate: memory.aggregate,
        memoize: memory.memoize,
        workers_planned: number("Workers Planned")?.map(|workers| workers as u32),
        workers_launched: number("Workers Launched")?.map(|workers| workers as u32),
        subplans_removed: number("Subplans Removed")?.map(|subplans| subplans as u32),
        io_ms: io_ms(object)?,
    })
}

fn relationship(object: &Object, parent: Option<usize>) -> Result<Relationship, Wrong> {
    let name = text(object, "Subplan Name")?.unwrap_or_default();
    Ok(match text(object, "Parent Relationship")?.as_deref() {
        _ if parent.is_none() => Relationship::Root,
        Some("Outer") | None => Relationship::Outer,
        Some("Inner") => Relationship::Inner,
        Some("Subquery") => Relationship::Subquery,
        Some("InitPlan") => Relationship::InitPlan(name),
        Some("SubPlan") => Relationship::SubPlan(name),
        Some(_) => Relationship::Member,
    })
}

/// The first of several grouping sets, which is the finest.
fn group_key(object: &Object) -> Vec<String> {
    let key = list(object, "Group Key");
    match objects(object, "Grouping Sets").next() {
        Some(first) if key.is_empty() => {
            let keys = ["Group Keys", "Hash Keys"].into_iter().find_map(|key| first.get(key)?.as_array()?.first());
            strings(keys)
        }
        _ => key,
    }
}

fn jit(object: &Object) -> Result<Jit, Wrong> {
    let part = |key| object.get(key).and_then(Value::as_object);
    let option = |key| part("Options").is_some_and(|options| flag(options, key));
    Ok(Jit {
        functions: number(object, "Functions")?.unwrap_or_default(),
        total_ms: part("Timing").map(|timing| number(timing, "Total")).transpose()?.flatten().unwrap_or_default(),
        optimized: option("Optimization"),
        inlined: option("Inlining"),
    })
}

fn trigger(object: &Object) -> Result<Trigger, Wrong> {
    Ok(Trigger {
        name: text(object, "Trigger Name")?.unwrap_or_default(),
        constraint: text(object, "Constraint Name")?,
        relation: text(object, "Relation")?.unwrap_or_default(),
        ms: number(object, "Time")?,
        calls: number(object, "Calls")?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod unit_tests;
