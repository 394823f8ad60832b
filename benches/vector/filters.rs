//! Searches with a filter: what each way to serve them really takes and finds, and which one the advice prefers.

use crate::cache::Vectors;
use crate::cluster::{Cluster, Result};
use crate::database::{DATABASE, KINDS, kind};
use crate::exact::{self, Truth};
use crate::indexes::alone;
use crate::vector_filter::{Filtered, Way, choose};
use postgres::Client;
use std::time::Instant;

const QUERIES: usize = 200;
const K: usize = 10;
const EF_SEARCH: i32 = 40;
const ROUNDS: usize = 5;
/// Of the ways that find as much; of k, the rows that must be returned.
const WITHIN: f64 = 1.10;
const ENOUGH_ROWS: f64 = 0.95 * K as f64;
const ENOUGH_RECALL: f64 = 0.90;

struct Measured {
    way: Way,
    rows: f64,
    recall: f64,
    ms: f64,
}

pub fn run(cluster: &Cluster, rows: &Vectors, held: &Vectors) -> Result<bool> {
    let mut client = cluster.connect(DATABASE)?;
    println!("\n| filter | values | way | estimated ms | estimated rows | measured ms | rows | recall |  |");
    println!("|---|---|---|--:|--:|--:|--:|--:|---|");
    let (mut cases, mut right) = (0, 0);
    for (name, share) in KINDS {
        let queries: Vec<&[f32]> = (0..QUERIES).map(|id| held.row(id)).collect();
        let truths = exact::truths(rows, &queries, K, |id| kind(id) == name);
        let matching = (0..rows.len()).filter(|&id| kind(id) == name).count() as f64;
        let mut known: Vec<Measured> = Vec::new();
        for constant in [false, true] {
            let ranked = choose(&Filtered {
                rows: rows.len() as f64,
                selectivity: matching / rows.len() as f64,
                k: K as f64,
                dimensions: rows.dimensions as f64,
                ef_search: f64::from(EF_SEARCH),
                constant,
                equality: true,
                // As many as there are: too many to have an index each.
                distinct: Some(54.0),
                filter_indexed: true,
                toasted_bytes: None,
                iterative_scan: true,
            });
            let ranked: Vec<_> = ranked.into_iter().filter(|way| !matches!(way.way, Way::Partitions { .. })).collect();
            for alternative in &ranked {
                if !known.iter().any(|measured| measured.way == alternative.way) {
                    known.push(measure(&mut client, name, alternative.way, rows, &queries, &truths)?);
                }
            }
            let of = |way: Way| known.iter().find(|measured| measured.way == way);
            let enough = |measured: &&Measured| measured.rows >= ENOUGH_ROWS && measured.recall >= ENOUGH_RECALL;
            let best = ranked
                .iter()
                .filter_map(|alternative| of(alternative.way))
                .filter(enough)
                .map(|found| found.ms)
                .fold(f64::MAX, f64::min);
            let chosen = ranked.first().and_then(|first| of(first.way));
            let good = chosen.is_some_and(|chosen| enough(&chosen) && chosen.ms <= WITHIN * best);
            cases += 1;
            right += usize::from(good);
            for (place, alternative) in ranked.iter().enumerate() {
                let Some(measured) = of(alternative.way) else { continue };
                let mark = match (place, good) {
                    (0, true) => "advised, best or within 10%",
                    (0, false) => "advised, NOT the best",
                    _ if measured.ms == best => "best",
                    _ => "",
                };
                println!(
                    "| {:.2}% | {} | {:?} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3} | {mark} |",
                    share as f64 / 100.0,
                    if constant { "constant" } else { "vary" },
                    alternative.way,
                    alternative.ms,
                    alternative.rows,
                    measured.ms,
                    measured.rows,
                    measured.recall
                );
            }
        }
    }
    Ok(crate::aim(
        "filters for which the advised way is the best or within 10%",
        right as f64,
        cases as f64,
        right == cases,
    ))
}

fn measure(
    client: &mut Client,
    name: &str,
    way: Way,
    rows: &Vectors,
    queries: &[&[f32]],
    truths: &[Truth],
) -> Result<Measured> {
    let partial = format!("partial_{}", name.replace('.', "_"));
    if let Way::PartialIndex { .. } = way {
        client.batch_execute(&format!(
            "create index if not exists {partial} on public.docs using hnsw (embedding vector_cosine_ops) where kind = '{name}'"
        ))?;
    }
    let (index, settings) = match way {
        Way::AsIs => (Some("hnsw_16_64"), format!("set local hnsw.ef_search = {EF_SEARCH}")),
        Way::LargerEfSearch { ef_search } => (Some("hnsw_16_64"), format!("set local hnsw.ef_search = {ef_search}")),
        Way::IterativeScan => {
            let setting =
                format!("set local hnsw.ef_search = {EF_SEARCH}; set local hnsw.iterative_scan = relaxed_order");
            (Some("hnsw_16_64"), setting)
        }
        Way::PartialIndex { .. } => (Some(partial.as_str()), format!("set local hnsw.ef_search = {EF_SEARCH}")),
        Way::Exact | Way::Partitions { .. } => (None, String::new()),
    };
    alone(client, index)?;
    client.batch_execute(&format!("load 'vector'; {settings}"))?;
    if index.is_some() {
        client.batch_execute(
            "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off",
        )?;
    }
    let search = format!(
        "select q.id, array(
            select d.id from public.docs d where d.kind = '{name}' order by d.embedding <=> q.embedding limit {K})
         from public.queries q where q.id < {QUERIES} order by q.id"
    );
    if let Some(index) = index {
        let plan: Vec<String> =
            client.query(&format!("explain {search}"), &[])?.iter().map(|line| line.get(0)).collect();
        if !plan.iter().any(|line| line.contains(&format!("using {index} on"))) {
            return Err(format!("{index} is not used:\n{}", plan.join("\n")).into());
        }
    }
    let mut ms = f64::MAX;
    let (mut returned, mut recall) = (0, 0.0);
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let answers = client.query(&search, &[])?;
        ms = ms.min(begun.elapsed().as_secs_f64() * 1e3 / QUERIES as f64);
        if round == 0 {
            for row in &answers {
                let (id, found): (i32, Vec<i32>) = (row.get(0), row.get(1));
                let (query, truth) = (queries[id as usize], &truths[id as usize]);
                returned += found.len();
                let hits = exact::hits(rows, query, truth, found.into_iter().map(|id| id as usize));
                recall += hits as f64 / truth.ids.len() as f64;
            }
        }
    }
    client.batch_execute("rollback")?;
    Ok(Measured { way, rows: returned as f64 / QUERIES as f64, recall: recall / QUERIES as f64, ms })
}
