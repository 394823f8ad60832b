//! Looks at all sessions again and again for a while, in the caller's session.

use super::backends::{self, Application, Backend, Kind};
use super::tally::{Counts, Tally};
use crate::facts::activity::State;
use crate::measure::wait;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

/// Of each kind; those of further statements, applications … are counted together.
const MOST_GROUPS: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// All clients' connections.
    All,
    Pool(Pool),
    /// What active sessions wait for.
    Wait(u32),
    Statement(Statement),
    State(Pool, Option<State>, u32),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    pub kind: Kind,
    pub database: u32,
    pub role: u32,
    /// None: of those that were too many.
    pub application: Option<Application>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    pub database: u32,
    pub role: u32,
    pub id: StatementId,
    pub wait: u32,
}

/// By database and role.
pub type Texts = HashMap<(u32, u32, StatementId), String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatementId {
    Known(i64),
    /// It has no id, or none yet: one that waits for a lock while it is analyzed. The hash of its text.
    OfText(u64),
    /// Of those that were too many, or ended while they were looked at.
    Unknown,
}

pub struct Sampled {
    pub samples: u64,
    /// That were due while the one before was taken, or this process did not run.
    pub missed: u64,
    /// How long taking them took.
    pub cost: Duration,
    pub groups: Vec<(Group, Counts)>,
    /// What ran when it was first seen.
    pub texts: Texts,
    /// Active sessions in all samples, background processes among them.
    pub active: u64,
}

struct Sampler {
    only: Option<u32>,
    visible: HashMap<u32, bool>,
    all: Tally<()>,
    pools: Tally<Pool>,
    waits: Tally<u32>,
    statements: Tally<Statement>,
    states: Tally<(Pool, Option<State>, u32)>,
    texts: Texts,
    active: u64,
}

/// `only`: sessions in this database.
pub fn sample(duration: Duration, interval: Duration, only: Option<u32>) -> Sampled {
    let mut sampler = Sampler {
        only,
        visible: HashMap::new(),
        all: Tally::new(1),
        pools: Tally::new(MOST_GROUPS),
        waits: Tally::new(MOST_GROUPS),
        statements: Tally::new(MOST_GROUPS),
        states: Tally::new(MOST_GROUPS),
        texts: HashMap::new(),
        active: 0,
    };
    let due = duration.as_nanos().div_ceil(interval.as_nanos()) as u64;
    let (mut taken, mut missed, mut next, mut cost) = (0, 0, 0, Duration::ZERO);
    let began = Instant::now();
    while next < due {
        // From the beginning, so that what a sample costs does not move those after it.
        wait::until(began + Duration::from_nanos((interval.as_nanos() * u128::from(next)) as u64));
        let passed = (began.elapsed().as_nanos() / interval.as_nanos()) as u64;
        missed += passed.min(due - 1).saturating_sub(next);
        next = passed.max(next) + 1;
        taken += 1;
        let at = Instant::now();
        backends::each(|backend| sampler.see(taken, backend));
        cost += at.elapsed();
    }
    sampler.finish(taken, missed, cost)
}

impl Sampler {
    fn see(&mut self, sample: u64, backend: &Backend) {
        if self.only.is_some_and(|only| only != backend.database) {
            return;
        }
        let visible = *self.visible.entry(backend.role).or_insert_with(|| may_see(backend.role));
        let active = visible && backend.is_active();
        if !active && !backend.is_client() {
            return;
        }
        let (kind, database, role) = (backend.kind, backend.database, backend.role);
        let pool = Pool { kind, database, role, application: Some(backend.application) };
        let rest = || Pool { kind: Kind::CLIENT, database: 0, role: 0, application: None };
        let (state, wait) = if visible { (backend.state, backend.wait) } else { (None, 0) };
        if backend.is_client() {
            self.all.add((), || (), sample, backend, visible);
        }
        self.states.add((pool.clone(), state, wait), || (rest(), None, 0), sample, backend, visible);
        self.pools.add(pool, rest, sample, backend, visible);
        if active {
            self.active += 1;
            self.waits.add(wait, || 0, sample, backend, visible);
            self.see_statement(sample, backend);
        }
    }

    fn see_statement(&mut self, sample: u64, backend: &Backend) {
        let (database, role, wait) = (backend.database, backend.role, backend.wait);
        let text = if backend.query_id == 0 { backend.text() } else { None };
        let id = match (backend.query_id, &text) {
            (0, Some(text)) => StatementId::OfText(hash(text)),
            (0, None) => StatementId::Unknown,
            (id, _) => StatementId::Known(id),
        };
        let rest = || Statement { database: 0, role: 0, id: StatementId::Unknown, wait: 0 };
        let new = self.statements.add(Statement { database, role, id, wait }, rest, sample, backend, true);
        if new
            && id != StatementId::Unknown
            && let Entry::Vacant(unseen) = self.texts.entry((database, role, id))
        {
            text.or_else(|| backend.text()).map(|text| unseen.insert(text));
        }
    }

    fn finish(self, samples: u64, missed: u64, cost: Duration) -> Sampled {
        let all = self.all.groups.into_values().next().unwrap_or_default();
        let mut groups = vec![(Group::All, all)];
        groups.extend(self.pools.groups.into_iter().map(|(pool, counts)| (Group::Pool(pool), counts)));
        groups.extend(self.waits.groups.into_iter().map(|(wait, counts)| (Group::Wait(wait), counts)));
        groups.extend(self.statements.groups.into_iter().map(|(of, counts)| (Group::Statement(of), counts)));
        groups.extend(
            self.states
                .groups
                .into_iter()
                .map(|((pool, state, wait), counts)| (Group::State(pool, state, wait), counts)),
        );
        Sampled { samples, missed, cost, groups, texts: self.texts, active: self.active }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The state of sessions of this role, as pg_stat_activity shows it.
pub fn may_see(role: u32) -> bool {
    // SAFETY: within a transaction, which lookups in the catalogs need; a role that is gone has no rights.
    unsafe {
        let caller = pg_sys::GetUserId();
        pg_sys::has_privs_of_role(caller, pg_sys::ROLE_PG_READ_ALL_STATS.into())
            || role != 0 && pg_sys::has_privs_of_role(caller, role.into())
    }
}
