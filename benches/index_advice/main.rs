//! Index advice by `dbre.index_advice()` beside an Extend and a per-query-best strategy that plan over SQL with HypoPG, and
//! what is true of it:
//!
//!     cargo bench --bench index_advice -- [workloads|truth|accuracy|limits]… [--scale N] [--only NAME,…] [--keep FOLDER]
//!
//! - `--scale`: 1 for TPC-H and TPC-DS of scale 1, a fifth of IMDb's rows, the large sample application; 0.1 without it
//! - `--only`: of tpch, tpcds, job, app
//! - `--keep`: leaves the cluster with its databases in FOLDER, running, and uses it when it is there; `bin/cluster stop`
//!   ends it

#[path = "../harness/cluster.rs"]
mod cluster;
#[path = "../harness/databases.rs"]
mod databases;

mod accuracy;
mod advisor;
mod evaluate;
mod extend;
mod hypopg;
mod limits;
mod load;
mod pairs;
mod per_query;
mod random;
mod truth;
mod workload;
mod workloads;

use cluster::{Cluster, Result};
use std::env;
use std::path::PathBuf;

const PARTS: [&str; 4] = ["workloads", "truth", "accuracy", "limits"];
/// A machine with an SSD and some memory; durability is not what is measured.
const SETTINGS: [&str; 6] = [
    "shared_buffers = '1GB'",
    "effective_cache_size = '4GB'",
    "work_mem = '64MB'",
    "maintenance_work_mem = '512MB'",
    "random_page_cost = 1.1",
    "max_wal_size = '16GB'",
];

fn main() -> Result<()> {
    let mut parts = Vec::new();
    let mut scale = 0.1;
    let mut names = load::NAMES.map(str::to_string).to_vec();
    let mut keep = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // From cargo bench.
            "--bench" => {}
            "--scale" => scale = value()?.parse::<f64>()?,
            "--only" => names = value()?.split(',').map(str::to_string).collect(),
            "--keep" => keep = Some(PathBuf::from(value()?)),
            part if PARTS.contains(&part) => parts.push(part.to_string()),
            _ => return Err(format!("unknown argument {argument}; parts are {}", PARTS.join(", ")).into()),
        }
    }
    if let Some(name) = names.iter().find(|name| !load::NAMES.contains(&name.as_str())) {
        return Err(format!("no workload is named {name}").into());
    }
    if scale.is_nan() || scale <= 0.0 {
        return Err("--scale must be above 0".into());
    }
    let cluster = Cluster::start(keep, &SETTINGS)?;
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|asked| asked == part);
    let mut met = true;
    if asked("workloads") {
        met &= workloads::measure(&cluster, &names, scale)?;
    }
    if asked("truth") {
        met &= truth::measure(&cluster, &names, scale)?;
    }
    if asked("accuracy") {
        met &= accuracy::measure(&cluster, scale)?;
    }
    if asked("limits") {
        met &= limits::measure(&cluster, scale)?;
    }
    println!("\n{}", if met { "PASS: every aim is met" } else { "FAIL: not every aim is met" });
    Ok(())
}
