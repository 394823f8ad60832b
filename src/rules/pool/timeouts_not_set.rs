use crate::advice::pools::longest;
use crate::db::{quote_identifier, quote_literal};
use crate::facts::Facts;
use crate::facts::activity::timeouts::{Level, NAMES};
use crate::facts::activity::{Activity, Role, Session, State};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::listing;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub static RULE: Rule = Rule {
    id: "timeouts_not_set",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A role that has clients here, no superuser and none for replication, gets no idle_in_transaction_session_timeout, \
                statement_timeout or lock_timeout when it connects: neither from the role nor from the database nor from the server, nor a transaction_timeout, which does for all but \
                lock_timeout, and for that where it is as short. \
                A 0 that is set for the role itself is a decision, and left alone. What clients set by themselves is not known.",
    effect: "Nothing ends what hangs: one forgotten transaction, one endless statement or one lock queue takes all connections.",
    workaround: "ALTER ROLE … SET for each service role, or ALTER ROLE … IN DATABASE … SET where a database has its own, which the role's \
                 would override; migrations and reports set their own with SET LOCAL.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-client.html#RUNTIME-CONFIG-CLIENT-STATEMENT"],
    options: &[
        OptionSpec::number(
            "idle_in_transaction_seconds",
            (60.0, "seconds"),
            (1.0, 86_400.0),
            "What the fix sets idle_in_transaction_session_timeout to.",
        ),
        OptionSpec::number(
            "statement_seconds",
            (60.0, "seconds"),
            (1.0, 86_400.0),
            "What the fix sets statement_timeout to.",
        ),
        OptionSpec::number("lock_seconds", (10.0, "seconds"), (1.0, 86_400.0), "What the fix sets lock_timeout to."),
        OptionSpec::pattern(
            "except_applications",
            "^(pg_dump|pg_dumpall|pg_restore|pg_basebackup|psql)$",
            "A role whose clients are all of these is left alone.",
        ),
    ],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "none is set",
            setup: "do $$ begin execute format('create role %I login', current_database() || '_web'); end $$; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', current_database() || '_web', 'select 1')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the database sets one, the role another",
            setup: "do $$ begin execute format('create role %I login', current_database() || '_Web \"1\"'); \
                    execute format('alter role %I set Statement_Timeout = 20000', current_database() || '_Web \"1\"'); \
                    execute format('alter database %I set lock_timeout = ''3s''', current_database()); end $$; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', current_database() || '_Web \"1\"', 'select 1')",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a transaction_timeout does for two of the three",
            setup: "do $$ begin execute format('create role %I login', current_database() || '_web'); \
                    execute format('alter role %I set transaction_timeout = ''5min''', current_database() || '_web'); \
                    execute format('alter role %I set lock_timeout = ''3s''', current_database() || '_web'); end $$; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', current_database() || '_web', 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "a transaction_timeout as short as a lock may be waited for",
            setup: "do $$ begin execute format('create role %I login', current_database() || '_web'); \
                    execute format('alter role %I set transaction_timeout = ''10s''', current_database() || '_web'); end $$; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', current_database() || '_web', 'select 1')",
            finds: 0,
            fix_clears: false,
        },
        Case {
            name: "all are set, or not by decision",
            setup: "do $$ begin execute format('create role %I login', current_database() || '_web'); \
                    execute format('alter role %I set statement_timeout = 0', current_database() || '_web'); \
                    execute format('alter role %I in database %I set lock_timeout = ''3s''', current_database() || '_web', \
                        current_database()); \
                    execute format('alter role %I set idle_in_transaction_session_timeout = ''5min''', current_database() || '_web'); \
                    end $$; \
                    create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', current_database() || '_web', 'select 1')",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// What a service role should have, and the option that says how much. idle_session_timeout ends the idle connections of pools,
/// transaction_timeout whole sessions: not without a look at the application.
const WANTED: [(&str, &str); 3] = [
    ("idle_in_transaction_session_timeout", "idle_in_transaction_seconds"),
    ("statement_timeout", "statement_seconds"),
    ("lock_timeout", "lock_seconds"),
];

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    if !activity.timeouts.are_known() {
        return Ok(Vec::new());
    }
    let mut roles: BTreeMap<u32, Vec<&Session>> = BTreeMap::new();
    for session in activity.clients() {
        if let Some(role) = session.role_oid {
            roles.entry(role).or_default().push(session);
        }
    }
    Ok(roles.into_iter().filter_map(|(role, sessions)| judge(role, &sessions, activity, options)).collect())
}

fn judge(oid: u32, sessions: &[&Session], activity: &Activity, options: &Options) -> Option<Finding> {
    let role = activity.slots.role(oid)?;
    let except = options.pattern("except_applications");
    if role.superuser || role.replication || sessions.iter().all(|session| except.is_match(&session.application)) {
        return None;
    }
    let databases: BTreeSet<u32> = sessions.iter().filter_map(|session| session.database_oid).collect();
    let missing = missing(oid, &databases, activity, options);
    if missing.is_empty() {
        return None;
    }
    let active = sessions.iter().copied().filter(|session| session.state == Some(State::Active));
    let longest = longest(active, |session| session.query_seconds);
    let setting = Settings::of(role, &missing, longest, activity);
    let names: Vec<&str> = missing.iter().map(|missing| missing.name).collect();
    let changes = !setting.fix.is_empty();
    Some(Finding {
        severity: if names == ["lock_timeout"] { Severity::low } else { RULE.severity },
        object: format!("role {}", role.name),
        weight: sessions.len() as u64,
        summary: format!("New sessions of role {} have no {}", role.name, listing(&names)),
        cause: cause(&missing, &setting, longest, activity),
        evidence: object! {
            "sessions": sessions.len(),
            "missing": names,
            "databases": of_databases(&databases, oid, activity),
            "longest_statement_seconds": longest,
        },
        risk: match changes {
            false => Finding::NO_RISK.to_string(),
            true => format!(
                "For sessions that begin from now on: {}. A statement that takes longer fails (SQLSTATE 57014, a lock 55P03), a \
                 transaction idle for longer loses its session (25P03): migrations, reports and batch jobs of this role need their \
                 own (SET LOCAL). Takes CREATEROLE with ADMIN on the role, or the role itself.",
                listing(&setting.set)
            ),
        },
        verify_sql: changes.then(|| verify_sql(&setting.quoted, &setting.pairs)),
        fix_sql: changes.then(|| setting.fix.join("\n")),
        rollback: if changes { Rollback::Sql(setting.back.join("\n")) } else { Rollback::None },
        app_fix: Some(APP_FIX.to_string()),
        ..Finding::that_changes_nothing()
    })
}

const APP_FIX: &str = "Or where the application connects: psycopg: create_engine(…, connect_args={\"options\": \"-c statement_timeout=60s -c \
     lock_timeout=10s -c idle_in_transaction_session_timeout=60s\"}); asyncpg: connect_args={\"server_settings\": \
     {\"statement_timeout\": \"60s\"}}; behind PgBouncer ALTER ROLE is the safe place. Not idle_session_timeout: it ends the \
     idle connections of a pool.";

fn missing(oid: u32, databases: &BTreeSet<u32>, activity: &Activity, options: &Options) -> Vec<Missing> {
    let each = WANTED.into_iter().map(|(name, option)| {
        let seconds = options.number(option);
        let lacks = databases.iter().copied().filter(|of| is_missing(activity, oid, *of, name, seconds)).collect();
        Missing { name, seconds, databases: lacks, elsewhere: activity.timeouts.databases_that_set(name) }
    });
    each.filter(|missing| !missing.databases.is_empty()).collect()
}

fn cause(missing: &[Missing], setting: &Settings, longest: Option<f64>, activity: &Activity) -> String {
    let left = missing.iter().any(|missing| !setting.pairs.iter().any(|(_, name)| *name == missing.name));
    format!(
        "Neither the role nor the database nor the server sets {}; what clients set when they connect (options, connect_args) is \
         not visible from here.{} How long each may be is not measured: the fix has this rule's options.{}",
        told(missing, activity),
        of_their_own(missing, activity),
        match longest.filter(|_| left) {
            Some(seconds) => format!(
                " One of its statements has run for {seconds:.0} s: how long one may take must be decided before \
                 statement_timeout is set."
            ),
            None => String::new(),
        }
    )
}

/// A timeout that new sessions of the role do not get.
struct Missing {
    name: &'static str,
    /// What the fix sets it to.
    seconds: f64,
    /// In which.
    databases: Vec<u32>,
    /// That have their own, which one of the role would override.
    elsewhere: Vec<u32>,
}

/// What the fix sets.
struct Settings {
    fix: Vec<String>,
    back: Vec<String>,
    set: Vec<String>,
    /// Database and name; None: of the role in all databases.
    pairs: Vec<(Option<String>, &'static str)>,
    quoted: String,
}

impl Settings {
    /// `longest`: a statement that runs now.
    fn of(role: &Role, missing: &[Missing], longest: Option<f64>, activity: &Activity) -> Settings {
        let quoted = quote_identifier(&role.name);
        let mut settings = Settings { fix: Vec::new(), back: Vec::new(), set: Vec::new(), pairs: Vec::new(), quoted };
        for missing in missing {
            // It would have been ended.
            let too_short =
                missing.name == "statement_timeout" && longest.is_some_and(|longest| longest >= missing.seconds);
            if !too_short {
                settings.add(missing, activity);
            }
        }
        settings
    }

    /// For the whole role only where no database has its own.
    fn add(&mut self, missing: &Missing, activity: &Activity) {
        let places: Vec<Option<String>> = match missing.elsewhere.is_empty() {
            true => vec![None],
            false => missing
                .databases
                .iter()
                .filter_map(|of| Some(Some(activity.slots.database(*of)?.name.clone())))
                .collect(),
        };
        let (role, name, seconds) = (&self.quoted, missing.name, missing.seconds);
        for place in places {
            let of = place.as_ref().map_or(String::new(), |of| format!(" in database {}", quote_identifier(of)));
            self.fix.push(format!("alter role {role}{of} set {name} = '{seconds:.0}s';"));
            // Where there was a value, none is missing.
            self.back.push(format!("alter role {role}{of} reset {name};"));
            self.set.push(format!("{name} {seconds:.0} s{of}"));
            self.pairs.push((place, name));
        }
    }
}

/// `statement_timeout in db2, lock_timeout in bench and db2`
fn told(missing: &[Missing], activity: &Activity) -> String {
    let each = missing.iter().map(|missing| format!("{} in {}", missing.name, names_of(&missing.databases, activity)));
    each.collect::<Vec<_>>().join(", ")
}

/// A 0 of a database that lacks it is none.
fn of_their_own(missing: &[Missing], activity: &Activity) -> String {
    let set = missing.iter().filter_map(|missing| {
        let own = missing.elsewhere.iter().copied().filter(|of| !missing.databases.contains(of));
        let own: Vec<u32> = own.collect();
        (!own.is_empty()).then(|| format!("{} ({})", names_of(&own, activity), missing.name))
    });
    let set: Vec<String> = set.collect();
    match set.is_empty() {
        true => String::new(),
        false => format!(
            " Set for a database it is in {}: one of the whole role would override that, so the fix is for the databases that have none.",
            set.join(", ")
        ),
    }
}

fn names_of(databases: &[u32], activity: &Activity) -> String {
    let names: Vec<String> = databases.iter().map(|of| name_of(*of, activity)).collect();
    listing(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn name_of(database: u32, activity: &Activity) -> String {
    activity.slots.database(database).map_or(format!("OID {database}"), |database| database.name.clone())
}

fn verify_sql(role: &str, pairs: &[(Option<String>, &str)]) -> String {
    let literal = |(database, name): &(Option<String>, &str)| {
        format!("({}, {})", quote_literal(database.as_deref().unwrap_or_default()), quote_literal(name))
    };
    format!(
        "select pg_catalog.count(*) = {} as set from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_database d on d.oid = \
         s.setdatabase cross join lateral pg_catalog.unnest(s.setconfig) c (line) where s.setrole = {}::regrole and \
         (coalesce(d.datname, ''), pg_catalog.split_part(c.line, '=', 1)) in ({});",
        pairs.len(),
        quote_literal(role),
        pairs.iter().map(literal).collect::<Vec<_>>().join(", ")
    )
}

/// `seconds`: what it would be set to.
fn is_missing(activity: &Activity, role: u32, database: u32, name: &str, seconds: f64) -> bool {
    let decided = |level| matches!(level, Level::Role | Level::RoleInDatabase);
    let timeout = activity.timeouts.of(role, database, name);
    timeout.is_some_and(|timeout| timeout.milliseconds == 0 && !decided(timeout.level))
        && !is_limited(activity, role, database, name, seconds)
}

/// transaction_timeout ends statements and idle transactions too; it is enough for locks where it is as short as what they would get.
fn is_limited(activity: &Activity, role: u32, database: u32, name: &str, seconds: f64) -> bool {
    match activity.timeouts.of(role, database, "transaction_timeout").map(|timeout| timeout.milliseconds) {
        Some(0) => false,
        Some(limit) => name != "lock_timeout" || limit as f64 <= seconds * 1000.0,
        None => true,
    }
}

/// What new sessions get, in milliseconds: `{"shop": {"statement_timeout_ms": 0, …}}`; null: not known.
fn of_databases(databases: &BTreeSet<u32>, role: u32, activity: &Activity) -> Map<String, Value> {
    let of = |database: &u32| {
        let timeouts: Map<String, Value> = NAMES
            .into_iter()
            .map(|name| {
                let timeout = activity.timeouts.of(role, *database, name);
                (format!("{name}_ms"), json!(timeout.map(|timeout| timeout.milliseconds)))
            })
            .collect();
        (name_of(*database, activity), Value::Object(timeouts))
    };
    databases.iter().map(of).collect()
}
