//! A planner with a cost model that can be worked out by hand, for tests.

use super::{
    Candidate, ColumnStatistics, ExistingIndex, Hypothetical, Key, Planned, Planner, TableStatistics, Workload,
};
use crate::facts::query::{Condition, ConditionKind, Order, OrderKey, Part, QueryShape, Reference, Way};

pub fn key(column: i16) -> Key {
    Key { part: Part::Column(column), class: None, collation: None, descending: false, nulls_first: false }
}

pub fn btree(table: u32, keys: &[i16], included: &[i16]) -> Candidate {
    Candidate {
        table,
        method: "btree".into(),
        keys: keys.iter().copied().map(key).collect(),
        included: included.to_vec(),
        predicate: None,
    }
}

pub fn existing(oid: u32, table: u32, keys: &[i16]) -> ExistingIndex {
    let Candidate { method, keys, included, predicate, .. } = btree(table, keys, &[]);
    ExistingIndex { oid, table, method, keys, included, predicate, unique: false, droppable: true, bytes: 8192 }
}

pub fn way(method: &str) -> Way {
    Way { method: method.into(), class: None, collation: None }
}

pub fn condition(column: i16, kind: ConditionKind) -> Condition {
    let methods: &[&str] = if kind == ConditionKind::Other { &["gin"] } else { &["btree", "brin", "hash"] };
    Condition {
        part: Part::Column(column),
        kind,
        ways: methods.iter().map(|method| way(method)).collect(),
        text: format!("c{column} {kind:?}"),
    }
}

pub fn order(columns: &[i16]) -> Order {
    let keys = columns.iter().map(|column| OrderKey {
        part: Part::Column(*column),
        descending: false,
        nulls_first: false,
        ways: vec![way("btree")],
    });
    Order { keys: keys.collect(), any_order: false }
}

/// Ten columns of 8 bytes, the first unique, each with fewer values than the one before it.
const ROWS_PER_PAGE: f64 = 70.0;

fn rows(table: &TableStatistics) -> f64 {
    table.pages * ROWS_PER_PAGE
}

pub fn table(rows: f64) -> TableStatistics {
    let column = |number: i16| ColumnStatistics {
        distinct: (rows / 10_f64.powi(i32::from(number) - 1)).max(2.0),
        null_fraction: 0.0,
        average_width: 8.0,
        fits_btree: true,
    };
    TableStatistics {
        pages: (rows / ROWS_PER_PAGE).ceil(),
        columns: (1..=10).map(|number| (number, column(number))).collect(),
    }
}

pub fn query(references: Vec<Reference>) -> QueryShape {
    QueryShape { references, ..QueryShape::default() }
}

/// Costs each reference by its best index, existing or not; a query is the sum of its references.
pub struct Simulation<'a> {
    pub workload: &'a Workload,
    pub registered: Vec<Candidate>,
    pub plans: usize,
    /// Time is up after so many plans.
    pub most_plans: usize,
    /// Share of its bytes that an index costs in writes.
    pub write_share: f64,
}

impl<'a> Simulation<'a> {
    pub fn new(workload: &'a Workload) -> Simulation<'a> {
        Simulation { workload, registered: Vec::new(), plans: 0, most_plans: usize::MAX, write_share: 0.0 }
    }

    fn share(&self, condition: &Condition, table: &TableStatistics) -> f64 {
        let Part::Column(column) = condition.part else { return 0.1 };
        match condition.kind {
            ConditionKind::Equality | ConditionKind::Join { .. } => 1.0 / table.columns[&column].distinct.max(1.0),
            ConditionKind::Membership => (3.0 / table.columns[&column].distinct).min(1.0),
            _ => 0.05 + 0.02 * f64::from(column % 5),
        }
    }

    fn sequential(&self, reference: &Reference, table: &TableStatistics) -> f64 {
        table.pages + 0.01 * rows(table) + self.sorting(reference, table)
    }

    fn sorting(&self, reference: &Reference, table: &TableStatistics) -> f64 {
        let shares = reference.conditions.iter().map(|condition| self.share(condition, table));
        let rows = (rows(table) * shares.product::<f64>()).max(1.0);
        if reference.orders.is_empty() { 0.0 } else { 0.01 * rows * rows.log2().max(1.0) }
    }

    /// None where the index is of no use.
    fn index_scan(&self, reference: &Reference, table: &TableStatistics, index: &Candidate) -> Option<f64> {
        if index.predicate.as_ref().is_some_and(|predicate| !reference.predicates.contains(predicate)) {
            return None;
        }
        let (mut share, mut fetched, mut leading) = (1.0, 1.0, true);
        let mut equal = 0;
        for key in &index.keys {
            match reference.conditions.iter().find(|condition| condition.part == key.part) {
                Some(condition) => {
                    let own = self.share(condition, table);
                    fetched *= own;
                    if leading {
                        share *= own;
                    }
                    let is_equal = !matches!(condition.kind, ConditionKind::Range | ConditionKind::Prefix);
                    equal += usize::from(leading && is_equal);
                    leading &= is_equal;
                }
                None => leading = false,
            }
        }
        let columns: Vec<i16> = index.columns().collect();
        let alone = !reference.whole_rows && reference.columns.iter().all(|column| columns.contains(column));
        let ordered = reference.orders.iter().any(|order| {
            (0..=equal).any(|skipped| {
                let keys = index.keys[skipped..].iter().map(|key| &key.part);
                keys.take(order.keys.len()).eq(order.keys.iter().map(|key| &key.part))
            })
        });
        let partial = if index.predicate.is_some() { 0.1 } else { 1.0 };
        let read = share * partial * self.bytes(index) as f64 / 8192.0;
        let heap = if alone { 0.0 } else { (rows(table) * fetched).min(table.pages * 4.0) };
        let sort = if ordered { 0.0 } else { self.sorting(reference, table) };
        Some(8.0 + read + 0.005 * rows(table) * share + heap + sort)
    }

    fn bytes(&self, index: &Candidate) -> u64 {
        let table = &self.workload.tables[&index.table];
        let share = if index.predicate.is_some() { 0.1 } else { 1.0 };
        ((rows(table) * share * (16.0 + 8.0 * index.columns().count() as f64)) as u64).max(16384)
    }
}

impl Planner for Simulation<'_> {
    fn hypothesize(&mut self, candidate: &Candidate) -> Option<Hypothetical> {
        self.registered.push(candidate.clone());
        let bytes = self.bytes(candidate);
        Some(Hypothetical { id: self.registered.len() - 1, bytes, write_cost: self.write_share * bytes as f64 })
    }

    fn plan(&mut self, query: usize, created: &[usize], hidden: &[u32]) -> Option<Planned> {
        self.plans += 1;
        let existing: Vec<(u32, Candidate)> = self
            .workload
            .indexes
            .iter()
            .filter(|index| !hidden.contains(&index.oid))
            .map(|index| (index.oid, index.as_candidate()))
            .collect();
        let mut planned = Planned { cost: 0.0, used: Vec::new(), existing_used: Vec::new() };
        for reference in &self.workload.queries[query].shape.references {
            let table = self.workload.tables.get(&reference.table)?;
            let mut best = (self.sequential(reference, table), None, None);
            for (oid, index) in existing.iter().filter(|(_, index)| index.table == reference.table) {
                if let Some(cost) = self.index_scan(reference, table, index).filter(|cost| *cost < best.0) {
                    best = (cost, None, Some(*oid));
                }
            }
            for id in created.iter().filter(|id| self.registered[**id].table == reference.table) {
                let cost = self.index_scan(reference, table, &self.registered[*id]);
                if let Some(cost) = cost.filter(|cost| *cost < best.0) {
                    best = (cost, Some(*id), None);
                }
            }
            planned.cost += best.0;
            planned.used.extend(best.1);
            planned.existing_used.extend(best.2);
        }
        planned.used.sort_unstable();
        planned.used.dedup();
        Some(planned)
    }

    fn time_is_up(&self) -> bool {
        self.plans >= self.most_plans
    }
}
