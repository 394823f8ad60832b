use crate::advice::pools::{self, Pool, label};
use crate::facts::Facts;
use crate::facts::activity::{Activity, RecordedPool, Session, State};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, thousandths};
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "idle_pool_oversized",
    category: "pool",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "At least min_surplus connections of one application, role and database have not been used for min_idle_seconds; or, \
                where dbre.activity_history goes on and has min_recorded_seconds since the oldest of them began, there are at least min_surplus more of them than twice those that were \
                ever in use at once: low; medium where these take more than medium_share of the connections that ordinary users can \
                take.",
    effect: "Each takes a slot that another service needs at its peak, and memory for its caches; every snapshot looks at it.",
    workaround: "A pool_size that fits what is used at once; a pool that hands out the last connection first lets the others time out.",
    sources: &["https://docs.sqlalchemy.org/en/20/core/pooling.html#using-fifo-vs-lifo"],
    options: &[
        OptionSpec::number(
            "min_idle_seconds",
            (300.0, "seconds"),
            (0.0, 1e9),
            "A connection that has been idle for less is in use.",
        ),
        OptionSpec::number(
            "min_recorded_seconds",
            (3600.0, "seconds"),
            (1.0, 1e9),
            "A recording of less says nothing of peaks.",
        ),
        OptionSpec::number("min_surplus", (5.0, "connections"), (1.0, 1e9), "Fewer unused ones are left alone."),
        OptionSpec::number(
            "medium_share",
            (0.2, "of the connections"),
            (0.0, 1.0),
            "More than this share of what ordinary users can take is medium.",
        ),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "six that nobody uses",
            setup: "select dbre.configure_rule('idle_pool_oversized', options => '{\"min_idle_seconds\": 0}'); \
                    create table sessions as select 1 as step, 'web ' || g as session, null as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 6) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "six that were used a moment ago",
            setup: "create table sessions as select 1 as step, 'web ' || g as session, null as role, \
                        'set application_name = web' as statement, false as waits from generate_series(1, 6) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// How many of a pool's connections are used at once at most.
struct Bound {
    used: u64,
    /// `in the last 300 s (no other has changed its state since)`
    over: String,
    basis: &'static str,
}

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let mut pools: BTreeMap<String, Vec<&Session>> = BTreeMap::new();
    for session in activity.clients() {
        pools.entry(label(session)).or_default().push(session);
    }
    let findings = pools.into_iter().filter_map(|(name, sessions)| judge(name, &Pool { sessions }, activity, options));
    Ok(findings.collect())
}

fn judge(name: String, pool: &Pool, activity: &Activity, options: &Options) -> Option<Finding> {
    // Of hidden sessions nothing says that they are idle.
    if pool.unknown() > 0 {
        return None;
    }
    let open = pool.connections();
    let bound = bound(pool, activity, options);
    let surplus = open.saturating_sub(bound.used);
    if (surplus as f64) < options.number("min_surplus") {
        return None;
    }
    let share = surplus as f64 / activity.slots.ordinary().max(1) as f64;
    let addresses = pools::of(pool.sessions.iter().copied()).len();
    Some(Finding {
        severity: if share > options.number("medium_share") { Severity::medium } else { RULE.severity },
        object: name.clone(),
        weight: surplus,
        summary: format!(
            "{} of {open} connections of {name} are not used: at most {} at once {}",
            Count(surplus),
            bound.used,
            bound.over
        ),
        cause: format!(
            "The pool is larger than what it uses at once ({}), from {}. A pool that hands out its connections in turn (SQLAlchemy's \
             default) uses each of them now and then: then only a recording (dbre.activity_history) shows that fewer would do.",
            pool.summary(),
            if addresses == 1 { "one client address".to_string() } else { format!("{addresses} client addresses") },
        ),
        evidence: object! {
            "connections": open,
            "unused": surplus,
            "used_at_most": bound.used,
            "basis": bound.basis,
            "longest_idle_seconds": pools::longest(pool.in_state(&[State::Idle]), |session| session.state_seconds),
            "client_addresses": addresses,
            "slots_share": thousandths(share),
        },
        app_fix: Some(format!(
            "All processes together need about {} connections, not {open}: divide by the number of processes for pool_size, with a \
             max_overflow for peaks. SQLAlchemy: create_engine(…, pool_use_lifo=True, pool_pre_ping=True) keeps few connections busy, \
             and idle ones can be ended by the server or PgBouncer (server_idle_timeout); asyncpg: create_pool(min_size=…, \
             max_inactive_connection_lifetime=300).",
            (bound.used + bound.used.div_ceil(4)).max(2)
        )),
        ..Finding::that_changes_nothing()
    })
}

fn bound(pool: &Pool, activity: &Activity, options: &Options) -> Bound {
    if let Some(recorded) = recorded(pool, activity, options.number("min_recorded_seconds")) {
        let in_use = pool.connections() - pool.count(&[State::Idle]);
        return Bound {
            used: (u64::from(recorded.connections.in_use.most) * 2).max(in_use),
            over: format!(
                "in {:.1} h of samples, whose peak is doubled for bursts between them",
                recorded.seconds / 3600.0
            ),
            basis: "estimated (twice the most of dbre.activity_history, or what is in use now)",
        };
    }
    let min_seconds = options.number("min_idle_seconds");
    let unused =
        pool.in_state(&[State::Idle]).filter(|session| session.state_seconds.is_some_and(|s| s >= min_seconds)).count();
    Bound {
        used: pool.connections() - unused as u64,
        over: format!("in the last {min_seconds:.0} s"),
        basis: "measured (each of the others has been idle for longer)",
    }
}

/// Since its oldest connection began: what the pool had before may have been of another size.
fn recorded<'a>(pool: &Pool, activity: &'a Activity, least_seconds: f64) -> Option<&'a RecordedPool> {
    let first = pool.first();
    let same = |recorded: &&RecordedPool| {
        Some(recorded.database_oid) == first.database_oid
            && Some(recorded.role_oid) == first.role_oid
            && recorded.application.as_deref() == Some(&first.application)
    };
    activity.history.as_ref()?.pools.iter().find(same).filter(|recorded| recorded.seconds >= least_seconds)
}
