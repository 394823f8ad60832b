//! The index sizes that `dbre.missing_fk_indexes()` and `dbre.what_if()` estimate, beside those of the indexes once they are
//! built.

#[path = "../harness/cluster.rs"]
mod cluster;

use cluster::{Cluster, Result, run};
use postgres::Client;

const AIM_PERCENT: f64 = 15.0;
/// Of indexes of pgvector, whose size is a matter of arithmetic.
const VECTOR_AIM_PERCENT: f64 = 3.0;
/// $1, $2, $3: a row of `cases`. An empty parent is enough: a foreign key that is not valid still wants an index.
const FOREIGN_KEY: &str = "
    select pg_catalog.format(
        'create table parent_%1$s (%2$s, primary key (%3$s));
         alter table %4$I add constraint case_%1$s foreign key (%3$s) references parent_%1$s not valid',
        $1::int,
        pg_catalog.string_agg(
            pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' order by k.position),
        pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by k.position),
        $2::text)
    from pg_catalog.unnest($3::text[]) with ordinality k (name, position)
    join pg_catalog.pg_attribute a on a.attrelid = ($2::text)::pg_catalog.regclass and a.attname = k.name";
const ESTIMATES: &str = "
    select c.id, c.table_name, c.columns, m.child_rows, m.index_bytes
    from cases c
    left join dbre.missing_fk_indexes() m on m.constraint_name = 'case_' || c.id
    order by c.id";
/// $1: a CREATE INDEX.
const WHAT_IF: &str = "
    select (w.indexes->0->>'bytes')::bigint, (w.indexes->0->>'height')::int
    from dbre.what_if('select 1', array[$1::text]) w";

fn main() -> Result<()> {
    let cluster = Cluster::start(None, &[])?;
    eprintln!("loading the tables");
    for file in ["benches/index_size/tables.sql", "benches/index_size/kinds.sql"] {
        run(cluster.psql("postgres").args(["-o", "/dev/null", "-f", file]))?;
    }
    let mut client = cluster.connect("postgres")?;
    client.batch_execute(
        "create extension pg_dbre; set search_path = benches_index_size, public; set maintenance_work_mem = '256MB'",
    )?;
    foreign_keys(&mut client)?;
    kinds(&mut client)
}

fn foreign_keys(client: &mut Client) -> Result<()> {
    for case in client.query("select id, table_name, columns from cases order by id", &[])? {
        let (id, table, columns): (i32, String, Vec<String>) = (case.get(0), case.get(1), case.get(2));
        let foreign_key: String = client.query_one(FOREIGN_KEY, &[&id, &table, &columns])?.get(0);
        client.batch_execute(&foreign_key)?;
    }
    let estimates = client.query(ESTIMATES, &[])?;

    println!("\n{:<20} {:<20} {:>8} {:>12} {:>12} {:>8}", "table", "columns", "rows", "estimated", "real", "error");
    let mut errors = Errors::default();
    for row in estimates {
        let (table, columns): (String, Vec<String>) = (row.get(1), row.get(2));
        let name = columns.join(" ");
        let (Some(rows), Some(estimated)) = (row.get::<_, Option<i64>>(3), row.get::<_, Option<i64>>(4)) else {
            return Err(format!("missing_fk_indexes() estimates no index on {table} ({name})").into());
        };
        let real = build(client, &format!("{table} ({})", columns.join(", ")))?;
        let error = errors.add(estimated, real.bytes);
        println!("{table:<20} {name:<20} {rows:>8} {estimated:>12} {:>12} {error:>+7.1}%", real.bytes);
    }
    println!("\nmissing_fk_indexes(): {}", errors.verdict(AIM_PERCENT)?);
    Ok(())
}

fn kinds(client: &mut Client) -> Result<()> {
    println!("\n{:<90} {:>12} {:>12} {:>8} {:>7}", "index", "estimated", "real", "error", "height");
    let definitions = client.query("select method, body from definitions order by id", &[])?;
    let (mut of_methods, mut heights) = (Vec::<(String, Errors)>::new(), 0);
    for definition in definitions {
        let (method, body): (String, String) = (definition.get(0), definition.get(1));
        let estimate = client.query_one(WHAT_IF, &[&format!("create index on {body}")])?;
        let (estimated, height): (i64, i32) = (estimate.get(0), estimate.get(1));
        let real = build(client, &body)?;
        if of_methods.last().is_none_or(|(last, _)| *last != method) {
            of_methods.push((method, Errors::default()));
        }
        let (_, errors) = of_methods.last_mut().ok_or("no method")?;
        let error = errors.add(estimated, real.bytes);
        let height = match real.height {
            Some(built) if built != height => {
                heights += 1;
                format!("{height}/{built}")
            }
            Some(built) => built.to_string(),
            None => String::new(),
        };
        println!("{body:<90} {estimated:>12} {:>12} {error:>+7.1}% {height:>7}", real.bytes);
    }
    println!();
    for (method, errors) in of_methods {
        let aim = if ["hnsw", "ivfflat"].contains(&&*method) { VECTOR_AIM_PERCENT } else { AIM_PERCENT };
        println!("what_if(), {method}: {}", errors.verdict(aim)?);
    }
    println!("heights that differ: {heights}");
    Ok(())
}

#[derive(Default)]
struct Errors(Vec<f64>);

impl Errors {
    /// In percent.
    fn add(&mut self, estimated: i64, real: i64) -> f64 {
        let error = (estimated as f64 / real as f64 - 1.0) * 100.0;
        self.0.push(error.abs());
        error
    }

    fn verdict(mut self, aim: f64) -> Result<String> {
        self.0.sort_by(f64::total_cmp);
        let largest = *self.0.last().ok_or("no cases")?;
        Ok(format!(
            "{} indexes: median error {:.1}%, largest {largest:.1}%; aim: within {aim}%  {}",
            self.0.len(),
            self.0[self.0.len() / 2],
            if largest <= aim { "ok" } else { "MISSED" },
        ))
    }
}

struct Built {
    bytes: i64,
    /// Of a btree.
    height: Option<i32>,
}

/// Builds an index on `body` and drops it again.
fn build(client: &mut Client, body: &str) -> Result<Built> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("create index measured on {body}"))?;
    let built = transaction.query_one(
        "select pg_catalog.pg_relation_size(c.oid), case a.amname when 'btree' then (bt_metap('measured')).level::int end
         from pg_catalog.pg_class c
         join pg_catalog.pg_am a on a.oid = c.relam
         where c.oid = 'measured'::pg_catalog.regclass",
        &[],
    )?;
    let built = Built { bytes: built.get(0), height: built.get(1) };
    transaction.rollback()?;
    Ok(built)
}
