//! The indexes that the grid is measured over. They stand on one table at a time: of those of a table, a transaction of
//! the oracle makes the others invalid for itself.

use crate::cluster::{Cluster, Result};
use crate::database::DATABASE;
use postgres::Client;
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub struct Index {
    pub name: &'static str,
    pub hnsw: bool,
    pub definition: &'static str,
    /// Tuned as an existing index. The others are for their size.
    pub tuned: bool,
}

impl Index {
    pub fn lists(&self) -> i32 {
        let lists = self.definition.split_once("lists = ").map(|(_, rest)| rest.trim_end_matches(')'));
        lists.and_then(|lists| lists.parse().ok()).unwrap_or(100)
    }
}

const fn hnsw(name: &'static str, definition: &'static str, tuned: bool) -> Index {
    Index { name, hnsw: true, definition, tuned }
}

const fn ivfflat(name: &'static str, definition: &'static str) -> Index {
    Index { name, hnsw: false, definition, tuned: true }
}

/// ivfflat_50 is pgvector's rule (rows / 1000), ivfflat_100 and hnsw_16_64 its defaults.
pub const INDEXES: [Index; 10] = [
    hnsw("hnsw_16_64", "hnsw (embedding vector_cosine_ops)", true),
    ivfflat("ivfflat_100", "ivfflat (embedding vector_cosine_ops)"),
    ivfflat("ivfflat_50", "ivfflat (embedding vector_cosine_ops) with (lists = 50)"),
    ivfflat("ivfflat_224", "ivfflat (embedding vector_cosine_ops) with (lists = 224)"),
    hnsw("hnsw_16_200", "hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 200)", true),
    hnsw("hnsw_8_64", "hnsw (embedding vector_cosine_ops) with (m = 8, ef_construction = 64)", true),
    hnsw("hnsw_32_128", "hnsw (embedding vector_cosine_ops) with (m = 32, ef_construction = 128)", true),
    hnsw("hnsw_16_64_again", "hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 64)", true),
    hnsw("hnsw_halfvec", "hnsw ((embedding::halfvec(384)) halfvec_cosine_ops)", false),
    hnsw("hnsw_bit", "hnsw ((binary_quantize(embedding)::bit(384)) bit_hamming_ops)", false),
];

/// Builds what is not there. Levels of HNSW are random, so a build that is kept is the one that was measured.
pub fn build(cluster: &Cluster) -> Result<()> {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&notices);
    let mut config: postgres::Config = format!("user=postgres dbname={DATABASE}").parse()?;
    config.host_path(&cluster.folder).notice_callback(move |notice| {
        if let Ok(mut notices) = heard.lock() {
            notices.push(notice.message().to_string());
        }
    });
    let mut client = config.connect(postgres::NoTls)?;
    for index in &INDEXES {
        if client.query_opt("select from public.builds where name = $1", &[&index.name])?.is_some() {
            continue;
        }
        eprintln!("building {}", index.name);
        client.batch_execute(&format!("drop index if exists public.{}", index.name))?;
        let begun = Instant::now();
        client.batch_execute(&format!("create index {} on public.docs using {}", index.name, index.definition))?;
        let seconds = begun.elapsed().as_secs_f64();
        let notice = notices
            .lock()
            .map_or_else(|_| String::new(), |mut notices| notices.drain(..).collect::<Vec<_>>().join("; "));
        client.execute("insert into public.builds values ($1, $2, $3)", &[&index.name, &seconds, &notice])?;
    }
    client.batch_execute("analyze public.docs")?;
    Ok(())
}

/// Within this transaction there is no vector index on docs but this one, or none at all.
pub fn alone(client: &mut Client, name: Option<&str>) -> Result<()> {
    client.batch_execute("begin")?;
    client.execute(
        "update pg_catalog.pg_index i set indisvalid = c.relname is not distinct from $1
         from pg_catalog.pg_class c
         join pg_catalog.pg_am m on m.oid = c.relam
         where c.oid = i.indexrelid and i.indrelid = 'public.docs'::pg_catalog.regclass and m.amname in ('hnsw', 'ivfflat')",
        &[&name],
    )?;
    Ok(())
}
