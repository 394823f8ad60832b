//! Databases that several benchmarks ask.

use crate::cluster::{Cluster, Result, run};
use postgres::Client;
use std::fmt::Display;
use std::io::{BufWriter, Write};
use std::path::Path;
use tpchgen::csv::{CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

pub const TPCH: &str = "benches/index_advice/tpch";

/// Calls `load` with the name of a new database unless there is one called `name`, which it has only when it is complete.
pub fn once(cluster: &Cluster, name: &str, load: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let mut postgres = cluster.connect("postgres")?;
    if postgres.query_opt("select from pg_catalog.pg_database where datname = $1", &[&name])?.is_some() {
        return Ok(());
    }
    let loading = format!("loading_{name}");
    postgres.batch_execute(&format!("drop database if exists {loading}"))?;
    postgres.batch_execute(&format!("create database {loading}"))?;
    load(&loading)?;
    let extensions = "create extension if not exists pg_stat_statements; create extension if not exists pg_trgm";
    cluster.connect(&loading)?.batch_execute(extensions)?;
    cluster.connect(&loading)?.batch_execute("vacuum (analyze)")?;
    postgres.batch_execute(&format!("alter database {loading} rename to {name}"))?;
    Ok(())
}

pub fn script(cluster: &Cluster, database: &str, arguments: &[&str], file: impl AsRef<Path>) -> Result<()> {
    run(cluster.psql(database).args(["-o", "/dev/null"]).args(arguments).arg("-f").arg(file.as_ref()))
}

/// The clean sample application: its files of these names, in their order.
pub fn app(cluster: &Cluster, database: &str, size: &str, files: &[&str]) -> Result<()> {
    for file in files {
        script(cluster, database, &["-v", &format!("size={size}")], format!("tests/app/{file}.sql"))?;
    }
    Ok(())
}

/// Tables, rows and primary keys.
pub fn tpch(cluster: &Cluster, database: &str, scale: f64) -> Result<()> {
    script(cluster, database, &[], format!("{TPCH}/schema.sql"))?;
    let mut client = cluster.connect(database)?;
    copy(&mut client, "region", RegionGenerator::new(scale, 1, 1).iter().map(RegionCsv::new))?;
    copy(&mut client, "nation", NationGenerator::new(scale, 1, 1).iter().map(NationCsv::new))?;
    copy(&mut client, "part", PartGenerator::new(scale, 1, 1).iter().map(PartCsv::new))?;
    copy(&mut client, "supplier", SupplierGenerator::new(scale, 1, 1).iter().map(SupplierCsv::new))?;
    copy(&mut client, "partsupp", PartSuppGenerator::new(scale, 1, 1).iter().map(PartSuppCsv::new))?;
    copy(&mut client, "customer", CustomerGenerator::new(scale, 1, 1).iter().map(CustomerCsv::new))?;
    copy(&mut client, "orders", OrderGenerator::new(scale, 1, 1).iter().map(OrderCsv::new))?;
    copy(&mut client, "lineitem", LineItemGenerator::new(scale, 1, 1).iter().map(LineItemCsv::new))?;
    script(cluster, database, &[], format!("{TPCH}/keys.sql"))
}

fn copy(client: &mut Client, table: &str, rows: impl Iterator<Item = impl Display>) -> Result<()> {
    let mut writer =
        BufWriter::with_capacity(1 << 16, client.copy_in(&format!("copy {table} from stdin (format csv)"))?);
    for row in rows {
        writeln!(writer, "{row}")?;
    }
    writer.into_inner().map_err(|error| error.into_error())?.finish()?;
    Ok(())
}
