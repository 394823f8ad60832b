//! Indexes, as rules compare and print them.

use super::files::{self, File};
use super::predicate::not_null_columns;
use super::tables::{Table, oid};
use super::{Name, QualifiedName};
use crate::db;
use crate::units::{Bytes, Count};
use pgrx::pg_sys::Oid;
use std::collections::HashMap;

#[derive(Debug)]
pub struct Index {
    pub oid: u32,
    pub table: u32,
    pub name: Name,
    pub partitioned: bool,
    pub method: Box<str>,
    pub unique: bool,
    pub nulls_not_distinct: bool,
    pub primary: bool,
    pub immediate: bool,
    pub valid: bool,
    pub ready: bool,
    pub replica_identity: bool,
    pub clustered: bool,
    pub keys: Vec<Key>,
    /// Attribute numbers of INCLUDE columns.
    pub included: Vec<i16>,
    /// Expressions of the keys, printed, in one list.
    pub expressions: Option<String>,
    pub predicate: Option<String>,
    /// Operator class parameters, printed.
    pub parameters: Option<String>,
    /// Only of partitioned and of invalid indexes.
    pub definition: Option<String>,
    pub file: File,
    /// None: never vacuumed or analyzed.
    pub rows: Option<Count>,
    pub scans: Count,
    /// The partitioned index that this one is attached to.
    pub parent: Option<u32>,
    /// The PRIMARY KEY, UNIQUE or EXCLUDE constraint that it backs.
    pub constraint: Option<Name>,
    /// A foreign key depends on it.
    pub referenced: bool,
    /// Where set; 0 to 100.
    pub fillfactor: Option<i32>,
    pub deduplicates: bool,
    /// Another session holds the lock under which indexes are built concurrently.
    pub may_be_building: bool,
    /// Another session has locked the table: nothing could be printed.
    pub(super) locked: bool,
}

/// One key column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// 0: an expression.
    pub attribute: i16,
    pub collation: u32,
    pub class: u32,
    /// Bit 0: descending, bit 1: nulls first.
    pub order: i16,
}

impl Index {
    pub fn bytes(&self) -> Bytes {
        self.file.bytes
    }

    pub fn is_usable(&self) -> bool {
        self.valid && self.ready
    }

    pub fn is_plain(&self) -> bool {
        self.expressions.is_none() && self.predicate.is_none()
    }

    pub fn key_attributes(&self) -> impl Iterator<Item = i16> {
        self.keys.iter().map(|key| key.attribute)
    }

    /// Dropping it changes nothing but speed: it backs no constraint or replica identity, no foreign key depends on it, and
    /// it is not a part of a partitioned index.
    pub fn is_droppable(&self) -> bool {
        self.constraint.is_none()
            && !self.primary
            && !self.replica_identity
            && !self.referenced
            && self.parent.is_none()
    }

    /// The same but for name, statistics, validity and storage: each can stand in for the other in every plan.
    /// Uniqueness is compared by the caller.
    pub fn same_structure(&self, other: &Index) -> bool {
        self.method == other.method
            && self.keys == other.keys
            && self.expressions == other.expressions
            && self.predicate == other.predicate
            && self.parameters == other.parameters
            && self.same_included(other)
    }

    fn same_included(&self, other: &Index) -> bool {
        self.included.len() == other.included.len() && self.includes_all_of(other)
    }

    fn includes_all_of(&self, other: &Index) -> bool {
        other.included.iter().all(|column| self.included.contains(column))
    }

    /// `longer` finds and sorts all that this btree does, and returns all the columns that it does.
    pub fn is_prefix_of(&self, longer: &Index) -> bool {
        let columns_of =
            |index: &Index| index.key_attributes().chain(index.included.iter().copied()).collect::<Vec<_>>();
        let theirs = columns_of(longer);
        &*self.method == "btree"
            && longer.method == self.method
            && self.expressions.is_none()
            && self.predicate == longer.predicate
            && longer.keys.starts_with(&self.keys)
            && self.included.iter().all(|column| theirs.contains(column))
            && (longer.keys.len() > self.keys.len() || longer.included.len() > self.included.len())
    }

    /// The predicate excludes only rows whose `columns` hold NULL.
    pub fn predicate_implied_by_not_null(&self, table: &Table, columns: &[i16]) -> bool {
        let Some(predicate) = &self.predicate else { return true };
        not_null_columns(predicate).is_some_and(|names| {
            names.iter().all(|name| {
                table
                    .columns
                    .iter()
                    .any(|column| column.name.raw() == name && (column.not_null || columns.contains(&column.number)))
            })
        })
    }

    /// The definition from `USING` on, for another table than its own.
    pub fn specification(&self, table: &Table) -> Option<&str> {
        let unique = if self.unique { "UNIQUE " } else { "" };
        let only = if self.partitioned { "ONLY " } else { "" };
        let head = format!("CREATE {unique}INDEX {} ON {only}{} ", self.name, table.name);
        self.definition.as_deref()?.strip_prefix(&head)
    }
}

pub(super) fn read() -> Vec<Index> {
    db::read(include_str!("../../sql/facts/indexes.sql"), &[], |row| {
        let table = oid(row);
        let oid = oid(row);
        let name = row.take::<String>().into();
        let partitioned = row.take();
        let method = row.take::<String>().into_boxed_str();
        let (unique, nulls_not_distinct, primary, immediate) = (row.take(), row.take(), row.take(), row.take());
        let (valid, ready, replica_identity, clustered) = (row.take(), row.take(), row.take(), row.take());
        let key_count = row.take::<i16>() as usize;
        let attributes: Vec<i16> = row.take();
        let (collations, classes, orders) = (row.take::<Vec<Oid>>(), row.take::<Vec<Oid>>(), row.take::<Vec<i16>>());
        let keys = (0..key_count)
            .map(|position| Key {
                attribute: attributes[position],
                collation: collations[position].to_u32(),
                class: classes[position].to_u32(),
                order: orders[position],
            })
            .collect();
        let (expressions, predicate, parameters, definition) =
            (row.take_option(), row.take_option(), row.take_option(), row.take_option());
        let pages = row.take();
        let file = files::main_fork(row.take_option(), pages);
        Index {
            oid,
            table,
            name,
            partitioned,
            method,
            unique,
            nulls_not_distinct,
            primary,
            immediate,
            valid,
            ready,
            replica_identity,
            clustered,
            keys,
            included: attributes[key_count..].to_vec(),
            expressions,
            predicate,
            parameters,
            definition,
            rows: row.take_option::<f64>().map(|rows| Count(rows as u64)),
            scans: Count(row.take::<i64>() as u64),
            parent: row.take_option::<Oid>().map(Oid::to_u32),
            constraint: row.take_option::<String>().map(Name::from),
            referenced: row.take(),
            fillfactor: row.take_option(),
            deduplicates: row.take(),
            may_be_building: row.take(),
            locked: row.take(),
            file,
        }
    })
}

/// Statements that create the indexes again, by OID; those dropped in the meantime are missing.
pub fn index_definitions(oids: &[u32]) -> HashMap<u32, String> {
    let oids: Vec<Oid> = oids.iter().map(|oid| Oid::from(*oid)).collect();
    let definitions = db::read(include_str!("../../sql/facts/index_definitions.sql"), &[oids.into()], |row| {
        let index = oid(row);
        let name = Name::from(row.take::<String>());
        let (definition, partitioned) = (row.take_option::<String>(), row.take::<bool>());
        let tablespace = row.take_option::<String>().map(Name::from);
        let name = QualifiedName { schema: row.take::<String>().into(), name };
        let comment = row.take_option::<String>();
        Some((index, recreate(&name, &definition?, partitioned, tablespace, comment)))
    });
    definitions.into_iter().flatten().collect()
}

fn recreate(
    name: &QualifiedName,
    definition: &str,
    partitioned: bool,
    tablespace: Option<Name>,
    comment: Option<String>,
) -> String {
    // The first INDEX is the statement's own. A partitioned index is printed with ONLY after its name, and CONCURRENTLY is
    // not for partitioned tables.
    let alone = &name.name;
    let mut statements = match partitioned {
        true => {
            format!("{};", definition.replacen(&format!("INDEX {alone} ON ONLY "), &format!("INDEX {alone} ON "), 1))
        }
        false => format!("{};", definition.replacen("INDEX ", "INDEX CONCURRENTLY ", 1)),
    };
    if let Some(tablespace) = tablespace {
        statements = format!("SET default_tablespace = {tablespace};\n{statements}\nRESET default_tablespace;");
    }
    if let Some(comment) = comment {
        statements += &format!("\nCOMMENT ON INDEX {name} IS {};", db::quote_literal(&comment));
    }
    statements
}
