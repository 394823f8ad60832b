//! The line that begins a node: `Index Scan using i on public.t a  (cost=0.29..8.30 rows=1 width=4) (actual …)`.

use super::super::{Actual, Node, Relation};

/// A node without children, relationship and details; Err says what is wrong with the line.
pub fn node(line: &str) -> Result<Node, String> {
    let figures = ["  (cost=", " (actual ", " (never executed)"].iter().filter_map(|from| line.find(from)).min();
    let (label, figures) = line.split_at(figures.unwrap_or(line.len()));
    let mut node = labelled(label.trim());
    if let Some(cost) = group(figures, "(cost=") {
        let wrong = || format!("\"(cost={cost})\" is not what EXPLAIN prints");
        let (costs, rest) = cost.split_once(' ').ok_or_else(wrong)?;
        (node.startup_cost, node.total_cost) = range(costs).ok_or_else(wrong)?;
        node.rows = value(rest, "rows=").ok_or_else(wrong)?;
        node.width = value(rest, "width=").ok_or_else(wrong)?;
    }
    if let Some(measured) = group(figures, "(actual ") {
        let wrong = || format!("\"(actual {measured})\" is not what EXPLAIN prints");
        let time = measured.split_once("time=").map(|(_, time)| time.split(' ').next().unwrap_or_default());
        let time = time.map(|time| range(time).ok_or_else(wrong)).transpose()?;
        node.actual = Some(Actual {
            startup_ms: time.map(|(startup, _)| startup),
            total_ms: time.map(|(_, total)| total),
            rows: value(measured, "rows=").ok_or_else(wrong)?,
            loops: value(measured, "loops=").ok_or_else(wrong)?,
        });
    } else if figures.ends_with("(never executed)") {
        node.actual = Some(Actual::default());
    }
    Ok(node)
}

/// What stands in parentheses that begin so.
fn group<'a>(figures: &'a str, open: &str) -> Option<&'a str> {
    let (_, rest) = figures.split_once(open)?;
    rest.split_once(')').map(|(inside, _)| inside)
}

fn range(text: &str) -> Option<(f64, f64)> {
    let (from, to) = text.split_once("..")?;
    Some((number(from)?, number(to)?))
}

/// The number behind `key` in `shared hit=1 read=2`.
pub fn value(text: &str, key: &str) -> Option<f64> {
    let (_, rest) = text.split_once(key)?;
    number(rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).next()?)
}

/// As EXPLAIN prints them: never negative.
pub fn number(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| digits)
}

/// Kinds that are told by their first word where neither costs nor times are there.
pub fn is_known(label: &str) -> bool {
    const SIMPLE: [&str; 21] = [
        "Limit",
        "Sort",
        "Incremental Sort",
        "Append",
        "Merge Append",
        "Hash",
        "Materialize",
        "Memoize",
        "Gather",
        "Gather Merge",
        "Unique",
        "WindowAgg",
        "Group",
        "Result",
        "ProjectSet",
        "LockRows",
        "Recursive Union",
        "BitmapAnd",
        "BitmapOr",
        "SetOp",
        "Nested Loop",
    ];
    let label = label.strip_prefix("Parallel ").unwrap_or(label);
    let starts = |words: &[&str]| words.iter().any(|word| label.starts_with(word));
    SIMPLE.contains(&label)
        || label.ends_with("Aggregate")
        || label.ends_with(" Join") && starts(&["Nested Loop ", "Hash ", "Merge "])
        || label.contains(" Scan on ")
        || label.contains(" Scan using ")
        || label.contains(" Scan Backward using ")
        || starts(&["Insert on ", "Update on ", "Delete on ", "Merge on ", "HashSetOp ", "SetOp "])
}

fn labelled(label: &str) -> Node {
    let mut node = Node::default();
    let mut rest = label.strip_prefix("Async ").unwrap_or(label);
    if let Some(parallel) = rest.strip_prefix("Parallel ") {
        (node.parallel_aware, rest) = (true, parallel);
    }
    for mode in ["Partial", "Finalize"] {
        if let Some(aggregate) = rest.strip_prefix(mode).and_then(|rest| rest.strip_prefix(' ')) {
            (node.partial_mode, rest) = (Some(mode.to_string()), aggregate);
        }
    }
    let (kind, object) = rest.split_once(" on ").map_or((rest, None), |(kind, object)| (kind, Some(object)));
    let (kind, index) = kind.split_once(" using ").map_or((kind, None), |(kind, index)| (kind, Some(index)));
    let (kind, direction) = kind.strip_suffix(" Backward").map_or((kind, "Forward"), |kind| (kind, "Backward"));
    let kind = kind.split(" (").next().unwrap_or(kind);
    if kind.starts_with("Index ") {
        node.scan_direction = Some(direction.to_string());
    }
    named(&mut node, kind);
    node.index = index.map(|index| names(index).0.pop().unwrap_or_default());
    if let Some(object) = object {
        on(&mut node, object);
    }
    node
}

/// From `Hash Left Join` kind and join type, and so on.
fn named(node: &mut Node, kind: &str) {
    let set = |to: &mut Option<String>, text: &str| *to = Some(text.to_string());
    let join = kind.strip_suffix(" Join").and_then(|kind| {
        ["Nested Loop", "Hash", "Merge"].into_iter().find_map(|join| Some((join, kind.strip_prefix(join)?.trim())))
    });
    node.kind = match kind {
        "Nested Loop" => {
            set(&mut node.join_type, "Inner");
            kind.to_string()
        }
        "Insert" | "Update" | "Delete" | "Merge" => {
            set(&mut node.operation, kind);
            "ModifyTable".to_string()
        }
        "Foreign Insert" | "Foreign Update" | "Foreign Delete" => {
            set(&mut node.operation, &kind["Foreign ".len()..]);
            "Foreign Scan".to_string()
        }
        "Aggregate" | "GroupAggregate" | "HashAggregate" | "MixedAggregate" => {
            let strategy = match kind.strip_suffix("Aggregate") {
                Some("Group") => "Sorted",
                Some("Hash") => "Hashed",
                Some("Mixed") => "Mixed",
                _ => "Plain",
            };
            set(&mut node.strategy, strategy);
            node.partial_mode.get_or_insert_with(|| "Simple".to_string());
            "Aggregate".to_string()
        }
        _ if kind.starts_with("SetOp") || kind.starts_with("HashSetOp") => {
            set(&mut node.strategy, if kind.starts_with("Hash") { "Hashed" } else { "Sorted" });
            "SetOp".to_string()
        }
        _ => match join {
            Some((join, variant)) => {
                set(&mut node.join_type, if variant.is_empty() { "Inner" } else { variant });
                if join == "Nested Loop" { join.to_string() } else { format!("{join} Join") }
            }
            None => kind.to_string(),
        },
    };
}

/// What the node reads or writes.
fn on(node: &mut Node, object: &str) {
    let (mut path, alias) = names(object);
    let name = path.pop().unwrap_or_default();
    match node.kind.as_str() {
        "Bitmap Index Scan" => node.index = Some(name),
        "CTE Scan" | "WorkTable Scan" => node.cte = Some(name),
        "Function Scan" => node.function = Some(name),
        "Values Scan" | "Subquery Scan" | "Table Function Scan" | "Named Tuplestore Scan" | "Result" => {}
        _ => {
            let alias = alias.unwrap_or_else(|| name.clone());
            node.relation = Some(Relation { schema: path.pop(), name, alias });
        }
    }
}

/// `public."My Table" alias`: the names, raw, and the alias.
fn names(text: &str) -> (Vec<String>, Option<String>) {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = name(rest);
        names.push(name);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => {
                let alias = after.trim();
                return (names, (!alias.is_empty()).then(|| name_of(alias)));
            }
        }
    }
}

fn name_of(text: &str) -> String {
    name(text).0
}

fn name(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', ' ']).unwrap_or(text.len());
        return (text[..end].to_string(), &text[end..]);
    };
    let mut from = 0;
    while let Some(quote) = quoted[from..].find('"').map(|at| from + at) {
        if !quoted[quote + 1..].starts_with('"') {
            return (quoted[..quote].replace("\"\"", "\""), &quoted[quote + 1..]);
        }
        from = quote + 2;
    }
    (quoted.to_string(), "")
}
