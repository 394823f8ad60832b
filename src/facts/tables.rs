//! Tables, partitioned tables and materialized views, with their columns and indexes.

use super::files::{self, File};
use super::{Index, QualifiedName};
use crate::db::{self, Row};
use crate::units::{Bytes, Count};
use pgrx::pg_sys::{self, Oid};

#[derive(Debug)]
pub struct Table {
    pub oid: u32,
    pub name: QualifiedName,
    pub kind: TableKind,
    temporary: bool,
    pub replica_identity: char,
    /// The planner's figure. None: never vacuumed or analyzed.
    pub rows: Option<Count>,
    /// Size when `rows` was counted.
    pages_when_counted: i32,
    pub file: File,
    /// The partitioned table that this is a partition of.
    pub parent: Option<u32>,
    /// Attribute numbers of the partition key, 0 for an expression; empty: it is not partitioned.
    pub partition_key: Vec<i16>,
    /// In a publication of updates or deletes.
    pub published: bool,
    /// Foreign tables are among the partitions: an index built on the parent alone never becomes valid.
    pub foreign_partitions: bool,
    /// In one of the schemas asked for, and not an extension's.
    pub judged: bool,
    /// The caller may read the planner statistics.
    pub readable: bool,
    pub row_security: bool,
    pub statistics: TableStatistics,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    Plain,
    Partitioned,
    MaterializedView,
}

/// Cumulative statistics of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableStatistics {
    pub sequential_scans: Count,
    pub rows_read_sequentially: Count,
    pub inserts: Count,
    pub updates: Count,
    pub hot_updates: Count,
    pub deletes: Count,
}

impl TableStatistics {
    /// Writes that every index of the table took part in.
    pub fn index_writes(&self) -> Count {
        Count(self.inserts.0 + self.updates.0.saturating_sub(self.hot_updates.0))
    }
}

#[derive(Debug)]
pub struct Column {
    pub number: i16,
    pub name: super::Name,
    pub type_oid: u32,
    /// With its modifier (`numeric(10,2)`); None where the type's own name says it all.
    pub type_with_modifier: Option<String>,
    pub collation: u32,
    pub not_null: bool,
}

#[derive(Debug)]
pub struct Type {
    pub name: String,
    /// Of a domain; otherwise None.
    pub base: Option<u32>,
    pub category: char,
    pub length: i16,
    pub alignment: char,
    /// A btree may deduplicate equal values.
    pub deduplicates: bool,
}

impl Table {
    pub fn bytes(&self) -> Bytes {
        self.file.bytes
    }

    /// How much the table has grown since its rows were counted: 2.0, twice the size. None: never counted.
    pub fn growth(&self) -> Option<f64> {
        let counted = f64::from(self.pages_when_counted) * f64::from(pg_sys::BLCKSZ);
        (counted > 0.0).then(|| self.bytes().0 as f64 / counted)
    }

    /// Somebody looks after it: it is neither temporary nor the system's.
    pub fn is_maintained(&self) -> bool {
        let schema = self.name.schema.raw();
        !self.temporary && !schema.starts_with("pg_") && schema != "information_schema"
    }

    pub fn is_partition(&self) -> bool {
        self.parent.is_some()
    }

    pub fn column(&self, number: i16) -> Option<&Column> {
        let position = self.columns.binary_search_by_key(&number, |column| column.number).ok()?;
        Some(&self.columns[position])
    }

    /// `public.orders(customer_id, "Kind")`.
    pub fn columns_of(&self, columns: &[i16]) -> String {
        format!("{}({})", self.name, self.column_names(columns).join(", "))
    }

    /// Quoted.
    pub fn column_names(&self, columns: &[i16]) -> Vec<String> {
        columns.iter().filter_map(|number| self.column(*number)).map(|column| column.name.to_string()).collect()
    }

    /// `a, expression`: the key's columns in order, quoted.
    pub fn key_listing(&self, index: &Index) -> String {
        let columns = index.key_attributes().map(|number| match self.column(number) {
            Some(column) => column.name.to_string(),
            None => "expression".to_string(),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// An index is in the schema of its table.
    pub fn index_name(&self, index: &Index) -> QualifiedName {
        QualifiedName { schema: self.name.schema.clone(), name: index.name.clone() }
    }

    pub fn index(&self, oid: u32) -> Option<&Index> {
        self.indexes.iter().find(|index| index.oid == oid)
    }

    /// The index of this partition that is attached to `index` of the table above.
    pub fn part_of(&self, index: &Index) -> Option<&Index> {
        self.indexes.iter().find(|part| part.parent == Some(index.oid))
    }
}

/// Tables, and whether another session has locked them.
pub(super) fn read(schemas: Option<&[String]>) -> Vec<(Table, bool)> {
    let schemas = schemas.map(<[String]>::to_vec);
    db::read(include_str!("../../sql/facts/tables.sql"), &[schemas.into()], |row| {
        let oid = oid(row);
        let name = QualifiedName { schema: row.take::<String>().into(), name: row.take::<String>().into() };
        let kind = match row.take::<String>().as_str() {
            "p" => TableKind::Partitioned,
            "m" => TableKind::MaterializedView,
            _ => TableKind::Plain,
        };
        let temporary = row.take::<String>() == "t";
        let replica_identity = letter(row);
        let rows = row.take_option::<f64>().map(|rows| Count(rows as u64));
        let pages = row.take();
        let file = files::main_fork(row.take_option(), pages);
        let parent = row.take_option::<Oid>().map(Oid::to_u32);
        let partition_key = row.take_option().unwrap_or_default();
        let (published, foreign_partitions) = (row.take(), row.take());
        let (judged, readable, locked, row_security) = (row.take(), row.take(), row.take(), row.take());
        let mut count = || Count(row.take::<i64>() as u64);
        let statistics = TableStatistics {
            sequential_scans: count(),
            rows_read_sequentially: count(),
            inserts: count(),
            updates: count(),
            hot_updates: count(),
            deletes: count(),
        };
        let table = Table {
            oid,
            name,
            kind,
            temporary,
            replica_identity,
            rows,
            pages_when_counted: pages,
            file,
            parent,
            partition_key,
            published,
            foreign_partitions,
            judged,
            readable,
            row_security,
            statistics,
            columns: Vec::new(),
            indexes: Vec::new(),
        };
        (table, locked)
    })
}

/// Gives each column, with the OID of its table, to `add`.
pub(super) fn read_columns(mut add: impl FnMut(u32, Column)) {
    db::read(include_str!("../../sql/facts/columns.sql"), &[], |row| {
        let table = oid(row);
        let column = Column {
            number: row.take(),
            name: row.take::<String>().into(),
            type_oid: oid(row),
            type_with_modifier: row.take_option(),
            collation: oid(row),
            not_null: row.take(),
        };
        add(table, column);
    });
}

pub(super) fn read_types() -> impl Iterator<Item = (u32, Type)> {
    db::read(include_str!("../../sql/facts/types.sql"), &[], |row| {
        let type_ = |row: &mut Row| Type {
            name: row.take(),
            base: Some(oid(row)).filter(|base| *base != 0),
            category: letter(row),
            length: row.take(),
            alignment: letter(row),
            deduplicates: row.take(),
        };
        (oid(row), type_(row))
    })
    .into_iter()
}

/// Operator family of the default btree operator class of a type; 0 where there is none.
pub(super) fn btree_family(type_oid: u32) -> u32 {
    // SAFETY: the type cache returns an entry of its own, or raises an error.
    unsafe { (*pg_sys::lookup_type_cache(type_oid.into(), pg_sys::TYPECACHE_BTREE_OPFAMILY as i32)).btree_opf.to_u32() }
}

pub(super) fn oid(row: &mut Row) -> u32 {
    row.take::<Oid>().to_u32()
}

pub(super) fn letter(row: &mut Row) -> char {
    row.take::<String>().chars().next().unwrap_or(' ')
}
