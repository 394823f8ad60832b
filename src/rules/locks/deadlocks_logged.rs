use crate::advice::logged::{seen, times, verify};
use crate::facts::server_log::Deadlock;
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{listing, on_one_line};
use std::hash::Hasher;

pub static RULE: Rule = Rule {
    id: "deadlocks_logged",
    category: "locks",
    severity: Severity::high,
    since: "0.1.0",
    enabled: true,
    condition: "The log has deadlocks (SQLSTATE 40P01). High when the same statements did so at least many times, \
                    medium otherwise.",
    effect: "One of the transactions is rolled back: a user sees an error unless the application retries, after \
                    all have waited deadlock_timeout.",
    workaround: "Let all transactions take their locks in the same order, and retry on 40P01.",
    sources: &["https://www.postgresql.org/docs/17/explicit-locking.html#LOCKING-DEADLOCKS"],
    options: &[OptionSpec::number(
        "many",
        (2.0, "deadlocks"),
        (1.0, 1e9),
        "So many between the same statements are high.",
    )],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "two updates in opposite order",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,ERROR,40P01,\"deadlock detected\",\"Process 1 waits for ShareLock on transaction 734; \
                    blocked by process 2.' || chr(10) || 'Process 2 waits for ShareLock on transaction 735; blocked by \
                    process 1.' || chr(10) || 'Process 1: update accounts set v = 1 where id = ' || g || chr(10) || \
                    'Process 2: update accounts set v = 2 where id = 2\",\"See server log for query details.\",,,\"while \
                    updating tuple (0,1) in relation \"\"accounts\"\"\",\"update accounts set v = 1 where id = \
                    1\",,,\"web\",\"client backend\",,0' as line from generate_series(1, 3) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "another error",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,ERROR,22012,\"division by zero\",,,,,,\"select 1/0\",,,\"web\",\"client backend\",,0' as \
                    line from generate_series(1, 3) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    Ok(log.deadlocks.iter().map(|deadlock| judge(log, deadlock, options)).collect())
}

fn judge(log: &ServerLog, deadlock: &Deadlock, options: &Options) -> Finding {
    let mut hasher = fnv::FnvHasher::default();
    deadlock.statements.iter().for_each(|statement| hasher.write(statement.as_bytes()));
    let object = format!("deadlock {:016x}", hasher.finish());
    let mut distinct = deadlock.statements.clone();
    distinct.dedup();
    let told: Vec<String> = distinct.iter().map(|statement| on_one_line(statement)).collect();
    let mut evidence = seen(log, (deadlock.first, deadlock.last), &deadlock.users, &deadlock.applications);
    evidence.extend(object! {
        "count": deadlock.count,
        "queries": deadlock.statements,
        "queries_once": deadlock.examples,
        "context": deadlock.context,
    });
    let many = deadlock.count as f64 >= options.number("many");
    Finding {
        severity: if many { Severity::high } else { Severity::medium },
        summary: format!("Deadlock {} between {}", times(deadlock.count), listing(&told)),
        cause: match distinct.len() {
            1 => "Transactions with the same statement lock the same rows in different orders.",
            _ => "Transactions lock the same rows or tables in different orders, each with a lock that the other waits for.",
        }
        .to_string(),
        weight: deadlock.count,
        evidence,
        app_fix: Some(
            "Lock in one order everywhere: sort by primary key before updating several rows (SQLAlchemy: \
             `select(Account).where(Account.id.in_(ids)).order_by(Account.id).with_for_update()` first), update tables in the same \
             order, and retry the transaction on SQLSTATE 40P01."
                .to_string(),
        ),
        verify_sql: Some(verify(RULE.id, &object)),
        object,
        ..Finding::that_changes_nothing()
    }
}
