use crate::advice::end_holder::remedy;
use crate::advice::holding_back::{Hold, Holder, Limiting, holds, limiting};
use crate::facts::Facts;
use crate::facts::activity::Activity;
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, capitalized, duration};

pub static RULE: Rule = Rule {
    id: "xmin_held_back",
    category: "vacuum",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "What is the oldest of all that see a database (a session's snapshot or transaction, a prepared transaction, a \
                    replication slot, a standby with hot_standby_feedback) keeps its dead rows from being removed since at least \
                    min_transactions transactions: medium, high from many_transactions, critical from critical_transactions. VACUUM itself \
                    and an invalidated slot do not count.",
    effect: "VACUUM and autovacuum run and remove nothing that died since; tables and indexes grow, every read skips dead rows, and \
                 ids of transactions are not given back.",
    workaround: "End the one that is oldest, but let builds, copies and dumps end. Then idle_in_transaction_session_timeout and transaction_timeout for those who forget, \
                     idle slots dropped, reports in read-only transactions on a standby without hot_standby_feedback.",
    sources: &[
        "https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND",
        "https://www.postgresql.org/docs/17/runtime-config-replication.html#GUC-HOT-STANDBY-FEEDBACK",
    ],
    options: &[
        OptionSpec::number("min_transactions", (1e6, "transactions"), (1.0, 2e9), "Of the whole server, begun since."),
        OptionSpec::number("many_transactions", (1e7, "transactions"), (1.0, 2e9), "From here on: high."),
        OptionSpec::number("critical_transactions", (5e8, "transactions"), (1.0, 2e9), "From here on: critical."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "snapshot of a transaction left open",
            setup: "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 3}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'report', null, 'begin isolation level repeatable read; select 1', false), \
                    (2, 'web', null, 'select txid_current()', false), (3, 'web', null, 'select txid_current()', false), \
                    (4, 'web', null, 'select txid_current()', false), (5, 'web', null, 'select txid_current()', false)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "an open transaction that has written",
            setup: "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 3}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'report', null, 'begin; create table t (id int)', false), \
                    (2, 'web', null, 'select txid_current()', false), (3, 'web', null, 'select txid_current()', false), \
                    (4, 'web', null, 'select txid_current()', false), (5, 'web', null, 'select txid_current()', false)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "open, but without a snapshot",
            setup: "select dbre.configure_rule('xmin_held_back', options => '{\"min_transactions\": 3}'); \
                    create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'report', null, 'begin', false), (2, 'report', null, 'select 1', false), \
                    (3, 'web', null, 'select txid_current()', false), (4, 'web', null, 'select txid_current()', false), \
                    (5, 'web', null, 'select txid_current()', false)",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "few transactions ago",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'report', null, 'begin isolation level repeatable read; select 1', false)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let mut holds = holds(activity);
    holds.retain(|hold| concerns(activity, hold));
    let limiting = limiting(&holds).into_iter();
    let long = limiting.filter(|limiting| limiting.hold.age as f64 >= options.number("min_transactions"));
    Ok(long.map(|limiting| judge(facts, &limiting, options)).collect())
}

fn concerns(activity: &Activity, hold: &Hold) -> bool {
    match hold.holder {
        Holder::Session(session) => session.database_oid.is_none() || activity.concerns(session),
        Holder::Prepared(prepared) => activity.only.is_none() || activity.only == prepared.database,
        Holder::Standby(_) | Holder::Slot(_) => true,
    }
}

fn judge(facts: &Facts, limiting: &Limiting, options: &Options) -> Finding {
    let Limiting { hold, after, catalogs_after } = *limiting;
    let held = hold.age as f64;
    let remedy = remedy(facts.activity(), hold);
    let seconds = hold.seconds.map(|seconds| format!(", {}", duration(seconds))).unwrap_or_default();
    let next = match after {
        Some(after) => format!("After it, {} holds back {}.", after.name(), Count(after.age).of("transaction")),
        None if catalogs_after.is_some() => "Nothing else holds back dead rows of tables.".to_string(),
        None => "Nothing else holds back anything.".to_string(),
    };
    let of_catalogs = catalogs_after.map_or(String::new(), |next| {
        format!(
            " Those of the catalogs alone {} holds back for {} still.",
            next.name(),
            Count(next.age).of("transaction")
        )
    });
    let of = if hold.catalogs_only { "dead rows of the catalogs" } else { "dead rows" };
    let standby = if facts.database.in_recovery {
        " This server is a standby: replay waits for the snapshot or cancels its query (max_standby_streaming_delay), and with \
         hot_standby_feedback the primary keeps the rows."
    } else {
        ""
    };
    Finding {
        severity: if held >= options.number("critical_transactions") {
            Severity::critical
        } else if held >= options.number("many_transactions") {
            Severity::high
        } else {
            Severity::medium
        },
        object: remedy.object,
        weight: hold.age,
        summary: format!(
            "{} keeps {of} from being removed since {}{seconds}",
            capitalized(&hold.name()),
            Count(hold.age).of("transaction"),
        ),
        cause: format!(
            "{} {next}{of_catalogs}{standby} How many rows wait for it is not counted anywhere.",
            remedy.cause
        ),
        evidence: object! {
            "holder": hold.name(),
            "age_transactions": hold.age,
            "age_seconds": hold.seconds,
            "catalogs_only": hold.catalogs_only,
            "next_holder": after.map(Hold::name),
            "next_age_transactions": after.map(|after| after.age),
            "next_holder_of_catalogs": catalogs_after.map(Hold::name),
            "next_age_of_catalogs_transactions": catalogs_after.map(|next| next.age),
            "of": remedy.evidence,
            "basis": "measured: ages of snapshots and transaction ids now",
        },
        impact: object! {
            "held_back_transactions": change((hold.age, "measured"), (after.map_or(0, |after| after.age), "measured")),
        },
        fix_sql: remedy.fix_sql,
        app_fix: Some(remedy.app_fix),
        risk: remedy.risk,
        verify_sql: remedy.verify_sql,
        ..Finding::that_changes_nothing()
    }
}
