use crate::advice::logged::{of_events, seen, times, verify};
use crate::advice::plan_weight::shown;
use crate::facts::server_log::{Target, WaitsOf};
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::on_one_line;

pub static RULE: Rule = Rule {
    id: "lock_waits_logged",
    category: "locks",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The log has sessions that waited for a lock longer than deadlock_timeout, in all at least \
                    min_total_ms. High when one waited high_ms and it happened many times.",
    effect: "Each waiting session holds its connection, and its own locks, on which others wait in turn.",
    workaround: "Make the transactions that hold the lock shorter: no work of the application and no calls of other \
                    services between a write and COMMIT; DDL with lock_timeout and retries; SELECT … FOR UPDATE SKIP \
                    LOCKED for queues.",
    sources: &[
        "https://www.postgresql.org/docs/17/runtime-config-logging.html#GUC-LOG-LOCK-WAITS",
        "https://www.postgresql.org/docs/17/explicit-locking.html",
    ],
    options: &[
        OptionSpec::number("min_total_ms", (1000.0, "ms"), (0.0, 1e12), "Less waiting for one thing is left alone."),
        OptionSpec::number("high_ms", (10000.0, "ms"), (0.0, 1e12), "A wait that long, many times, is high."),
        OptionSpec::number("many", (5.0, "waits"), (1.0, 1e9), "So many waits are of weight."),
    ],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "updates of one row wait for each other",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"process 4242 acquired ShareLock on transaction 734 after 12000.500 \
                    ms\",,,,,\"while updating tuple (0,1) in relation \"\"orders\"\"\",\"update orders set total = ' || \
                    g || '\",,,\"web\",\"client backend\",,0' as line from generate_series(1, 6) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a wait that never got its lock",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"process 4242 still waiting for AccessExclusiveLock on relation 1 of database ' \
                    || (select oid from pg_database where datname = current_database()) || ' after 1000.123 \
                    ms\",\"Process holding the lock: 7. Wait queue: 4242.\",,,,,\"alter table orders add column note \
                    text\",,,\"web\",\"client backend\",,0' as line from generate_series(1, 1) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "one short wait",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"process 4242 acquired ShareLock on transaction 734 after 500.123 \
                    ms\",,,,,,\"update orders set total = 7\",,,\"web\",\"client backend\",,0' as line from \
                    generate_series(1, 1) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    let long = log.lock_waits.iter().filter(|waits| waits.events.total >= options.number("min_total_ms"));
    Ok(long.map(|waits| judge(log, waits, options)).collect())
}

fn judge(log: &ServerLog, waits: &WaitsOf, options: &Options) -> Finding {
    let (events, many) = (&waits.events, waits.events.count as f64 >= options.number("many"));
    let severity = match () {
        _ if many && events.largest >= options.number("high_ms") => Severity::high,
        _ if many || events.largest >= options.number("high_ms") => Severity::medium,
        _ => Severity::low,
    };
    let target = match (&waits.name, &waits.target) {
        (Some(name), _) => name.clone(),
        (None, Target::Relation(oid)) => format!("relation {oid}"),
        (None, Target::RowsOf(relation)) => format!("rows of {relation}"),
        (None, Target::Other(kind)) => kind.clone(),
    };
    let object = format!("{} on {target}", waits.mode);
    let mut evidence = seen(log, (events.first, events.last), &waits.users, &waits.applications);
    evidence.extend(of_events(events, "ms"));
    evidence.extend(object! {
        "lock_mode": waits.mode,
        "waited_for": target,
        "waits_without_lock": waits.without_lock,
        "longest_wait_query": waits.statement,
        "deadlock_timeout": log.settings.shown("deadlock_timeout"),
    });
    let row_lock = matches!(waits.target, Target::RowsOf(_));
    let cause = match row_lock {
        true => "Each waited for a transaction that had changed or locked the same row and was not yet over.",
        false => "A session held a lock that conflicts, and whoever came after queued behind the one that waited.",
    };
    Finding {
        severity,
        summary: format!(
            "Sessions waited {} for {object}: {} ms at most, {} s in all",
            times(events.count),
            shown(events.largest),
            shown(events.total / 1000.0)
        ),
        cause: format!("{cause} The longest wait was that of: {}.", on_one_line(&waits.statement)),
        weight: events.total as u64,
        evidence,
        app_fix: Some(
            match row_lock {
                true => {
                    "Commit sooner: with SQLAlchemy, flush the contended row last and leave `with session.begin():` before calling \
                     anything else; queues take rows with `select(Job).with_for_update(skip_locked=True)`."
                }
                false => {
                    "Run DDL with `SET lock_timeout = '2s'` and retry it (Alembic: op.execute before the change), so that nobody \
                     queues behind it."
                }
            }
            .to_string(),
        ),
        verify_sql: Some(verify(RULE.id, &object)),
        object,
        ..Finding::that_changes_nothing()
    }
}
