//! The part of a hypothetical index that lies on one table or partition.

use super::Index;
use super::definition::size_columns;
use crate::advice::index_size::{self, Method, Parameters, Physical, Size};
use crate::db::Arena;
use crate::measure::server;
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::ptr::null_mut;

/// A table or partition, as the planner sees its size.
pub struct Relation {
    pub oid: Oid,
    pub rows: f64,
    pub pages: u64,
    /// Neither partitioned nor foreign.
    pub holds_rows: bool,
    /// The partitioned tables above it.
    pub ancestors: Vec<Oid>,
}

impl Relation {
    /// Reads the sizes of a relation that is locked.
    pub fn read(oid: Oid) -> Relation {
        let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
        // SAFETY: a caller holds a lock, so that the relation can be opened without one; it is closed again.
        unsafe {
            let kind = pg_sys::get_rel_relkind(oid) as u8;
            let holds_rows = matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW);
            if holds_rows {
                let relation = pg_sys::relation_open(oid, pg_sys::NoLock as i32);
                pg_sys::estimate_rel_size(relation, null_mut(), &raw mut pages, &raw mut rows, &raw mut visible);
                pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            }
            let ancestors = match pg_sys::get_rel_relispartition(oid) {
                true => oids(server::get_partition_ancestors(oid)),
                false => Vec::new(),
            };
            Relation { oid, rows, pages: u64::from(pages), holds_rows, ancestors }
        }
    }
}

/// As the catalog has them, at least 1; None: it is gone, or no relation that holds rows.
pub fn counted_rows(oid: Oid) -> Option<f64> {
    // SAFETY: the tuple is released after its numbers are copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(oid));
        if tuple.is_null() {
            return None;
        }
        let class = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let (kind, rows) = (class.relkind as u8, f64::from(class.reltuples));
        pg_sys::ReleaseSysCache(tuple);
        matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW).then_some(rows.max(1.0))
    }
}

/// SAFETY: `list` is a list of OIDs, or null.
pub unsafe fn oids(list: *mut pg_sys::List) -> Vec<Oid> {
    // SAFETY: as said above.
    unsafe {
        if list.is_null() {
            return Vec::new();
        }
        debug_assert_eq!((*list).type_, NodeTag::T_OidList);
        (0..(*list).length as usize).map(|position| (*(*list).elements.add(position)).oid_value).collect()
    }
}

/// What the planner's IndexOptInfo needs beside the definition.
pub struct Part {
    pub size: Size,
    pub tuples: f64,
    /// Of each column; 0: an expression.
    pub attributes: Vec<i16>,
    /// Of range table entry 1, with this relation's attribute numbers.
    pub expressions: *mut pg_sys::List,
    pub predicate: *mut pg_sys::List,
    /// By attribute number of the index's table less 1; None: it is this one.
    numbers: Option<Vec<i16>>,
}

impl Part {
    pub fn of(index: &Index, relation: &Relation, keep: &Arena) -> Part {
        let definition = &index.definition;
        let tuples = relation.rows * index.share;
        let (mut expressions, mut predicate) = (definition.expressions, definition.predicate);
        let mut numbers = None;
        if relation.oid != definition.table {
            // SAFETY: both are locked; the lists are copied into `keep`, where those they come from live.
            unsafe {
                keep.enter(|| {
                    let map = attribute_map(definition.table, relation.oid);
                    expressions = mapped(expressions, map);
                    predicate = mapped(predicate, map);
                    let length = (*map).maplen as usize;
                    numbers = Some(std::slice::from_raw_parts((*map).attnums, length).to_vec());
                });
            }
        }
        let number = |attribute| number_in(&numbers, attribute);
        let (keys, included) = size_columns(definition, relation.oid, relation.rows, number);
        let size = index_size::size(&Physical {
            method: Method::named(&definition.method_name).unwrap_or_default(),
            rows: tuples,
            table_rows: relation.rows,
            table_pages: relation.pages as f64,
            keys,
            included,
            unique: definition.unique,
            joint_distinct: None,
            parameters: Parameters {
                fillfactor: definition.parameter("fillfactor"),
                deduplicate_items: definition.parameter("deduplicate_items").map(|value| value != 0.0),
                pages_per_range: definition.parameter("pages_per_range"),
                m: definition.parameter("m"),
                lists: definition.parameter("lists"),
            },
        });
        Part {
            size,
            tuples,
            attributes: definition.columns.iter().map(|column| number_in(&numbers, column.attribute)).collect(),
            expressions,
            predicate,
            numbers,
        }
    }

    /// Of this relation, for an attribute number of the index's table.
    pub fn number(&self, attribute: i16) -> i16 {
        number_in(&self.numbers, attribute)
    }
}

fn number_in(numbers: &Option<Vec<i16>>, attribute: i16) -> i16 {
    match numbers {
        Some(numbers) if attribute > 0 => numbers[attribute as usize - 1],
        _ => attribute,
    }
}

/// From the attribute numbers of a partitioned table to those of a partition.
unsafe fn attribute_map(parent: Oid, partition: Oid) -> *mut pg_sys::AttrMap {
    // SAFETY: both are locked, so that they can be opened without a lock; they are closed again.
    unsafe {
        let lock = pg_sys::NoLock as i32;
        let (above, below) = (pg_sys::relation_open(parent, lock), pg_sys::relation_open(partition, lock));
        let map = pg_sys::build_attrmap_by_name((*below).rd_att, (*above).rd_att, false);
        pg_sys::relation_close(below, lock);
        pg_sys::relation_close(above, lock);
        map
    }
}

unsafe fn mapped(list: *mut pg_sys::List, map: *mut pg_sys::AttrMap) -> *mut pg_sys::List {
    if list.is_null() {
        return list;
    }
    let mut whole_row = false;
    // SAFETY: expressions of range table entry 1; the function copies what it changes.
    unsafe { pg_sys::map_variable_attnos(list.cast(), 1, 0, map, pg_sys::InvalidOid, &raw mut whole_row).cast() }
}
