//! How many connections each process of an application may hold, from what it asks for and what the server has.

mod answer;
mod application;
mod budget;
mod demand;
mod features;
mod ini;
mod judgement;
mod limit;
mod measured;
mod pgbouncer;
mod rows;
mod texts;
mod timeouts;
#[cfg(test)]
mod unit_tests;

pub use rows::Row;

use crate::facts::activity::{Activity, Concurrency, Session, SizedRole};
use application::Pools;
use budget::Budget;
use demand::Demand;
use features::Features;
use measured::Measured;
use pgbouncer::Bouncer;
use rows::Rows;

/// What the caller says of the application.
#[derive(Clone, Debug)]
pub struct Request {
    /// Processes of one instance.
    pub api_workers: u64,
    pub queries_per_request: f64,
    /// Processes of one instance.
    pub background_workers: u64,
    pub instances: u64,
    /// How many times the instances run while a new version is rolled out.
    pub deploy_overlap: f64,
    pub requests_per_worker: u64,
    pub pgbouncer: Option<bool>,
    /// None: by what the role's statements use of a session.
    pub pool_mode: Option<Pooling>,
    /// Of the slots that ordinary roles can take.
    pub target_utilization: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Server {
    pub cores: u64,
    pub cores_are_given: bool,
    pub track_io_timing: bool,
    pub work_mem: String,
    /// As this session has reached it.
    pub address: Option<String>,
    pub port: String,
}

pub struct Input<'a> {
    pub request: Request,
    pub server: Server,
    pub role: SizedRole,
    /// Why it is this role; None: the caller named it.
    pub role_chosen: Option<String>,
    /// As SQL writes them.
    pub role_identifier: String,
    pub database_identifier: String,
    pub activity: &'a Activity,
    pub concurrency: &'a Concurrency,
    /// Called for each text that is searched: there may be megabytes.
    pub check: fn(),
}

impl Input<'_> {
    /// A session of the application: of its role in this database.
    pub fn is_ours(&self, session: &Session) -> bool {
        session.role_oid == Some(self.role.oid) && session.database_oid == Some(self.role.database_oid)
    }
}

/// Of PgBouncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Transaction,
    Session,
}

/// How processes reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    Nothing,
    TransactionPooling,
    SessionPooling,
}

/// All sizes that are decided.
pub struct Plan {
    pub demand: Demand,
    pub budget: Budget,
    pub measured: Measured,
    pub through: Through,
    pub pools: Pools,
    pub bouncer: Option<Bouncer>,
    pub features: Features,
}

impl Plan {
    pub fn of(input: &Input) -> Plan {
        let demand = Demand::of(&input.request);
        let budget = Budget::of(input);
        let measured = Measured::of(input);
        let features = Features::of(input);
        // By session it saves no connections: where nobody asks for it, it is not worth its while.
        let would_help = demand.at_peak() > budget.slots && features.are_none();
        let wanted = input.request.pgbouncer.unwrap_or(input.request.pool_mode.is_some() || would_help);
        let through = match (wanted, input.request.pool_mode) {
            (false, _) => Through::Nothing,
            (true, Some(Pooling::Transaction)) => Through::TransactionPooling,
            (true, None) if features.are_none() => Through::TransactionPooling,
            (true, _) => Through::SessionPooling,
        };
        let pools = match through {
            // What a process holds there is no connection of the server.
            Through::TransactionPooling => Pools::unlimited(&demand),
            Through::Nothing | Through::SessionPooling => Pools::within(&demand, budget.slots),
        };
        let ends_idle = timeouts::idle_session(input).is_some();
        let bouncer =
            (through != Through::Nothing).then(|| Bouncer::of(through, &demand, &budget, &measured, &pools, ends_idle));
        Plan { demand, budget, measured, through, pools, bouncer, features }
    }

    /// Connections of the server that the whole fleet can ask for while a version is rolled out.
    pub fn most_of_server(&self) -> u64 {
        match (&self.bouncer, self.through) {
            (Some(bouncer), Through::TransactionPooling) => bouncer.most(),
            // Pooled by session, each client keeps one.
            _ => self.pools.most(&self.demand),
        }
    }

    /// With what the server has, requests can wait for each other for ever.
    pub fn can_deadlock(&self) -> bool {
        match (&self.bouncer, self.through) {
            (Some(bouncer), Through::TransactionPooling) => bouncer.most() < self.demand.floor_of_fleet(),
            _ => self.pools.below_floor(&self.demand),
        }
    }
}

/// The answer first, then warnings, what they rest on, and the texts to paste.
pub fn size(input: &Input) -> Vec<Row> {
    let plan = Plan::of(input);
    let mut rows = Rows::default();
    let timeouts = timeouts::Timeouts::of(input);
    rows.answer(input, &plan);
    rows.warnings(input, &plan, &timeouts);
    plan.demand.tell(&input.request, &mut rows);
    plan.budget.tell(input, &mut rows);
    plan.measured.tell(input, &mut rows);
    plan.pools.tell(&plan, &mut rows);
    texts::tell_times(input, &plan, &timeouts, &mut rows);
    if let Some(bouncer) = &plan.bouncer {
        bouncer.tell(input, &plan, &mut rows);
    }
    timeouts.tell(input, &mut rows);
    texts::tell(input, &plan, &timeouts, &mut rows);
    rows.finish()
}
