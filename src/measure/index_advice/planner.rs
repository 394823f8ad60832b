//! The server's planner behind the search.

use super::source::SourcedQuery;
use super::writes::Writes;
use crate::advice::index_ddl;
use crate::advice::index_selection::{Candidate, Hypothetical, Planned, Planner, Stage};
use crate::db::{self, as_role, guarded};
use crate::facts::Catalog;
use crate::facts::query::{Part, QueryShape};
use crate::measure::query::PRINTED_IN;
use crate::measure::what_if::WhatIf;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// So many plans are made in any case: what the search begins with tells most.
const LEAST_PLANS: usize = 10;

pub struct Advisor<'a> {
    catalog: &'a Catalog,
    queries: &'a [SourcedQuery],
    what_if: WhatIf,
    /// Made so far.
    plans: usize,
    writes: Writes,
    begun: Instant,
    time_limit: Duration,
    /// Of the stage.
    deadline: Instant,
    /// Whose text an expression or predicate is.
    authors: HashMap<String, u32>,
    /// By table, a role that reads it.
    readers: HashMap<u32, u32>,
    /// More than one role has queries in the workload.
    several_roles: bool,
    /// Attached indexes of partitions, with the index they are attached to.
    parents: HashMap<u32, u32>,
    /// The other way round, for indexes that are attached to none.
    parts: HashMap<u32, Vec<u32>>,
}

impl<'a> Advisor<'a> {
    pub fn new(
        catalog: &'a Catalog,
        queries: &'a [SourcedQuery],
        writes: Writes,
        (begun, time_limit): (Instant, Duration),
    ) -> Advisor<'a> {
        let (mut authors, mut readers) = (HashMap::new(), HashMap::new());
        for query in queries {
            for reference in &query.shape.references {
                readers.entry(reference.table).or_insert(query.role);
            }
            for text in texts(&query.shape) {
                authors.entry(text.to_string()).or_insert(query.role);
            }
        }
        let indexes = catalog.all_tables().flat_map(|table| &table.indexes);
        let parents = indexes.filter_map(|index| Some((index.oid, index.parent?))).collect();
        let mut advisor = Advisor {
            catalog,
            queries,
            what_if: WhatIf::new(),
            plans: 0,
            writes,
            begun,
            time_limit,
            deadline: begun + time_limit.mul_f64(share_until(Stage::Proposing)),
            authors,
            readers,
            several_roles: queries.iter().map(|query| query.role).collect::<HashSet<_>>().len() > 1,
            parents,
            parts: HashMap::new(),
        };
        for part in advisor.parents.keys() {
            advisor.parts.entry(advisor.top(*part)).or_default().push(*part);
        }
        advisor
    }

    /// The role with whose rights the candidate is analyzed: nothing in it is another's.
    fn author(&self, candidate: &Candidate) -> Option<u32> {
        let expressions = candidate.keys.iter().filter_map(|key| match &key.part {
            Part::Expression(text) => Some(text),
            Part::Column(_) => None,
        });
        let mut author = None;
        for text in expressions.chain(&candidate.predicate) {
            // A merged predicate is nobody's alone.
            let role = *self.authors.get(text)?;
            if author.is_some_and(|known| known != role) {
                return None;
            }
            author = Some(role);
        }
        author.or_else(|| self.readers.get(&candidate.table).copied())
    }

    fn tops(&self, indexes: &[u32]) -> Vec<u32> {
        let mut tops: Vec<u32> = indexes.iter().map(|index| self.top(*index)).collect();
        tops.sort_unstable();
        tops.dedup();
        tops
    }

    fn top(&self, mut index: u32) -> u32 {
        while let Some(parent) = self.parents.get(&index) {
            index = *parent;
        }
        index
    }
}

impl Planner for Advisor<'_> {
    fn hypothesize(&mut self, candidate: &Candidate) -> Option<Hypothetical> {
        db::check_for_interrupts();
        let table = self.catalog.known(candidate.table)?;
        let role = self.author(candidate)?;
        let statement = format!("CREATE INDEX ON {} {}", table.name, index_ddl::specification(candidate, table));
        let id = guarded(|| as_role(role, PRINTED_IN, || self.what_if.add("candidate", &statement))).ok()?;
        let index = self.what_if.index(id);
        // Planning with it runs its functions, with the rights of whoever's query is planned.
        if self.several_roles && !index.calls_only_superusers_functions() {
            return None;
        }
        let write_cost = self.writes.cost(table, candidate, index);
        Some(Hypothetical { id, bytes: index.bytes.0, write_cost })
    }

    fn plan(&mut self, query: usize, created: &[usize], hidden: &[u32]) -> Option<Planned> {
        let query = &self.queries[query];
        if created.is_empty() && hidden.is_empty() {
            return Some(Planned { cost: query.cost, used: Vec::new(), existing_used: self.tops(&query.indexes) });
        }
        self.plans += 1;
        let mut hidden: Vec<u32> = hidden
            .iter()
            .flat_map(|index| self.parts.get(index).into_iter().flatten().chain([index]))
            .copied()
            .collect();
        hidden.sort_unstable();
        let planned = guarded(|| {
            as_role(query.role, &query.search_path, || self.what_if.plan(&query.query, query.values, created, &hidden))
        })
        .ok()?;
        Some(Planned { cost: planned.cost, used: planned.created, existing_used: self.tops(&planned.existing) })
    }

    fn time_is_up(&self) -> bool {
        db::check_for_interrupts();
        self.plans >= LEAST_PLANS && Instant::now() > self.deadline
    }

    fn enter(&mut self, stage: Stage) {
        self.deadline = self.begun + self.time_limit.mul_f64(share_until(stage));
    }
}

/// Of the time limit, what may have passed when a stage ends.
fn share_until(stage: Stage) -> f64 {
    match stage {
        Stage::Proposing => 0.5,
        Stage::Probing => 0.65,
        Stage::Choosing => 0.75,
        // All that is chosen is planned once more for all queries that it concerns.
        Stage::Improving | Stage::Dropping | Stage::Done => 1.0,
    }
}

/// Expressions and predicates that candidates are made of.
fn texts(shape: &QueryShape) -> impl Iterator<Item = &str> {
    fn expression(part: &Part) -> Option<&str> {
        match part {
            Part::Expression(text) => Some(text),
            Part::Column(_) => None,
        }
    }
    shape.references.iter().flat_map(|reference| {
        let conditions = reference.conditions.iter().filter_map(|condition| expression(&condition.part));
        let orders = reference.orders.iter().flat_map(|order| &order.keys);
        let orders = orders.filter_map(|key| expression(&key.part));
        conditions.chain(orders).chain(reference.predicates.iter().map(String::as_str))
    })
}
