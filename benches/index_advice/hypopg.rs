//! What-if plans over SQL: hypothetical indexes of HypoPG and EXPLAIN, one query a time.

use crate::cluster::Result;
use crate::workload::{Column, Query};
use postgres::{Client, SimpleQueryMessage, Statement};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A btree, as the strategies in this harness know them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index {
    pub table: String,
    pub columns: Vec<String>,
}

impl Index {
    pub fn on(column: &Column) -> Index {
        Index { table: column.table.clone(), columns: vec![column.name.clone()] }
    }

    pub fn extended(&self, column: &str) -> Index {
        let mut index = self.clone();
        index.columns.push(column.to_string());
        index
    }

    pub fn definition(&self) -> String {
        let columns = self.columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        format!("create index on {} ({})", self.table, columns.join(", "))
    }
}

pub struct Plan {
    pub cost: f64,
    pub indexes: BTreeSet<String>,
}

pub fn explain(client: &mut Client, text: &str) -> Result<Plan> {
    let mut json = String::new();
    for message in client.simple_query(&format!("explain (generic_plan, format json) {text}"))? {
        if let SimpleQueryMessage::Row(row) = message {
            json += row.get(0).unwrap_or_default();
        }
    }
    plan_of(&serde_json::from_str(&json)?)
}

/// From EXPLAIN's JSON, with or without the array around it.
pub fn plan_of(json: &Value) -> Result<Plan> {
    let root = json.get(0).unwrap_or(json).get("Plan").ok_or("EXPLAIN gave no plan")?;
    let mut indexes = BTreeSet::new();
    index_names(root, &mut indexes);
    Ok(Plan { cost: root["Total Cost"].as_f64().ok_or("EXPLAIN gave no cost")?, indexes })
}

fn index_names(node: &Value, names: &mut BTreeSet<String>) {
    names.extend(node["Index Name"].as_str().map(str::to_string));
    for child in node["Plans"].as_array().into_iter().flatten() {
        index_names(child, names);
    }
}

struct Cached {
    cost: f64,
    /// What the plan took when it was made, with the hypothetical indexes that had to be made or dropped for it.
    took: Duration,
}

/// Plans for one strategy after the other. The cost cache is kept between runs; `begin` starts a run whose time counts
/// every plan that it asks for once, as if the cache had been empty.
pub struct WhatIf<'a> {
    client: Client,
    create: Statement,
    drop: Statement,
    queries: &'a [Query],
    columns: &'a [BTreeSet<Column>],
    /// OIDs of those that exist in the session now.
    made: BTreeMap<Index, u32>,
    sizes: HashMap<Index, u64>,
    cache: HashMap<(usize, Vec<Index>), Rc<Cached>>,
    run: Run,
}

struct Run {
    begun: Instant,
    asked: HashSet<(usize, Vec<Index>)>,
    saved: Duration,
}

impl<'a> WhatIf<'a> {
    pub fn new(client: Client, queries: &'a [Query], columns: &'a [BTreeSet<Column>]) -> Result<WhatIf<'a>> {
        let mut client = client;
        client.batch_execute("create extension if not exists hypopg")?;
        let create = "select indexrelid, hypopg_relation_size(indexrelid) from hypopg_create_index($1)";
        let (create, drop) = (client.prepare(create)?, client.prepare("select hypopg_drop_index($1)")?);
        let run = Run { begun: Instant::now(), asked: HashSet::new(), saved: Duration::ZERO };
        let (made, sizes, cache) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Ok(WhatIf { client, create, drop, queries, columns, made, sizes, cache, run })
    }

    pub fn begin(&mut self) {
        self.run = Run { begun: Instant::now(), asked: HashSet::new(), saved: Duration::ZERO };
    }

    /// Time since `begin` and plans that the run needed.
    pub fn spent(&self) -> (Duration, usize) {
        (self.run.begun.elapsed() + self.run.saved, self.run.asked.len())
    }

    /// Of all queries, weighted by calls.
    pub fn workload_cost(&mut self, indexes: &BTreeSet<Index>) -> Result<f64> {
        (0..self.queries.len()).map(|query| Ok(self.queries[query].calls * self.cost(query, indexes)?)).sum()
    }

    pub fn cost(&mut self, query: usize, indexes: &BTreeSet<Index>) -> Result<f64> {
        let relevant = indexes.iter().filter(|index| self.concerns(query, index)).cloned().collect();
        let key = (query, relevant);
        if let Some(cached) = self.cache.get(&key).cloned() {
            if self.run.asked.insert(key) {
                self.run.saved += cached.took;
            }
            return Ok(cached.cost);
        }
        let begun = Instant::now();
        self.make_exactly(indexes)?;
        let cost = explain(&mut self.client, &self.queries[query].text)?.cost;
        self.cache.insert(key.clone(), Rc::new(Cached { cost, took: begun.elapsed() }));
        self.run.asked.insert(key);
        Ok(cost)
    }

    pub fn bytes(&mut self, index: &Index) -> Result<u64> {
        if !self.sizes.contains_key(index) {
            self.make(index)?;
        }
        Ok(self.sizes[index])
    }

    /// The plan of a query with these indexes, and which of them it uses.
    pub fn used(&mut self, query: usize, indexes: &BTreeSet<Index>) -> Result<(f64, BTreeSet<Index>)> {
        self.make_exactly(indexes)?;
        let plan = explain(&mut self.client, &self.queries[query].text)?;
        self.run.asked.insert((query, indexes.iter().cloned().collect()));
        let is_used = |oid: u32| plan.indexes.iter().any(|name| name.starts_with(&format!("<{oid}>")));
        let used = self.made.iter().filter(|(_, oid)| is_used(**oid)).map(|(index, _)| index.clone()).collect();
        Ok((plan.cost, used))
    }

    fn concerns(&self, query: usize, index: &Index) -> bool {
        let wanted = |name: &String| Column { table: index.table.clone(), name: name.clone() };
        index.columns.iter().any(|name| self.columns[query].contains(&wanted(name)))
    }

    fn make_exactly(&mut self, indexes: &BTreeSet<Index>) -> Result<()> {
        let surplus = self.made.keys().filter(|index| !indexes.contains(index)).cloned().collect::<Vec<_>>();
        for index in surplus {
            if let Some(oid) = self.made.remove(&index) {
                self.client.execute(&self.drop, &[&oid])?;
            }
        }
        for index in indexes {
            if !self.made.contains_key(index) {
                self.make(index)?;
            }
        }
        Ok(())
    }

    fn make(&mut self, index: &Index) -> Result<()> {
        let row = self.client.query_one(&self.create, &[&index.definition()])?;
        self.made.insert(index.clone(), row.get(0));
        self.sizes.insert(index.clone(), row.get::<_, i64>(1) as u64);
        Ok(())
    }
}
