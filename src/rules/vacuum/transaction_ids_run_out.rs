use crate::advice::holding_back::{Hold, holds, keeping};
use crate::facts::Facts;
use crate::facts::activity::{Activity, TransactionIds};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Count;
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "transaction_ids_run_out",
    category: "vacuum",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The oldest transaction id that a row of the server may carry is at least min_age transactions old: medium; high from \
                    high_age, critical from critical_age.",
    effect: "At an age of about 2.1 billion the server takes no more writes, in no database, until VACUUM has frozen the oldest tables: \
                 hours or days of outage.",
    workaround: "End what holds back VACUUM, then VACUUM (FREEZE) the oldest tables of the oldest database, largest age first; let autovacuum \
                     do more at once (autovacuum_vacuum_cost_limit, maintenance_work_mem).",
    sources: &["https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND"],
    options: &[
        OptionSpec::number(
            "min_age",
            (5e8, "transactions"),
            (1.0, 2.2e9),
            "Beyond what autovacuum keeps by its defaults.",
        ),
        OptionSpec::number("high_age", (1e9, "transactions"), (1.0, 2.2e9), "From here on: high."),
        OptionSpec::number(
            "critical_age",
            (1.6e9, "transactions"),
            (1.0, 2.2e9),
            "From here on: critical. vacuum_failsafe_age is as much.",
        ),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "older than wanted",
            setup: "select dbre.configure_rule('transaction_ids_run_out', options => '{\"min_age\": 1}')",
            finds: 1,
            fix_clears: false,
        },
        Case { name: "young", setup: "select 1", finds: 0, fix_clears: false },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let ids = &activity.transaction_ids;
    let old = ids.oldest_age as f64 >= options.number("min_age");
    Ok(old.then(|| judge(activity, ids, options)).into_iter().collect())
}

fn judge(activity: &Activity, ids: &TransactionIds, options: &Options) -> Finding {
    let age = ids.oldest_age as f64;
    let database = activity.slots.database(ids.oldest_database_oid).map(|database| database.name.as_str());
    let held: Vec<Hold> = holds(activity);
    let frees = activity.sessions.iter().filter(|session| session.prevents_wraparound());
    let frees: Vec<_> = frees
        .map(|session| {
            let progress = activity.progress_of(session);
            json!({
                "pid": session.pid,
                "database": session.database,
                "query": session.query,
                "seconds": session.query_seconds,
                "progress": progress.map(|progress| progress.text()),
                "table_age_transactions": progress.and_then(|progress| progress.frozen_age),
            })
        })
        .collect();
    let left = ids.stopped_age.saturating_sub(ids.oldest_age);
    // What is younger does not stand in the way of freezing.
    let (of_tables, of_catalogs) = keeping(&held, ids.oldest_database_oid);
    let as_old = |hold: &&Hold| hold.age * 2 >= ids.oldest_age;
    let (of_tables, of_catalogs) = (of_tables.filter(as_old), of_catalogs.filter(as_old));
    let holders: Vec<String> = [(of_tables, ""), (of_catalogs, " in the catalogs")]
        .into_iter()
        .filter_map(|(hold, place)| {
            let hold = hold?;
            let place = if hold.database.is_some() && !place.is_empty() { " in the shared catalogs" } else { place };
            Some(format!(
                "{} holds back {}: nothing younger can be frozen{place} before it has ended (rule xmin_held_back).",
                hold.name(),
                Count(hold.age).of("transaction"),
            ))
        })
        .collect();
    let holders = match (of_tables, of_catalogs) {
        (None, None) => {
            "No session, prepared transaction or slot is nearly as old: VACUUM can freeze them, and has not come to it."
                .to_string()
        }
        (None, Some(_)) => format!("{} VACUUM can freeze all other tables.", holders.join(" ")),
        _ => holders.join(" "),
    };
    let runs = match frees.len() {
        0 => "No autovacuum to prevent wraparound that the caller may see runs at this moment.".to_string(),
        many => format!(
            "{} to prevent wraparound: let them end.",
            Count(many as u64).does("autovacuum worker", "runs", "run")
        ),
    };
    Finding {
        severity: if age >= options.number("critical_age") {
            Severity::critical
        } else if age >= options.number("high_age") {
            Severity::high
        } else {
            Severity::medium
        },
        object: "transaction ids".to_string(),
        weight: ids.oldest_age,
        summary: format!(
            "The oldest transaction id is {} old; the server stops at {}",
            Count(ids.oldest_age).of("transaction"),
            Count(ids.stopped_age)
        ),
        cause: format!(
            "Database {} has tables that were not frozen for so long; {} are left. {holders} {runs}",
            database.unwrap_or("(its name could not be read)"),
            Count(left).of("transaction"),
        ),
        evidence: object! {
            "oldest_age_transactions": ids.oldest_age,
            "oldest_database": database,
            "forced_age_transactions": ids.forced_age,
            "warned_age_transactions": ids.warned_age,
            "stopped_age_transactions": ids.stopped_age,
            "left_transactions": left,
            "oldest_holder": of_tables.map(Hold::name),
            "oldest_holder_age_transactions": of_tables.map(|hold| hold.age),
            "oldest_holder_of_catalogs": of_catalogs.map(Hold::name),
            "oldest_holder_of_catalogs_age_transactions": of_catalogs.map(|hold| hold.age),
            "autovacuum_to_prevent_wraparound": frees,
            "basis": "measured: the server's own limits, as of the last VACUUM that moved them",
        },
        app_fix: Some(format!(
            "In database {}: select oid::regclass, age(relfrozenxid) from pg_class where relkind in ('r', 'm', 't') order by 2 desc limit 20; \
             then vacuum (freeze, verbose) each, largest age first, outside of a transaction.",
            database.unwrap_or("…")
        )),
        ..Finding::that_changes_nothing()
    }
}
