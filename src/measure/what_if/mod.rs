//! What would the planner do if an index existed, or another did not?
//!
//! Hypothetical indexes are plain memory of one call. The planner sees them through `get_relation_info_hook`, and only while
//! it plans a query of that call: no catalog row, no lock above ACCESS SHARE, nothing that could outlive an error.

mod column;
mod cost_cache;
mod definition;
mod hook;
mod part;
mod plan;
mod refusals;
mod vector_cost;

pub use column::column_numbers;
pub use hook::install as install_hooks;
pub use plan::Planned;

use crate::db::{self, Arena};
use crate::measure::query::owners;
use crate::measure::server;
use crate::units::Bytes;
use cost_cache::CostCache;
use definition::Definition;
use part::{Part, Relation};
use pgrx::pg_sys::{self, Oid};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr::null_mut;
use std::rc::Rc;
use vector_cost::VectorParameters;

/// Of a partitioned table with more partitions, that many are measured for the size of an index on all.
const MEASURED_PARTITIONS: usize = 16;

/// The relation is a real index.
pub fn is_index(oid: Oid) -> bool {
    // SAFETY: a catalog lookup.
    let kind = unsafe { pg_sys::get_rel_relkind(oid) } as u8;
    matches!(kind, pg_sys::RELKIND_INDEX | pg_sys::RELKIND_PARTITIONED_INDEX)
}

pub fn is_partitioned(table: Oid) -> bool {
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::get_rel_relkind(table) as u8 == pg_sys::RELKIND_PARTITIONED_TABLE }
}

/// A real index, and for a partitioned one those of the partitions that are attached to it.
pub fn with_parts(index: Oid) -> Vec<u32> {
    // SAFETY: a scan of pg_inherits; nothing is locked, for nothing is opened.
    let parts = unsafe { part::oids(server::find_all_inheritors(index, pg_sys::NoLock as i32, null_mut())) };
    parts.into_iter().map(Oid::to_u32).collect()
}

/// Qualified and quoted; None where there is no such relation.
pub fn relation_name(oid: Oid) -> Option<String> {
    // SAFETY: a catalog lookup.
    let exists = unsafe { pg_sys::get_rel_relkind(oid) } != 0;
    exists.then(|| definition::qualified_name(oid).to_string())
}

/// The planner's cost settings.
pub struct PlannerCosts {
    pub sequential_page: f64,
    pub random_page: f64,
    pub index_tuple: f64,
    pub operator: f64,
    /// effective_cache_size
    pub cache_bytes: f64,
}

pub fn planner_costs() -> PlannerCosts {
    // SAFETY: settings of this backend, which has one thread.
    unsafe {
        PlannerCosts {
            sequential_page: pg_sys::seq_page_cost,
            random_page: pg_sys::random_page_cost,
            index_tuple: pg_sys::cpu_index_tuple_cost,
            operator: pg_sys::cpu_operator_cost,
            cache_bytes: f64::from(pg_sys::effective_cache_size) * f64::from(pg_sys::BLCKSZ),
        }
    }
}

/// Hypothetical indexes, and the planner that sees them.
pub struct WhatIf {
    indexes: Vec<Index>,
    /// What was read of tables and partitions, by OID.
    relations: RefCell<HashMap<Oid, Rc<Relation>>>,
    next_oid: u32,
    costs: RefCell<CostCache>,
    /// Where lists and expressions of the definitions live. Dropped last.
    arena: Arena,
}

/// A hypothetical index on one table and all its partitions.
pub struct Index {
    /// Names the index in plans; no relation has it.
    oid: Oid,
    definition: Definition,
    /// Of the rows that the predicate takes, as the planner estimates it.
    share: f64,
    pub bytes: Bytes,
    /// Levels above the leaves; for a partitioned table those of the highest part.
    pub height: u32,
    /// As the planner estimates them.
    pub tuples: f64,
    parts: RefCell<HashMap<Oid, Option<Rc<Part>>>>,
}

impl Index {
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    pub fn statement(&self) -> &str {
        &self.definition.statement
    }

    /// Of the table's rows, those that the predicate takes.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Whoever plans with it runs nothing that a lesser role has written.
    pub fn calls_only_superusers_functions(&self) -> bool {
        let lists = [self.definition.expressions, self.definition.predicate];
        // SAFETY: lists of analyzed expressions, or null.
        lists.into_iter().flat_map(|list| unsafe { owners(list.cast()) }).all(db::is_superuser)
    }
}

impl WhatIf {
    pub fn new() -> WhatIf {
        WhatIf {
            indexes: Vec::new(),
            relations: RefCell::default(),
            next_oid: u32::MAX,
            costs: RefCell::default(),
            arena: Arena::new(),
        }
    }

    /// Takes the index that `statement`, a CREATE INDEX, would make; its number. Raises what CREATE INDEX would raise.
    pub fn add(&mut self, argument: &str, statement: &str) -> usize {
        let definition = definition::parse(argument, statement, &self.arena);
        definition.check_permissions();
        let share = match &definition.predicate_text {
            None => 1.0,
            Some(predicate) => plan::selected_share(&definition, predicate),
        };
        let oid = self.unused_oid();
        let mut index =
            Index { oid, definition, share, bytes: Bytes(0), height: 0, tuples: 0.0, parts: RefCell::default() };
        self.measure(&mut index);
        self.indexes.push(index);
        self.indexes.len() - 1
    }

    pub fn index(&self, number: usize) -> &Index {
        &self.indexes[number]
    }

    fn number_of(&self, oid: Oid) -> Option<usize> {
        // They were handed out downwards.
        self.indexes.binary_search_by(|index| oid.to_u32().cmp(&index.oid.to_u32())).ok()
    }

    /// From the end of the range downwards; the server hands OIDs out from 16384 upwards.
    fn unused_oid(&mut self) -> Oid {
        loop {
            let oid = Oid::from(self.next_oid);
            self.next_oid -= 1;
            // SAFETY: a catalog lookup.
            if unsafe { pg_sys::get_rel_relkind(oid) } == 0 {
                return oid;
            }
        }
    }

    /// Size, height and rows, of a partitioned table from the largest partitions.
    fn measure(&self, index: &mut Index) {
        let leaves = self.leaves(index.definition.table);
        let all: f64 = leaves.iter().map(|(_, rows)| rows).sum();
        let (mut bytes, mut rows) = (0.0, 0.0);
        for (leaf, counted) in leaves.iter().take(MEASURED_PARTITIONS) {
            // SAFETY: waits as the planner would; the table itself is locked already.
            unsafe { pg_sys::LockRelationOid(*leaf, pg_sys::AccessShareLock as i32) };
            // It may have been dropped while we waited.
            if part::counted_rows(*leaf).is_none() {
                continue;
            }
            let Some(part) = self.part(index, *leaf) else { continue };
            bytes += part.size.pages as f64 * f64::from(pg_sys::BLCKSZ);
            rows += counted;
            index.tuples += part.tuples;
            index.height = index.height.max(part.size.height);
        }
        let scale = if rows > 0.0 { all / rows } else { 1.0 };
        index.bytes = Bytes((bytes * scale) as u64);
        index.tuples *= scale;
    }

    /// The table itself, or the partitions that hold rows, largest first, each with the rows that were counted last. Not
    /// locked.
    fn leaves(&self, table: Oid) -> Vec<(Oid, f64)> {
        // An index on a table that others inherit from is on that table alone.
        if !is_partitioned(table) {
            return vec![(table, 1.0)];
        }
        // SAFETY: a scan of pg_inherits; nothing is opened.
        let partitions = unsafe { part::oids(server::find_all_inheritors(table, pg_sys::NoLock as i32, null_mut())) };
        let counted = partitions.into_iter().filter_map(|oid| Some((oid, part::counted_rows(oid)?)));
        let mut leaves: Vec<(Oid, f64)> = counted.collect();
        leaves.sort_by(|(a, few), (b, many)| many.total_cmp(few).then(a.to_u32().cmp(&b.to_u32())));
        leaves
    }

    fn relation(&self, oid: Oid) -> Rc<Relation> {
        db::check_for_interrupts();
        self.relations.borrow_mut().entry(oid).or_insert_with(|| Rc::new(Relation::read(oid))).clone()
    }

    /// The index's part on a table or partition; None where it has none.
    fn part(&self, index: &Index, relation: Oid) -> Option<Rc<Part>> {
        if let Some(part) = index.parts.borrow().get(&relation) {
            return part.clone();
        }
        let leaf = self.relation(relation);
        let concerned =
            leaf.holds_rows && (relation == index.definition.table || leaf.ancestors.contains(&index.definition.table));
        let part = concerned.then(|| Rc::new(Part::of(index, &leaf, &self.arena)));
        index.parts.borrow_mut().insert(relation, part.clone());
        part
    }

    fn vector_parameters(&self, oid: Oid) -> Option<VectorParameters> {
        let definition = &self.indexes[self.number_of(oid)?].definition;
        let number = |name, default| definition.parameter(name).map_or(default, |value| value as i32);
        Some(VectorParameters { m: number("m", 16), lists: number("lists", 100) })
    }
}
