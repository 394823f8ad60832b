//! The index sizes that `dbre.missing_fk_indexes()` estimates, beside those of the indexes once they are built.

#[path = "../harness/cluster.rs"]
mod cluster;

use cluster::{Cluster, Result, run};
use postgres::Client;

const AIM_PERCENT: f64 = 15.0;
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

fn main() -> Result<()> {
    let cluster = Cluster::start()?;
    eprintln!("loading the tables");
    run(cluster.psql("postgres").args(["-o", "/dev/null", "-f", "benches/index_size/tables.sql"]))?;
    let mut client = cluster.connect("postgres")?;
    client.batch_execute(
        "create extension pg_dbre; set search_path = benches_index_size; set maintenance_work_mem = '256MB'",
    )?;
    for case in client.query("select id, table_name, columns from cases order by id", &[])? {
        let (id, table, columns): (i32, String, Vec<String>) = (case.get(0), case.get(1), case.get(2));
        let foreign_key: String = client.query_one(FOREIGN_KEY, &[&id, &table, &columns])?.get(0);
        client.batch_execute(&foreign_key)?;
    }
    let estimates = client.query(ESTIMATES, &[])?;

    println!("\n{:<20} {:<20} {:>8} {:>12} {:>12} {:>8}", "table", "columns", "rows", "estimated", "real", "error");
    let mut errors = Vec::new();
    for row in estimates {
        let (table, columns): (String, Vec<String>) = (row.get(1), row.get(2));
        let name = columns.join(" ");
        let (Some(rows), Some(estimated)) = (row.get::<_, Option<i64>>(3), row.get::<_, Option<i64>>(4)) else {
            return Err(format!("missing_fk_indexes() estimates no index on {table} ({name})").into());
        };
        let real = build(&mut client, &table, &columns)?;
        let error = (estimated as f64 / real as f64 - 1.0) * 100.0;
        println!("{table:<20} {name:<20} {rows:>8} {estimated:>12} {real:>12} {error:>+7.1}%");
        errors.push(error.abs());
    }
    errors.sort_by(f64::total_cmp);
    let largest = *errors.last().ok_or("no cases")?;
    let verdict = if largest <= AIM_PERCENT { "ok" } else { "MISSED" };
    println!(
        "\n{} indexes: median error {:.1}%, largest {largest:.1}%; aim: within {AIM_PERCENT}%  {verdict}",
        errors.len(),
        errors[errors.len() / 2],
    );
    Ok(())
}

/// Bytes of the index, which is dropped again.
fn build(client: &mut Client, table: &str, columns: &[String]) -> Result<i64> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("create index measured on {table} ({})", columns.join(", ")))?;
    let bytes = transaction.query_one("select pg_catalog.pg_relation_size('measured')", &[])?.get(0);
    transaction.rollback()?;
    Ok(bytes)
}
