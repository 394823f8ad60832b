//! `dbre.cascade_impact()` and `dbre.cascade_findings()`.

use super::advice::advice;
use super::arguments::{choice, required};
use crate::db::{self, quote_identifier, raise};
use crate::engine::{self, Run};
use crate::facts::Facts;
use crate::facts::cascade::{Action, Edge, Fate};
use crate::finding::{Finding, severity};
use crate::measure::cascade::follow;
use crate::rule::{Need, Rule};
use crate::units::Count;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};

advice! {
    /// What is slow or dangerous on the way of a statement on `relation` through foreign keys, most urgent first.
    ///
    /// `action` is delete, truncate (with CASCADE) or update (of keys). `exact`: rows are counted, which reads the tables.
    sql: r#"
create function cascade_findings(
    relation regclass,
    action text default 'delete',
    exact boolean default false
)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn cascade_findings(relation: Option<Oid>, action: Option<&str>, exact: Option<bool>) {
        let mut run = judge(relation, action, exact);
        let edges: Vec<Edge> = run.facts.cascade().edges.clone();
        run.findings.retain(|reported| is_of_one(&edges, reported.rule, &reported.finding));
        run.sort_by_urgency();
        run
    }
}

/// The tree of what a DELETE, TRUNCATE CASCADE or UPDATE of keys of a table reaches through foreign keys, from the top down.
///
/// `expected_rows` is for one row of `relation`; of a TRUNCATE, the rows that the table has.
#[pg_extern(
    stable,
    sql = r#"
create function cascade_impact(
    relation regclass,
    action text default 'delete',
    exact boolean default false
)
returns table (
    depth int,
    path text,
    child text,
    constraint_name text,
    on_action text,
    effect text,
    rows_per_parent_row float8,
    most_rows_per_parent_row float8,
    expected_rows float8,
    child_rows float8,
    basis text,
    child_index text,
    triggers text[],
    cycle boolean,
    note text,
    severity severity,
    rule text,
    finding text,
    fix_sql text
)
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    requires = ["advice"]
)]
#[allow(clippy::type_complexity, reason = "the columns of an edge")]
pub fn cascade_impact(
    relation: Option<Oid>,
    action: Option<&str>,
    exact: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(depth, i32),
        name!(path, String),
        name!(child, String),
        name!(constraint_name, String),
        name!(on_action, String),
        name!(effect, String),
        name!(rows_per_parent_row, Option<f64>),
        name!(most_rows_per_parent_row, Option<f64>),
        name!(expected_rows, Option<f64>),
        name!(child_rows, Option<f64>),
        name!(basis, String),
        name!(child_index, Option<String>),
        name!(triggers, Vec<String>),
        name!(cycle, bool),
        name!(note, Option<String>),
        name!(severity, Option<severity>),
        name!(rule, Option<&'static str>),
        name!(finding, Option<String>),
        name!(fix_sql, Option<String>),
    ),
> {
    let mut run = judge(relation, action, exact);
    run.sort_by_urgency();
    let cascade = run.facts.cascade();
    let on = if cascade.action == Action::Update { "ON UPDATE" } else { "ON DELETE" };
    let mut rows = Vec::new();
    for edge in &cascade.edges {
        let reported = run.findings.iter().find(|reported| is_of(edge, reported.rule, &reported.finding));
        rows.push((
            edge.depth as i32,
            edge.path.join(" → "),
            edge.child.clone(),
            edge.constraint.clone(),
            format!("{on} {}", edge.on.sql()),
            effect(edge),
            edge.rows_per_parent.map(rounded),
            edge.most_rows_per_parent.map(rounded),
            edge.expected_rows.map(rounded),
            edge.child_rows,
            edge.basis.clone(),
            edge.index.clone(),
            edge.triggers.clone(),
            edge.cycle,
            (!edge.notes.is_empty()).then(|| edge.notes.join("; ")),
            reported.map(|reported| reported.finding.severity),
            reported.map(|reported| reported.rule.id),
            reported.map(|reported| reported.finding.summary.clone()),
            reported.and_then(|reported| reported.finding.fix_sql.clone()),
        ));
    }
    TableIterator::new(rows)
}

fn effect(edge: &Edge) -> String {
    let columns = || edge.columns.join(", ");
    match edge.fate {
        Fate::Deleted => "rows are deleted".to_string(),
        Fate::Truncated => "all rows are removed".to_string(),
        Fate::Updated => format!("{} written", columns()),
        Fate::Forbids => "rows forbid the statement".to_string(),
        Fate::Unknown => "not known".to_string(),
    }
}

/// Three digits that mean something.
fn rounded(value: f64) -> f64 {
    if value >= 100.0 || value == 0.0 {
        return value.round();
    }
    let scale = 10f64.powf(2.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

/// The one that judges each key's index.
const WITHOUT_INDEX: &str = "foreign_key_without_index";

fn takes(rule: &Rule) -> bool {
    rule.needs.contains(&Need::Cascade) || rule.id == WITHOUT_INDEX
}

fn judge(relation: Option<Oid>, action: Option<&str>, exact: Option<bool>) -> Run {
    let relation = required("relation", relation, "Name a table: 'public.orders'.");
    let actions = [("delete", Action::Delete), ("truncate", Action::Truncate), ("update", Action::Update)];
    let action = *choice("action", action, &actions);
    let exact = required("exact", exact, "Pass true to have rows counted, false for estimates.");
    let needs = [vec![Need::Catalog], engine::needs(&[Need::Cascade], takes)].concat();
    let mut facts = Facts::read(&needs, None);
    super::check::refuse_unread(&facts, &needs);
    let catalog = facts.catalog();
    let Some(top) = catalog.known(relation.to_u32()) else { refuse(relation, catalog.locked) };
    let cascade = follow(catalog, top, action, exact);
    facts.set_cascade(cascade);
    let run = engine::judge_with(&[Need::Cascade], facts, takes);
    super::check::refuse_total_failure(&run);
    run
}

fn refuse(relation: Oid, locked: u64) -> ! {
    let kind = "select relkind::text, relname::text from pg_catalog.pg_class where oid = $1";
    let found = db::read(kind, &[relation.into()], |row| (row.take::<String>(), row.take::<String>())).pop();
    let Some((kind, name)) = found else {
        raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("argument relation: there is no relation with OID {}", relation.to_u32()),
            "Name a table: 'public.orders'.",
        )
    };
    let name = quote_identifier(&name);
    if locked > 0 && matches!(kind.as_str(), "r" | "p") {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!("{name} is locked by another session, is a relative of a locked table, or is the system's"),
            format!("{} left out for locks of other sessions.", Count(locked).of("table")),
        )
    }
    raise(
        PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
        format!("argument relation: {name} is no table of this database's users"),
        "Foreign keys reference tables and partitioned tables: name one of them.",
    )
}

fn is_of_one(edges: &[Edge], rule: &Rule, finding: &Finding) -> bool {
    edges.iter().any(|edge| is_of(edge, rule, finding))
}

/// The finding is about this edge. An index serves deletes and updates, not TRUNCATE.
fn is_of(edge: &Edge, rule: &Rule, finding: &Finding) -> bool {
    if rule.id != WITHOUT_INDEX {
        return finding.object == edge.object();
    }
    let of_key = || {
        let keys = finding.evidence.get("foreign_keys").and_then(|keys| keys.as_array());
        keys.is_some_and(|keys| keys.iter().any(|key| key["constraint_name"] == edge.constraint.as_str()))
    };
    let looks_up = edge.fate != Fate::Truncated && edge.index.is_none();
    looks_up && finding.evidence.get("child").is_some_and(|child| *child == edge.child.as_str()) && of_key()
}
