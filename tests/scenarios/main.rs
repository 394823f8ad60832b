//! What can only be seen from outside: real clusters, roles, sessions, psql. `cargo test --test scenarios [-- FILTER]`.

mod arguments;
mod bursts;
mod bursts_errors;
mod bursts_faults;
mod bursts_forms;
mod dump;
mod explain;
mod explain_faults;
mod faults;
mod foreign_schemas;
mod index_advice;
mod index_advice_faults;
mod index_advice_limits;
mod index_advice_privileges;
mod index_advice_tables;
mod n_plus_one;
mod n_plus_one_privileges;
mod privileges;
mod query_findings;
mod reports;
mod rewrite_forms;
mod rewrites;
mod rule_cases;
mod sample_app;
mod server;
mod server_log;
mod server_log_faults;
mod standby;
mod statement_servers;
mod statement_statistics;
mod what_if;
mod what_if_effects;
mod what_if_refused;
mod workload;
mod workload_bursts;
mod workload_clients;
mod workload_plans;

use libtest_mimic::Arguments;
use server::Server;
use std::panic;
use std::sync::Arc;

/// The trials' databases share one cluster and its disk.
const THREADS: usize = 2;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.map_or(THREADS, |threads| threads.min(THREADS)));
    // Statistics and age change only by what a trial does.
    let server = Arc::new(Server::start(&["autovacuum = off", "pg_stat_statements.max = 50000"]));
    let mut trials = Vec::new();
    trials.extend(rule_cases::trials(&server));
    trials.extend(sample_app::trials(&server));
    trials.extend(foreign_schemas::trials(&server));
    trials.extend(arguments::trials(&server));
    trials.extend(privileges::trials(&server));
    trials.extend(standby::trials(&server));
    trials.extend(explain::trials(&server));
    trials.extend(explain_faults::trials(&server));
    trials.extend(faults::trials(&server));
    trials.extend(dump::trials(&server));
    trials.extend(reports::trials(&server));
    trials.extend(index_advice::trials(&server));
    trials.extend(index_advice_tables::trials(&server));
    trials.extend(index_advice_limits::trials(&server));
    trials.extend(index_advice_faults::trials(&server));
    trials.extend(index_advice_privileges::trials(&server));
    trials.extend(query_findings::trials(&server));
    trials.extend(rewrites::trials(&server));
    trials.extend(n_plus_one::trials(&server));
    trials.extend(n_plus_one_privileges::trials(&server));
    trials.extend(what_if::trials(&server));
    trials.extend(what_if_effects::trials(&server));
    trials.extend(what_if_refused::trials(&server));
    trials.extend(server_log::trials(&server));
    trials.extend(server_log_faults::trials(&server));
    trials.extend(statement_statistics::trials(&server));
    trials.extend(statement_servers::trials());
    let sample = Arc::default();
    trials.extend(workload::trials(&sample));
    trials.extend(workload_bursts::trials(&sample));
    trials.extend(workload_plans::trials(&server));
    drop(sample);
    let preloaded = bursts::Preloaded::new();
    trials.extend(bursts::trials(&server, &preloaded));
    trials.extend(bursts_forms::trials(&preloaded));
    trials.extend(bursts_errors::trials(&preloaded));
    trials.extend(bursts_faults::trials(&server, &preloaded));
    drop(preloaded);
    // The summary shows what panicked; where is enough here.
    panic::set_hook(Box::new(|panic| eprintln!("failed at {}", panic.location().unwrap())));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(server);
    conclusion.exit()
}
