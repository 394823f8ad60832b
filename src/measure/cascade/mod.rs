//! Follows foreign keys from a table down, and estimates or counts what a statement reaches.

mod counted;
mod estimated;
mod triggers;
mod walk;

use crate::db;
use crate::facts::cascade::{Action, Cascade, Edge, Fate};
use crate::facts::{Catalog, ForeignKey, ReferentialAction, Table, TableKind};
use pgrx::pg_sys::Oid;
use walk::Reached;

/// `exact`: children are counted, not estimated.
pub fn follow(catalog: &Catalog, top: &Table, action: Action, exact: bool) -> Cascade {
    let mut reached = walk::from(catalog, top, action);
    let figures = match exact {
        true => counted::figures(catalog, &reached),
        false => estimated::figures(catalog, &reached),
    };
    let triggers = triggers::of(catalog, &reached);
    // Rows for one row of the top, by edge.
    let mut expected: Vec<Option<f64>> = Vec::new();
    for (position, figures) in figures.iter().enumerate() {
        let above = reached[position].above.map_or(Some(1.0), |above| expected[above]);
        expected.push(match action {
            Action::Truncate => figures.child_rows,
            _ => above.zip(figures.rows_per_parent).map(|(above, rows)| above * rows),
        });
    }
    let rest = figures.into_iter().zip(triggers).zip(expected);
    let mut edges = Vec::new();
    for (reached, ((figures, triggers), expected_rows)) in reached.drain(..).zip(rest) {
        edges.push(edge(catalog, reached, figures, triggers, expected_rows));
    }
    if catalog.locked > 0 {
        add_locked(catalog, top, action, &mut edges);
    }
    Cascade { top: top.name.clone(), action, edges }
}

/// What is known of the rows of a key.
struct Figures {
    child_rows: Option<f64>,
    rows_per_parent: Option<f64>,
    most_rows_per_parent: Option<f64>,
    basis: String,
}

fn edge(
    catalog: &Catalog,
    reached: Reached,
    figures: Figures,
    triggers: Vec<String>,
    expected_rows: Option<f64>,
) -> Edge {
    let key = reached.key;
    let (child, truncated) = (catalog.table(key.child), reached.fate == Fate::Truncated);
    let not_null = |number: &&i16| child.column(**number).is_some_and(|column| column.not_null);
    let sets_null = reached.on == ReferentialAction::SetNull && !truncated;
    Edge {
        depth: reached.path.len() - 1,
        parent: catalog.table(key.parent).name.to_string(),
        child: child.name.to_string(),
        constraint: key.name.raw().to_string(),
        columns: child.column_names(&key.child_columns),
        columns_not_null: match sets_null {
            true => child.column_names(&reached.written.iter().filter(not_null).copied().collect::<Vec<_>>()),
            false => Vec::new(),
        },
        on: reached.on,
        fate: reached.fate,
        child_rows: figures.child_rows,
        child_bytes: catalog.bytes(child).0,
        rows_per_parent: figures.rows_per_parent,
        most_rows_per_parent: figures.most_rows_per_parent,
        expected_rows,
        basis: figures.basis,
        index: index(catalog, key, child),
        notes: notes(&reached, key, &triggers),
        triggers,
        cycle: reached.cycle,
        goes_round: reached.cycle && reached.goes_on_at.is_some(),
        path: reached.path,
    }
}

fn index(catalog: &Catalog, key: &ForeignKey, child: &Table) -> Option<String> {
    match catalog.covering_index(key) {
        Some(index) => Some(child.index_name(index).to_string()),
        None => catalog.is_covered(key).then(|| "one of each partition".to_string()),
    }
}

fn notes(reached: &Reached, key: &ForeignKey, triggers: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    if reached.fate == Fate::Forbids {
        let when = if key.initially_deferred { ", at COMMIT" } else { "" };
        notes.push(format!("while such rows exist, the statement fails{when}"));
    }
    if reached.fate == Fate::Truncated && reached.on != ReferentialAction::Cascade {
        notes.push(format!("TRUNCATE CASCADE empties the table all the same as ON DELETE {}", reached.on.sql()));
    }
    match &reached.goes_on_at {
        Some(path) if reached.cycle => notes.push(format!("a cycle: it goes on as below {path}, until no row is left")),
        Some(path) => notes.push(format!("it goes on as below {path}")),
        None => {}
    }
    if reached.too_deep {
        notes.push(format!("not followed below {} tables", walk::MAX_DEPTH));
    }
    if reached.fate.writes()
        && triggers.iter().any(|trigger| trigger.contains("(before ") && trigger.contains("each row"))
    {
        notes.push("a BEFORE trigger that returns null keeps the row, and leaves it without its parent".to_string());
    }
    notes
}

/// Foreign keys of children that the catalog leaves out, because another session has locked them.
fn add_locked(catalog: &Catalog, top: &Table, action: Action, edges: &mut Vec<Edge>) {
    let mut parents: Vec<(u32, Vec<String>)> = vec![(top.oid, vec![top.name.to_string()])];
    parents.extend(edges.iter().filter(|edge| edge.fate.writes()).filter_map(|edge| {
        Some((catalog.all_tables().find(|t| t.name.to_string() == edge.child)?.oid, edge.path.clone()))
    }));
    let oids: Vec<Oid> = parents.iter().map(|(oid, _)| Oid::from(*oid)).collect();
    let locked = db::read(include_str!("../../../sql/facts/cascade_locked.sql"), &[oids.into()], |row| {
        let (constraint, child): (String, Oid) = (row.take(), row.take());
        let (parent, name): (Oid, String) = (row.take(), row.take());
        let action_of = |letter: String| ReferentialAction::from_letter(letter.chars().next().unwrap_or(' '));
        let (on_delete, on_update) = (action_of(row.take()), action_of(row.take()));
        (
            constraint,
            child.to_u32(),
            parent.to_u32(),
            name,
            if action == Action::Update { on_update } else { on_delete },
        )
    });
    for (constraint, child, parent, name, on) in locked {
        let Some((_, path)) = parents.iter().find(|(oid, _)| *oid == parent) else { continue };
        if catalog.known(child).is_some() {
            continue;
        }
        edges.push(Edge {
            depth: path.len(),
            parent: path.last().cloned().unwrap_or_default(),
            path: [path.as_slice(), std::slice::from_ref(&name)].concat(),
            child: name,
            constraint,
            columns: Vec::new(),
            columns_not_null: Vec::new(),
            on,
            fate: Fate::Unknown,
            child_rows: None,
            child_bytes: 0,
            rows_per_parent: None,
            most_rows_per_parent: None,
            expected_rows: None,
            basis: "not known".to_string(),
            index: None,
            triggers: Vec::new(),
            cycle: false,
            goes_round: false,
            notes: vec![
                "another session has locked the table, or a relative of it: try again when it has ended".to_string(),
            ],
        });
    }
}

/// A relation that a FROM clause reads as the foreign key's own queries do.
fn from_item(table: &Table) -> String {
    let only = if table.kind == TableKind::Plain { "only " } else { "" };
    format!("{only}{}", table.name)
}

/// The relation itself and all partitions below it.
fn with_partitions<'a>(catalog: &'a Catalog, table: &'a Table) -> Vec<&'a Table> {
    let mut all = vec![table];
    let mut next = 0;
    while next < all.len() {
        all.extend(catalog.partitions(all[next]));
        next += 1;
    }
    all
}
