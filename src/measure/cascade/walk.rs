//! The way down from a table: which foreign keys a statement goes through, and what it does to their children.

use super::with_partitions;
use crate::facts::cascade::{Action, Fate};
use crate::facts::{Catalog, ForeignKey, Name, ReferentialAction, Table};
use std::collections::HashMap;

/// Of tables one below the other that are followed.
pub const MAX_DEPTH: usize = 100;

/// A foreign key on the way.
pub struct Reached<'a> {
    pub key: &'a ForeignKey,
    pub on: ReferentialAction,
    pub fate: Fate,
    /// The columns of the child that change, if it is not deleted.
    pub written: Vec<i16>,
    /// From the top to the child, quoted.
    pub path: Vec<String>,
    /// The one that leads to its parent; None: the parent is the top.
    pub above: Option<usize>,
    pub cycle: bool,
    /// The path below which the same was followed already.
    pub goes_on_at: Option<String>,
    pub too_deep: bool,
}

/// What happens to rows of a table.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Change {
    Gone,
    Emptied,
    /// These columns.
    Written(Vec<Name>),
}

pub fn from<'a>(catalog: &'a Catalog, top: &'a Table, action: Action) -> Vec<Reached<'a>> {
    let change = match action {
        Action::Delete => Change::Gone,
        Action::Truncate => Change::Emptied,
        Action::Update => Change::Written(top.columns.iter().map(|column| column.name.clone()).collect()),
    };
    let mut walk = Walk { catalog, followed: HashMap::new(), reached: Vec::new() };
    walk.follow(top, change, None, &mut vec![top]);
    walk.reached
}

struct Walk<'a> {
    catalog: &'a Catalog,
    /// With the path to where.
    followed: HashMap<(u32, Change), String>,
    reached: Vec<Reached<'a>>,
}

impl<'a> Walk<'a> {
    fn follow(&mut self, table: &'a Table, change: Change, above: Option<usize>, path: &mut Vec<&'a Table>) {
        crate::db::check_for_interrupts();
        self.followed.insert((table.oid, change.clone()), shown(path).join(" → "));
        for key in self.keys_to(table) {
            let parent = self.catalog.table(key.parent);
            let Some((on, fate)) = fate(parent, key, &change) else { continue };
            let child = self.catalog.table(key.child);
            let written = written(key, fate, &change);
            let next = match fate {
                Fate::Deleted => Some(Change::Gone),
                Fate::Truncated => Some(Change::Emptied),
                Fate::Updated => Some(Change::Written(names(child, &written))),
                Fate::Forbids | Fate::Unknown => None,
            };
            let cycle = path.iter().any(|on_the_way| on_the_way.oid == child.oid);
            path.push(child);
            let goes_on_at = next.clone().and_then(|next| self.followed.get(&(child.oid, next)).cloned());
            let too_deep = next.is_some() && goes_on_at.is_none() && path.len() > MAX_DEPTH;
            let follows = next.filter(|_| goes_on_at.is_none() && !too_deep);
            let position = self.reached.len();
            self.reached.push(Reached {
                key,
                on,
                fate,
                written,
                path: shown(path),
                above,
                cycle,
                goes_on_at,
                too_deep,
            });
            if let Some(next) = follows {
                self.follow(child, next, Some(position), path);
            }
            path.pop();
        }
    }

    /// What references the table, the partitioned tables that it is part of, or its partitions.
    fn keys_to(&self, table: &'a Table) -> Vec<&'a ForeignKey> {
        let catalog = self.catalog;
        let above = std::iter::successors(table.parent.and_then(|parent| catalog.known(parent)), |table| {
            catalog.known(table.parent?)
        });
        let relatives = with_partitions(catalog, table).into_iter().chain(above);
        let mut keys: Vec<&ForeignKey> = relatives.flat_map(|relative| catalog.foreign_keys_to(relative.oid)).collect();
        keys.sort_by_key(|key| (&catalog.table(key.child).name, &key.name));
        keys
    }
}

fn fate(parent: &Table, key: &ForeignKey, change: &Change) -> Option<(ReferentialAction, Fate)> {
    let on = match change {
        Change::Emptied => return Some((key.on_delete, Fate::Truncated)),
        Change::Gone => key.on_delete,
        Change::Written(columns) => {
            let concerns = names(parent, &key.parent_columns).iter().any(|column| columns.contains(column));
            concerns.then_some(key.on_update)?
        }
    };
    let fate = match on {
        ReferentialAction::Cascade if *change == Change::Gone => Fate::Deleted,
        ReferentialAction::Cascade | ReferentialAction::SetNull | ReferentialAction::SetDefault => Fate::Updated,
        ReferentialAction::Restrict | ReferentialAction::NoAction => Fate::Forbids,
    };
    Some((on, fate))
}

/// ON UPDATE writes all columns of the key; ON DELETE SET NULL may name some.
fn written(key: &ForeignKey, fate: Fate, change: &Change) -> Vec<i16> {
    match (fate, change) {
        (Fate::Updated, Change::Gone) if !key.set_columns.is_empty() => key.set_columns.clone(),
        (Fate::Updated, _) => key.child_columns.clone(),
        _ => Vec::new(),
    }
}

fn names(table: &Table, columns: &[i16]) -> Vec<Name> {
    let mut names: Vec<Name> =
        columns.iter().filter_map(|number| table.column(*number)).map(|column| column.name.clone()).collect();
    names.sort();
    names
}

fn shown(path: &[&Table]) -> Vec<String> {
    path.iter().map(|table| table.name.to_string()).collect()
}
