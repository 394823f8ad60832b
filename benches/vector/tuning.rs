//! dbre.vector_tune() on indexes that exist, with queries that the oracle does not test: what its setting reads over what
//! the cheapest setting reads that meets the target, and whether it meets the target.

use crate::cluster::{Cluster, Result};
use crate::database::DATABASE;
use crate::grid::{K, Oracle, Point, TEST};
use crate::indexes::{INDEXES, Index};
use postgres::Client;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

pub const TARGETS: [f64; 3] = [0.90, 0.95, 0.99];
const REGRET_AIM: f64 = 1.10;
const MET_AIM: f64 = 0.95;
const COST_AIM: f64 = 0.10;
/// What vector_tune() takes by itself.
const SAMPLE: i32 = 1000;
const SAMPLED_ROWS: i32 = 400;
const TUNE: &str = "
    select t.recommended, coalesce(t.ef_search, t.probes) as setting, t.queries::float8, t.recall, t.recall_low, t.note, t.method is null
    from dbre.vector_tune($1::text::pg_catalog.regclass, target_recall => $2, k => $3, sample => $4, queries => $5, seed => $6,
        time_limit => '10 min') t";
/// Held-out queries that are no test queries.
const HELD: &str = "select embedding from public.queries where source = 'held' and id >= 1200
    order by pg_catalog.hashint8(id + 1000003::bigint * SEED)";

#[derive(Default)]
struct Policy {
    cells: usize,
    met: usize,
    regrets: Vec<f64>,
}

impl Policy {
    fn add(&mut self, target: f64, got: Point, best: Point) {
        self.cells += 1;
        if got.recall >= target {
            self.met += 1;
        }
        self.regrets.push(got.pages / best.pages);
    }

    fn print(&mut self, name: &str) {
        self.regrets.sort_by(f64::total_cmp);
        let mean = self.regrets.iter().sum::<f64>() / self.regrets.len().max(1) as f64;
        let percentile =
            |share: f64| self.regrets.get(((self.regrets.len() as f64 * share) as usize).min(self.regrets.len() - 1));
        if let (Some(median), Some(high), Some(most)) = (percentile(0.5), percentile(0.9), self.regrets.last()) {
            println!(
                "| {name} | {} | {:.1}% | {mean:.3} | {median:.3} | {high:.3} | {most:.3} |",
                self.cells,
                100.0 * self.met as f64 / self.cells as f64
            );
        }
    }

    fn mean(&self) -> f64 {
        self.regrets.iter().sum::<f64>() / self.regrets.len().max(1) as f64
    }
}

#[derive(Clone)]
struct Tuned {
    setting: Option<i32>,
    queries: f64,
    seconds: f64,
}

/// Which index, target and seed of held-out queries; without a seed vector_tune() samples rows itself.
type Cell = (&'static Index, f64, Option<i32>);

/// Whether the aims are met.
pub fn run(cluster: &Cluster, oracle: &mut Oracle, resamples: i32) -> Result<bool> {
    let (mut tuned, mut sampled, mut defaults, mut readme, mut none) =
        (Policy::default(), Policy::default(), Policy::default(), Policy::default(), Policy::default());
    let (mut shares, mut slowest) = (Vec::new(), 0.0f64);
    let exact = table_pages(&mut cluster.connect(DATABASE)?)?;
    let mut cells: Vec<Cell> = Vec::new();
    for index in INDEXES.iter().filter(|index| index.tuned) {
        for target in TARGETS {
            if let Some((_, best)) = oracle.cheapest(index, target)? {
                defaults.add(target, oracle.at(index, if index.hnsw { 40 } else { 1 })?, best);
                readme.add(target, oracle.at(index, if index.hnsw { 40 } else { root(index.lists()) })?, best);
                none.add(target, Point { recall: 1.0, pages: exact, ms: 0.0 }, best);
                cells.extend((1..=resamples).map(|seed| (index, target, Some(seed))));
            } else {
                println!("{} reaches {target} at no setting", index.name);
            }
        }
        if ["hnsw_16_64", "ivfflat_100"].contains(&index.name) {
            cells.push((index, 0.95, None));
        }
    }
    println!(
        "\n| index | target | queries | cheapest | recall | pages | advised | recall | regret | queries run | s |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for ((index, target, seed), cell) in all(cluster, &cells)? {
        let Some((cheapest, best)) = oracle.cheapest(index, target)? else { continue };
        let policy = if seed.is_some() { &mut tuned } else { &mut sampled };
        if seed.is_some() {
            shares.push(cell.queries / (sweep_settings(index) * f64::from(SAMPLE)));
            slowest = slowest.max(cell.seconds);
        }
        let source = seed.map_or("sampled rows".to_string(), |seed| format!("held out, {seed}"));
        let beginning =
            format!("| {} | {target} | {source} | {cheapest} | {:.4} | {:.0} |", index.name, best.recall, best.pages);
        let end = format!("{:.0} | {:.1} |", cell.queries, cell.seconds);
        match cell.setting {
            Some(setting) => {
                let got = oracle.at(index, setting)?;
                policy.add(target, got, best);
                println!("{beginning} {setting} | {:.4} | {:.3} | {end}", got.recall, got.pages / best.pages);
            }
            // Nothing was advised where something meets the target.
            None => {
                policy.cells += 1;
                println!("{beginning} none | | | {end}");
            }
        }
    }
    println!(
        "\nRegret: pages per query over those of the cheapest setting that meets the target, on {TEST} held-out queries."
    );
    println!("| policy | cells | target met | regret mean | median | p90 | most |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    tuned.print("dbre.vector_tune(), held-out queries");
    sampled.print("dbre.vector_tune(), sampled rows");
    defaults.print("pgvector's defaults (ef_search 40, probes 1)");
    readme.print("README (ef_search 40, probes = sqrt(lists))");
    none.print("no index");
    let share = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    let most = shares.iter().copied().fold(0.0, f64::max);
    println!(
        "\nTuning ran {:.1}% of the queries of a sweep in steps of a tenth (at most {:.1}%) and took {slowest:.0} s at most.",
        100.0 * share,
        100.0 * most
    );
    let met = tuned.met as f64 / tuned.cells.max(1) as f64;
    let aims = [
        crate::aim("regret of tuning, mean", tuned.mean(), REGRET_AIM, tuned.mean() <= REGRET_AIM),
        crate::aim("share of cells that meet the target", met, MET_AIM, met >= MET_AIM),
        crate::aim("share of the sweep's queries, most", most, COST_AIM, most <= COST_AIM),
    ];
    Ok(aims.iter().all(|&met| met))
}

fn root(lists: i32) -> i32 {
    f64::from(lists).sqrt().round() as i32
}

/// In two sessions, as most of the time is exact searches.
fn all(cluster: &Cluster, cells: &[Cell]) -> Result<Vec<(Cell, Tuned)>> {
    let next = AtomicUsize::new(0);
    let work = || -> std::result::Result<Vec<(usize, Tuned)>, String> {
        let mut client = cluster.connect(DATABASE).map_err(|error| error.to_string())?;
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(index, target, seed)) = cells.get(place) else { return Ok(done) };
            eprintln!("tuning {} for {target}", index.name);
            let tuned = tune(&mut client, index, target, seed);
            done.push((place, tuned.map_err(|error| format!("{}: {error:?}", index.name))?));
        }
    };
    let mut found = thread::scope(|scope| {
        let sessions = [scope.spawn(work), scope.spawn(work)];
        let done = sessions.into_iter().map(|session| session.join().expect("a session that tunes"));
        done.collect::<std::result::Result<Vec<_>, String>>()
    })?
    .concat();
    found.sort_by_key(|&(place, _)| place);
    Ok(found.into_iter().map(|(place, tuned)| (cells[place], tuned)).collect())
}

/// Settings from the least to the most, each a tenth above the one before: as fine as the aim of the regret.
fn sweep_settings(index: &Index) -> f64 {
    let (mut setting, most) = if index.hnsw { (K as i32, 1000) } else { (1, index.lists()) };
    let mut settings = 1.0;
    while setting < most {
        setting = (setting + 1).max((f64::from(setting) * 1.1).floor() as i32);
        settings += 1.0;
    }
    settings
}

/// `seed`: of held-out queries; without it the rows that vector_tune() samples itself.
fn tune(client: &mut Client, index: &Index, target: f64, seed: Option<i32>) -> Result<Tuned> {
    let queries = seed.map(|seed| HELD.replace("SEED", &seed.to_string()));
    let name = format!("public.{}", index.name);
    let begun = Instant::now();
    let sample = if seed.is_some() { SAMPLE } else { SAMPLED_ROWS };
    let rows = client.query(TUNE, &[&name, &target, &(K as i32), &sample, &queries, &seed.unwrap_or(1)])?;
    let seconds = begun.elapsed().as_secs_f64();
    let setting =
        rows.iter().find(|row| row.get::<_, Option<bool>>(0) == Some(true)).and_then(|row| row.get("setting"));
    let queries = rows.iter().filter(|row| !row.get::<_, bool>(6)).filter_map(|row| row.get::<_, Option<f64>>(2)).sum();
    Ok(Tuned { setting, queries, seconds })
}

/// What a search without an index reads.
fn table_pages(client: &mut Client) -> Result<f64> {
    let sql = "select pg_catalog.pg_relation_size('public.docs') / 8192.0::float8";
    Ok(client.query_one(sql, &[])?.get(0))
}
