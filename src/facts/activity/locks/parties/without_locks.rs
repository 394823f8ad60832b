//! Waits for other sessions that are no waits for locks.

use super::super::read::{self, Entry};
use super::super::relation_names::RelationNames;
use super::super::target::Tag;
use super::super::{Kind, Mode, Target};
use super::{LockWait, Who};
use crate::facts::activity::Session;
use crate::facts::migration::text::lexer::{self, Tokens};
use pgrx::pg_sys;
use std::collections::HashSet;

/// Who waits, for what, and whose end it needs.
pub type Unlocked = (Who, LockWait, Vec<Who>);

pub fn waits(sessions: &[Session], entries: &[Entry], names: &mut RelationNames) -> Vec<Unlocked> {
    let pinned = sessions.iter().filter_map(|session| pinned(session, sessions, entries, names));
    safe_snapshots(sessions).into_iter().chain(recovery(sessions)).chain(pinned).collect()
}

fn wait(session: &Session, kind: Kind, name: String, seconds: Option<f64>) -> LockWait {
    LockWait {
        pid: session.pid,
        target: Target { kind, database: 0, relation: None, name },
        row: None,
        mode: None,
        seconds,
        blockers: Vec::new(),
        next: Vec::new(),
    }
}

fn safe_snapshots(sessions: &[Session]) -> Vec<Unlocked> {
    let waiting: Vec<&Session> = sessions.iter().filter(|session| session.waits_at("SafeSnapshot")).collect();
    let blockers = read::safe_snapshot_blockers(&waiting.iter().map(|session| session.pid).collect::<Vec<_>>());
    let wait = |session: &Session| {
        let blockers = blockers.get(&session.pid)?.iter().map(|pid| Who::Process(*pid)).collect();
        let wait = wait(session, Kind::SafeSnapshot, "a safe snapshot".to_string(), session.query_seconds);
        Some((Who::Process(session.pid), wait, blockers))
    };
    waiting.into_iter().filter_map(wait).collect()
}

/// The startup process of a standby, where queries are in the way of what it replays.
fn recovery(sessions: &[Session]) -> Option<Unlocked> {
    let startup = sessions.iter().find(|session| session.kind == "startup")?;
    // Of parallel workers the leader has the same snapshot.
    let ends =
        |session: &&Session| session.transaction_seconds.is_some() && session.leader.is_none_or(|l| l == session.pid);
    let in_transaction: Vec<&Session> = sessions.iter().filter(ends).collect();
    let with_snapshot = in_transaction.iter().copied().filter(|session| session.snapshot_age.is_some());
    let (kind, name, blockers): (_, _, Vec<&Session>) = match () {
        () if startup.waits_at("RecoveryConflictSnapshot") => {
            let oldest = oldest_snapshots(with_snapshot.collect());
            let databases = oldest.chunk_by(|one, other| one.database_oid == other.database_oid).count();
            let name = match databases {
                0 | 1 => "the end of the oldest snapshot".to_string(),
                _ => format!("the end of an old snapshot (estimated: the oldest of one of {databases} databases)"),
            };
            (Kind::VirtualTransaction, name, oldest)
        }
        () if startup.waits_at("BufferPin") => {
            let all: Vec<&Session> = with_snapshot.collect();
            let name = match all.len() {
                0 | 1 => "a page that a query looks at".to_string(),
                many => format!("a page that a query looks at (estimated: one of {many} sessions)"),
            };
            (Kind::Page, name, all)
        }
        () if startup.waits_at("RecoveryConflictTablespace") => {
            (Kind::Object, "the end of all transactions, to drop a tablespace".to_string(), in_transaction)
        }
        () => return None,
    };
    let wait = wait(startup, kind, name, replay_waits_for(&blockers));
    Some((Who::Process(startup.pid), wait, blockers.iter().map(|session| Who::Process(session.pid)).collect()))
}

/// Of each database those with its oldest snapshot: if any in the database is in the way, these are. Of which database the rows are
/// that are to be removed the server does not say.
fn oldest_snapshots(mut sessions: Vec<&Session>) -> Vec<&Session> {
    sessions.sort_by_key(|session| (session.database_oid, std::cmp::Reverse(session.snapshot_age), session.pid));
    let of_database = |group: &[&Session]| group[0].snapshot_age;
    let groups = sessions.chunk_by(|one, other| one.database_oid == other.database_oid);
    groups.flat_map(|group| group.iter().copied().filter(|s| s.snapshot_age == of_database(group))).collect()
}

/// A VACUUM that has to clean up a page which somebody has pinned, as a cursor on it does for as long as it is open.
fn pinned(vacuum: &Session, sessions: &[Session], entries: &[Entry], names: &mut RelationNames) -> Option<Unlocked> {
    if !vacuum.waits_at("BufferPin") {
        return None;
    }
    let own = vacuum.leader.unwrap_or(vacuum.pid);
    let vacuums = |entry: &&Entry| {
        entry.leader == own && entry.tag.kind() == Kind::Relation && entry.holds.has(Mode::ShareUpdateExclusive)
    };
    let tables: HashSet<Tag> = entries.iter().filter(vacuums).map(|entry| entry.tag).collect();
    let of_others: Vec<&Entry> =
        entries.iter().filter(|entry| tables.contains(&entry.tag) && entry.leader != own).collect();
    let holds = |session: &&Session| of_others.iter().any(|entry| entry.pid == session.pid);
    let pinning = pinning(sessions.iter().filter(holds).collect());
    let table = of_others.iter().find(|entry| pinning.first().is_some_and(|session| session.pid == entry.pid))?.tag;
    let of = names.target(&table).name;
    let name = match pinning.len() {
        1 => format!("a page of {of} that is pinned (estimated: by who looks at it)"),
        many => format!("a page of {of} that is pinned (estimated: by one of {many} who look at it)"),
    };
    // At most, for since when is written nowhere.
    let since = |session: &&Session| if session.runs() { session.query_seconds } else { session.state_seconds };
    let looks = pinning.iter().filter_map(since).max_by(f64::total_cmp);
    let seconds = looks.into_iter().chain(vacuum.query_seconds).min_by(f64::total_cmp);
    let mut wait = wait(vacuum, Kind::Page, name, seconds);
    wait.target.database = vacuum.database_oid.unwrap_or_default();
    Some((Who::Process(own), wait, pinning.iter().map(|session| Who::Process(session.pid)).collect()))
}

/// Who of those that have a table locked has pinned a page of it for long: who is idle and has a snapshot still, which an open cursor
/// keeps; without such a one, the only one whose statement lasts. What others run passes from page to page.
fn pinning(holders: Vec<&Session>) -> Vec<&Session> {
    let open = |session: &&Session| session.in_transaction_and_idle() && session.snapshot_age.is_some();
    let lasts = |session: &&Session| {
        session.runs() && !session.waits_for_lock() && session.query_seconds.is_some_and(|seconds| seconds >= 1.0)
    };
    let cursors: Vec<&Session> = holders.iter().copied().filter(open).collect();
    let fetches = |session: &&Session| {
        let query = session.query.as_deref().unwrap_or_default();
        let first = Tokens::of(query).find(|token| token.kind != lexer::Kind::Comment);
        first.is_some_and(|token| token.word("fetch") || token.word("move") || token.word("declare"))
    };
    let fetching: Vec<&Session> = cursors.iter().copied().filter(fetches).collect();
    let running: Vec<&Session> = holders.into_iter().filter(lasts).collect();
    match (fetching.is_empty(), cursors.is_empty(), running.len()) {
        (false, ..) => fetching,
        (true, false, _) => cursors,
        (true, true, 1) => running,
        _ => Vec::new(),
    }
}

/// At most, for since when is written nowhere: since the WAL that it replays has come, or, as long as none was waited for, since the last
/// commit that it has replayed; and no longer than those take who are in the way.
fn replay_waits_for(blockers: &[&Session]) -> Option<f64> {
    // SAFETY: reads the clock and shared memory, under its own locks.
    let (now, chunk, commit) =
        unsafe { (pg_sys::GetCurrentTimestamp(), pg_sys::GetCurrentChunkReplayStartTime(), pg_sys::GetLatestXTime()) };
    let replaying = [chunk, commit].into_iter().find(|time| *time != 0);
    let replaying = replaying.map(|time| (now - time) as f64 / 1e6).filter(|seconds| *seconds > 0.0);
    let oldest = blockers.iter().filter_map(|session| session.transaction_seconds).max_by(f64::total_cmp);
    replaying.into_iter().chain(oldest).min_by(f64::total_cmp)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn session(pid: i32, database: u32, snapshot_age: i64) -> Session {
        Session { pid, database_oid: Some(database), snapshot_age: Some(snapshot_age), ..Session::default() }
    }

    #[test]
    fn who_has_a_page_pinned() {
        use crate::facts::activity::State;
        let of = |pid: i32, state: State, snapshot_age: Option<i64>, query: &str| Session {
            pid,
            state: Some(state),
            snapshot_age,
            query: Some(query.to_string()),
            query_seconds: Some(5.0),
            ..Session::default()
        };
        let idle = of(1, State::IdleInTransaction, None, "select 1");
        let snapshot = of(2, State::IdleInTransaction, Some(7), "select 1");
        let cursor = of(3, State::IdleInTransaction, Some(7), "/* page 2 */ Fetch 10 from c");
        let report = of(4, State::Active, Some(7), "select * from t");
        let young = Session { query_seconds: Some(0.1), ..report.clone() };
        let pids = |all: &[&Session]| pinning(all.to_vec()).iter().map(|session| session.pid).collect::<Vec<_>>();
        assert_eq!(pids(&[&idle, &snapshot, &cursor, &report]), [3]);
        assert_eq!(pids(&[&idle, &snapshot, &report]), [2]);
        assert_eq!(pids(&[&idle, &report, &young]), [4]);
        assert!(pids(&[&report, &report]).is_empty() && pids(&[&idle, &young]).is_empty());
    }

    #[test]
    fn of_each_database_the_oldest_snapshots_are_in_the_way() {
        let all = [session(1, 5, 3), session(2, 7, 1), session(3, 5, 9), session(4, 5, 9), session(5, 7, 0)];
        let oldest: Vec<i32> = oldest_snapshots(all.iter().collect()).iter().map(|session| session.pid).collect();
        assert_eq!(oldest, [3, 4, 2]);
        assert!(oldest_snapshots(Vec::new()).is_empty());
    }
}
