//! Plans and costs of hypothetical indexes beside those of the same indexes really built.

use crate::cluster::{Cluster, Result};
use crate::evaluate::build;
use crate::hypopg::{Plan, explain};
use crate::load;
use crate::pairs::{Pair, Source};
use crate::random::Random;
use crate::workloads::verdict;
use postgres::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PAIRS: usize = 200;
const SEED: u64 = 3;
const SHARE: f64 = 0.95;
const CLOSE: f64 = 0.05;
const SHOWN: usize = 10;
const NAME: &str = "bench_pair";
/// TPC-H has no array: the words of the parts' names are one.
const WORDS: &str = "
    drop table if exists public.part_words;
    create table public.part_words as
    select p_partkey as part, pg_catalog.string_to_array(p_name, ' ') as words from part";
/// Plans name partitions' indexes, the what-if has only that of the partitioned table and qualifies those that exist.
const ROOTS: &str = "
    select distinct coalesce(
        (
            select root.relname
            from pg_catalog.pg_class c
            join pg_catalog.pg_class root on root.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
            where (c.relname = used.name or c.oid = pg_catalog.to_regclass(used.name)) and c.relkind = 'i'
            order by c.relname
            limit 1
        ),
        used.name)::text
    from pg_catalog.unnest($1::text[]) as used (name)";
/// Or the table itself.
const PARTITIONS: &str = "
    select p.relid::pg_catalog.regclass::text from pg_catalog.pg_partition_tree($1::text::regclass) p where p.isleaf
    union
    select $1";

struct Compared {
    pair: Pair,
    predicted: Plan,
    real: Plan,
    /// Predicted, real.
    bytes: (f64, f64),
    /// The error where nothing told of an expression's values.
    blind: Option<f64>,
}

impl Compared {
    fn error(&self) -> f64 {
        self.predicted.cost / self.real.cost - 1.0
    }

    fn same_indexes(&self) -> bool {
        self.predicted.indexes == self.real.indexes
    }

    fn close(&self) -> bool {
        self.error().abs() <= CLOSE
    }
}

pub fn measure(cluster: &Cluster, scale: f64) -> Result<bool> {
    let mut compared = Vec::new();
    for name in ["tpch", "app"] {
        load::workload(cluster, name, scale)?;
        let mut client = load::connect(cluster, name)?;
        client.batch_execute(load::EXTENSION)?;
        if name == "tpch" {
            client.batch_execute(WORDS)?;
            client.batch_execute("vacuum (analyze) public.part_words")?;
        }
        let source = Source::read(&mut client)?;
        let mut random = Random::new(SEED);
        for _ in 0..PAIRS / 2 {
            compared.push(compare(&mut client, source.draw(&mut random))?);
        }
        client.batch_execute("drop table if exists public.part_words")?;
    }
    Ok(print(compared))
}

fn compare(client: &mut Client, pair: Pair) -> Result<Compared> {
    let definition = format!("create index {NAME} on {}", pair.on);
    let (mut predicted, bytes) = what_if(client, &pair.query, &definition)?;
    client.batch_execute("begin")?;
    let built = build(client, &definition)?;
    if let Some(expression) = &pair.expression {
        let table = pair.on.split(' ').next().unwrap_or_default();
        for (number, row) in client.query(PARTITIONS, &[&table])?.iter().enumerate() {
            let partition: &str = row.get(0);
            client.batch_execute(&format!("create statistics bench_{number} on ({expression}) from {partition}"))?;
        }
        client.batch_execute(&format!("analyze {table}"))?;
    }
    let real = explain(client, &pair.query)?;
    let real = Plan { cost: real.cost, indexes: roots(client, real.indexes)? };
    let mut blind = None;
    if pair.expression.is_some() {
        client.batch_execute(&format!("drop index {}", built.name))?;
        blind = Some(predicted.cost / real.cost - 1.0);
        predicted = what_if(client, &pair.query, &definition)?.0;
    }
    client.batch_execute("rollback")?;
    Ok(Compared { pair, predicted, real, bytes: (bytes, built.bytes as f64), blind })
}

fn what_if(client: &mut Client, query: &str, definition: &str) -> Result<(Plan, f64)> {
    let row = client
        .query_one("select cost_after, indexes_used, indexes from dbre.what_if($1, array[$2])", &[&query, &definition])
        .map_err(|error| format!("{definition}, {query}: {:?}", error.as_db_error()))?;
    let (cost, used, indexes): (f64, Vec<String>, Value) = (row.get(0), row.get(1), row.get(2));
    let bytes = indexes[0]["bytes"].as_f64().unwrap_or_default();
    Ok((Plan { cost, indexes: roots(client, used.into_iter().collect())? }, bytes))
}

fn roots(client: &mut Client, names: BTreeSet<String>) -> Result<BTreeSet<String>> {
    let names = names.into_iter().collect::<Vec<_>>();
    Ok(client.query(ROOTS, &[&names])?.iter().map(|row| row.get(0)).collect())
}

fn print(mut compared: Vec<Compared>) -> bool {
    let mut kinds = BTreeMap::<&str, Vec<&Compared>>::new();
    for one in &compared {
        kinds.entry(one.pair.kind).or_default().push(one);
    }
    println!("\n{} pairs of a query and an index, hypothetical beside really built", compared.len());
    println!(
        "{:<12} {:>6} {:>8} {:>13} {:>12} {:>15}",
        "kind", "pairs", "used", "same indexes", "cost within", "size error"
    );
    for (kind, pairs) in &kinds {
        print_kind(kind, pairs);
    }
    print_kind("all", &compared.iter().collect::<Vec<_>>());
    let blind = compared.iter().filter_map(|one| one.blind).collect::<Vec<_>>();
    println!(
        "expressions have CREATE STATISTICS, so the same statistics in both; without, cost within {:.0}% in {} of {}",
        CLOSE * 100.0,
        blind.iter().filter(|error| error.abs() <= CLOSE).count(),
        blind.len()
    );
    let indexes = share(&compared, Compared::same_indexes);
    let costs = share(&compared, Compared::close);
    let (indexes_met, costs_met) = (indexes >= SHARE, costs >= SHARE);
    println!("same indexes chosen in {:.1}%, aim {:.0}%  {}", indexes * 100.0, SHARE * 100.0, verdict(indexes_met));
    println!(
        "cost within {:.0}% in {:.1}%, aim {:.0}%  {}",
        CLOSE * 100.0,
        costs * 100.0,
        SHARE * 100.0,
        verdict(costs_met)
    );

    let badness = |one: &Compared| one.error().abs() + if one.same_indexes() { 0.0 } else { 1.0 };
    compared.sort_by(|a, b| badness(b).total_cmp(&badness(a)));
    println!("\nthe {SHOWN} worst");
    for one in compared.iter().take(SHOWN) {
        println!(
            "{:<10} real cost {:.1} with {:?}, what-if {:.1} with {:?}\n    on {}\n    {}",
            one.pair.kind,
            one.real.cost,
            one.real.indexes,
            one.predicted.cost,
            one.predicted.indexes,
            one.pair.on,
            one.pair.query
        );
    }
    indexes_met && costs_met
}

fn print_kind(kind: &str, pairs: &[&Compared]) {
    let count = |holds: &dyn Fn(&Compared) -> bool| pairs.iter().filter(|one| holds(one)).count();
    let mut size_errors = pairs.iter().map(|one| (one.bytes.0 / one.bytes.1 - 1.0).abs() * 100.0).collect::<Vec<_>>();
    size_errors.sort_by(f64::total_cmp);
    println!(
        "{kind:<12} {:>6} {:>8} {:>13} {:>12} {:>8.1}% to {:.1}%",
        pairs.len(),
        count(&|one| one.real.indexes.contains(NAME)),
        count(&Compared::same_indexes),
        count(&Compared::close),
        size_errors[size_errors.len() / 2],
        size_errors[size_errors.len() - 1],
    );
}

fn share(compared: &[Compared], holds: fn(&Compared) -> bool) -> f64 {
    compared.iter().filter(|one| holds(one)).count() as f64 / compared.len() as f64
}
