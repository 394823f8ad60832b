//! Over the statements of tests/migrations/differential: what the review says they lock, rewrite and read is what they do.

use crate::migration_truth::{Observed, PLAIN_PLANS, Truth};
use crate::server::{Database, ROOT, Server, describe, execute};
use libtest_mimic::Trial;
use postgres::Client;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const REVIEW: &str =
    "select locks, rewrites, scans from dbre.migration_steps($1, one_transaction => true) order by step";

/// What COMMIT checks is said at the last statement.
const DRY_RUN: &str = "select locks, rewrites, scans from dbre.migration_dry_run($1, confirm => true, one_transaction => true) order by step";
const REFUSED: &str =
    "select from dbre.migration_dry_run($1, confirm => true, one_transaction => true) where status = 'not tried'";
/// The review says that it can't tell.
const NOT_JUDGED: &str =
    "select from dbre.migration_findings($1, one_transaction => true) where rule = 'migration_statement_not_judged'";

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let trial = |(area, text): (String, String)| {
        let server = server.clone();
        Trial::test(format!("migration_differential::{area}"), move || {
            agree(&Database::create(&server), &text);
            Ok(())
        })
    };
    areas().into_iter().map(trial).collect()
}

/// The files: name and text.
pub fn areas() -> Vec<(String, String)> {
    let folder = Path::new(ROOT).join("tests/migrations/differential");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_string();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// A line that is not indented begins one.
pub fn cases(text: &str) -> Vec<String> {
    let mut cases: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("--")) {
        match cases.last_mut() {
            Some(case) if line.starts_with(' ') => *case += &format!("\n{line}"),
            _ => cases.push(line.to_string()),
        }
    }
    cases
}

/// In these files a semicolon at a line's end ends a statement.
pub fn statements(case: &str) -> Vec<&str> {
    case.split(";\n").map(|statement| statement.trim().trim_end_matches(';')).collect()
}

fn agree(database: &Database, text: &str) {
    database.psql_file("tests/migrations/schema.sql", &[]);
    let mut truth = Truth::new(database.connect()).unwrap();
    let mut client = database.connect();
    execute(&mut client, PLAIN_PLANS);
    let cases = cases(text);
    let mut wrong = Vec::new();
    let mut said = Vec::new();
    for case in &cases {
        let statements = statements(case);
        let real = match truth.of(&statements) {
            Ok(real) => real,
            Err(error) => {
                wrong.push(format!("{case}\n  does not run: {}", describe(&error)));
                continue;
            }
        };
        for (who, sql, unknown) in [("review", REVIEW, NOT_JUDGED), ("dry run", DRY_RUN, REFUSED)] {
            match told(&truth, &mut client, sql, case) {
                Ok(told) => {
                    let difference = difference(case, &statements, who, &told, &real);
                    match difference {
                        Some(_) if !client.query(unknown, &[case]).unwrap().is_empty() => said.push((who, case)),
                        difference => wrong.extend(difference),
                    }
                }
                Err(error) => wrong.push(format!("{case}\n  {who} fails: {error}")),
            }
        }
    }
    println!("{} cases; not told: {said:#?}", cases.len());
    let by_review = said.iter().filter(|(who, _)| *who == "review").count();
    assert!(by_review <= 2, "the review knows nothing of {by_review} cases");
    assert!(wrong.is_empty(), "{} wrong answers about {} cases\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

fn told(truth: &Truth, client: &mut Client, sql: &str, case: &str) -> Result<Vec<Observed>, String> {
    let rows = client.query(sql, &[&case]).map_err(|error| describe(&error))?;
    let steps: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    Ok(truth.told(&steps))
}

fn difference(case: &str, statements: &[&str], whose: &str, told: &[Observed], real: &[Observed]) -> Option<String> {
    if told.len() != real.len() {
        let really: String = real.iter().map(|observed| format!("\n    {observed}")).collect();
        return Some(format!("{case}\n  {whose}: {} steps of {}\n  really:{really}", told.len(), real.len()));
    }
    let differs = told.iter().zip(real).position(|(told, real)| told != real)?;
    let step = if statements.len() == 1 { String::new() } else { format!("\n  step {}", differs + 1) };
    Some(format!("{case}{step}\n  {whose}:\n    {}\n  really:\n    {}", told[differs], real[differs]))
}
