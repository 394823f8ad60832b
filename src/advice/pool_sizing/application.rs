//! Pools of the application's processes.

use super::demand::Demand;
use super::rows::{Basis, Part, Rows};
use super::{Plan, Through};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Kept open.
    pub size: u64,
    /// Opened for a moment when all of these are taken.
    pub overflow: u64,
}

impl Pool {
    pub fn most(self) -> u64 {
        self.size + self.overflow
    }

    fn of(most: u64, need: u64) -> Pool {
        Pool { size: most.min(need), overflow: most.saturating_sub(need) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pools {
    pub api: Pool,
    pub background: Pool,
}

/// Beyond what a process needs, for what the estimate of it lacks.
fn overflow(need: u64) -> u64 {
    need.div_ceil(2)
}

impl Pools {
    /// Nothing but the need limits them.
    pub fn unlimited(demand: &Demand) -> Pools {
        let pool = |need| Pool { size: need, overflow: overflow(need) };
        Pools { api: pool(demand.api), background: pool(demand.background) }
    }

    /// The largest with which the fleet never takes more than so many slots: first what keeps requests from waiting for each other
    /// for ever, then what they need, then room for more. One connection for each process is the least there is.
    pub fn within(demand: &Demand, slots: u64) -> Pools {
        let stages = [
            (demand.api_floor, demand.background),
            (demand.api, demand.background),
            (demand.api + overflow(demand.api), demand.background + overflow(demand.background)),
        ];
        let (mut api, mut background) = (1, 1);
        let fits = |api, background| {
            demand.api_processes_at_peak * api + demand.background_processes_at_peak * background <= slots
        };
        for (api_goal, background_goal) in stages {
            loop {
                let more_api = api < api_goal && fits(api + 1, background);
                let more_background = background < background_goal && fits(api, background + 1);
                // Whichever is further from its goal; where that one does not fit, the other may.
                match (more_api, more_background) {
                    (true, true) if api * background_goal > background * api_goal => background += 1,
                    (true, _) => api += 1,
                    (false, true) => background += 1,
                    (false, false) => break,
                }
            }
        }
        Pools { api: Pool::of(api, demand.api), background: Pool::of(background, demand.background) }
    }

    /// Connections that the fleet can open while a version is rolled out.
    pub fn most(&self, demand: &Demand) -> u64 {
        demand.api_processes_at_peak * self.api.most() + demand.background_processes_at_peak * self.background.most()
    }

    /// While no version is rolled out, without overflow.
    pub fn steady(&self, demand: &Demand) -> u64 {
        demand.api_processes * self.api.size + demand.background_processes * self.background.size
    }

    pub fn below_floor(&self, demand: &Demand) -> bool {
        demand.api_processes > 0 && self.api.most() < demand.api_floor
            || demand.background_processes > 0 && self.background.most() < demand.background
    }

    pub fn below_need(&self, demand: &Demand) -> bool {
        demand.api_processes > 0 && self.api.most() < demand.api
            || demand.background_processes > 0 && self.background.most() < demand.background
    }

    pub fn tell(&self, plan: &Plan, rows: &mut Rows) {
        let Plan { demand, budget, .. } = plan;
        let basis = match plan.through {
            Through::TransactionPooling => Basis::Given,
            Through::Nothing | Through::SessionPooling => Basis::Estimated,
        };
        let size = |need: u64, floor: u64, pool: Pool| match (plan.through, pool.size) {
            (Through::TransactionPooling, _) => {
                format!("the {need} that a process needs; to PgBouncer they cost little")
            }
            (_, size) if size >= need => format!("the {need} that a process needs"),
            (_, size) if size >= floor => {
                format!(
                    "of the {need} that a process needs: more do not fit into {} slots; not below the deadlock floor {floor}",
                    budget.slots
                )
            }
            _ => format!(
                "of the {need} that a process needs: more do not fit into {} slots; below the deadlock floor {floor}",
                budget.slots
            ),
        };
        let overflow = |processes: u64, pool: Pool| {
            let most =
                format!("{processes} processes × ({} + {}) while a version is rolled out", pool.size, pool.overflow);
            match plan.through {
                Through::TransactionPooling => {
                    format!("half of pool_size, for what the estimate lacks: {most}, within max_client_conn")
                }
                _ => format!("half of pool_size as far as the slots go: {most}"),
            }
        };
        let mut add = |name: &'static str, value: u64, rests_on: &str| {
            rows.add(Part::Application, name, value as f64, "connections", basis, rests_on);
        };
        if demand.api_processes > 0 {
            add("api_pool_size", self.api.size, &size(demand.api, demand.api_floor, self.api));
            add("api_max_overflow", self.api.overflow, &overflow(demand.api_processes_at_peak, self.api));
        }
        if demand.background_processes > 0 {
            add(
                "background_pool_size",
                self.background.size,
                &size(demand.background, demand.background, self.background),
            );
            let rests_on = overflow(demand.background_processes_at_peak, self.background);
            add("background_max_overflow", self.background.overflow, &rests_on);
        }
        add(
            "fleet_steady",
            self.steady(demand),
            &format!(
                "{} API processes × {} + {} background processes × {}",
                demand.api_processes, self.api.size, demand.background_processes, self.background.size
            ),
        );
        let within = match plan.through {
            Through::TransactionPooling => "connections to PgBouncer".to_string(),
            _ => format!("of {} slots", budget.slots),
        };
        add("fleet_at_peak", self.most(demand), &format!("with overflow, while a version is rolled out; {within}"));
    }
}
