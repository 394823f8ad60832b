//! What a statement has locked, rewritten and read, as the server counts it.

use super::key_checks::KeyChecks;
use super::utilities::Utilities;
use super::watch::Watch;
use crate::db;
use crate::facts::QualifiedName;
use crate::facts::migration::LockMode;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::ptr::null_mut;

/// A relation as it was before the statement.
#[derive(Clone)]
struct Known {
    name: String,
    kind: String,
    rows: f64,
    file: u32,
    tablespace: u32,
    /// How often it was read as a whole by this session, and how many rows that gave.
    scans: i64,
    tuples: i64,
    /// Before the first statement.
    at_start: bool,
}

pub struct Observer {
    watch: Watch,
    key_checks: KeyChecks,
    _utilities: Utilities,
    relations: HashMap<u32, Known>,
}

/// Locks held, each with how often.
pub struct Before(HashMap<(u32, LockMode), i64>);

/// What must be known of a statement to read its counts.
#[derive(Clone, Copy)]
pub struct Kind {
    /// It may read a part of a table's rows.
    pub reads_in_part: bool,
    pub moves_to_tablespace: bool,
    pub refreshes_concurrently: bool,
}

/// What one statement did.
#[derive(Default)]
pub struct Observed {
    /// Strongest mode on each relation that was there before, by name.
    pub locks: Vec<(String, LockMode)>,
    pub rewrites: Vec<String>,
    /// None: the server does not count (track_counts is off).
    pub scans: Option<Vec<Scanned>>,
    /// Sequences of the database that it took values from.
    pub advanced: Vec<String>,
}

pub struct Scanned {
    pub relation: String,
    pub rows: f64,
}

impl Observer {
    pub fn start(watch: Watch) -> Observer {
        let mut observer = Observer {
            watch,
            key_checks: KeyChecks::start(),
            _utilities: Utilities::start(),
            relations: HashMap::new(),
        };
        observer.look_again();
        for known in observer.relations.values_mut() {
            known.at_start = true;
        }
        observer
    }

    /// The function that was refused since the last call.
    pub fn refused(&self) -> Option<String> {
        self.watch.called()
    }

    /// Reads all relations anew: names may have changed that no lock tells of.
    pub fn look_again(&mut self) {
        let before = std::mem::take(&mut self.relations);
        for (oid, mut known) in relations(None) {
            known.at_start = before.get(&oid).is_some_and(|known| known.at_start);
            self.relations.insert(oid, known);
        }
    }

    pub fn before(&self) -> Before {
        self.watch.rewritten();
        self.key_checks.scans();
        Before(locks_held().into_iter().collect())
    }

    /// To be called in the statement's own subtransaction. `reads_in_part`: a query, which may read less than all rows.
    pub fn after(&mut self, before: &Before, kind: Kind) -> Observed {
        let held = locks_held();
        let taken = held.iter().filter(|(lock, times)| before.0.get(lock).is_none_or(|earlier| times > earlier));
        let taken: Vec<(u32, LockMode)> = taken.map(|(lock, _)| *lock).collect();
        let touched: Vec<u32> = held.iter().map(|((relation, _), _)| *relation).collect();
        let now: HashMap<u32, Known> = relations(Some(touched)).collect();
        let rewritten = self.rewritten(&now, kind);
        let observed = Observed {
            locks: self.locks(&taken),
            scans: counts_reads().then(|| self.scans(&now, &rewritten, kind)),
            rewrites: self.names(&rewritten),
            advanced: self.advanced(&taken),
        };
        self.remember(now, &taken);
        observed
    }

    fn locks(&self, taken: &[(u32, LockMode)]) -> Vec<(String, LockMode)> {
        let mut strongest: HashMap<u32, LockMode> = HashMap::new();
        for (relation, mode) in taken {
            let known = self.relations.get(relation);
            if known.is_some_and(|known| known.shows(*mode)) {
                let so_far = strongest.entry(*relation).or_insert(*mode);
                *so_far = (*so_far).max(*mode);
            }
        }
        let mut locks: Vec<_> =
            strongest.into_iter().map(|(relation, mode)| (self.relations[&relation].name.clone(), mode)).collect();
        locks.sort();
        locks
    }

    fn rewritten(&self, now: &HashMap<u32, Known>, kind: Kind) -> Vec<u32> {
        let mut rewritten = self.watch.rewritten();
        if kind.moves_to_tablespace {
            let moved = |(oid, known): (&u32, &Known)| {
                let earlier = self.relations.get(oid)?;
                let moved = earlier.tablespace != known.tablespace && earlier.file != known.file;
                (moved && known.has_rows()).then_some(*oid)
            };
            rewritten.extend(now.iter().filter_map(moved));
        }
        rewritten.retain(|relation| self.relations.contains_key(relation) && !kind.refreshes_concurrently);
        rewritten.sort_unstable();
        rewritten.dedup();
        rewritten
    }

    fn scans(&self, now: &HashMap<u32, Known>, rewritten: &[u32], kind: Kind) -> Vec<Scanned> {
        let for_keys = self.key_checks.scans();
        let scanned = self.relations.iter().filter_map(|(oid, earlier)| {
            let known = now.get(oid)?;
            let (scans, tuples) = (known.scans - earlier.scans, (known.tuples - earlier.tuples) as f64);
            // An index that is built anew is one more scan.
            let rows = tuples / scans.max(1) as f64;
            let own_scans = scans - for_keys.get(oid).copied().unwrap_or(0);
            let read = own_scans > 0 && tuples > 0.0 && (!kind.reads_in_part || tuples >= earlier.rows * NEARLY_ALL);
            // What parallel workers read is not among this session's counts.
            let scanned = Scanned { relation: earlier.name.clone(), rows: rows.max(earlier.rows) };
            ((read && known.has_rows()) || rewritten.contains(oid)).then_some(scanned)
        });
        let mut scans: Vec<Scanned> = scanned.collect();
        scans.sort_by(|one, other| one.relation.cmp(&other.relation));
        scans
    }

    fn names(&self, relations: &[u32]) -> Vec<String> {
        let mut names: Vec<String> = relations.iter().map(|relation| self.relations[relation].name.clone()).collect();
        names.sort();
        names
    }

    fn advanced(&self, taken: &[(u32, LockMode)]) -> Vec<String> {
        let sequences = taken.iter().filter_map(|(relation, mode)| {
            let known = self.relations.get(relation)?;
            (known.kind == SEQUENCE && known.at_start && *mode == LockMode::RowExclusive).then(|| known.name.clone())
        });
        sequences.collect()
    }

    fn remember(&mut self, now: HashMap<u32, Known>, taken: &[(u32, LockMode)]) {
        for (relation, _) in taken {
            if !now.contains_key(relation) {
                self.relations.remove(relation);
            }
        }
        for (oid, mut known) in now {
            known.at_start = self.relations.get(&oid).is_some_and(|earlier| earlier.at_start);
            self.relations.insert(oid, known);
        }
    }
}

const SEQUENCE: &str = "S";

/// Of the rows at the last ANALYZE: a query does not see those that the statement has deleted.
const NEARLY_ALL: f64 = 0.99;

impl Known {
    fn has_rows(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "m")
    }

    /// Locks that others hardly meet are left out: those of readers, of writers on indexes, and of nextval() on sequences,
    /// which the session takes once for its whole transaction.
    fn shows(&self, mode: LockMode) -> bool {
        match self.kind.as_str() {
            "i" | "I" => mode >= LockMode::ShareUpdateExclusive,
            SEQUENCE => mode > LockMode::RowExclusive,
            _ => mode > LockMode::AccessShare,
        }
    }
}

/// `of`: these, and what the running subtransaction has written; None: all.
fn relations(of: Option<Vec<u32>>) -> impl Iterator<Item = (u32, Known)> {
    const SQL: &str = include_str!("../../../../sql/facts/dry_run/relations.sql");
    let of = of.map(|oids| oids.into_iter().map(pg_sys::Oid::from).collect::<Vec<_>>());
    let rows = db::read(SQL, &[of.into(), transaction().into()], |row| {
        let oid: pg_sys::Oid = row.take();
        let (schema, name): (String, String) = (row.take(), row.take());
        let known = Known {
            name: QualifiedName { schema: schema.into(), name: name.into() }.to_string(),
            kind: row.take(),
            rows: row.take::<f64>().max(0.0),
            file: row.take::<pg_sys::Oid>().to_u32(),
            tablespace: row.take::<pg_sys::Oid>().to_u32(),
            scans: row.take(),
            tuples: row.take(),
            at_start: false,
        };
        (oid.to_u32(), known)
    });
    rows.into_iter()
}

/// Id of the running (sub)transaction, as text; 0: it has none, and has written nothing.
fn transaction() -> String {
    // SAFETY: reads a variable.
    u32::from(unsafe { pg_sys::GetCurrentTransactionIdIfAny() }).to_string()
}

fn counts_reads() -> bool {
    // SAFETY: reads a setting.
    unsafe { pg_sys::pgstat_track_counts }
}

/// Locks on relations that this session holds, and how often each was taken.
fn locks_held() -> Vec<((u32, LockMode), i64)> {
    let held = db::read(include_str!("../../../../sql/facts/dry_run/locks.sql"), &[], |row| {
        let relation: pg_sys::Oid = row.take();
        (relation.to_u32(), LockMode::from_name(&row.take::<String>()))
    });
    let held = held.into_iter().filter_map(|(relation, mode)| Some((relation, mode?)));
    held.filter(|(relation, _)| *relation >= pg_sys::FirstNormalObjectId)
        .map(|(relation, mode)| ((relation, mode), times_taken(relation, mode)))
        .collect()
}

/// pg_locks does not tell that a lock was taken once more; the lock manager counts it, and says so to who takes it.
fn times_taken(relation: u32, mode: LockMode) -> i64 {
    let tag = pg_sys::LOCKTAG {
        // SAFETY: a variable that is set when the session begins.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: relation,
        locktag_field3: 0,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    let mode = mode as pg_sys::LOCKMODE;
    let mut taken = null_mut();
    // SAFETY: a lock that is held already is granted at once; taking it and giving it back leaves the count as it was.
    unsafe {
        pg_sys::LockAcquireExtended(&raw const tag, mode, false, true, false, &raw mut taken);
        let times = if taken.is_null() { 0 } else { (*taken).nLocks - 1 };
        pg_sys::LockRelease(&raw const tag, mode, false);
        times
    }
}
