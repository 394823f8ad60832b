//! `dbre.lock_tree()`, behind the view of that name.

use crate::advice::blocking::{self, Blocking};
use crate::db;
use crate::facts::activity::locks::{Node, Party};
use crate::facts::activity::{Activity, State};
use pgrx::prelude::*;

/// Everyone who waits for a lock, or holds up one who does, once: roots first, below each whom it holds up. Of several that block
/// one, it is shown below the one that holds the lock rather than queues for it, and of those the one with the oldest transaction;
/// `blocked_by` has all. A parallel worker stands for its leader. Takes no lock that a blocked server would wait for.
#[pg_extern(volatile)]
#[search_path(pg_catalog, dbre, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of the tree")]
pub fn lock_tree() -> TableIterator<
    'static,
    (
        name!(root_pid, Option<i32>),
        name!(depth, i32),
        name!(path, String),
        name!(pid, Option<i32>),
        name!(blocked_by, Vec<i32>),
        name!(waits_for, Option<String>),
        name!(waits_for_type, Option<&'static str>),
        name!(waits_for_mode, Option<&'static str>),
        name!(waiting_seconds, Option<f64>),
        name!(blocks_directly, i32),
        name!(blocks_in_all, i32),
        name!(in_cycle, bool),
        name!(state, Option<&'static str>),
        name!(user_name, Option<String>),
        name!(database, Option<String>),
        name!(application_name, Option<String>),
        name!(transaction_seconds, Option<f64>),
        name!(query, Option<String>),
        name!(holds, Option<String>),
        name!(prepared_gid, Option<String>),
        name!(end_sql, Option<String>),
    ),
> {
    let activity = db::with_settings(&[db::LIVE_PATIENCE], Activity::of_locks);
    let blocking = Blocking::of(&activity);
    let rows: Vec<_> = blocking.nodes.iter().map(|node| row(&blocking, node)).collect();
    TableIterator::new(rows)
}

/// Deeper than that a line is not indented any further.
const DEEPEST: usize = 24;

#[allow(clippy::type_complexity, reason = "the columns of the tree")]
fn row(
    blocking: &Blocking,
    node: &Node,
) -> (
    Option<i32>,
    i32,
    String,
    Option<i32>,
    Vec<i32>,
    Option<String>,
    Option<&'static str>,
    Option<&'static str>,
    Option<f64>,
    i32,
    i32,
    bool,
    Option<&'static str>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<f64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
) {
    let party = blocking.party(node);
    let (session, prepared) = (blocking.session(party.who), blocking.prepared(party.who));
    let wait = party.waits.first();
    (
        blocking.party(&blocking.nodes[node.root]).who.pid(),
        node.depth as i32,
        path(party, node.depth),
        party.who.pid(),
        blocked_by(blocking, party),
        wait.map(|wait| match Some(wait.pid) == party.who.pid() {
            true => blocking::wanted(wait),
            false => format!("{}, in parallel worker {}", blocking::wanted(wait), wait.pid),
        }),
        wait.map(|wait| wait.target.kind.name()),
        wait.and_then(|wait| wait.mode).map(|mode| mode.sql()),
        wait.and_then(|wait| wait.seconds),
        node.blocks_directly as i32,
        node.blocks_in_all as i32,
        node.cycle.is_some(),
        session.and_then(|session| session.state).map(State::name),
        session.and_then(|session| session.role.clone()).or_else(|| prepared.map(|one| one.owner.clone())),
        blocking.database(party).map(str::to_string),
        session.map(|session| session.application.clone()),
        session.and_then(|session| session.transaction_seconds).or_else(|| prepared.map(|one| one.seconds)),
        session.and_then(|session| session.query.clone()),
        blocking::holds(party),
        prepared.map(|one| one.gid.clone()),
        blocking.ending(party).ok().map(|ending| ending.sql),
    )
}

fn path(party: &Party, depth: usize) -> String {
    match depth {
        0 => party.who.to_string(),
        _ => format!("{}└ {}", "  ".repeat(depth.min(DEEPEST) - 1), party.who),
    }
}

/// As pg_blocking_pids() has them, in order: 0 is a prepared transaction.
fn blocked_by(blocking: &Blocking, party: &Party) -> Vec<i32> {
    let parties = &blocking.activity.locks.parties;
    let blockers = party.waits.iter().flat_map(|wait| &wait.blockers);
    let mut pids: Vec<i32> = blockers.map(|blocker| parties[blocker.party].who.pid().unwrap_or(0)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}
