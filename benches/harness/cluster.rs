//! A private cluster for a benchmark.

use postgres::{Client, NoTls};
use std::env;
use std::path::PathBuf;
use std::process::{self, Command};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Stopped and removed when dropped, unless it is to be kept. Paths are relative to the package, where cargo runs benches.
pub struct Cluster {
    pub folder: PathBuf,
    psql: PathBuf,
    keep: bool,
}

impl Cluster {
    /// `kept` is a folder that stays, with the server running, and is used again when it is there.
    pub fn start(kept: Option<PathBuf>, settings: &[&str]) -> Result<Cluster> {
        let pg_config = env::var("PG_CONFIG").map_err(|_| "PG_CONFIG is not set: run bin/bench")?;
        let bindir = String::from_utf8(Command::new(pg_config).arg("--bindir").output()?.stdout)?;
        let keep = kept.is_some();
        let folder = kept.unwrap_or_else(|| env::temp_dir().join(format!("pg_dbre_bench_{}", process::id())));
        let cluster = Cluster { folder, psql: PathBuf::from(bindir.trim()).join("psql"), keep };
        if !cluster.folder.exists() {
            run(Command::new("bin/cluster").arg("start").arg(&cluster.folder).arg("autovacuum = off").args(settings))?;
        }
        Ok(cluster)
    }

    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]).arg(&self.folder);
        command
    }

    pub fn connect(&self, database: &str) -> Result<Client> {
        let parameters = format!("host={} user=postgres dbname={database}", self.folder.display());
        Ok(Client::connect(&parameters, NoTls)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = run(Command::new("bin/cluster").arg("stop").arg(&self.folder)) {
            eprintln!("{error}");
        }
    }
}

pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
