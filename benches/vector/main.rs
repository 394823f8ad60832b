//! Recall, tuning, sizes and filters on real embeddings: `bin/bench vector [build|grid|sizes|spills|recall|filters|tuning …] [--resamples N]`.

mod cache;
#[path = "../harness/cluster.rs"]
mod cluster;
mod database;
mod exact;
mod filters;
mod grid;
mod indexes;
mod recall;
mod sizes;
mod tuning;
#[allow(dead_code, reason = "its unit tests are those of the extension")]
#[path = "../../src/advice/vector_filter.rs"]
mod vector_filter;

use cache::Cache;
use cluster::Result;
use grid::Oracle;
use indexes::INDEXES;
use std::env;

/// Of the queries to tune with, for each index and target; `--resamples 3` takes half an hour.
const RESAMPLES: i32 = 1;

const PARTS: [&str; 7] = ["build", "grid", "sizes", "spills", "recall", "filters", "tuning"];
/// In a cluster that was kept it may be of another build.
const EXTENSION: &str = "drop extension if exists pg_dbre; create extension pg_dbre";

fn main() -> Result<()> {
    let mut asked: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let resamples = match asked.iter().position(|argument| argument == "--resamples") {
        Some(place) => {
            let given = asked.drain(place..).nth(1).ok_or("--resamples wants a number")?;
            given.parse().map_err(|_| format!("--resamples {given}: no number"))?
        }
        None => RESAMPLES,
    };
    if let Some(other) = asked.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("no such part: {other}; there are {}", PARTS.join(", ")).into());
    }
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|argument| argument == part);
    let cache = Cache::open()?;
    let kept = cache.cluster()?;
    let cluster = &kept.cluster;
    database::load(&cache, cluster)?;
    indexes::build(cluster)?;
    let (rows, held) = (cache.vectors("rows")?, cache.vectors("held")?);
    let mut oracle = Oracle::new(&cache, cluster, &rows, &held)?;
    if wanted("grid") {
        grid(&mut oracle)?;
    }
    let mut met = true;
    if ["sizes", "spills", "recall", "filters", "tuning"].into_iter().any(wanted) {
        cluster.connect(database::DATABASE)?.batch_execute(EXTENSION)?;
    }
    if wanted("sizes") {
        met &= sizes::sizes(cluster)?;
    }
    if wanted("spills") {
        met &= sizes::spills(cluster)?;
    }
    if wanted("recall") {
        met &= recall::run(cluster, &rows, &held)?;
    }
    if wanted("filters") {
        met &= filters::run(cluster, &rows, &held)?;
    }
    if wanted("tuning") {
        met &= tuning::run(cluster, &mut oracle, resamples)?;
    }
    println!("\n{}", if met { "All aims of these parts are met." } else { "Not all aims are met." });
    Ok(())
}

/// Prints it beside the aim.
pub fn aim(what: &str, measured: f64, aim: f64, met: bool) -> bool {
    println!("AIM {}: {what}: {measured:.4} (aim {aim})", if met { "met" } else { "NOT MET" });
    met
}

fn grid(oracle: &mut Oracle) -> Result<()> {
    println!("| index | setting | recall@10 | pages | ms |");
    println!("|---|--:|--:|--:|--:|");
    for index in INDEXES.iter().filter(|index| index.tuned) {
        let mut points = oracle.sweep(index)?;
        for target in tuning::TARGETS {
            points.extend(oracle.cheapest(index, target)?);
        }
        points.sort_by_key(|&(setting, _)| setting);
        points.dedup_by_key(|&mut (setting, _)| setting);
        for (setting, point) in points {
            println!("| {} | {setting} | {:.4} | {:.1} | {:.2} |", index.name, point.recall, point.pages, point.ms);
        }
    }
    Ok(())
}
