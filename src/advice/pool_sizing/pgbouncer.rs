//! PgBouncer between the application and the server.

use super::application::Pools;
use super::budget::Budget;
use super::demand::Demand;
use super::measured::Measured;
use super::rows::{Basis, Part, Rows, number};
use super::texts::POOL_TIMEOUT;
use super::{Input, Plan, Through};

pub const MAX_PREPARED_STATEMENTS: u64 = 200;
/// Each of its clients costs it a file and a few kB.
const CLIENTS_ROUNDED_TO: u64 = 50;

#[derive(Clone, Debug, PartialEq)]
pub struct Bouncer {
    pub pool_size: u64,
    pub min_pool_size: u64,
    pub reserve_pool_size: u64,
    pub max_client_conn: u64,
    /// What pool_size would be with slots enough.
    wanted: u64,
    rests_on: String,
}

impl Bouncer {
    /// `ends_idle`: the server ends sessions that are idle for long (idle_session_timeout).
    pub fn of(
        through: Through,
        demand: &Demand,
        budget: &Budget,
        measured: &Measured,
        pools: &Pools,
        ends_idle: bool,
    ) -> Bouncer {
        let clients = pools.most(demand);
        let (wanted, rests_on) = match through {
            Through::SessionPooling => {
                (clients, "each client keeps a server for its session: all that the fleet opens".to_string())
            }
            _ => wanted(demand, budget, measured),
        };
        // The server may have no slot left: one is the least that works at all.
        let pool_size = wanted.min(budget.slots).max(1);
        let reserve = match through {
            Through::SessionPooling => 0,
            _ => pool_size.div_ceil(4),
        };
        let kept = measured.held().map_or(pool_size.div_ceil(4), |mean| mean.ceil() as u64);
        Bouncer {
            pool_size,
            // PgBouncer exempts these from server_idle_timeout.
            min_pool_size: if ends_idle { 0 } else { kept.clamp(1, pool_size) },
            reserve_pool_size: reserve.min(budget.slots.saturating_sub(pool_size)),
            max_client_conn: (clients + clients.div_ceil(4)).next_multiple_of(CLIENTS_ROUNDED_TO),
            wanted,
            rests_on,
        }
    }

    /// Connections to the server.
    pub fn most(&self) -> u64 {
        self.pool_size + self.reserve_pool_size
    }

    pub fn tell(&self, input: &Input, plan: &Plan, rows: &mut Rows) {
        let (basis, mode) = pool_mode(input, plan);
        rows.say(Part::Pgbouncer, "pool_mode", basis, mode);
        let limited = match self.wanted > self.pool_size {
            true => format!("; {} would be better, but {}", self.wanted, plan.budget.has(input)),
            false => String::new(),
        };
        let mut add = |name: &'static str, value: u64, unit: &'static str, basis: Basis, rests_on: String| {
            rows.add(Part::Pgbouncer, name, value as f64, unit, basis, &rests_on);
        };
        add(
            "pool_size",
            self.pool_size,
            "connections",
            Basis::Estimated,
            format!("{}{limited}. For one user in one PgBouncer process: several share it", self.rests_on),
        );
        add(
            "reserve_pool_size",
            self.reserve_pool_size,
            "connections",
            Basis::Estimated,
            "a quarter of pool_size as far as the slots go, for clients that have waited reserve_pool_timeout (5 s by default); reserve_pool in \
             the database's line"
                .to_string(),
        );
        add(
            "max_db_connections",
            self.most(),
            "connections",
            Basis::Estimated,
            match plan.budget.slots {
                0 => "the least with which it works at all: there is no slot for it".to_string(),
                slots => {
                    format!("{} + {}: never more than the {slots} slots", self.pool_size, self.reserve_pool_size)
                }
            },
        );
        add(
            "min_pool_size",
            self.min_pool_size,
            "connections",
            Basis::Estimated,
            match plan.measured.held() {
                _ if self.min_pool_size == 0 => {
                    "none is kept open: the server ends what is idle (idle_session_timeout), and these know no server_idle_timeout"
                        .to_string()
                }
                Some(mean) => format!("kept open: the mean of connections held, {}", number(mean)),
                None => "kept open: a quarter of pool_size".to_string(),
            },
        );
        add(
            "max_client_conn",
            self.max_client_conn,
            "clients",
            Basis::Given,
            format!(
                "the fleet's {} while a version is rolled out and a quarter more, rounded up; of all databases together: add what others need. \
                 Its process needs as many open files (ulimit -n) and {} more",
                plan.pools.most(&plan.demand),
                self.most()
            ),
        );
        rows.add(
            Part::Pgbouncer,
            "query_wait_timeout",
            POOL_TIMEOUT,
            "seconds",
            Basis::Default,
            "as pool_timeout: who waits longer for a server is sent an error; of all databases together, PgBouncer's default is 120",
        );
        if plan.through == Through::TransactionPooling {
            rows.add(
                Part::Pgbouncer,
                "max_prepared_statements",
                MAX_PREPARED_STATEMENTS as f64,
                "statements",
                Basis::Default,
                "kept for each client, so that prepared statements of the protocol work (PgBouncer 1.21 or newer); the default from 1.24 on",
            );
        }
    }
}

fn pool_mode(input: &Input, plan: &Plan) -> (Basis, String) {
    const TRANSACTION: &str =
        "transaction: a server belongs to a client only during a transaction, so that few serve many";
    const SESSION: &str = "session: a server belongs to a client until it disconnects, which saves no connections while clients keep theirs";
    match (plan.through, input.request.pool_mode) {
        (Through::SessionPooling, None) => (
            Basis::Estimated,
            format!(
                "{SESSION}. Transaction pooling would break {}: see the warnings, and pass pool_mode => 'transaction' once it is gone or was not the application's",
                plan.features.names()
            ),
        ),
        (Through::SessionPooling, Some(_)) => (Basis::Given, format!("{SESSION}; as argument pool_mode says")),
        (_, Some(_)) => (Basis::Given, format!("{TRANSACTION}; as argument pool_mode says")),
        (_, None) => {
            let (basis, searched) = plan.features.searched();
            (basis, format!("{TRANSACTION}. {searched}"))
        }
    }
}

/// In transaction pooling, and what it rests on.
fn wanted(demand: &Demand, budget: &Budget, measured: &Measured) -> (u64, String) {
    let held = measured.held_per_running();
    let by_cores = (budget.capacity as f64 * held).ceil() as u64;
    let peak = measured.peak.as_ref().map_or(0, |peak| peak.value.ceil() as u64);
    let floor = if demand.holds_several() { demand.floor_of_fleet() } else { 1 };
    let wanted = by_cores.max(peak).max(floor).min(demand.at_peak()).max(1);
    let mut parts = vec![format!(
        "{by_cores} that the server's cores can serve ({} statements at once × {} held for each)",
        budget.capacity,
        number(held)
    )];
    if peak > 0 {
        parts.push(format!("{peak} held at the peak"));
    }
    if floor > 1 {
        parts.push(format!(
            "the fleet's deadlock floor {floor} (requests that take a connection while they hold another)"
        ));
    }
    (wanted, format!("the most of: {}; not above the demand {}", parts.join(", "), demand.at_peak()))
}
