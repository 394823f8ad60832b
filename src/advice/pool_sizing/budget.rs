//! What the server has for the application, and how much it can run at once.

use super::rows::{Basis, Part, Rows, number, percent, rounded_down, rounded_up};
use super::{Input, Server};
use crate::facts::activity::Session;
use crate::units::{Count, listing};
use std::collections::HashMap;

/// With less execution time counted, its share of reading and writing says little.
const LEAST_MS: f64 = 60_000.0;
/// However much of the time goes into reading and writing.
const MOST_PER_CORE: f64 = 4.0;
const POOLS_NAMED: usize = 3;

/// Which limit is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Server,
    Role,
    Database,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// That ordinary roles can take.
    pub usable: u64,
    /// Of these, as many as may be taken in all.
    pub allowed: u64,
    /// Sessions of others, this one among them.
    pub others: u64,
    /// Of the others, those in this database.
    pub others_here: u64,
    /// The role's sessions in other databases.
    pub of_role_elsewhere: u64,
    pub role_limit: Option<u64>,
    pub database_limit: Option<u64>,
    /// For the application.
    pub slots: u64,
    /// What leaves no more of them.
    pub bound: Bound,
    /// Without that limit.
    pub slots_without: u64,
    /// Statements that the server can run at once.
    pub capacity: u64,
    capacity_rests_on: String,
    largest_others: Vec<String>,
}

impl Budget {
    pub fn of(input: &Input) -> Budget {
        let Input { server, role, request, activity, .. } = input;
        let connections = || activity.sessions.iter().filter(|session| session.takes_slot());
        let count = |of: &dyn Fn(&Session) -> bool| connections().filter(|session| of(session)).count() as u64;
        let slots = &activity.slots;
        let usable = slots.ordinary();
        let of = |limit: u64| rounded_down(limit as f64 * request.target_utilization);
        let allowed = of(usable);
        let own = u64::from(slots.own.is_some());
        let others = count(&|session| !input.is_ours(session)) + own;
        let others_here =
            count(&|session| !input.is_ours(session) && session.database_oid == Some(role.database_oid)) + own;
        let of_role_elsewhere = count(&|s| s.role_oid == Some(role.oid) && s.database_oid != Some(role.database_oid));
        // Neither limit holds for superusers.
        let limit = |limit: Option<u64>| limit.filter(|_| !role.is_superuser);
        let (role_limit, database_limit) = (limit(role.connection_limit), limit(role.database_connection_limit));
        let of_role = role_limit.map(|limit| (of(limit).saturating_sub(of_role_elsewhere), Bound::Role));
        let of_database = database_limit.map(|limit| (of(limit).saturating_sub(others_here), Bound::Database));
        let bounds = [Some((allowed.saturating_sub(others), Bound::Server)), of_role, of_database];
        let least = |without: Option<Bound>| {
            let bounds = bounds.into_iter().flatten().filter(|(_, bound)| Some(*bound) != without);
            bounds.min_by_key(|(slots, _)| *slots)
        };
        let (slots, bound) = least(None).expect("that of the server is always there");
        let (capacity, capacity_rests_on) = capacity(server, input);
        Budget {
            usable,
            allowed,
            others,
            others_here,
            of_role_elsewhere,
            role_limit,
            database_limit,
            slots,
            bound,
            slots_without: least(Some(bound)).map_or(slots, |(slots, _)| slots),
            capacity,
            capacity_rests_on,
            largest_others: largest(connections().filter(|session| !input.is_ours(session))),
        }
    }

    pub fn tell(&self, input: &Input, rows: &mut Rows) {
        let Input { server, request, role, .. } = input;
        let settings = &input.activity.slots;
        let cores = if server.cores_are_given { Basis::Given } else { Basis::Measured };
        rows.add(
            Part::Server,
            "cores",
            server.cores as f64,
            "cores",
            cores,
            match server.cores_are_given {
                true => "argument cores",
                false => "that the server's process may use: its CPU affinity and the quota of its control group",
            },
        );
        rows.add(
            Part::Server,
            "statements_at_once",
            self.capacity as f64,
            "statements",
            Basis::Estimated,
            &format!("{}; more than that wait for each other inside the server", self.capacity_rests_on),
        );
        let mut setting = |name: &'static str, value: u64, rests_on: &str| {
            rows.add(Part::Server, name, value as f64, "connections", Basis::Measured, rests_on);
        };
        setting(
            "max_connections",
            settings.max_connections,
            "setting; WAL senders have slots of their own (max_wal_senders)",
        );
        setting("superuser_reserved_connections", settings.superuser_reserved, "setting: for superusers alone");
        setting("reserved_connections", settings.reserved, "setting: for roles with pg_use_reserved_connections");
        if let Some(limit) = self.role_limit {
            setting("role_connection_limit", limit, &format!("of role {}, in all databases", role.name));
        }
        if let Some(limit) = self.database_limit {
            setting("database_connection_limit", limit, &format!("of database {}, for all roles", role.database));
        }
        let share = percent(request.target_utilization);
        let mut budget = |name: &'static str, value: u64, basis: Basis, rests_on: String| {
            rows.add(Part::Budget, name, value as f64, "connections", basis, &rests_on);
        };
        budget(
            "usable",
            self.usable,
            Basis::Measured,
            format!(
                "max_connections {} − superuser_reserved_connections {} − reserved_connections {}",
                settings.max_connections, settings.superuser_reserved, settings.reserved
            ),
        );
        budget(
            "allowed",
            self.allowed,
            Basis::Given,
            format!(
                "{share} (target_utilization) of {}, rounded down; the rest is for people, migrations and surprises",
                self.usable
            ),
        );
        let largest = match self.largest_others.is_empty() {
            true => String::new(),
            false => format!("; most of them: {}", listing(&self.largest_others)),
        };
        budget(
            "others",
            self.others,
            Basis::Measured,
            format!(
                "sessions now, this one among them, without those of role {} in database {}, which the sizes are for{largest}",
                role.name, role.database
            ),
        );
        let mut parts = vec![format!("allowed {} − others {}", self.allowed, self.others)];
        if let Some(limit) = self.role_limit {
            parts.push(format!(
                "{share} of the role's limit {limit} − its {} sessions in other databases",
                self.of_role_elsewhere
            ));
        }
        if let Some(limit) = self.database_limit {
            parts.push(format!(
                "{share} of the database's limit {limit} − {} sessions of others in it",
                self.others_here
            ));
        }
        let least = if parts.len() > 1 { "the least of: " } else { "" };
        budget("slots", self.slots, Basis::Measured, format!("{least}{}; never below 0", parts.join("; ")));
    }
}

impl Budget {
    /// `the server has 7 slots for it`
    pub fn has(&self, input: &Input) -> String {
        let slots = Count(self.slots).of("slot");
        match self.limit(input) {
            Some((whose, _)) => format!("the connection limit of {whose} leaves {slots} for it"),
            None => format!("the server has {slots} for it"),
        }
    }

    /// The limit that was set for the role or the database, and what raises it.
    pub fn limit(&self, input: &Input) -> Option<(String, String)> {
        match self.bound {
            Bound::Server => None,
            Bound::Role => Some((format!("role {}", input.role.name), format!("alter role {}", input.role_identifier))),
            Bound::Database => Some((
                format!("database {}", input.role.database),
                format!("alter database {}", input.database_identifier),
            )),
        }
    }

    /// Of that limit, with which the application had so many slots.
    pub fn limit_for(&self, input: &Input, slots: u64) -> u64 {
        let beside = if self.bound == Bound::Role { self.of_role_elsewhere } else { self.others_here };
        rounded_up((slots + beside) as f64 / input.request.target_utilization)
    }
}

fn capacity(server: &Server, input: &Input) -> (u64, String) {
    let cores = server.cores as f64;
    let counted = input.concurrency.statements.as_ref().filter(|times| times.total_ms >= LEAST_MS);
    match counted {
        Some(times) if server.track_io_timing => {
            let io = (times.io_ms / times.total_ms).clamp(0.0, 1.0);
            let busy = (1.0 / (1.0 - io).max(1.0 / MOST_PER_CORE)).min(MOST_PER_CORE);
            // A core is never to be had all of the time: one more statement keeps it busy.
            let capacity = rounded_up(cores * busy) + 1;
            let rests_on = format!(
                "{} cores ÷ (1 − {} of the execution time that reads and writes, track_io_timing) + 1",
                server.cores,
                percent(io)
            );
            (capacity, rests_on)
        }
        _ => {
            let rests_on = format!(
                "{} cores × 2 + 1, the usual rule; with track_io_timing and pg_stat_statements it would rest on how long statements \
                 wait for storage",
                server.cores
            );
            ((cores * 2.0 + 1.0) as u64, rests_on)
        }
    }
}

fn largest<'a>(sessions: impl Iterator<Item = &'a Session>) -> Vec<String> {
    let mut pools: HashMap<(&str, &str), u64> = HashMap::new();
    for session in sessions {
        let known = |name: &'a Option<String>| name.as_deref().unwrap_or("?");
        *pools.entry((known(&session.role), known(&session.database))).or_default() += 1;
    }
    let mut pools: Vec<_> = pools.into_iter().collect();
    pools.sort_by_key(|(pool, sessions)| (std::cmp::Reverse(*sessions), *pool));
    let shown = pools.iter().take(POOLS_NAMED);
    shown.map(|((role, database), sessions)| format!("{} of {role} in {database}", number(*sessions as f64))).collect()
}
