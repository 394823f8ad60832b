//! The plan as a revision of Alembic.

use super::python::{execute, indented};
use super::retries::Patience;
use super::script::{Python, Row};
use super::words::words;

const HEAD: &str = r#"import time

import sqlalchemy as sa
from alembic import op


def retried(operation):
    """A strong lock is waited for in short attempts: what waits longer makes everybody behind it wait."""
    op.execute("SET lock_timeout = '@timeout@'")
    for attempt in range(1, @attempts@ + 1):
        try:
            operation()
            break
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
            if code != "55P03" or attempt == @attempts@:
                raise
            time.sleep(1)
    op.execute("RESET lock_timeout")
"#;

const BLOCK: &str = "with op.get_context().autocommit_block():\n";

/// One row's operations, as they stand in upgrade(). Empty: Alembic does it.
pub fn operations(row: &Row) -> String {
    match &row.python {
        Python::Here(operation) => indented(operation, 0),
        Python::Apart(operation) => format!("{BLOCK}{}", indented(operation, 1)),
        Python::Retried(operation) => {
            format!("{BLOCK}{}", indented(&format!("retried(lambda: {operation})"), 1))
        }
        Python::None => String::new(),
    }
}

/// One piece of what undoes the migration.
pub struct Reverse {
    pub sql: Option<String>,
    pub note: Option<String>,
}

/// All that stands below the revision's identifiers. `reverse` comes in the order in which it is to run.
pub fn body(rows: &[Row], reverse: &[Reverse], patience: &Patience) -> String {
    let mut upgrade = String::new();
    let mut phase = None;
    for row in rows {
        let operations = operations(row);
        if operations.is_empty() {
            continue;
        }
        if phase != Some(row.phase) {
            upgrade.push_str(&format!("# {}\n", row.phase.meaning()));
            phase = Some(row.phase);
        }
        upgrade.push_str(&operations);
    }
    let mut downgrade = String::new();
    for piece in reverse.iter().filter(|piece| !piece.sql.as_deref().is_some_and(of_alembic)) {
        for line in piece.note.iter().flat_map(|note| note.lines()) {
            downgrade.push_str(&format!("# {line}\n"));
        }
        if let Some(sql) = &piece.sql {
            downgrade.push_str(&reversed(sql));
        }
    }
    let function = |name: &str, body: &str| {
        let does = body.lines().any(|line| !line.starts_with('#'));
        let body = if does { body.to_string() } else { format!("{body}pass\n") };
        format!("\n\ndef {name}() -> None:\n{}", indented(&body, 1))
    };
    let attempts = (patience.retries + 1).to_string();
    let head = HEAD.replace("@timeout@", &patience.timeout()).replace("@attempts@", &attempts);
    format!("{head}{}{}", function("upgrade", &upgrade), function("downgrade", &downgrade))
}

/// What may not run in a transaction is apart.
fn reversed(sql: &str) -> String {
    let operation = execute(sql);
    match words(sql).iter().any(|word| word.is("concurrently")) {
        true => format!("{BLOCK}{}", indented(&operation, 1)),
        false => format!("{operation}\n"),
    }
}

/// Alembic keeps its own table.
fn of_alembic(sql: &str) -> bool {
    sql.contains("alembic_version")
}
