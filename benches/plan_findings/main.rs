//! Findings on plans beside those of an expert, and what they cost:
//!
//!     cargo bench --bench plan_findings -- [corpus|overhead|size]… [--half rules|aside] [--only NAME,…] [--plans] [--scale N]
//!         [--keep FOLDER]
//!
//! - `--half`: of the corpus; both without it. `rules` was seen while the rules were written, `aside` was not
//! - `--only`: cases or files of the corpus by name, or queries of TPC-H by number
//! - `--plans`: prints the plan and all findings of each case that is judged otherwise than by the expert
//! - `--scale`: of TPC-H; 1 without it. The corpus always asks the large sample application
//! - `--keep`: leaves the cluster with its databases in FOLDER, running, and uses it when it is there; `bin/cluster stop`
//!   ends it

#[path = "../harness/cluster.rs"]
mod cluster;
#[path = "../harness/databases.rs"]
mod databases;

mod corpus;
mod overhead;
mod score;
mod size;

use cluster::{Cluster, Result};
use std::env;
use std::path::PathBuf;

const PARTS: [&str; 3] = ["corpus", "overhead", "size"];
/// A machine with an SSD and some memory; durability is not what is measured. Without JIT, which the corpus turns on where it
/// asks for it: whether it pays depends on the machine.
const SETTINGS: [&str; 7] = [
    "shared_buffers = '1GB'",
    "effective_cache_size = '4GB'",
    "maintenance_work_mem = '512MB'",
    "random_page_cost = 1.1",
    "max_wal_size = '16GB'",
    "track_io_timing = on",
    "jit = off",
];
const EXTENSION: &str = "drop extension if exists pg_dbre; create extension pg_dbre";

struct Options {
    half: Option<String>,
    only: Vec<String>,
    plans: bool,
    scale: f64,
}

impl Options {
    fn selects(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(&only.as_str()))
    }
}

fn main() -> Result<()> {
    let mut parts = Vec::new();
    let mut options = Options { half: None, only: Vec::new(), plans: false, scale: 1.0 };
    let mut keep = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // From cargo bench.
            "--bench" => {}
            "--half" => options.half = Some(value()?),
            "--only" => options.only = value()?.split(',').map(str::to_string).collect(),
            "--plans" => options.plans = true,
            "--scale" => options.scale = value()?.parse()?,
            "--keep" => keep = Some(PathBuf::from(value()?)),
            part if PARTS.contains(&part) => parts.push(part.to_string()),
            _ => return Err(format!("unknown argument {argument}; parts are {}", PARTS.join(", ")).into()),
        }
    }
    if options.scale.is_nan() || options.scale <= 0.0 {
        return Err("--scale must be above 0".into());
    }
    let cluster = Cluster::start(keep, &SETTINGS)?;
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|asked| asked == part);
    let mut met = true;
    if asked("corpus") {
        met &= score::measure(&cluster, &options)?;
    }
    if asked("overhead") {
        met &= overhead::measure(&cluster, &options)?;
    }
    if asked("size") {
        met &= size::measure(&cluster)?;
    }
    println!("\n{}", if met { "PASS: every aim is met" } else { "FAIL: not every aim is met" });
    Ok(())
}
