//! What a step of the migration means for the plan.

use crate::facts::migration::statement::Transaction;
use crate::facts::migration::{Effect, LockMode, Migration, Origin, Phase, Statement, Step, UnreadKind};

/// What the plan does not contain, though the migration does something with it.
pub fn is_lost(what: UnreadKind) -> bool {
    matches!(what, UnreadKind::Psql | UnreadKind::CopyData | UnreadKind::Python | UnreadKind::Rest)
}

/// How the runner is told not to put all of it into one transaction.
pub fn of_runner(migration: &Migration) -> Option<(&'static str, &'static str)> {
    let wrapped = migration.steps.first().is_some_and(|step| step.transaction.is_some() && !is_bound(step));
    match migration.origin {
        Origin::Goose => Some(("-- +goose NO TRANSACTION", "At the beginning of the file.")),
        Origin::SqlMigrate => Some(("-- +migrate Up notransaction", "In the place of -- +migrate Up.")),
        Origin::Liquibase => Some(("-- runInTransaction:false", "In the line of the changeset.")),
        Origin::Dbmate => Some(("-- migrate:up transaction:false", "In the place of -- migrate:up.")),
        Origin::Sqlx => Some(("-- no-transaction", "The first line of the file.")),
        Origin::Diesel => Some(("-- metadata.toml: run_in_transaction = false", "In the folder of the migration.")),
        Origin::Flyway => Some((
            "-- executeInTransaction=false",
            "In the script's configuration file, of its name with .conf at the end.",
        )),
        _ if wrapped => Some(("-- in no transaction", "The runner must not put it into one: the plan has its own.")),
        _ => None,
    }
}

pub fn is_bound(step: &Step) -> bool {
    matches!(step.statement, Statement::Transaction(Transaction::Begin | Transaction::Commit { .. }))
}

pub fn strongest(step: &Step) -> Option<(LockMode, String)> {
    step.strongest().map(|lock| (lock.mode, lock.target.name.to_string()))
}

pub fn locks_strongly(step: &Step) -> bool {
    step.strongest().is_some_and(|lock| lock.mode.blocks_writes())
}

/// DDL that a block of PL/pgSQL can try again.
pub fn runs_in_do(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::AlterTable(_)
            | Statement::CreateTable(_)
            | Statement::CreateIndex(_)
            | Statement::Drop(_)
            | Statement::Truncate(_)
            | Statement::Rename(_)
            | Statement::SetSchema { .. }
            | Statement::Owner { .. }
            | Statement::CreateTrigger { .. }
            | Statement::CreateRule { .. }
            | Statement::Policy { .. }
    )
}

/// What the code must have done before it, or does after it.
pub fn phase(step: &Step) -> Phase {
    let has = |judge: fn(&Effect) -> bool| step.effects.iter().any(judge);
    if has(|effect| matches!(effect, Effect::Drops { .. })) {
        Phase::Contract
    } else if has(|effect| matches!(effect, Effect::Renames { .. })) {
        Phase::Switch
    } else if has(|effect| matches!(effect, Effect::Writes { .. })) {
        Phase::Backfill
    } else {
        Phase::Expand
    }
}

pub fn reason(step: &Step) -> String {
    if let Statement::SyntaxError(error) = &step.statement {
        return format!("As written, though the server cannot read it: {}.", error.message);
    }
    if let Some(why) = &step.no_safer_way {
        return why.clone();
    }
    let lost = step.effects.iter().find_map(|effect| match effect {
        Effect::Drops { object, .. } if object.rows > 0.0 => {
            Some("When no code uses it any more: its data go with it.")
        }
        Effect::Renames { .. } => Some("Code that uses the old name fails from here on."),
        Effect::NotJudged { .. } => Some("As written: what it does cannot be told."),
        _ => None,
    });
    lost.unwrap_or("As written.").into()
}
