//! Sizes that are predicted beside those of indexes that are built, and the rows after which a build no longer fits into
//! maintenance_work_mem.

use crate::cluster::{Cluster, Result};
use crate::database::DATABASE;
use crate::indexes::INDEXES;
use postgres::Client;
use std::sync::{Arc, Mutex};

const SIZE_AIM: f64 = 0.03;
const SPILL_AIM: f64 = 0.05;
/// On 10,000 rows of 1536 dimensions.
const WIDE: [(&str, &str); 9] = [
    ("wide_hnsw_16", "hnsw (embedding vector_cosine_ops) with (ef_construction = 32)"),
    ("wide_hnsw_32", "hnsw (embedding vector_cosine_ops) with (m = 32, ef_construction = 64)"),
    ("wide_hnsw_48", "hnsw (embedding vector_l2_ops) with (m = 48, ef_construction = 96)"),
    ("wide_halfvec_16", "hnsw ((embedding::halfvec(1536)) halfvec_cosine_ops) with (ef_construction = 32)"),
    ("wide_halfvec_32", "hnsw ((embedding::halfvec(1536)) halfvec_ip_ops) with (m = 32, ef_construction = 64)"),
    ("wide_bit_16", "hnsw ((binary_quantize(embedding)::bit(1536)) bit_hamming_ops) with (ef_construction = 32)"),
    (
        "wide_subvector",
        "hnsw ((subvector(embedding, 1, 768)::vector(768)) vector_cosine_ops) with (ef_construction = 32)",
    ),
    ("wide_ivfflat_10", "ivfflat (embedding vector_cosine_ops) with (lists = 10)"),
    ("wide_ivfflat_100", "ivfflat ((embedding::halfvec(1536)) halfvec_l2_ops) with (lists = 100)"),
];
const WHAT_IF: &str = "select (w.indexes->0->>'bytes')::float8 from dbre.what_if('select 1', array[$1::text]) w";
const REAL: &str = "select pg_catalog.pg_relation_size($1::text::pg_catalog.regclass)::float8";

pub fn sizes(cluster: &Cluster) -> Result<bool> {
    let mut client = cluster.connect(DATABASE)?;
    println!("\n| index | definition | predicted bytes | real bytes | error |");
    println!("|---|---|--:|--:|--:|");
    let mut worst: f64 = 0.0;
    let docs = INDEXES.iter().map(|index| (index.name, "docs", index.definition));
    for (name, table, definition) in docs.chain(WIDE.iter().map(|&(name, definition)| (name, "wide", definition))) {
        client.batch_execute(&format!(
            "set client_min_messages = warning; create index if not exists {name} on public.{table} using {definition}"
        ))?;
        let ddl = format!("create index on public.{table} using {definition}");
        let predicted: f64 = client.query_one(WHAT_IF, &[&ddl])?.get(0);
        let real: f64 = client.query_one(REAL, &[&format!("public.{name}")])?.get(0);
        let error = predicted / real - 1.0;
        worst = worst.max(error.abs());
        println!("| {name} | {definition} | {predicted:.0} | {real:.0} | {:+.2}% |", 100.0 * error);
    }
    Ok(crate::aim("predicted size, largest error", worst, SIZE_AIM, worst <= SIZE_AIM))
}

struct Spill {
    definition: &'static str,
    table: &'static str,
    /// An expression over its embedding, and rows: a few more than fit.
    value: &'static str,
    rows: usize,
    memory: &'static str,
    workers: i32,
}

const fn spill(
    definition: &'static str,
    table: &'static str,
    value: &'static str,
    rows: usize,
    memory: &'static str,
) -> Spill {
    Spill { definition, table, value, rows, memory, workers: 0 }
}

const SPILLS: [Spill; 6] = [
    spill("hnsw (v vector_cosine_ops)", "wide", "embedding", 5_500, "32MB"),
    // A parallel build.
    Spill { workers: 1, ..spill("hnsw (v vector_cosine_ops)", "docs", "embedding", 30_000, "64MB") },
    spill("hnsw (v vector_cosine_ops) with (m = 32)", "docs", "embedding", 6_500, "16MB"),
    spill("hnsw (v halfvec_cosine_ops)", "wide", "embedding::halfvec(1536)", 5_000, "16MB"),
    spill("hnsw (v vector_cosine_ops)", "wide", "subvector(embedding, 1, 768)::vector(768)", 5_000, "16MB"),
    spill("hnsw (v bit_hamming_ops) with (m = 8)", "wide", "binary_quantize(embedding)::bit(1536)", 9_900, "6MB"),
];

/// What the advice says of an index that is there, of which a new build would not fit.
const PREDICTED: &str = "
    select f.evidence::text, (f.evidence->>'rows_that_fit')::float8
    from dbre.vector_index_advice('public.spilling') f
    where f.rule = 'vector_index_build_spills'";

pub fn spills(cluster: &Cluster) -> Result<bool> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&heard);
    let mut config: postgres::Config = format!("user=postgres dbname={DATABASE}").parse()?;
    config.host_path(&cluster.folder).notice_callback(move |notice| {
        if let Ok(mut notices) = notices.lock() {
            notices.push(notice.message().to_string());
        }
    });
    let mut client = config.connect(postgres::NoTls)?;
    println!("\n| index | value | maintenance_work_mem | workers | predicted rows | real rows | error |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    let mut worst: f64 = 0.0;
    for spill in &SPILLS {
        client.batch_execute(&format!(
            "drop table if exists public.spilling;
             create table public.spilling as select id, {} as v from public.{} where id < {};
             analyze public.spilling;
             set max_parallel_maintenance_workers = {};
             set maintenance_work_mem = '{}'",
            spill.value, spill.table, spill.rows, spill.workers, spill.memory
        ))?;
        if let Ok(mut heard) = heard.lock() {
            heard.clear();
        }
        client.batch_execute(&format!("create index spilling_v on public.spilling using {}", spill.definition))?;
        let said = heard.lock().map_or_else(|_| String::new(), |heard| heard.join("; "));
        let real = said
            .split_once("after ")
            .and_then(|(_, rest)| rest.split(' ').next())
            .and_then(|rows| rows.parse::<f64>().ok());
        let predicted = predicted(&mut client)?;
        let error = match (predicted, real) {
            (Some(predicted), Some(real)) => predicted / real - 1.0,
            (None, None) => 0.0,
            _ => 1.0,
        };
        worst = worst.max(error.abs());
        let shown = |rows: Option<f64>| rows.map_or_else(|| "none".to_string(), |rows| format!("{rows:.0}"));
        println!(
            "| {} | {} | {} | {} | {} | {} | {:+.2}% |",
            spill.definition,
            spill.value,
            spill.memory,
            spill.workers,
            shown(predicted),
            shown(real),
            100.0 * error
        );
    }
    client.batch_execute("drop table public.spilling")?;
    Ok(crate::aim("predicted spill point, largest error", worst, SPILL_AIM, worst <= SPILL_AIM))
}

fn predicted(client: &mut Client) -> Result<Option<f64>> {
    Ok(client.query_opt(PREDICTED, &[])?.and_then(|row| row.get(1)))
}
