use crate::advice::end_holder::prepared_decision;
use crate::facts::Facts;
use crate::facts::activity::{Activity, Prepared};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, duration};

pub static RULE: Rule = Rule {
    id: "prepared_transaction_forgotten",
    category: "pool",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "A transaction was prepared at least min_seconds ago, and is neither committed nor rolled back: high; critical from \
                    many_seconds.",
    effect: "It keeps its locks and dead rows without a session that shows it, across restarts of the server; no timeout ends it. When all \
                 max_prepared_transactions are taken, no further one can be prepared.",
    workaround: "Let the transaction manager finish what it has begun, or decide in its place. Where nothing needs two-phase commit, \
                     max_prepared_transactions = 0.",
    sources: &["https://www.postgresql.org/docs/17/sql-prepare-transaction.html"],
    options: &[
        OptionSpec::number("min_seconds", (300.0, "seconds"), (0.0, 1e9), "Younger ones are left alone."),
        OptionSpec::number("many_seconds", (86_400.0, "seconds"), (0.0, 1e9), "From here on: critical."),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "left behind",
            setup: "select dbre.configure_rule('prepared_transaction_forgotten', options => '{\"min_seconds\": 0}'); \
                    create table t (id int); create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'manager', null, 'begin; insert into t values (1); prepare transaction ' || \
                    quote_literal(current_database() || ' O''Neil'), false), (2, 'other', null, 'select 1', false)",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "just prepared",
            setup: "create table t (id int); create table sessions (step int, session text, role text, statement text, waits bool); \
                    insert into sessions values (1, 'manager', null, 'begin; insert into t values (1); prepare transaction ' || \
                    quote_literal(current_database()), false)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let concerned = |prepared: &&Prepared| activity.only.is_none() || activity.only == prepared.database;
    let old = |prepared: &&Prepared| prepared.seconds >= options.number("min_seconds");
    Ok(activity
        .prepared
        .iter()
        .filter(concerned)
        .filter(old)
        .map(|prepared| judge(activity, prepared, options))
        .collect())
}

fn judge(activity: &Activity, prepared: &Prepared, options: &Options) -> Finding {
    let taken = activity.prepared.len() as u64;
    let decision = prepared_decision(prepared);
    Finding {
        severity: if prepared.seconds >= options.number("many_seconds") { Severity::critical } else { Severity::high },
        object: decision.object,
        weight: prepared.seconds as u64,
        summary: format!(
            "Transaction {} of {} was prepared as {} {} ago and is still open",
            prepared.transaction_id,
            prepared.owner,
            prepared.gid,
            duration(prepared.seconds),
        ),
        cause: format!(
            "Whoever prepared it has not come back to finish it. It keeps its locks, and dead rows of the last {}; {} of {} that may be \
             prepared at once.",
            Count(prepared.transaction_id_age.max(0) as u64).of("transaction"),
            match taken {
                1 => "it is the only one".to_string(),
                taken => format!("there are {taken}"),
            },
            activity.slots.max_prepared_transactions,
        ),
        evidence: object! {
            "gid": prepared.gid,
            "transaction_id": prepared.transaction_id,
            "owner": prepared.owner,
            "database": prepared.database,
            "prepared_at": prepared.prepared_at,
            "prepared_seconds": prepared.seconds,
            "age_transactions": prepared.transaction_id_age,
            "prepared_transactions": taken,
            "max_prepared_transactions": activity.slots.max_prepared_transactions,
            "basis": "measured now",
        },
        app_fix: Some(decision.app_fix),
        risk: "None: nothing is changed. Committing what others rolled back, or the reverse, leaves two databases that disagree.".to_string(),
        verify_sql: decision.verify_sql,
        ..Finding::that_changes_nothing()
    }
}
