//! The answer in a sentence.

use super::rows::{Basis, Part, Rows};
use super::{Input, Plan, Through};
use crate::units::listing;

impl Rows {
    pub fn answer(&mut self, input: &Input, plan: &Plan) {
        let (most, slots) = (plan.most_of_server(), plan.budget.slots);
        let pools: Vec<String> = [
            ("API process", plan.demand.api_processes, plan.pools.api),
            ("background worker", plan.demand.background_processes, plan.pools.background),
        ]
        .into_iter()
        .filter(|(_, processes, _)| *processes > 0)
        .map(|(what, _, pool)| format!("each {what} pool_size {} and max_overflow {}", pool.size, pool.overflow))
        .collect();
        let pools = listing(&pools);
        let whose = plan
            .budget
            .limit(input)
            .map_or("the server has for".to_string(), |(whose, _)| format!("the connection limit of {whose} leaves"));
        let taken =
            format!("at most {most} of the {slots} slots that {whose} the application, while a version is rolled out");
        let (name, text) = match plan.through {
            _ if most > slots => (
                "does_not_fit",
                format!(
                    "It does not fit: the fleet needs {most} connections of the server while a version is rolled out, and {}. See the warnings",
                    plan.budget.has(input)
                ),
            ),
            Through::Nothing if plan.pools.below_need(&plan.demand) => {
                ("fits_with_less", format!("Directly, with less than the application needs: {pools}; {taken}"))
            }
            Through::Nothing => ("fits", format!("Directly: {pools}; {taken}")),
            Through::SessionPooling if plan.pools.below_need(&plan.demand) => (
                "fits_with_less",
                format!(
                    "Through PgBouncer, which has to pool by session, with less than the application needs: {pools}; {taken}"
                ),
            ),
            Through::SessionPooling => {
                ("fits_through_pgbouncer", format!("Through PgBouncer, which has to pool by session: {pools}; {taken}"))
            }
            Through::TransactionPooling => {
                let bouncer = plan.bouncer.as_ref().map_or(0, |bouncer| bouncer.pool_size);
                let unless = match plan.features.cannot_be_told() {
                    true => ". First settle what the warning may_need_its_session asks",
                    false => "",
                };
                (
                    "fits_through_pgbouncer",
                    format!(
                        "Through PgBouncer, transaction pooling with pool_size {bouncer}: {pools}, to PgBouncer; {taken}{unless}"
                    ),
                )
            }
        };
        let (name, text) = match name != "does_not_fit" && plan.can_deadlock() {
            true => (
                "can_deadlock",
                format!(
                    "It fits, but requests that take a connection while they hold another can lock up the pool: see the warning \
                     deadlock_possible. {text}"
                ),
            ),
            false => (name, text),
        };
        self.add(Part::Answer, name, most as f64, "connections", Basis::Estimated, &text);
    }
}
