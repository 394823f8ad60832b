//! Statements of a plan, made.

use super::python::execute;
use crate::facts::migration::{LockMode, Phase, PlannedStatement};
use std::fmt::Display;

pub const BRIEF: &str = "Catalog only: the lock is held for a moment, under lock_timeout.";

/// A change of the catalog alone that may stand in a transaction with its neighbours.
pub fn brief(phase: Phase, sql: String, mode: LockMode, on: &impl Display, why: &str) -> PlannedStatement {
    PlannedStatement {
        alembic: execute(&sql),
        phase,
        sql,
        in_transaction: true,
        lock: Some((mode, on.to_string())),
        why: why.into(),
    }
}

/// Sent alone, for it takes its time.
pub fn alone(phase: Phase, sql: String, lock: Option<(LockMode, String)>, why: &str) -> PlannedStatement {
    PlannedStatement { alembic: execute(&sql), phase, sql, in_transaction: false, lock, why: why.into() }
}

/// Catalog only, and nothing that anybody waits for.
pub fn harmless(phase: Phase, sql: String, why: &str) -> PlannedStatement {
    PlannedStatement { alembic: execute(&sql), phase, sql, in_transaction: true, lock: None, why: why.into() }
}

impl PlannedStatement {
    /// With an operation of Alembic in the place of its text.
    pub fn operation(mut self, python: String) -> PlannedStatement {
        self.alembic = python;
        self
    }
}

/// VALIDATE CONSTRAINT, in a transaction of its own.
pub fn validate(table: &impl Display, constraint: &str, foreign: Option<&str>) -> PlannedStatement {
    let sql = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {constraint};");
    let why = match foreign {
        Some(parent) => format!(
            "Reads every row under SHARE UPDATE EXCLUSIVE (and ROW SHARE on {parent}): reads and writes go on. In the \
             transaction of ADD … NOT VALID it would be read under that lock."
        ),
        None => "Reads every row under SHARE UPDATE EXCLUSIVE: reads and writes go on. In the transaction of ADD … NOT VALID it \
                 would be read under that lock."
            .to_string(),
    };
    alone(Phase::Expand, sql, Some((LockMode::ShareUpdateExclusive, table.to_string())), &why)
}
