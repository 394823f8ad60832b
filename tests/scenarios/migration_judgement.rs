//! Whole migrations: of the good ones nothing is said that matters, of the dangerous ones what an engineer would say.

use crate::server::{Database, ROOT, Server, describe, shown, text, trial};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "migration_judgement::good_migrations_pass", good),
        trial(server, "migration_judgement::dangerous_migrations_do_not", dangerous),
    ]
}

struct Migration {
    name: String,
    expects: Vec<String>,
    text: String,
}

fn read(file: &str) -> Vec<Migration> {
    let text = fs::read_to_string(Path::new(ROOT).join("tests/migrations").join(file)).unwrap();
    let parts = text.split("-- migration: ").skip(1);
    let migration = |part: &str| {
        let (name, text) = part.split_once('\n').unwrap();
        let expects = text.lines().next().and_then(|line| line.strip_prefix("-- expects: ")).unwrap_or_default();
        Migration {
            name: name.to_string(),
            expects: expects.split(", ").map(str::to_string).collect(),
            text: text
                .strip_prefix("-- expects: ")
                .and_then(|text| text.split_once('\n'))
                .map_or(text, |(_, text)| text)
                .to_string(),
        }
    };
    parts.map(migration).collect()
}

/// Tables of a thousand rows are ten times as large as what is many here.
const REVIEW: &str = "select to_jsonb(f) from dbre.migration_findings($1, many_rows => 100) f";

fn findings(database: &Database, migration: &Migration) -> Vec<Value> {
    let rows = database.connect().query(REVIEW, &[&migration.text]);
    let rows = rows.unwrap_or_else(|error| panic!("{}: {}", migration.name, describe(&error)));
    rows.iter().map(|row| row.get(0)).collect()
}

fn good(database: &Database) {
    database.psql_file("tests/migrations/schema.sql", &[]);
    database.psql("create table alembic_version (version_num varchar(32) primary key); insert into alembic_version values ('1975ea83b712')");
    let migrations = read("good.sql");
    assert!(migrations.len() >= 10);
    let mut wrong = String::new();
    for migration in &migrations {
        let serious: Vec<_> =
            findings(database, migration).into_iter().filter(|finding| text(finding, "severity") != "low").collect();
        if !serious.is_empty() {
            wrong += &format!("{}\n{}\n", migration.name, shown(&serious));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // They are not only liked, they run.
    for migration in &migrations {
        database.psql(&migration.text);
    }
}

fn dangerous(database: &Database) {
    database.psql_file("tests/migrations/schema.sql", &[]);
    database.psql("create extension if not exists pg_stat_statements; select name from customers where id = 1");
    let migrations = read("dangerous.sql");
    assert!(migrations.len() >= 10);
    let mut wrong = String::new();
    for migration in &migrations {
        let findings = findings(database, migration);
        let found = |rule: &&String| findings.iter().any(|finding| text(finding, "rule") == **rule);
        let missing: Vec<_> = migration.expects.iter().filter(|rule| !found(rule)).collect();
        if !missing.is_empty() {
            let all: Vec<_> = findings.iter().map(|f| format!("{} {}", text(f, "rule"), text(f, "severity"))).collect();
            wrong += &format!("{}: not found: {missing:?}; found: {all:?}\n", migration.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
