//! What `dbre.explain_findings(…, true)` takes beside EXPLAIN ANALYZE of the same query, with TPC-H.

use crate::cluster::{Cluster, Result};
use crate::{EXTENSION, Options, databases};
use postgres::Client;
use std::fs;
use std::time::{Duration, Instant};

const RUNS: usize = 3;
const AIM: f64 = 1.10;
const EXPLAIN: &str = "explain (analyze, buffers, wal, settings, verbose, format json) ";
const FINDINGS: &str = "select f.rule from dbre.explain_findings($1, true) f";
/// Foreign keys have their indexes, as in a database that somebody looks after: without them a query takes hours.
const INDEXES: &str = "
    create index on lineitem (l_partkey, l_suppkey);
    create index on lineitem (l_suppkey);
    create index on orders (o_custkey);
    create index on partsupp (ps_suppkey);
    create index on customer (c_nationkey);
    create index on supplier (s_nationkey);
    vacuum (analyze)";

pub fn measure(cluster: &Cluster, options: &Options) -> Result<bool> {
    let database = format!("tpch_{}", options.scale.to_string().replace('.', "_"));
    databases::once(cluster, &database, |loading| {
        eprintln!("loading TPC-H at scale {}", options.scale);
        databases::tpch(cluster, loading, options.scale)?;
        let mut client = cluster.connect(loading)?;
        INDEXES.split(';').try_for_each(|statement| Ok(client.batch_execute(statement)?))
    })?;
    let mut client = cluster.connect(&database)?;
    client.batch_execute(EXTENSION)?;
    println!("\nTPC-H at scale {}, medians of {RUNS}", options.scale);
    println!(
        "{:<6} {:>16} {:>20} {:>9} {:>7} {:>9}",
        "query", "EXPLAIN ANALYZE", "explain_findings()", "added", "ratio", "findings"
    );
    let (mut met, mut sums) = (true, [0.0; 2]);
    for number in 1..=22 {
        let number = format!("{number:02}");
        if !options.selects(&[&number]) {
            continue;
        }
        let query = fs::read_to_string(format!("{}/{number}.sql", databases::TPCH))?;
        let query = query.trim_end().trim_end_matches(';');
        let (mut explained, mut judged, mut findings) = (Vec::new(), Vec::new(), 0);
        // Once unmeasured: caches.
        client.query(&format!("{EXPLAIN}{query}"), &[])?;
        for _ in 0..RUNS {
            explained.push(timed(&mut client, |client| client.query(&format!("{EXPLAIN}{query}"), &[]).map(|_| ()))?);
            judged.push(timed(&mut client, |client| {
                client.query(FINDINGS, &[&query]).map(|rows| findings = rows.len())
            })?);
        }
        let (explained, judged) = (median(explained), median(judged));
        let ratio = judged / explained;
        met &= ratio <= AIM;
        sums = [sums[0] + explained, sums[1] + judged];
        println!(
            "{number:<6} {explained:>13.1} ms {judged:>17.1} ms {:>6.1} ms {ratio:>7.3} {findings:>9}  {}",
            judged - explained,
            if ratio <= AIM { "ok" } else { "MISSED" },
        );
    }
    println!(
        "all    {:>13.1} ms {:>17.1} ms {:>6.1} ms {:>7.3}",
        sums[0],
        sums[1],
        sums[1] - sums[0],
        sums[1] / sums[0]
    );
    println!("each at most {AIM}  {}", if met { "ok" } else { "MISSED" });
    Ok(met)
}

fn timed(
    client: &mut Client,
    run: impl FnOnce(&mut Client) -> std::result::Result<(), postgres::Error>,
) -> Result<Duration> {
    let begun = Instant::now();
    run(client)?;
    Ok(begun.elapsed())
}

/// In ms.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
