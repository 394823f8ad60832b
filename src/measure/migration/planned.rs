//! What the planner expects of a query of the migration, with the catalogs as they are before it.

use super::Model;
use crate::db;
use crate::facts::migration::{Id, NameAsWritten};
use crate::facts::plan::{self, Plan};
use crate::measure::query::{Bound, Query};
use crate::measure::what_if::WhatIf;
use std::ffi::CString;

pub struct Planned {
    /// That it gives or writes.
    pub rows: f64,
    /// Relations that it reads, in whatever way.
    pub read: Vec<Id>,
    /// Those of them of which it reads all rows, one after the other.
    pub scanned: Vec<Id>,
    /// A scan that looks for no one key expects less than a row: statistics say that nothing meets the condition.
    pub expects_none: bool,
    /// Names of its columns; empty: it gives none, or they are not known.
    pub columns: Vec<String>,
}

/// None: it cannot be planned today, as it needs what the migration makes; or it reads nothing.
pub fn planned(model: &Model, text: &str) -> Option<Planned> {
    let text = without_explain(text);
    let path: Vec<String> = model.search_path.iter().map(|schema| db::quote_identifier(schema)).collect();
    let path = CString::new(path.join(", ")).ok()?;
    let explained = db::read_only(|| {
        db::with_search_path(&path, || {
            let query = Query::analyze("sql", text);
            let json = WhatIf::new().explain_verbosely(&query, Bound::GENERIC)?;
            let targets = query.statement().query.map(|select| select.targets).unwrap_or_default();
            let columns: Vec<String> = targets.into_iter().map(|target| target.name).collect();
            Some((json, columns))
        })
    });
    let (json, columns) = explained.ok()??;
    let plan = plan::read(&json).ok()?.into_iter().next()?;
    let relation = |node: &plan::Node| {
        let relation = node.relation.as_ref()?;
        let name = NameAsWritten { schema: relation.schema.clone(), name: relation.name.clone() };
        model.find(&name).filter(|relation| !relation.created_here).map(|relation| relation.id)
    };
    let root = plan.nodes.first()?;
    let is_scan = |node: &plan::Node| {
        let ranges = node.filter.as_ref().is_some_and(|filter| !filter.contains(" = "));
        node.kind == "Seq Scan" && ranges && node.rows <= 1.0
    };
    let scans: Vec<&plan::Node> = plan.nodes.iter().filter(|node| node.relation.is_some()).collect();
    let mut found = Planned {
        rows: root.rows,
        read: Vec::new(),
        scanned: Vec::new(),
        expects_none: !scans.is_empty() && scans.iter().all(|node| is_scan(node)),
        columns,
    };
    for (position, node) in plan.nodes.iter().enumerate() {
        let Some(id) = relation(node) else { continue };
        found.read.push(id);
        if node.kind == "Seq Scan" && reads_all(&plan, position) {
            found.scanned.push(id);
        }
    }
    Some(found)
}

/// What EXPLAIN explains.
fn without_explain(text: &str) -> &str {
    let Some(rest) = text.get(..7).filter(|word| word.eq_ignore_ascii_case("explain")).map(|_| &text[7..]) else {
        return text;
    };
    let rest = rest.trim_start();
    let mut rest = match rest.strip_prefix('(') {
        Some(options) => options.split_once(')').map_or(rest, |(_, rest)| rest.trim_start()),
        None => rest,
    };
    for word in ["analyze", "analyse", "verbose"] {
        if rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)) {
            rest = rest[word.len()..].trim_start();
        }
    }
    rest
}

/// No LIMIT, and no join that is satisfied with the first match, stops it.
fn reads_all(plan: &Plan, scan: usize) -> bool {
    for ancestor in plan.ancestors(scan) {
        match plan.nodes[ancestor].kind.as_str() {
            "Sort" | "Aggregate" | "Hash" | "WindowAgg" | "HashAggregate" | "SetOp" => return true,
            "Limit" => return false,
            _ => {}
        }
    }
    true
}
