//! Follows a migration statement by statement over a model of the catalog.

mod alter_table;
pub mod data;
pub mod dependencies;
mod drops;
pub mod dry_run;
mod estimate;
mod indexes;
mod judge;
mod maintenance;
pub mod model;
pub mod naming;
mod newer;
mod order;
mod planned;
mod predict;
pub mod prediction;
mod queries;
mod references;
mod renames;
pub mod round_trip;
mod routing;
mod safer;
mod session;
mod settings;
mod tables;
mod triggers;
mod types;
mod uncommitted;
mod uses;
mod views;
pub mod whole;
mod words;

pub use model::Model;
pub use prediction::Prediction;

use crate::db::{PATIENCE, check_for_interrupts, with_settings};
use crate::facts::migration::text;
use crate::facts::migration::{Allowed, Migration, Step, Unread, UnreadKind};
use crate::rules;
use session::Session;
use std::ffi::CStr;

/// How a migration is to be reviewed.
pub struct Options<'a> {
    /// Whether the runner wraps it in one transaction. None: as written.
    pub one_transaction: Option<bool>,
    pub many_rows: f64,
    pub many_bytes: u64,
    pub search_path: &'a CStr,
}

pub fn review(sql: &str, options: &Options) -> Migration {
    let mut script = text::read(sql);
    unknown_rules(&mut script);
    let search_path = options.search_path.to_string_lossy();
    let mut model = with_settings(&[PATIENCE], || model::load(&script.statements, options.search_path));
    let wrapped = options.one_transaction.or(script.wrapped).unwrap_or(false);
    let mut session = Session::start(&mut model, &search_path, wrapped);
    // From here on nothing reads the lock_timeout that the migration will have.
    let steps = with_settings(&[PATIENCE], || follow(script.statements, &mut model, &mut session, options));
    Migration {
        steps,
        unread: script.unread,
        origin: script.origin,
        many_rows: options.many_rows,
        many_bytes: options.many_bytes,
    }
}

fn follow(statements: Vec<text::Parsed>, model: &mut Model, session: &mut Session, options: &Options) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (parsed, number) in statements.into_iter().zip(1..) {
        check_for_interrupts();
        let place = session.enter(&parsed, model);
        let mut own = session.uncommitted_values(&parsed, model);
        own.extend(newer::newer_server(&parsed, model));
        let ways = safer::candidates(&parsed, model);
        let prediction = predict::predict(model, &parsed);
        model.note_unknown(&parsed);
        let mut locks = prediction.locks;
        locks.iter_mut().for_each(|lock| lock.step = number);
        own.extend(order::deadlock_order(&place, &locks, model));
        session.leave(&parsed, &locks, model);
        let mut effects = prediction.effects;
        effects.extend(own);
        let (safer, no_safer_way) = safer::chosen(ways, &effects, options.many_rows);
        let (estimated_ms, basis) = estimate::of(&effects);
        steps.push(Step {
            number,
            line: parsed.line,
            kind: parsed.statement.kind(),
            text: parsed.text,
            statement: parsed.statement,
            transaction: place.transaction,
            lock_timeout: place.lock_timeout,
            statement_timeout: place.statement_timeout,
            allowed: parsed.allowed,
            locks,
            held: place.held,
            effects,
            safer,
            no_safer_way,
            estimated_ms,
            basis,
        });
    }
    uses::complete(&mut steps, model);
    steps
}

/// What is allowed must be a rule: a word that is misspelled allows nothing.
fn unknown_rules(script: &mut text::Script) {
    for parsed in &mut script.statements {
        let is_rule = |allowed: &Allowed| rules::all().any(|rule| rule.id == allowed.rule);
        let (known, unknown) = std::mem::take(&mut parsed.allowed).into_iter().partition(is_rule);
        parsed.allowed = known;
        script.unread.extend(unknown.into_iter().map(|allowed: Allowed| Unread {
            what: UnreadKind::Suppression,
            line: allowed.line,
            text: format!("-- dbre: allow {} {}", allowed.rule, allowed.reason),
            why: format!("there is no rule {}", allowed.rule),
        }));
    }
    script.unread.sort_by_key(|unread| unread.line);
}
