//! Foreign keys, and the indexes that serve their lookups.

use super::catalog::{Catalog, ITEMS_PER_INTERRUPT_CHECK, same_columns};
use super::tables::{self, letter, oid};
use super::{Index, Table, TableKind};
use crate::db;
use pgrx::pg_sys::Oid;

#[derive(Debug)]
pub struct ForeignKey {
    pub name: super::Name,
    pub child: u32,
    pub parent: u32,
    pub child_columns: Vec<i16>,
    pub parent_columns: Vec<i16>,
    /// Parent column = child column, as the server checks it when a parent row goes.
    operators: Vec<u32>,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    /// The columns that ON DELETE SET NULL or SET DEFAULT names; empty: all of the key.
    pub set_columns: Vec<i16>,
    /// Checked at COMMIT unless told otherwise.
    pub initially_deferred: bool,
    /// ALTER COLUMN TYPE would refuse one of the child's columns: a view, policy, trigger, function, publication, generated
    /// column, partition key or row type uses it, or it is inherited.
    pub child_columns_in_use: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl ReferentialAction {
    pub fn from_letter(letter: char) -> ReferentialAction {
        match letter {
            'r' => ReferentialAction::Restrict,
            'c' => ReferentialAction::Cascade,
            'n' => ReferentialAction::SetNull,
            'd' => ReferentialAction::SetDefault,
            _ => ReferentialAction::NoAction,
        }
    }

    pub fn sql(self) -> &'static str {
        match self {
            ReferentialAction::NoAction => "NO ACTION",
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        }
    }

    /// It writes to the child rather than look at it.
    pub fn writes(self) -> bool {
        !matches!(self, ReferentialAction::NoAction | ReferentialAction::Restrict)
    }
}

impl Catalog {
    pub(super) fn add_foreign_keys(&mut self) {
        let foreign_keys = db::read(include_str!("../../sql/facts/foreign_keys.sql"), &[], |row| ForeignKey {
            name: row.take::<String>().into(),
            child: oid(row),
            parent: oid(row),
            child_columns: row.take(),
            parent_columns: row.take(),
            operators: row.take::<Vec<Oid>>().into_iter().map(Oid::to_u32).collect(),
            on_delete: ReferentialAction::from_letter(letter(row)),
            on_update: ReferentialAction::from_letter(letter(row)),
            set_columns: row.take_option().unwrap_or_default(),
            initially_deferred: row.take(),
            child_columns_in_use: row.take(),
        });
        self.foreign_keys = foreign_keys;
        // The parts of a key that has vanished since the tables were read are gone with it.
        let positions = &self.positions;
        self.foreign_keys.retain(|key| positions.contains_key(&key.child) && positions.contains_key(&key.parent));
        for (position, key) in self.foreign_keys.iter().enumerate() {
            self.foreign_keys_of.entry(key.child).or_default().push(position);
            self.foreign_keys_to.entry(key.parent).or_default().push(position);
            let child = &self.tables[self.positions[&key.child]];
            for column in key.child_columns.iter().filter_map(|number| child.column(*number)) {
                let family = || tables::btree_family(column.type_oid);
                self.btree_families.entry(column.type_oid).or_insert_with(family);
            }
        }
    }

    /// The foreign keys of the tables to judge.
    pub fn foreign_keys(&self) -> impl Iterator<Item = &ForeignKey> {
        self.foreign_keys.iter().enumerate().filter_map(|(position, key)| {
            if position % ITEMS_PER_INTERRUPT_CHECK == 0 {
                db::check_for_interrupts();
            }
            self.table(key.child).judged.then_some(key)
        })
    }

    /// The foreign keys that `child` has.
    pub fn foreign_keys_of(&self, child: u32) -> impl Iterator<Item = &ForeignKey> {
        self.foreign_keys_of.get(&child).into_iter().flatten().map(|at| &self.foreign_keys[*at])
    }

    /// The foreign keys that reference `parent`.
    pub fn foreign_keys_to(&self, parent: u32) -> impl Iterator<Item = &ForeignKey> {
        self.foreign_keys_to.get(&parent).into_iter().flatten().map(|at| &self.foreign_keys[*at])
    }

    /// An index of the child that finds the rows of a parent key: on a partitioned table its own, or one of every partition.
    pub fn is_covered(&self, key: &ForeignKey) -> bool {
        self.covers_in(self.table(key.child), key, &key.child_columns)
    }

    /// The child's own index that finds the rows of a parent key.
    pub fn covering_index(&self, key: &ForeignKey) -> Option<&Index> {
        let child = self.table(key.child);
        child.indexes.iter().find(|index| self.covers(child, index, key, &key.child_columns))
    }

    fn covers_in(&self, table: &Table, key: &ForeignKey, columns: &[i16]) -> bool {
        table.indexes.iter().any(|index| self.covers(table, index, key, columns))
            || (table.kind == TableKind::Partitioned && {
                let mut partitions = self.partitions(table).peekable();
                partitions.peek().is_some()
                    && partitions.all(|partition| {
                        same_columns(table, columns, partition)
                            .is_some_and(|columns| self.covers_in(partition, key, &columns))
                    })
            })
    }

    /// An index of the child that would cover the key if it were valid.
    pub fn unfinished_cover(&self, key: &ForeignKey) -> Option<&Index> {
        let child = self.table(key.child);
        child.indexes.iter().find(|index| !index.is_usable() && self.suits(child, index, key, &key.child_columns))
    }

    fn covers(&self, table: &Table, index: &Index, key: &ForeignKey, columns: &[i16]) -> bool {
        index.is_usable() && self.suits(table, index, key, columns)
    }

    /// `index`, if valid, serves the lookup of `key`, whose columns are `columns` in `table`, the child or a partition of it.
    fn suits(&self, table: &Table, index: &Index, key: &ForeignKey, columns: &[i16]) -> bool {
        let method = match &*index.method {
            "btree" => true,
            "hash" => columns.len() == 1,
            _ => false,
        };
        method
            && index.keys.len() >= columns.len()
            && columns.iter().enumerate().all(|(position, column)| {
                index.keys[..columns.len()].iter().any(|part| {
                    part.attribute == *column
                        && self.class(part.class).is_some_and(|class| {
                            key.operators
                                .get(position)
                                .is_some_and(|operator| self.equality.contains(&(class.family, *operator)))
                        })
                        && table.column(*column).is_some_and(|column| column.collation == part.collation)
                })
            })
            && index.predicate_implied_by_not_null(table, columns)
            // IS NOT NULL of a row type, which the catalog does not list, asks for every field.
            && (index.predicate.is_none()
                || columns.iter().all(|column| {
                    table.column(*column).is_some_and(|column| self.type_of(self.base_type(column.type_oid)).is_some())
                }))
    }

    /// A default btree on the child's columns could serve the key: false where the types differ so that every
    /// comparison converts the child's side.
    pub fn can_be_covered(&self, key: &ForeignKey) -> bool {
        let child = self.table(key.child);
        key.child_columns.iter().zip(&key.operators).all(|(column, operator)| {
            child
                .column(*column)
                .and_then(|column| self.btree_families.get(&column.type_oid))
                .is_some_and(|family| self.equality.contains(&(*family, *operator)))
        })
    }

    /// `index` covers a foreign key of its table or of the tables above it, and no other index does that is sure to stay:
    /// one that is unique or cannot be dropped.
    pub fn is_needed_by_foreign_key(&self, table: &Table, index: &Index) -> bool {
        let mut above = Some(table);
        while let Some(child) = above {
            for key in self.foreign_keys_of(child.oid) {
                let Some(columns) = same_columns(child, &key.child_columns, table) else { continue };
                let stays = |other: &&Index| other.oid != index.oid && (other.unique || !other.is_droppable());
                let covers = |candidate: &Index| self.covers(table, candidate, key, &columns);
                if covers(index) && !table.indexes.iter().filter(stays).any(covers) {
                    return true;
                }
            }
            above = child.parent.and_then(|parent| self.positions.get(&parent)).map(|at| &self.tables[*at]);
        }
        false
    }
}
