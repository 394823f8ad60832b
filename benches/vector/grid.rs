//! The oracle: what each setting of each index finds of the test queries and what pages it reads, by plain SQL. What was
//! measured once is kept in the cache.

use crate::cache::{Cache, Vectors};
use crate::cluster::{Cluster, Result};
use crate::database::DATABASE;
use crate::exact::{self, Truth};
use crate::indexes::{Index, alone};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

pub const K: usize = 10;
/// Of the held-out queries the first ones are the oracle's; tuning draws from the others.
pub const TEST: usize = 1_200;
const STEPS: [i32; 20] = [1, 2, 3, 4, 6, 8, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 450, 640, 1000];
/// Above it no target is.
const ENOUGH: f64 = 0.995;
const SEARCH: &str = "
    select q.id, array(select d.id from public.docs d order by d.embedding OPERATOR(public.<=>) q.embedding limit 10)
    from public.queries q
    where q.id < $1
    order by q.id";
const QUERIES_ALONE: &str = "select q.id, q.embedding from public.queries q where q.id < $1 order by q.id";
const PAGES: &str = "
    select pg_catalog.sum(s.shared_blks_hit + s.shared_blks_read)::float8
    from public.pg_stat_statements s
    where s.query like $1";

#[derive(Clone, Copy)]
pub struct Point {
    pub recall: f64,
    pub pages: f64,
    pub ms: f64,
}

pub struct Oracle<'a> {
    pub rows: &'a Vectors,
    queries: &'a Vectors,
    truths: Vec<Truth>,
    client: Client,
    folder: PathBuf,
    known: BTreeMap<&'static str, BTreeMap<i32, Point>>,
}

impl<'a> Oracle<'a> {
    pub fn new(cache: &Cache, cluster: &Cluster, rows: &'a Vectors, queries: &'a Vectors) -> Result<Oracle<'a>> {
        let mut client = cluster.connect(DATABASE)?;
        // The oracle alone: one plan for all queries, in which nothing but the index orders.
        client.batch_execute("set enable_seqscan = off; set plan_cache_mode = force_custom_plan")?;
        let folder = cache.folder.join("grid");
        fs::create_dir_all(&folder)?;
        Ok(Oracle { rows, queries, truths: Vec::new(), client, folder, known: BTreeMap::new() })
    }

    fn file(&self, index: &Index) -> PathBuf {
        self.folder.join(format!("{}.json", index.name))
    }

    fn known(&mut self, index: &Index) -> Result<&mut BTreeMap<i32, Point>> {
        if !self.known.contains_key(index.name) {
            let mut points = BTreeMap::new();
            if let Ok(text) = fs::read_to_string(self.file(index)) {
                for point in serde_json::from_str::<Vec<Value>>(&text)? {
                    let number = |key: &str| point[key].as_f64().ok_or_else(|| format!("{text}: no {key}"));
                    let measured = Point { recall: number("recall")?, pages: number("pages")?, ms: number("ms")? };
                    points.insert(number("setting")? as i32, measured);
                }
            }
            self.known.insert(index.name, points);
        }
        Ok(self.known.entry(index.name).or_default())
    }

    /// At this ef_search or these probes.
    pub fn at(&mut self, index: &Index, setting: i32) -> Result<Point> {
        if let Some(&point) = self.known(index)?.get(&setting) {
            return Ok(point);
        }
        let point = self.measure(index, setting)?;
        self.known(index)?.insert(setting, point);
        let points: Vec<Value> = self.known(index)?.iter()
            .map(|(setting, point)| json!({"setting": setting, "recall": point.recall, "pages": point.pages, "ms": point.ms}))
            .collect();
        fs::write(self.file(index), serde_json::to_string_pretty(&points)?)?;
        Ok(point)
    }

    fn measure(&mut self, index: &Index, setting: i32) -> Result<Point> {
        if self.truths.is_empty() {
            let queries: Vec<&[f32]> = (0..TEST).map(|id| self.queries.row(id)).collect();
            self.truths = exact::truths(self.rows, &queries, K, |_| true);
        }
        alone(&mut self.client, Some(index.name))?;
        let name = if index.hnsw { "hnsw.ef_search" } else { "ivfflat.probes" };
        self.client.batch_execute(&format!("load 'vector'; set local {name} = {setting}"))?;
        let test = TEST as i32;
        let plan: Vec<String> = self
            .client
            .query(&format!("explain {}", SEARCH.replace("$1", "1200")), &[])?
            .iter()
            .map(|line| line.get(0))
            .collect();
        if !plan.iter().any(|line| line.contains(&format!("using {} on", index.name))) {
            return Err(format!("{} is not used:\n{}", index.name, plan.join("\n")).into());
        }
        self.client.batch_execute("select public.pg_stat_statements_reset()")?;
        let begun = Instant::now();
        let answers = self.client.query(SEARCH, &[&test])?;
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        self.client.query(QUERIES_ALONE, &[&test])?;
        let pages =
            |client: &mut Client, like: &str| Ok::<f64, postgres::Error>(client.query_one(PAGES, &[&like])?.get(0));
        let all = pages(&mut self.client, "%array(select d.id from public.docs%")?;
        let theirs = pages(&mut self.client, "select q.id, q.embedding from public.queries%")?;
        self.client.batch_execute("rollback")?;

        let mut hits = 0;
        for row in &answers {
            let (id, found): (i32, Vec<i32>) = (row.get(0), row.get(1));
            let id = id as usize;
            let found = found.into_iter().map(|id| id as usize);
            hits += exact::hits(self.rows, self.queries.row(id), &self.truths[id], found);
        }
        Ok(Point { recall: hits as f64 / (TEST * K) as f64, pages: (all - theirs) / TEST as f64, ms: ms / TEST as f64 })
    }

    /// Rising settings, up to where nearly all is found.
    pub fn sweep(&mut self, index: &Index) -> Result<Vec<(i32, Point)>> {
        let mut found = Vec::new();
        for setting in STEPS.into_iter().filter(|&step| if index.hnsw { step >= 10 } else { step <= index.lists() }) {
            let point = self.at(index, setting)?;
            found.push((setting, point));
            if point.recall >= ENOUGH {
                break;
            }
        }
        Ok(found)
    }

    /// The smallest setting that meets the target on the test queries, within 2%: by halving between two steps of the sweep.
    pub fn cheapest(&mut self, index: &Index, target: f64) -> Result<Option<(i32, Point)>> {
        let sweep = self.sweep(index)?;
        let Some(place) = sweep.iter().position(|(_, point)| point.recall >= target) else { return Ok(None) };
        let (mut enough, mut best) = sweep[place];
        let mut short = if place == 0 { 0 } else { sweep[place - 1].0 };
        while enough - short > (enough / 50).max(1) {
            let middle = (enough + short) / 2;
            let point = self.at(index, middle)?;
            if point.recall >= target {
                (enough, best) = (middle, point);
            } else {
                short = middle;
            }
        }
        Ok(Some((enough, best)))
    }
}
