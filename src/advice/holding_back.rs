//! Who keeps dead rows from being removed: whoever began longest ago of those that may still need them.

use crate::facts::activity::{Activity, Prepared, ReplicationSlot, Session};

#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    Session(&'a Session),
    /// What a standby asks for by hot_standby_feedback, without a slot.
    Standby(&'a Session),
    Prepared(&'a Prepared),
    Slot(&'a ReplicationSlot),
}

#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    pub holder: Holder<'a>,
    /// In transactions.
    pub age: u64,
    pub seconds: Option<f64>,
    /// None: in all databases.
    pub database: Option<u32>,
    /// Dead rows of other tables may go.
    pub catalogs_only: bool,
}

impl Hold<'_> {
    fn concerns(&self, database: Option<u32>) -> bool {
        self.database.is_none() || self.database == database
    }

    /// It keeps rows that the other keeps too.
    pub fn reaches(&self, other: &Hold) -> bool {
        self.database.is_none() || other.database.is_none() || self.database == other.database
    }

    /// What ends one ends the other.
    fn is_of(&self, other: &Hold) -> bool {
        matches!((self.holder, other.holder), (Holder::Slot(one), Holder::Slot(other)) if one.name == other.name)
    }

    /// `session 4711`, `prepared transaction 'x'`
    pub fn name(&self) -> String {
        match self.holder {
            Holder::Session(session) => format!("session {}", session.pid),
            Holder::Standby(session) => format!("standby {}", session.application),
            Holder::Prepared(prepared) => format!("prepared transaction {}", prepared.gid),
            Holder::Slot(slot) => format!("replication slot {}", slot.name),
        }
    }
}

/// Oldest first.
pub fn holds(activity: &Activity) -> Vec<Hold<'_>> {
    let sessions = activity.sessions.iter().filter_map(|session| of_session(activity, session));
    let prepared = activity.prepared.iter().map(|prepared| Hold {
        holder: Holder::Prepared(prepared),
        age: age(prepared.transaction_id_age),
        seconds: Some(prepared.seconds),
        database: Some(prepared.database_oid),
        catalogs_only: false,
    });
    let mut holds: Vec<Hold> =
        sessions.chain(prepared).chain(activity.replication_slots.iter().flat_map(of_slot)).collect();
    holds.sort_by_key(|hold| std::cmp::Reverse(hold.age));
    holds
}

/// What keeps the rows of this database from being frozen: those of all tables, and, where another is older, only those of catalogs.
pub fn keeping<'a>(holds: &'a [Hold<'a>], database: u32) -> (Option<&'a Hold<'a>>, Option<&'a Hold<'a>>) {
    let of_tables = holds.iter().position(|hold| hold.concerns(Some(database)) && !hold.catalogs_only);
    let of_catalogs = (of_tables != Some(0)).then(|| holds.first()).flatten();
    (of_tables.map(|place| &holds[place]), of_catalogs)
}

/// The oldest of some database, in which dead rows wait for it alone.
pub struct Limiting<'a> {
    pub hold: &'a Hold<'a>,
    /// What holds back next, when it has ended.
    pub after: Option<&'a Hold<'a>>,
    /// What then holds back the catalogs for longer than that.
    pub catalogs_after: Option<&'a Hold<'a>>,
}

pub fn limiting<'a>(holds: &'a [Hold<'a>]) -> Vec<Limiting<'a>> {
    let mut databases: Vec<Option<u32>> = holds.iter().map(|hold| hold.database).collect();
    databases.sort_unstable();
    databases.dedup();
    let oldest = |database| holds.iter().position(|hold| hold.concerns(database) && !hold.catalogs_only);
    let mut places: Vec<usize> = databases.into_iter().filter_map(oldest).collect();
    // Of the catalogs, where nothing else is as old.
    let of_catalogs = holds.iter().position(|hold| hold.catalogs_only);
    let of_all = oldest(None).unwrap_or(holds.len());
    places.extend(of_catalogs.filter(|place| *place < of_all));
    places.sort_unstable();
    places.dedup();
    let limiting = |place: usize| {
        let hold: &Hold = &holds[place];
        let as_much = |next: &&Hold| hold.reaches(next) && (hold.catalogs_only || !next.catalogs_only);
        let after = holds[place + 1..].iter().filter(|next| !hold.is_of(next)).find(as_much);
        let catalogs = holds.iter().find(|next| next.catalogs_only && !hold.catalogs_only && !hold.is_of(next));
        let catalogs_after = catalogs.filter(|next| after.is_none_or(|after| next.age > after.age));
        Limiting { hold, after, catalogs_after }
    };
    places.into_iter().map(limiting).collect()
}

fn of_session<'a>(activity: &Activity, session: &'a Session) -> Option<Hold<'a>> {
    let held = session.snapshot_age.max(session.transaction_id_age)?;
    // A parallel worker has its leader's snapshot; VACUUM's own keeps no row.
    let vacuums = activity.progress_of(session).is_some_and(|progress| progress.command == "VACUUM");
    if session.leader.is_some_and(|leader| leader != session.pid) || vacuums {
        return None;
    }
    let standby = session.kind == "walsender" && session.database_oid.is_none();
    Some(Hold {
        holder: if standby { Holder::Standby(session) } else { Holder::Session(session) },
        age: age(held),
        seconds: session.transaction_seconds,
        database: session.database_oid,
        catalogs_only: false,
    })
}

/// One that is invalidated still shows what it held back, and holds back nothing. The slot of a standby, on which another is logical,
/// may hold back the catalogs for longer than the rest.
fn of_slot(slot: &ReplicationSlot) -> impl Iterator<Item = Hold<'_>> {
    let hold = move |held: i64, catalogs_only| Hold {
        holder: Holder::Slot(slot),
        age: age(held),
        seconds: slot.inactive_seconds,
        database: None,
        catalogs_only,
    };
    let of_all = slot.xmin_age.map(|held| hold(held, false));
    let of_catalogs = slot.catalog_xmin_age.filter(|held| slot.xmin_age.is_none_or(|of_all| *held > of_all));
    let holds = of_all.into_iter().chain(of_catalogs.map(|held| hold(held, true)));
    holds.filter(|_| slot.invalidated.is_none())
}

fn age(age: i64) -> u64 {
    age.max(0) as u64
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn session(pid: i32, database: u32, snapshot_age: i64) -> Session {
        let kind = "client backend".to_string();
        Session { pid, kind, database_oid: Some(database), snapshot_age: Some(snapshot_age), ..Session::default() }
    }

    fn slot(name: &str, xmin_age: Option<i64>, catalog_xmin_age: Option<i64>) -> ReplicationSlot {
        ReplicationSlot { name: name.to_string(), xmin_age, catalog_xmin_age, ..ReplicationSlot::default() }
    }

    fn names(activity: &Activity) -> Vec<(String, Option<String>)> {
        let holds = holds(activity);
        limiting(&holds).iter().map(|limiting| (limiting.hold.name(), limiting.after.map(Hold::name))).collect()
    }

    #[test]
    fn each_database_has_its_oldest() {
        let sessions = vec![session(1, 5, 100), session(2, 5, 300), session(3, 6, 200)];
        let activity = Activity { sessions, ..Activity::default() };
        let expected = [("session 2", Some("session 1")), ("session 3", None)];
        assert_eq!(names(&activity), expected.map(|(name, after)| (name.to_string(), after.map(str::to_string))));
    }

    #[test]
    fn a_slot_limits_all_databases() {
        let activity = Activity {
            sessions: vec![session(1, 5, 100), session(2, 6, 50)],
            replication_slots: vec![slot("standby", Some(400), Some(400)), slot("young", Some(10), None)],
            ..Activity::default()
        };
        assert_eq!(names(&activity), [("replication slot standby".to_string(), Some("session 1".to_string()))]);
    }

    #[test]
    fn a_slot_of_the_catalogs_limits_only_where_it_is_oldest() {
        let slots = |age| vec![slot("logical", None, Some(age))];
        let sessions = || vec![session(1, 5, 100)];
        let older = Activity { sessions: sessions(), replication_slots: slots(200), ..Activity::default() };
        assert_eq!(names(&older).len(), 2);
        let with_standby = Activity {
            replication_slots: vec![slot("s", Some(300), None), slot("l", None, Some(200))],
            ..Activity::default()
        };
        assert_eq!(names(&with_standby), [("replication slot s".to_string(), None)]);
    }

    #[test]
    fn a_slot_may_hold_back_the_catalogs_for_longer() {
        let slots = vec![slot("standby", Some(2), Some(10_206))];
        let activity = Activity { sessions: vec![session(1, 5, 100)], replication_slots: slots, ..Activity::default() };
        let holds = holds(&activity);
        let of = |hold: &Hold| (hold.name(), hold.age, hold.catalogs_only);
        let standby = "replication slot standby".to_string();
        assert_eq!(of(&holds[0]), (standby.clone(), 10_206, true));
        let limiting = limiting(&holds);
        assert_eq!(of(limiting[0].hold), (standby.clone(), 10_206, true));
        assert_eq!(limiting[0].after.map(Hold::name), Some("session 1".to_string()));
        assert_eq!(limiting[1].catalogs_after.map(of), Some((standby.clone(), 10_206, true)));
        assert_eq!(of(limiting[2].hold), (standby, 2, false));
        assert!(limiting[2].after.is_none() && limiting[2].catalogs_after.is_none(), "its end frees both");
    }

    #[test]
    fn what_comes_next_holds_back_as_much() {
        let slots = |age| vec![slot("logical", None, Some(age))];
        for (age, catalogs) in [(300, true), (200, true), (50, false)] {
            let sessions = vec![session(1, 5, 300), session(2, 5, 100)];
            let activity = Activity { sessions, replication_slots: slots(age), ..Activity::default() };
            let holds = holds(&activity);
            let limiting =
                limiting(&holds).into_iter().find(|limiting| !limiting.hold.catalogs_only).expect("the session");
            let names = |hold: Option<&Hold>| hold.map(Hold::name).unwrap_or_default();
            let expected = if catalogs { "replication slot logical" } else { "" };
            assert_eq!(
                (names(limiting.after), names(limiting.catalogs_after)),
                ("session 2".to_string(), expected.to_string())
            );
        }
        let activity =
            Activity { sessions: vec![session(1, 5, 300)], replication_slots: slots(300), ..Activity::default() };
        let holds = holds(&activity);
        let first = &limiting(&holds)[0];
        assert!(first.after.is_none() && first.catalogs_after.is_some());
    }

    #[test]
    fn what_keeps_the_rows_of_a_database() {
        let activity = Activity {
            sessions: vec![session(1, 5, 100), session(2, 6, 300)],
            replication_slots: vec![slot("logical", None, Some(200))],
            ..Activity::default()
        };
        let holds = holds(&activity);
        let of = |database| {
            let (tables, catalogs) = keeping(&holds, database);
            (tables.map(Hold::name).unwrap_or_default(), catalogs.map(Hold::name).unwrap_or_default())
        };
        let names = |tables: &str, catalogs: &str| (tables.to_string(), catalogs.to_string());
        assert_eq!(of(5), names("session 1", "session 2"));
        assert_eq!(of(6), names("session 2", ""));
        assert_eq!(of(7), names("", "session 2"));
        assert!(keeping(&[], 5).0.is_none() && keeping(&[], 5).1.is_none());
    }

    #[test]
    fn an_invalidated_slot_holds_nothing() {
        let lost =
            ReplicationSlot { invalidated: Some("wal_removed".to_string()), ..slot("lost", Some(900), Some(900)) };
        let activity =
            Activity { sessions: vec![session(1, 5, 300)], replication_slots: vec![lost], ..Activity::default() };
        assert_eq!(names(&activity), [("session 1".to_string(), None)]);
    }

    #[test]
    fn workers_and_vacuum_hold_nothing_of_their_own() {
        let mut worker = session(7, 5, 900);
        worker.leader = Some(1);
        let vacuum = session(8, 5, 900);
        let progress = crate::facts::activity::Progress { pid: 8, command: "VACUUM".to_string(), ..Default::default() };
        let sessions = vec![session(1, 5, 900), worker, vacuum];
        let activity = Activity { sessions, progress: vec![progress], ..Activity::default() };
        assert_eq!(names(&activity), [("session 1".to_string(), None)]);
    }
}
