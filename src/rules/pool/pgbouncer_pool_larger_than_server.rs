use crate::facts::Facts;
use crate::facts::pgbouncer::{Key, Pgbouncer, Place, Pool};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, listing};
use serde_json::json;
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "pgbouncer_pool_larger_than_server",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The pools that PgBouncer has open to this server may grow (pool_size + reserve_pool_size each, at most \
                max_db_connections a database and max_user_connections a user) beyond max_share of the slots that ordinary users can take.",
    effect: "Under load PgBouncer takes every slot, its own logins then fail, and so do those of everybody else, migrations and \
             monitoring among them.",
    workaround: "Smaller pools: their sizes together, with reserves and with those of a second PgBouncer, must leave slots free.",
    sources: &[
        "https://www.pgbouncer.org/config.html#default_pool_size",
        "https://www.postgresql.org/docs/17/runtime-config-connection.html#GUC-MAX-CONNECTIONS",
    ],
    options: &[OptionSpec::number("max_share", (1.0, "of the slots"), (0.0, 10.0), "So much of them may be promised.")],
    needs: &[Need::Activity, Need::Pgbouncer],
    cases: &[
        Case {
            name: "a pool of ten thousand",
            setup: "create table pgbouncer as select 'default_pool_size = 10000' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "of ten thousand, though PgBouncer shows another user's size",
            setup: "create table pgbouncer as select 'default_pool_size = 10000\n[users]\naaa = pool_size=2' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a limit of the database",
            setup: "create table pgbouncer as select 'default_pool_size = 10000\nmax_db_connections = 5' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a limit of the user",
            setup: "create table pgbouncer as select 'default_pool_size = 10000\nmax_user_connections = 5' as settings; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'one', null, 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let (pgbouncer, activity) = (facts.pgbouncer(), facts.activity());
    let slots = activity.slots.ordinary();
    let mut databases: BTreeMap<&str, Vec<&Pool>> = BTreeMap::new();
    for pool in pgbouncer.pools_here(&activity.sessions) {
        databases.entry(&pool.database).or_default().push(pool);
    }
    let promised: Vec<(&str, Option<u64>)> =
        databases.iter().map(|(name, pools)| (*name, most(name, pools, pgbouncer))).collect();
    let users = most_of_users(databases.values().flatten().copied(), pgbouncer);
    let unlimited: Vec<&str> = match users {
        Some(_) => Vec::new(),
        None => promised.iter().filter(|(_, most)| most.is_none()).map(|(name, _)| *name).collect(),
    };
    let of_databases: Option<u64> = promised.iter().map(|(_, most)| *most).sum();
    let total = of_databases.into_iter().chain(users).min().unwrap_or_default();
    if databases.is_empty() || unlimited.is_empty() && total as f64 <= slots as f64 * options.number("max_share") {
        return Ok(Vec::new());
    }
    let pools: usize = databases.values().map(Vec::len).sum();
    let now: u64 = databases.values().flatten().map(|pool| pool.servers()).sum();
    let promise = (slots as f64 * options.number("max_share").min(0.8)).floor() as u64;
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "PgBouncer pool sizes".to_string(),
        weight: total,
        summary: match unlimited.is_empty() {
            true => format!(
                "{} of PgBouncer may take {total} connections; this server has {slots} slots for ordinary users",
                Count(pools as u64).of("pool")
            ),
            false => format!(
                "PgBouncer limits no pool of {} (pool_size = 0); this server has {slots} slots for ordinary users",
                unlimited.join(", ")
            ),
        },
        cause: format!(
            "pool_size holds for each pair of database and user: {} open now, with {} in use. A new user or a second PgBouncer adds to \
             it.{}",
            Count(pools as u64).of("such pair"),
            Count(now).of("connection"),
            not_certain(&databases)
        ),
        evidence: object! {
            "may_take_connections": unlimited.is_empty().then_some(total),
            "slots_of_ordinary_users": slots,
            "pools": pools,
            "connections_now": now,
            "databases": promised.iter().map(|(name, most)| json!({"database": name, "may_take_connections": most})).collect::<Vec<_>>(),
        },
        app_fix: Some(format!(
            "pgbouncer.ini: {}; then RELOAD on the console. It leaves {} slots to others with today's pools (estimated; dbre.pool_sizing() \
             goes by the load).",
            limits(&databases, pgbouncer, promise),
            slots.saturating_sub(promise)
        )),
        ..Finding::that_changes_nothing()
    }])
}

/// ` Of shop/app what the database allows is counted: …`
fn not_certain(databases: &BTreeMap<&str, Vec<&Pool>>) -> String {
    let pools = databases.values().flatten().filter(|pool| pool.perhaps_size.is_some());
    let names: Vec<String> = pools.map(|pool| pool.name()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            " Of {} what the database allows is counted: whether the user's line in [users] sets another size PgBouncer before 1.26 \
             does not show.",
            listing(&names)
        ),
    }
}

/// What keeps the pools together within `promise`, each with as much of it: the lines to change.
fn limits(databases: &BTreeMap<&str, Vec<&Pool>>, pgbouncer: &Pgbouncer, promise: u64) -> String {
    let pools: Vec<&Pool> = databases.values().flatten().copied().collect();
    let each = promise / pools.len() as u64;
    let mut lines: BTreeMap<(Place, Key), u64> = BTreeMap::new();
    let mut limit = |pool: &Pool, key: Key, value: u64| {
        let least = lines.entry((pgbouncer.set_in(pool, key), key)).or_insert(value);
        *least = value.min(*least);
    };
    for pool in pools.iter().filter(|pool| most_of_pool(pool).is_none_or(|most| most > each)) {
        let size = if pool.size == 0 { each } else { pool.size };
        match each {
            0 => limit(pool, Key::Connections, (promise / databases.len() as u64).max(1)),
            _ if pool.reserve < each => limit(pool, Key::Size, size.min(each - pool.reserve)),
            _ => {
                if pool.size != size.min(each) {
                    limit(pool, Key::Size, size.min(each));
                }
                limit(pool, Key::Reserve, each.saturating_sub(size));
            }
        }
    }
    let shared = lines.keys().any(|(place, _)| *place == Place::Global);
    let lines: Vec<String> =
        lines.into_iter().map(|((place, key), value)| pgbouncer.line(&place, key, value)).collect();
    // It does not show where a database says the same itself.
    let repeated = if shared { " (and the same where a line of [databases] repeats what it is now)" } else { "" };
    format!("{}{repeated}", listing(&lines))
}

/// Of all users together; None: nothing limits one of them.
fn most_of_users<'a>(pools: impl Iterator<Item = &'a Pool>, pgbouncer: &Pgbouncer) -> Option<u64> {
    let mut users: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for pool in pools {
        let most = users.entry(&pool.user).or_insert(Some(0));
        *most = most.zip(most_of_pool(pool)).map(|(sum, more)| sum + more);
    }
    let limited = users.into_iter().map(|(user, most)| most.into_iter().chain(pgbouncer.most_of_user(user)).min());
    limited.sum()
}

/// None: nothing limits it.
fn most_of_pool(pool: &Pool) -> Option<u64> {
    (pool.size > 0).then_some(pool.size + pool.reserve)
}

/// None: nothing limits it.
fn most(name: &str, pools: &[&Pool], pgbouncer: &Pgbouncer) -> Option<u64> {
    let limit = pgbouncer.database(name).map(|database| database.max_connections).filter(|limit| *limit > 0);
    let sizes: Option<u64> = pools.iter().map(|pool| most_of_pool(pool)).sum();
    match (sizes, limit) {
        (Some(sizes), Some(limit)) => Some(sizes.min(limit)),
        (sizes, limit) => sizes.or(limit),
    }
}
