//! Reads EXPLAIN's text format, as PostgreSQL 12 to 18 print it and people paste it.

mod after;
mod detail;
mod frame;
mod head;

use super::json::NODES;
use super::{Actual, Blocks, Node, NotAPlan, Plan, Relationship, Wal, json};
use after::After;
use serde::Deserialize;
use serde_json::Value;

/// Larger than any plan: reading JSON takes twenty times its size, which the server must have.
const LARGEST: usize = 32 << 20;

/// A plan in any format that can be read: JSON or text.
pub fn read(text: &str) -> Result<Vec<Plan>, NotAPlan> {
    if text.len() > LARGEST {
        let message = format!("this is {} MB long, and plans up to {} MB are read", text.len() >> 20, LARGEST >> 20);
        return Err(NotAPlan::new(message, "line 1"));
    }
    if is_json(text) {
        return json::parse(&value(text)?);
    }
    let lines = frame::unframed(text);
    let first = lines.first().map_or("", |line| line.text.trim_start());
    if is_json(first) {
        let json: Vec<&str> = lines.iter().map(|line| line.text).collect();
        return json::parse(&value(&json.join("\n"))?);
    }
    let refused = |format| {
        let message = format!("this is EXPLAIN's {format} format, which is not read");
        NotAPlan { hint: "Use FORMAT JSON or FORMAT TEXT.".into(), ..NotAPlan::new(message, "line 1") }
    };
    match first {
        xml if xml.starts_with('<') => Err(refused("XML")),
        yaml if yaml.starts_with("- Plan:") || yaml.starts_with("- \"Plan\"") => Err(refused("YAML")),
        _ => plans(&lines),
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

/// More than any plan is nested; a limit to the stack that reading and dropping a JSON value takes.
const JSON_DEPTH: usize = 1000;

fn value(text: &str) -> Result<Value, NotAPlan> {
    // serde_json stops at 128 levels, enough for nearly every plan.
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let depth = depth(text);
    if depth > JSON_DEPTH {
        return Err(NotAPlan::new(format!("the JSON is nested deeper than {JSON_DEPTH} levels"), "$"));
    }
    let again = if depth < 128 { Err(error) } else { without_limit(text) };
    again.map_err(|error| {
        let at = format!("line {} column {}", error.line(), error.column());
        NotAPlan::new(format!("this is no valid JSON: {error}"), at)
    })
}

fn without_limit(text: &str) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.disable_recursion_limit();
    let value = Value::deserialize(&mut json)?;
    json.end().map(|()| value)
}

/// How deep arrays and objects are nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A line of the text.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    /// Counted from 1 in what was given.
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn column(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    fn wrong(&self, message: impl Into<String>) -> NotAPlan {
        NotAPlan::changed(message, format!("line {}", self.number))
    }
}

/// More than any plan has.
const LINES: usize = 1_000_000;

/// A node whose children may follow.
struct Open {
    node: usize,
    /// Where its details and its children begin.
    column: usize,
    /// A child that is no plan beside the tree.
    has_child: bool,
}

/// One plan or, from several statements, one after another.
fn plans(lines: &[Line]) -> Result<Vec<Plan>, NotAPlan> {
    if lines.len() > LINES {
        return Err(NotAPlan::new(format!("the text has more than {LINES} lines"), "line 1"));
    }
    let not_a_plan = || NotAPlan::new("there is no plan in this text", "line 1");
    let with_cost = lines.iter().position(|line| line.text.contains("(cost=") || line.text.contains("(actual "));
    let root = with_cost.or_else(|| lines.iter().position(|line| head::is_known(line.text.trim())));
    let mut root = root.ok_or_else(not_a_plan)?;
    let mut plans = vec![Plan { query: query(&lines[..root]), ..Plan::default() }];
    while let Some(plan) = plans.last_mut() {
        root += read_one(plan, &lines[root..])?;
        if root == lines.len() {
            break;
        }
        plans.push(Plan::default());
    }
    Ok(plans)
}

/// Reads the plan whose first node is on the first line, and returns how many lines it has.
fn read_one(plan: &mut Plan, lines: &[Line]) -> Result<usize, NotAPlan> {
    let base = lines[0].column();
    let mut open: Vec<Open> = Vec::new();
    let mut after = None;
    let mut heading: Option<&str> = None;
    let mut details = detail::Details::default();
    let mut read = 0;
    for &line in lines {
        let (column, text) = (line.column(), line.text.trim());
        let is_root = plan.nodes.is_empty();
        if details.continues() {
            if let Some(node) = plan.nodes.last_mut() {
                details.read(node, line.text, true).map_err(|what| line.wrong(what))?;
            }
        } else if text.is_empty() {
        } else if !is_root && (after.is_some() || column <= base) {
            if column == base && text.contains("  (cost=") {
                break;
            }
            after.get_or_insert_with(After::default).read(plan, line, column > base)?;
        } else if let Some(label) = text.strip_prefix("->").or(is_root.then_some(text)) {
            while open.last().is_some_and(|parent| parent.column > column) {
                open.pop();
            }
            if open.is_empty() && !is_root {
                return Err(line.wrong("this node is not below the first one"));
            }
            let node = head::node(label.trim_start()).map_err(|what| line.wrong(what))?;
            add(plan, node, open.last_mut(), heading.take())?;
            details = detail::Details::default();
            let column = if is_root { base + 2 } else { column + 6 };
            open.push(Open { node: plan.nodes.len() - 1, column, has_child: false });
        } else if is_heading(text) {
            heading = Some(text);
        } else if let Some(node) = plan.nodes.last_mut() {
            let own = open.last().map_or(0, |open| open.column);
            details.read(node, line.text, column > own).map_err(|what| line.wrong(what))?;
        }
        read += 1;
    }
    if details.continues() {
        return Err(lines[read - 1].wrong("a string in a condition is not closed"));
    }
    complete(plan);
    Ok(read)
}

fn is_heading(text: &str) -> bool {
    ["InitPlan ", "SubPlan ", "CTE "].iter().any(|kind| text.starts_with(kind))
}

/// What auto_explain logs before the plan.
fn query(before: &[Line]) -> Option<String> {
    let first = before.iter().position(|line| line.text.trim_start().starts_with("Query Text:"))?;
    let lines: Vec<&str> = before[first..].iter().map(|line| line.text.trim()).collect();
    Some(lines.join("\n").trim_start_matches("Query Text:").trim().to_string())
}

fn add(plan: &mut Plan, node: Node, parent: Option<&mut Open>, heading: Option<&str>) -> Result<(), NotAPlan> {
    let i = plan.nodes.len();
    if i == NODES {
        return Err(NotAPlan::new(format!("the plan has more than {NODES} nodes"), "line 1"));
    }
    let Some(open) = parent else {
        plan.nodes.push(node);
        return Ok(());
    };
    let relationship = match heading {
        Some(name) if name.starts_with("SubPlan ") => Relationship::SubPlan(name.to_string()),
        Some(name) => Relationship::InitPlan(name.to_string()),
        None => relationship(&plan.nodes[open.node], !std::mem::replace(&mut open.has_child, true)),
    };
    plan.nodes[open.node].children.push(i);
    plan.nodes.push(Node { parent: Some(open.node), relationship, ..node });
    Ok(())
}

/// The text does not tell it, the kind of the parent does.
fn relationship(parent: &Node, is_first: bool) -> Relationship {
    match parent.kind.as_str() {
        "Append" | "Merge Append" | "BitmapAnd" | "BitmapOr" => Relationship::Member,
        "Subquery Scan" => Relationship::Subquery,
        _ if is_first => Relationship::Outer,
        _ => Relationship::Inner,
    }
}

/// The text leaves out figures that are zero and what is usual; JSON has them.
fn complete(plan: &mut Plan) {
    let has = |of: fn(&Node) -> bool| plan.nodes.iter().any(of);
    let blocks = has(|node| node.blocks.is_some());
    let wal = has(|node| node.wal.is_some());
    let io = has(|node| node.io_ms.is_some());
    let timed = has(|node| node.actual.is_some_and(|actual| actual.total_ms.is_some()));
    let verbose = has(|node| !node.output.is_empty());
    name_triggers(plan);
    for node in &mut plan.nodes {
        if blocks {
            node.blocks.get_or_insert_with(Blocks::default);
        }
        if wal {
            node.wal.get_or_insert_with(Wal::default);
        }
        if io {
            node.io_ms.get_or_insert_default();
        }
        if verbose && node.join_type.is_some() {
            node.inner_unique.get_or_insert_default();
        }
        if matches!(node.kind.as_str(), "Append" | "Merge Append") {
            node.subplans_removed.get_or_insert_default();
        }
        if let Some(actual) = &mut node.actual {
            zeros(actual, timed);
            removed(node);
        }
    }
}

/// A trigger's table is named only where it could be one of several.
fn name_triggers(plan: &mut Plan) {
    let mut written =
        plan.nodes.iter().filter(|node| node.kind == "ModifyTable").filter_map(|node| node.relation.as_ref());
    if let (Some(relation), None) = (written.next(), written.next()) {
        for trigger in plan.triggers.iter_mut().filter(|trigger| trigger.relation.is_empty()) {
            trigger.relation.clone_from(&relation.name);
        }
    }
}

/// A node that was never executed.
fn zeros(actual: &mut Actual, timed: bool) {
    if timed && actual.loops == 0.0 {
        actual.startup_ms.get_or_insert_default();
        actual.total_ms.get_or_insert_default();
    }
}

fn removed(node: &mut Node) {
    if node.filter.is_some() {
        node.rows_removed_by_filter.get_or_insert_default();
    }
    if node.join_filter.is_some() {
        node.rows_removed_by_join_filter.get_or_insert_default();
    }
    let rechecks = matches!(node.kind.as_str(), "Index Scan" | "Index Only Scan") && node.index_cond.is_some();
    if rechecks || node.recheck_cond.is_some() {
        node.rows_removed_by_recheck.get_or_insert_default();
    }
    if node.kind == "Bitmap Heap Scan" {
        node.exact_heap_blocks.get_or_insert_default();
        node.lossy_heap_blocks.get_or_insert_default();
    }
}

#[cfg(test)]
mod unit_tests;
