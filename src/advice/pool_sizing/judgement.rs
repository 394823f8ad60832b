//! What to know before the answer is followed.

use super::demand::overlap_that_fits;
use super::rows::{Basis, Part, Rows, number, span};
use super::timeouts::Timeouts;
use super::{Input, Plan, Through};
use crate::facts::activity::Session;
use crate::units::{Count, listing};

/// Connections for each statement that the server can run at once: beyond this they mostly wait.
const MANY_PER_RUNNING: u64 = 4;
/// What was asked for is so many times what was ever used.
const FAR_ABOVE: f64 = 5.0;

impl Rows {
    /// What is most urgent first.
    pub fn warnings(&mut self, input: &Input, plan: &Plan, timeouts: &Timeouts) {
        self.about_slots(input, plan);
        self.about_sizes(plan);
        if plan.bouncer.is_some() || plan.demand.at_peak() > plan.budget.slots {
            for (basis, text) in plan.features.told() {
                self.say(Part::Warning, "needs_its_session", basis, text);
            }
            for text in plan.features.maybe_told() {
                self.note("may_need_its_session", text);
            }
        }
        self.about_timeouts(input, plan, timeouts);
        self.about_the_role(input);
        let left_out = input.concurrency.left_out.iter().chain(&input.activity.left_out);
        for why in left_out {
            self.note("not_read", format!("Could not be read: {why}"));
        }
    }

    fn warn(&mut self, name: &'static str, text: String) {
        self.say(Part::Warning, name, Basis::Estimated, text);
    }

    /// What was seen.
    fn note(&mut self, name: &'static str, text: String) {
        self.say(Part::Warning, name, Basis::Measured, text);
    }

    fn about_slots(&mut self, input: &Input, plan: &Plan) {
        let Plan { demand, budget, through, .. } = plan;
        let (needed, slots) = (demand.at_peak(), budget.slots);
        if slots == 0 {
            self.warn("no_slots", no_slots(input, plan));
        }
        if needed > slots && *through != Through::TransactionPooling {
            self.warn(
                "demand_exceeds_slots",
                format!(
                    "The application needs {needed} connections while a version is rolled out ({} otherwise), and {}. In this order: {}. {}",
                    demand.steady(),
                    budget.has(input),
                    ways_to_fit(input, plan).join("; "),
                    last_way_to_fit(input, plan)
                ),
            );
        }
        if demand.processes_at_peak() > slots && *through != Through::TransactionPooling {
            self.warn(
                "more_processes_than_slots",
                format!(
                    "Even one connection for each of the {} processes is more than the {slots} slots: the sizes below are the least there is, \
                     and while a version is rolled out {}",
                    demand.processes_at_peak(),
                    match through {
                        Through::Nothing => "the server refuses connections (SQLSTATE 53300)".to_string(),
                        _ => "PgBouncer, which gives each client a server connection of its own, ends those that wait longer for one than \
                              its query_wait_timeout (FATAL: query_wait_timeout)"
                            .to_string(),
                    }
                ),
            );
        }
        if *through == Through::TransactionPooling && input.request.pgbouncer.is_none() {
            self.warn(
                "pgbouncer_needed",
                format!(
                    "Without PgBouncer the application would need {needed} connections while a version is rolled out, and {}",
                    budget.has(input)
                ),
            );
        }
    }

    fn about_sizes(&mut self, plan: &Plan) {
        let Plan { demand, budget, pools, measured, .. } = plan;
        if plan.can_deadlock() {
            let (have, floor) = match (&plan.bouncer, plan.through) {
                (Some(bouncer), Through::TransactionPooling) => (bouncer.most(), demand.floor_of_fleet()),
                _ if demand.api_processes > 0 && pools.api.most() < demand.api_floor => {
                    (pools.api.most(), demand.api_floor)
                }
                _ => (pools.background.most(), demand.background),
            };
            self.warn(
                "deadlock_possible",
                format!(
                    "Requests that take a connection while they hold another can lock up the pool: it needs {floor} connections, and has {have}. \
                     When each is held by a request that waits for one more, only a timeout ends it. Let a request use one connection (pass \
                     the session on instead of opening a second one): then there is no such floor"
                ),
            );
        }
        if plan.through != Through::TransactionPooling && pools.below_need(demand) && !plan.can_deadlock() {
            self.warn(
                "requests_wait",
                "The pools are smaller than what their processes need: when all workers are busy, requests wait for a connection, at most pool_timeout".to_string(),
            );
        }
        let kept = pools.steady(demand);
        if plan.through == Through::Nothing && kept > MANY_PER_RUNNING * budget.capacity {
            self.warn(
                "more_than_the_cores_serve",
                format!(
                    "The fleet keeps {kept} connections, and the server runs about {} statements at once: the others wait inside it, each with \
                     its memory. With pgbouncer => true they wait outside",
                    budget.capacity
                ),
            );
        }
        if let Some(peak) = &measured.peak {
            let (asked, recorded) = (demand.at_peak() as f64, measured.peak_was_recorded);
            if peak.value > asked {
                self.warn(
                    "demand_below_measured",
                    format!(
                        "{} connections are held at the peak ({}), more than the {asked} that the arguments come to: either they are too low, or \
                         other applications use this database",
                        number(peak.value), peak.rests_on
                    ),
                );
            } else if recorded && peak.value * FAR_ABOVE < demand.steady() as f64 {
                self.warn(
                    "demand_far_above_measured",
                    format!(
                        "At most {} connections were held at the same time ({}), and the arguments come to {}: smaller pools would do, unless more \
                         traffic is to come",
                        number(peak.value), peak.rests_on, demand.steady()
                    ),
                );
            }
        }
    }

    fn about_timeouts(&mut self, input: &Input, plan: &Plan, timeouts: &Timeouts) {
        let role = &input.role;
        let (longer, ids) = &timeouts.longer;
        if let Some(seconds) = timeouts.statement.seconds().filter(|_| *longer > 0 && !role.is_superuser) {
            let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
            let which = if ids.is_empty() { String::new() } else { format!(": query id {}", listing(&ids)) };
            self.note(
                "statements_longer_than_timeout",
                format!(
                    "{} of the role {} taken longer than the statement_timeout of {} at least once, and would be cancelled{which}. Make them \
                     faster, or run them as another role",
                    Count(*longer as u64).of("statement"),
                    if *longer == 1 { "has" } else { "have" },
                    span(seconds)
                ),
            );
        }
        let begun_before = |seconds: f64| {
            let is_longer = |s: &&Session| input.is_ours(s) && s.transaction_seconds.is_some_and(|open| open > seconds);
            let ours = input.activity.sessions.iter().filter(is_longer);
            ours.map(|session| session.pid).collect::<Vec<i32>>()
        };
        let transactions =
            timeouts.transaction.sets().filter(|_| !role.is_superuser).map(|seconds| (seconds, begun_before(seconds)));
        if let Some((seconds, pids)) = transactions.filter(|(_, pids)| !pids.is_empty()) {
            self.note(
                "transactions_longer_than_timeout",
                format!(
                    "Transactions of the role are open now for longer than the transaction_timeout of {}: pid {}. See dbre.pool_pressure() before \
                     you set it",
                    span(seconds),
                    listing(&pids)
                ),
            );
        }
        if let Some(idle) = timeouts.idle_session_seconds {
            let set = match plan.through {
                Through::Nothing => "pool_recycle and pool_pre_ping below are set for it",
                Through::TransactionPooling => {
                    "server_idle_timeout and min_pool_size of PgBouncer below are set for it"
                }
                Through::SessionPooling => {
                    "pool_recycle and pool_pre_ping, and server_idle_timeout and min_pool_size of PgBouncer below are set for it"
                }
            };
            self.note(
                "idle_session_timeout_set",
                format!(
                    "New sessions of the role get an idle_session_timeout of {}: the server ends connections that a pool keeps. {set}; better \
                     reset it where it is set",
                    span(idle)
                ),
            );
        }
    }

    fn about_the_role(&mut self, input: &Input) {
        let role = &input.role;
        if let Some(why) = &input.role_chosen {
            self.note("role_assumed", format!("No target_role was given: it is {} ({why})", role.name));
        }
        if role.is_superuser {
            self.note(
                "role_is_superuser",
                format!(
                    "Role {} is a superuser: its sessions can take the reserved slots, and leave nobody a way in. Let the application use a \
                     role of its own",
                    role.name
                ),
            );
        } else if !role.can_log_in {
            self.note(
                "role_cannot_log_in",
                format!(
                    "Role {} cannot log in, and what is set for it holds for no session: name the role that connects",
                    role.name
                ),
            );
        }
        let hidden = input.activity.sessions.iter().filter(|session| session.hidden).count();
        if hidden > 0 {
            self.note(
                "sessions_hidden",
                format!(
                    "Of {} the state is hidden from you (pg_read_all_stats shows it): all that belong to a role are counted as connections",
                    Count(hidden as u64).of("process")
                ),
            );
        }
    }
}

fn no_slots(input: &Input, plan: &Plan) -> String {
    let budget = &plan.budget;
    match budget.limit(input) {
        Some((whose, alter)) => format!(
            "The connection limit of {whose} leaves no slot for the application; without it there were {}. Raise it ({alter} connection limit \
             …), or find out what takes them: dbre.pool_pressure()",
            budget.slots_without
        ),
        None => format!(
            "The server has no slot for the application: {} may be taken in all, and others hold {}. First find out what these do: \
             dbre.pool_pressure()",
            budget.allowed, budget.others
        ),
    }
}

/// Without more connections to the server, the best first.
fn ways_to_fit(input: &Input, plan: &Plan) -> Vec<String> {
    let between = "put PgBouncer with transaction pooling between";
    let mut ways = vec![match plan.features.are_none() {
        true => format!("{between} (pgbouncer => true)"),
        false => format!("{between}, once nothing needs a session of its own (see the warnings)"),
    }];
    let overlap = overlap_that_fits(&input.request, plan.budget.slots);
    if let Some(overlap) = overlap.filter(|overlap| *overlap < input.request.deploy_overlap) {
        ways.push(format!("replace fewer instances at a time, deploy_overlap at most {}", number(overlap)));
    }
    ways.push("run fewer workers, or let a request hold fewer connections".to_string());
    ways
}

/// With more of them.
fn last_way_to_fit(input: &Input, plan: &Plan) -> String {
    let (budget, needed) = (&plan.budget, plan.demand.at_peak());
    match budget.limit(input) {
        Some((_, alter)) if needed <= budget.slots_without => format!(
            "Or raise the limit, if it is not meant to hold the application back: {alter} connection limit {}; without it there were {} slots",
            budget.limit_for(input, needed),
            budget.slots_without
        ),
        Some((_, alter)) => format!(
            "Raising the limit ({alter} connection limit …) alone does not do: without it there were {} slots",
            budget.slots_without
        ),
        None => format!(
            "Raising max_connections is the last: the server runs about {} statements at once however many connect, each connection may take \
             work_mem ({}) several times over, and it needs a restart",
            budget.capacity, input.server.work_mem
        ),
    }
}
