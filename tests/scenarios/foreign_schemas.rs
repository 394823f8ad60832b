//! Schemas that nobody here wrote, with the exact list of what is found in them.

use crate::server::{Database, Server, fresh_folder, identities, run, shown, trial, try_run};
use libtest_mimic::Trial;
use std::fs;
use std::process::Command;
use std::sync::Arc;

/// A job queue in plain SQL, from PyPI.
const PROCRASTINATE: &str = "procrastinate==3.5.3";

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "foreign_schemas::pgbench", |database| pgbench(database, &[], PGBENCH)),
        trial(server, "foreign_schemas::pgbench_with_foreign_keys_and_partitions", |database| {
            pgbench(database, &["--foreign-keys", "--partitions=3"], PGBENCH_WITH_KEYS)
        }),
        trial(server, "foreign_schemas::procrastinate", procrastinate),
    ]
}

/// A log: nothing tells its rows apart.
const PGBENCH: &[&str] = &["missing_primary_key public.pgbench_history low"];

const PGBENCH_WITH_KEYS: &[&str] = &[
    "foreign_key_without_index public.pgbench_accounts(bid) medium",
    "foreign_key_without_index public.pgbench_tellers(bid) low",
    "foreign_key_without_index public.pgbench_history(aid) low",
    "foreign_key_without_index public.pgbench_history(bid) low",
    "foreign_key_without_index public.pgbench_history(tid) low",
    "missing_primary_key public.pgbench_history low",
];

/// The index on the workers of jobs holds only those that are being done; ON DELETE SET NULL looks for all of a worker's jobs.
const IN_PROCRASTINATE: &[&str] = &["foreign_key_without_index public.procrastinate_jobs(worker_id) low"];

fn pgbench(database: &Database, options: &[&str], expected: &[&str]) {
    run(database.server.client("pgbench").args(["-i", "-q", "-s", "1"]).args(options).arg(&database.name), "");
    finds(database, expected);
}

fn procrastinate(database: &Database) {
    let folder = fresh_folder();
    fs::create_dir(&folder).unwrap();
    let fetched = try_run(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary=:all:",
                "--disable-pip-version-check",
                "-d",
            ])
            .arg(&folder)
            .arg(PROCRASTINATE),
        "",
    );
    let unpack = "import glob, zipfile; print(zipfile.ZipFile(glob.glob('*.whl')[0]).read('procrastinate/sql/schema.sql').decode())";
    let schema = fetched.and_then(|_| try_run(Command::new("python3").args(["-c", unpack]).current_dir(&folder), ""));
    fs::remove_dir_all(&folder).unwrap();
    let schema = schema
        .unwrap_or_else(|failure| panic!("cannot fetch {PROCRASTINATE} from the Python package index:\n{failure}"));
    database.psql(&schema);
    finds(database, IN_PROCRASTINATE);
}

fn finds(database: &Database, expected: &[&str]) {
    let findings = database.check("");
    let found = identities(&findings);
    let surplus: Vec<_> = findings
        .iter()
        .zip(&found)
        .filter(|(_, id)| !expected.contains(&id.as_str()))
        .map(|(f, _)| f.clone())
        .collect();
    assert!(found == expected, "found: {found:#?}\nexpected: {expected:#?}\n{}", shown(&surplus));
}
