//! The tables of the kept cluster: docs (50,000 x 384), queries (held out, and of another source), wide (10,000 x 1536).

use crate::cache::{Cache, Vectors, text};
use crate::cluster::{Cluster, Result, run};
use postgres::Client;
use std::io::Write;

pub const DATABASE: &str = "vectors";
const WIDE_ROWS: usize = 10_000;
/// Rows of 10,000; the rest is spread over fifty more kinds.
pub const KINDS: [(&str, u64); 4] = [("a42", 4200), ("b5.4", 540), ("c1.5", 150), ("d0.45", 45)];
const TABLES: &str = "
    create extension vector;
    create extension pg_stat_statements;
    create table public.docs (id integer primary key, kind text not null, embedding public.vector(384) not null);
    create table public.queries (id integer primary key, source text not null, embedding public.vector(384) not null);
    create table public.wide (id integer primary key, embedding public.vector(1536) not null);
    create table public.builds (name text primary key, seconds float8 not null, notice text)";

pub fn load(cache: &Cache, cluster: &Cluster) -> Result<()> {
    let mut postgres = cluster.connect("postgres")?;
    if postgres.query_opt("select from pg_catalog.pg_database where datname = $1", &[&DATABASE])?.is_some() {
        return Ok(());
    }
    let rows = cache.vectors("rows")?;
    eprintln!("loading {} embeddings", rows.len());
    let loading = format!("loading_{DATABASE}");
    postgres.batch_execute(&format!("drop database if exists {loading}"))?;
    postgres.batch_execute(&format!("create database {loading}"))?;
    run(cluster.psql(&loading).args(["-c", TABLES]))?;
    let mut client = cluster.connect(&loading)?;
    copy(&mut client, "docs", (0..rows.len()).map(|id| format!("{id}\t{}\t{}", kind(id), text(rows.row(id)))))?;
    let mut first = 0;
    for source in ["held", "other"] {
        let queries = cache.vectors(source)?;
        let lines = (0..queries.len()).map(|id| format!("{}\t{source}\t{}", first + id, text(queries.row(id))));
        copy(&mut client, "queries", lines)?;
        first += queries.len();
    }
    copy(&mut client, "wide", (0..WIDE_ROWS).map(|id| format!("{id}\t{}", text(&wide(&rows, id)))))?;
    client.batch_execute("create index docs_kind on public.docs (kind)")?;
    client.batch_execute("vacuum (analyze)")?;
    client.close()?;
    // Only what is complete has the name.
    Ok(postgres.batch_execute(&format!("alter database {loading} rename to {DATABASE}"))?)
}

/// Independent of the text and evenly mixed over the table.
pub fn kind(id: usize) -> String {
    let mixed = (id as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 33;
    let mut place = mixed % 10_000;
    for (name, share) in KINDS {
        if place < share {
            return name.to_string();
        }
        place -= share;
    }
    format!("x{}", place % 50)
}

/// Four embeddings in a row as one of 1536 dimensions and length 1: for sizes and memory, not for recall.
fn wide(rows: &Vectors, id: usize) -> Vec<f32> {
    (0..4).flat_map(|window| rows.row((id + window) % rows.len()).iter().map(|value| value / 2.0)).collect()
}

fn copy(client: &mut Client, table: &str, lines: impl Iterator<Item = String>) -> Result<()> {
    let mut writer = client.copy_in(&format!("copy public.{table} from stdin"))?;
    for line in lines {
        writeln!(writer, "{line}")?;
    }
    writer.finish()?;
    Ok(())
}
