//! How long the review of 500 statements takes in a database of 10,000 tables, and what comes of following the migrations
//! of packages: `bin/bench migrations [speed|packages]`.

#[path = "../harness/cluster.rs"]
mod cluster;
#[path = "../../tests/scenarios/migration_packages.rs"]
mod migration_packages;
#[path = "../../tests/scenarios/migration_truth.rs"]
mod migration_truth;

use cluster::{Cluster, Result, run};
use migration_packages::{Followed, LARGE, SMALL, follow};
use std::env;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

/// One statement for each of 500 tables, twelve forms in turn.
const MIGRATION: &str = "
    with tables as (
        select
            pg_catalog.row_number() over (order by c.oid) as i,
            pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
            pg_catalog.quote_ident(a.attname) as column_name
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = 2
        where c.relkind = 'r' and not c.relispartition and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbre')
        and c.oid::pg_catalog.int8 % 17 = 0
        limit 500
    )
    select pg_catalog.string_agg(
        case i % 12
            when 0 then pg_catalog.format('alter table %s add column note_%s text', name, i)
            when 1 then pg_catalog.format('alter table %s add column token_%s uuid default gen_random_uuid()', name, i)
            when 2 then pg_catalog.format('create index on %s (%s)', name, column_name)
            when 3 then pg_catalog.format('alter table %s alter column %s set not null', name, column_name)
            when 4 then pg_catalog.format('alter table %s alter column %s type text using %2$s::text', name, column_name)
            when 5 then pg_catalog.format('alter table %s add constraint check_%s check (%s is not null)', name, i, column_name)
            when 6 then pg_catalog.format('alter table %s drop column %s cascade', name, column_name)
            when 7 then pg_catalog.format('create table public.child_%s (id bigint primary key, note text default %L)', i, name)
            when 8 then pg_catalog.format('update %s set %s = %2$s', name, column_name)
            when 9 then pg_catalog.format('comment on table %s is %L', name, 'a table')
            when 10 then pg_catalog.format('drop table %s cascade', name)
            else pg_catalog.format('create unique index concurrently unique_%s on %s (%s)', i, name, column_name)
        end,
        E';\\n' order by i) || ';'
    from tables";

fn main() -> Result<()> {
    let asked: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let wanted = |what: &str| asked.is_empty() || asked.iter().any(|argument| argument == what);
    let cluster = Cluster::start(None, &["max_locks_per_transaction=512", "fsync=off"])?;
    if wanted("packages") {
        packages(&cluster)?;
    }
    if wanted("speed") {
        speed(&cluster)?;
    }
    Ok(())
}

fn speed(cluster: &Cluster) -> Result<()> {
    run(cluster.psql("postgres").args(["-c", "create database many"]))?;
    run(cluster.psql("many").args(["-o", "/dev/null", "-v", "tables=10000", "-f", "benches/catalog/schema.sql"]))?;
    run(cluster.psql("many").args(["-c", "create extension pg_dbre"]))?;
    let text: String = cluster.connect("many")?.query_one(MIGRATION, &[])?.get(0);
    println!("| function | statements | findings | first in a session ms | again ms | slowest ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    for function in ["migration_steps", "migration_findings", "migration_plan", "migration_rollback"] {
        let sql = format!("select pg_catalog.count(*) from dbre.{function}($1)");
        let mut first = Vec::new();
        let mut again = Vec::new();
        let mut rows = 0;
        for _ in 0..ROUNDS {
            let mut client = cluster.connect("many")?;
            for times in [&mut first, &mut again] {
                let begun = Instant::now();
                rows = client.query_one(&sql, &[&text])?.get::<_, i64>(0);
                times.push(begun.elapsed());
            }
        }
        let slowest = first.iter().chain(&again).max().copied().unwrap_or_default();
        println!(
            "| {function} | {} | {rows} | {} | {} | {} |",
            text.matches(";\n").count() + 1,
            ms(median(&mut first)),
            ms(median(&mut again)),
            ms(slowest)
        );
    }
    Ok(())
}

fn packages(cluster: &Cluster) -> Result<()> {
    let mut all = Followed::default();
    for (number, package) in SMALL.iter().chain(&LARGE).enumerate() {
        let database = format!("package_{number}");
        run(cluster.psql("postgres").args(["-c", &format!("create database {database}")]))?;
        run(cluster.psql(&database).args(["-c", "create extension pg_dbre"]))?;
        let begun = Instant::now();
        let followed =
            follow(package.name, &package.migrations()?, cluster.connect(&database)?, cluster.connect(&database)?);
        println!("{} in {} ms: {followed}", package.name, ms(begun.elapsed()));
        all.add(followed);
    }
    println!("all: {all}");
    for wrong in all.wrong().into_iter().chain(&all.do_not_apply) {
        println!("{wrong}\n");
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}
