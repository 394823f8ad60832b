//! Migrations that ship in packages of the Rust registry: fetched by cargo, checked, followed one by one.

use crate::migration_truth::{Observed, Truth};
use postgres::Client;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Package {
    pub name: &'static str,
    version: &'static str,
    sha256: &'static str,
    folder: &'static str,
}

const fn package(name: &'static str, version: &'static str, folder: &'static str, sha256: &'static str) -> Package {
    Package { name, version, sha256, folder }
}

pub const SMALL: [Package; 6] = [
    package(
        "fang",
        "0.11.0",
        "postgres_migrations/migrations",
        "d67c0e5b142d6417f25f7e7f2acf630dd9100a527e586a81d2801db5ff4867e5",
    ),
    package("backie", "0.9.0", "migrations", "76e94b99abeed91007e9201293eea38cbea3f4885a00c8caade9cf647ea06663"),
    package(
        "apalis-postgres",
        "1.0.0",
        "migrations",
        "947ad881f4102c5a4d6bb4f117ed38c1b4fe15868631facbc858aab57e3ad38d",
    ),
    package(
        "atuin-server-postgres",
        "18.20.1",
        "migrations",
        "cdcb3b7eb7bb415ce97d531ff12e86c54eb9652995e20b9a73891c1eabd7c4b5",
    ),
    package("underway", "0.2.0", "migrations", "23fb5ddbfb7aa972b046337c7392bd6c6f6571381bb57fb60632a1bd5573bb03"),
    package("cala-ledger", "0.33.3", "migrations", "36ecce7681c0f435dd12b4955d75c320fc022b4d9a3105688287b1dc96da3254"),
];

#[allow(dead_code, reason = "for the benchmark: they take minutes")]
pub const LARGE: [Package; 4] = [
    // Its index calls a function that finds nothing by the search_path that an index is built with since PostgreSQL 17.
    package("sqlxmq", "0.6.0", "migrations", "b2bd99fe20294f548a6298d60b6490871d78d53d739919a13834d77ffd656869"),
    package(
        "lemmy_db_schema",
        "1.0.0-test-fix-publish-3",
        "migrations",
        "6447cb04b6701b1fdffe0bc53619868265c1e0031442be6f4e2db3b62aea7058",
    ),
    package(
        "zksync_dal",
        "29.13.0-non-semver-compat",
        "migrations",
        "33c51ce14b2c4dbcdb42255062699c235a0424dcbf9b7c3739989fde13790d22",
    ),
    package(
        "zksync_prover_dal",
        "0.1.0",
        "migrations",
        "06d78523475f7be055d3b80ac34874fbbf79c12863de9fadcd5e1fb3e7b0d1c1",
    ),
];

pub struct Migration {
    pub name: String,
    pub up: String,
    pub down: Option<String>,
}

impl Package {
    /// In the order in which they are applied.
    pub fn migrations(&self) -> Result<Vec<Migration>, String> {
        let folder = self.fetch()?.join(self.folder);
        let mut migrations: BTreeMap<String, Migration> = BTreeMap::new();
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let files = match path.is_dir() {
                true => vec![path.join("up.sql"), path.join("down.sql")],
                false => vec![path],
            };
            for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "sql")) {
                let Ok(text) = fs::read_to_string(file) else { continue };
                let (name, down) = named(file);
                let migration =
                    migrations.entry(name.clone()).or_insert(Migration { name, up: String::new(), down: None });
                if down { migration.down = Some(text) } else { migration.up = text }
            }
        }
        Ok(migrations.into_values().collect())
    }

    fn fetch(&self) -> Result<PathBuf, String> {
        let whole = format!("{}-{}", self.name, self.version);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/migrations");
        let unpacked = root.join(&whole);
        if unpacked.exists() {
            return Ok(unpacked);
        }
        // Of a package that is not among the dependencies, cargo shows what it has downloaded.
        run(Command::new("cargo")
            .args(["info", "--quiet", &format!("{}@{}", self.name, self.version)])
            .current_dir("/"))?;
        let home = std::env::var("CARGO_HOME").map(PathBuf::from);
        let home = home.unwrap_or_else(|_| PathBuf::from(std::env::var("HOME").unwrap()).join(".cargo"));
        let caches = fs::read_dir(home.join("registry/cache")).map_err(|error| error.to_string())?;
        let archive =
            caches.flatten().map(|cache| cache.path().join(format!("{whole}.crate"))).find(|file| file.exists());
        let archive = archive.ok_or(format!("cargo has not kept {whole}"))?;
        let sum = run(Command::new("sha256sum").arg(&archive))?;
        if !sum.starts_with(self.sha256) {
            return Err(format!("{whole} is another file than before: {sum}"));
        }
        fs::create_dir_all(&root).map_err(|error| error.to_string())?;
        run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&root))?;
        Ok(unpacked)
    }
}

/// `…/name/up.sql` and `…/name.up.sql`, and whether it is the way back.
fn named(file: &Path) -> (String, bool) {
    let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
    match stem.as_str() {
        "up" | "down" => (file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned(), stem == "down"),
        _ => match stem.strip_suffix(".down") {
            Some(name) => (name.to_string(), true),
            None => (stem.strip_suffix(".up").unwrap_or(&stem).to_string(), false),
        },
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What came of following migrations.
#[derive(Default)]
pub struct Followed {
    pub files: usize,
    pub statements: usize,
    pub kinds: BTreeMap<String, usize>,
    pub findings: BTreeMap<String, usize>,
    pub compared: usize,
    /// They hold what can't run in a transaction.
    pub not_compared: Vec<String>,
    pub unclassified: Vec<String>,
    pub failed: Vec<String>,
    pub differ: Vec<String>,
    /// The package's own fault, or the server's newer version's.
    pub do_not_apply: Vec<String>,
    /// What the review of the last text says will fail.
    foretold: Vec<String>,
    /// It would fail, says the review, and it ran.
    pub false_alarms: Vec<String>,
    pub not_foreseen: Vec<String>,
}

impl Followed {
    pub fn wrong(&self) -> Vec<&String> {
        let lists = [&self.failed, &self.differ, &self.unclassified, &self.false_alarms, &self.not_foreseen];
        lists.into_iter().flatten().collect()
    }

    #[allow(dead_code, reason = "for the benchmark")]
    pub fn add(&mut self, other: Followed) {
        self.files += other.files;
        self.statements += other.statements;
        self.compared += other.compared;
        other.kinds.into_iter().for_each(|(kind, count)| *self.kinds.entry(kind).or_default() += count);
        other.findings.into_iter().for_each(|(rule, count)| *self.findings.entry(rule).or_default() += count);
        self.not_compared.extend(other.not_compared);
        self.unclassified.extend(other.unclassified);
        self.failed.extend(other.failed);
        self.differ.extend(other.differ);
        self.do_not_apply.extend(other.do_not_apply);
        self.false_alarms.extend(other.false_alarms);
        self.not_foreseen.extend(other.not_foreseen);
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} files, {} statements of {} kinds", self.files, self.statements, self.kinds.len())?;
        writeln!(
            f,
            "{} compared, {} differ; {} can't run in a transaction; {} don't apply on this server",
            self.compared,
            self.differ.len(),
            self.not_compared.len(),
            self.do_not_apply.len()
        )?;
        writeln!(f, "{} reviews failed, {} statements not classified", self.failed.len(), self.unclassified.len())?;
        let unforeseen = self.not_foreseen.len();
        writeln!(f, "{} run though the review says they fail, {unforeseen} fail unforeseen", self.false_alarms.len())?;
        for (rule, count) in &self.findings {
            writeln!(f, "  {count:5} {rule}")?;
        }
        Ok(())
    }
}

const STEPS: &str =
    "select kind, locks, rewrites, scans, statement from dbre.migration_steps($1, one_transaction => $2) order by step";
const FINDINGS: &str = "select rule, summary, coalesce(evidence ->> 'sqlstate', '') from dbre.migration_findings($1, one_transaction => $2)";
/// What these say of themselves: they run outside a transaction.
const OUTSIDE: [&str; 3] = ["concurrently", "vacuum", "alter system"];

/// The runner's own table, which some migrations name.
const BOOKKEEPING: &str = "create extension \"uuid-ossp\"; create table _sqlx_migrations (version bigint primary key, description text not null,
    installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null)";

/// Reviews every migration of an empty database and then applies it; the way back is tried, too.
pub fn follow(package: &str, migrations: &[Migration], mut reviewer: Client, truth: Client) -> Followed {
    let mut followed = Followed::default();
    let mut truth = Truth::new(truth).unwrap();
    truth.run(BOOKKEEPING).unwrap();
    for migration in migrations {
        let name = format!("{package} {}", migration.name);
        let done = followed.step(&format!("{name} up"), &migration.up, &mut reviewer, &mut truth, Then::Keep);
        if let Some(down) = migration.down.as_ref().filter(|_| done) {
            followed.step(&format!("{name} down"), down, &mut reviewer, &mut truth, Then::TakeBack);
        }
    }
    followed
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Keep,
    TakeBack,
}

impl Followed {
    /// Whether it ran.
    fn step(&mut self, name: &str, text: &str, reviewer: &mut Client, truth: &mut Truth, then: Then) -> bool {
        self.files += 1;
        let text = text.trim_start_matches('\u{feff}');
        let lower = text.to_lowercase();
        let outside = OUTSIDE.iter().any(|word| lower.contains(word));
        let told = self.review(name, text, !outside, reviewer, truth);
        if outside {
            self.not_compared.push(name.to_string());
            return then == Then::Keep && self.applied(name, truth.run(text));
        }
        let tried = match then {
            Then::Keep => truth.apply(text),
            Then::TakeBack => truth.of(&[text]).map(|mut steps| steps.remove(0)),
        };
        match tried {
            Ok(real) => {
                self.compared += 1;
                if let Some(told) = told.filter(|told| *told != real) {
                    self.differ.push(format!("{name}\n  review:\n    {told}\n  really:\n    {real}"));
                }
                self.applied(name, Ok(()))
            }
            error => self.applied(name, error.map(drop)),
        }
    }

    fn applied(&mut self, name: &str, tried: Result<(), postgres::Error>) -> bool {
        match tried {
            Ok(()) => {
                let foretold = self.foretold.iter().map(|foretold| format!("{name}: runs, but: {foretold}"));
                self.false_alarms.extend(foretold);
                true
            }
            Err(error) => {
                self.do_not_apply.push(format!("{name}: {}", message(&error)));
                if self.foretold.is_empty() {
                    self.not_foreseen.push(format!("{name}: not foreseen: {}", message(&error)));
                }
                false
            }
        }
    }

    /// What the review says of all the text's steps together.
    fn review(
        &mut self,
        name: &str,
        text: &str,
        together: bool,
        reviewer: &mut Client,
        truth: &mut Truth,
    ) -> Option<Observed> {
        truth.look().unwrap();
        let together = together.then_some(true);
        self.foretold.clear();
        match reviewer.query(FINDINGS, &[&text, &together]) {
            Ok(rows) => {
                for row in &rows {
                    *self.findings.entry(row.get(0)).or_default() += 1;
                    if !row.get::<_, &str>(2).is_empty() {
                        self.foretold.push(format!("{} {}", row.get::<_, &str>(2), row.get::<_, &str>(1)));
                    }
                }
            }
            Err(error) => self.failed.push(format!("{name}: migration_findings: {}", message(&error))),
        }
        let steps = match reviewer.query(STEPS, &[&text, &together]) {
            Ok(steps) => steps,
            Err(error) => {
                self.failed.push(format!("{name}: migration_steps: {}", message(&error)));
                return None;
            }
        };
        self.statements += steps.len();
        for step in &steps {
            let (kind, statement): (String, String) = (step.get(0), step.get(4));
            if kind == "other" || kind.is_empty() {
                self.unclassified.push(format!("{name}: {statement}"));
            }
            *self.kinds.entry(kind).or_default() += 1;
        }
        let steps: Vec<_> = steps.iter().map(|row| (row.get(1), row.get(2), row.get(3))).collect();
        let mut told = truth.told(&steps);
        let rewrites = told.iter().flat_map(|step| step.rewrites.clone()).collect();
        let scans = told.iter().flat_map(|step| step.scans.clone()).collect();
        Some(Observed { locks: told.pop().unwrap_or_default().locks, rewrites, scans })
    }
}

fn message(error: &postgres::Error) -> String {
    error.as_db_error().map_or(error.to_string(), |error| format!("{} {}", error.code().code(), error.message()))
}
