//! Time on the clock, and of the processor: the server's process by the kernel's count, so that a busy machine tells as well.

use crate::cluster::{Cluster, Result};
use std::fs;
use std::time::Instant;

#[derive(Default)]
pub struct Cost {
    wall_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
    rows: usize,
}

impl Cost {
    pub fn median(&self) -> f64 {
        at(&self.wall_ms, 0.5)
    }
}

/// Each statement once a round, in one session; what takes very long is asked less often.
pub fn costs(cluster: &Cluster, statements: &[&str], rounds: usize) -> Result<Vec<Cost>> {
    const PATIENCE_MS: f64 = 20_000.0;
    let mut client = cluster.connect("postgres")?;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[])?.get(0);
    let prepared = statements.iter().map(|sql| client.prepare(sql)).collect::<std::result::Result<Vec<_>, _>>()?;
    let mut costs: Vec<Cost> = statements.iter().map(|_| Cost::default()).collect();
    for round in 0..=rounds {
        for (statement, cost) in prepared.iter().zip(&mut costs) {
            if cost.wall_ms.iter().sum::<f64>() > PATIENCE_MS {
                continue;
            }
            let (before, begun) = (spent_ms(pid)?, Instant::now());
            cost.rows = client.query(statement, &[])?.len();
            let wall_ms = begun.elapsed().as_secs_f64() * 1000.0;
            // The first fills caches.
            if round > 0 {
                cost.wall_ms.push(wall_ms);
                cost.cpu_ms.push(spent_ms(pid)? - before);
            }
        }
    }
    Ok(costs)
}

/// By a process so far.
pub fn spent_ms(pid: i32) -> Result<f64> {
    let times = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    Ok(times.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e6)
}

pub fn print(label: &str, cost: &Cost) {
    println!(
        "{label:<40} {:>5} rows {:>9.2} ms median {:>9.2} ms p99 {:>9.2} ms processor ({} calls)",
        cost.rows,
        cost.median(),
        at(&cost.wall_ms, 0.99),
        at(&cost.cpu_ms, 0.5),
        cost.wall_ms.len()
    );
}

fn at(times: &[f64], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get((share * times.len().saturating_sub(1) as f64).round() as usize).copied().unwrap_or(f64::NAN)
}
