//! Waits for other sessions that are no waits for locks.

use super::super::{Kind, Target, read};
use super::{LockWait, Who};
use crate::facts::activity::Session;
use pgrx::pg_sys;

/// Who waits, for what, and whose end it needs.
pub type Unlocked = (Who, LockWait, Vec<Who>);

pub fn waits(sessions: &[Session]) -> Vec<Unlocked> {
    safe_snapshots(sessions).into_iter().chain(recovery(sessions)).collect()
}

fn wait(session: &Session, kind: Kind, name: String, seconds: Option<f64>) -> LockWait {
    LockWait {
        pid: session.pid,
        target: Target { kind, database: 0, relation: None, name },
        row: None,
        mode: None,
        seconds,
        blockers: Vec::new(),
    }
}

fn waits_at(session: &Session, event: &str) -> bool {
    session.wait.as_ref().is_some_and(|wait| wait.event.eq_ignore_ascii_case(event))
}

fn safe_snapshots(sessions: &[Session]) -> Vec<Unlocked> {
    let waiting: Vec<&Session> = sessions.iter().filter(|session| waits_at(session, "SafeSnapshot")).collect();
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
        () if waits_at(startup, "RecoveryConflictSnapshot") => {
            let oldest = oldest_snapshots(with_snapshot.collect());
            let databases = oldest.chunk_by(|one, other| one.database_oid == other.database_oid).count();
            let name = match databases {
                0 | 1 => "the end of the oldest snapshot".to_string(),
                _ => format!("the end of an old snapshot (estimated: the oldest of one of {databases} databases)"),
            };
            (Kind::VirtualTransaction, name, oldest)
        }
        () if waits_at(startup, "BufferPin") => {
            let all: Vec<&Session> = with_snapshot.collect();
            let name = match all.len() {
                0 | 1 => "a page that a query looks at".to_string(),
                many => format!("a page that a query looks at (estimated: one of {many} sessions)"),
            };
            (Kind::Page, name, all)
        }
        () if waits_at(startup, "RecoveryConflictTablespace") => {
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
    fn of_each_database_the_oldest_snapshots_are_in_the_way() {
        let all = [session(1, 5, 3), session(2, 7, 1), session(3, 5, 9), session(4, 5, 9), session(5, 7, 0)];
        let oldest: Vec<i32> = oldest_snapshots(all.iter().collect()).iter().map(|session| session.pid).collect();
        assert_eq!(oldest, [3, 4, 2]);
        assert!(oldest_snapshots(Vec::new()).is_empty());
    }
}
