//! Sessions that a client has left in a transaction: gathered by what ran last in them, which is where the code lost them.

use super::blocking::Blocking;
use super::end_sessions::{Endings, of_unchanged, verify_transactions};
use super::pools::{label, longest, longest_first};
use crate::facts::activity::locks::Who;
use crate::facts::activity::{Activity, Session, State};
use crate::facts::normalized::without_generated_names;
use crate::finding::{Finding, Severity, change, fingerprint, object};
use crate::measure::bursts::tags;
use crate::rule::Options;
use crate::units::{Count, duration, on_one_line, thousandths};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// Sessions that evidence names.
const SHOWN: usize = 50;

/// What kind of leak, in words.
pub struct Words {
    /// `idle in a transaction`
    pub state: &'static str,
    pub why: &'static str,
    pub app_fix: &'static str,
    /// The sessions can be ended, and a timeout may end the next.
    pub may_end: bool,
}

pub struct Leak<'a> {
    pub sessions: Vec<&'a Session>,
    /// Others that wait because of locks which these hold.
    pub blocked: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    database: Option<u32>,
    role: Option<u32>,
    application: &'a str,
    statement: String,
}

/// Of clients whose application is not one of `except_applications`, in this state for `min_seconds`.
pub fn leaks<'a>(activity: &'a Activity, state: State, options: &Options) -> Vec<Leak<'a>> {
    let (min_seconds, except) = (options.number("min_seconds"), options.pattern("except_applications"));
    let mut leaks: BTreeMap<Key, Leak> = BTreeMap::new();
    let left = activity.clients().filter(|session| {
        session.state == Some(state)
            && session.state_seconds.is_some_and(|seconds| seconds >= min_seconds)
            && !except.is_match(&session.application)
    });
    for session in left {
        let leak = leaks
            .entry(Key {
                database: session.database_oid,
                role: session.role_oid,
                application: &session.application,
                statement: statement(session),
            })
            .or_insert_with(|| Leak { sessions: Vec::new(), blocked: 0 });
        leak.sessions.push(session);
    }
    let mut leaks: Vec<Leak> = leaks.into_values().collect();
    for leak in &mut leaks {
        longest_first(&mut leak.sessions);
    }
    if !leaks.is_empty() && !activity.locks.parties.is_empty() {
        let blocking = Blocking::of(activity);
        leaks.iter_mut().for_each(|leak| leak.blocked = blocked(&leak.sessions, &blocking));
    }
    leaks
}

/// What ran last, without constants, comments and generated names. Texts that begin alike are told apart by a hash.
fn statement(session: &Session) -> String {
    let text = without_generated_names(session.query.as_deref().unwrap_or_default());
    let shown = on_one_line(&text);
    match shown.strip_suffix('…') {
        _ if shown.is_empty() => "nothing yet".to_string(),
        Some(_) => format!("{shown} [{}]", &fingerprint("statement", &text)[..8]),
        None => shown,
    }
}

/// Where to look, of a statement that many places run alike.
fn place_of(last: &str) -> &'static str {
    let word = last.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "SAVEPOINT" | "RELEASE" | "ROLLBACK" => {
            "A savepoint's statement is not itself the place: that is the transaction around the nested block (Django's inner atomic(), \
             SQLAlchemy's begin_nested())."
        }
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" => {
            "A cursor's statement is not itself the place: that is the transaction in which its rows are read (Django's .iterator(), \
             SQLAlchemy's yield_per and stream())."
        }
        "DEALLOCATE" => "The driver runs it to free a prepared statement: it is not itself the place.",
        _ => "",
    }
}

/// How many wait because of these: for what they hold, or for one that does.
fn blocked(sessions: &[&Session], blocking: &Blocking) -> u64 {
    let ours: HashSet<Who> = sessions.iter().map(|session| Who::Process(session.pid)).collect();
    let is_ours = |place: &usize| ours.contains(&blocking.party(&blocking.nodes[*place]).who);
    let places: Vec<usize> = (0..blocking.nodes.len()).filter(is_ours).collect();
    blocking.waits().held_up(&places, &vec![false; blocking.nodes.len()]).len() as u64
}

pub fn finding(leak: &Leak, activity: &Activity, severity: Severity, words: &Words) -> Finding {
    let sessions = &leak.sessions;
    let first = sessions[0];
    let count = sessions.len() as u64;
    let last = statement(first);
    let oldest = longest(sessions.iter().copied(), |session| session.state_seconds).unwrap_or_default();
    let who = label(first);
    let endings = if words.may_end { of_unchanged(sessions, &activity.caller) } else { Endings::default() };
    Finding {
        severity,
        object: format!("{who}, after {last}"),
        weight: count,
        summary: format!(
            "{} of {who} {} been {} for {}{}, after {last}",
            Count(count).of("session"),
            if count == 1 { "has" } else { "have" },
            words.state,
            if count == 1 { "" } else { "up to " },
            duration(oldest)
        ),
        cause: cause(leak, &last, &endings, words),
        evidence: evidence(leak, activity, oldest),
        impact: object! { "sessions": change((count, "measured"), (count - endings.count, "estimated")) },
        risk: endings.sql.as_ref().map_or(Finding::NO_RISK.to_string(), |_| risk(endings.count, leak.written())),
        fix_sql: endings.sql,
        verify_sql: verify_transactions(sessions),
        app_fix: Some(app_fix(first, activity, words)),
        ..Finding::that_changes_nothing()
    }
}

impl Leak<'_> {
    pub fn is_of(&self, application: &str) -> bool {
        self.sessions[0].application == application
    }

    fn written(&self) -> u64 {
        self.sessions.iter().filter(|session| session.transaction_id.is_some()).count() as u64
    }

    fn oldest_snapshot(&self) -> Option<i64> {
        self.sessions.iter().filter_map(|session| session.snapshot_age).max()
    }

    /// What its comment says, as SQLCommenter writes it.
    fn tags(&self) -> Map<String, Value> {
        tags(self.sessions[0].query.as_deref().unwrap_or_default().as_bytes())
    }
}

fn cause(leak: &Leak, last: &str, endings: &Endings, words: &Words) -> String {
    let count = leak.sessions.len();
    let tags = leak.tags();
    let place = match tags.is_empty() {
        true => String::new(),
        false => format!(" Its comment names the place: {}.", Value::Object(tags)),
    };
    let mut cause = vec![
        format!("The last statement{} was: {last}.{place}", if count == 1 { "" } else { " of each" }),
        if words.may_end { place_of(last).to_string() } else { String::new() },
        words.why.to_string(),
        match leak.written() {
            0 if count == 1 => "It has not written anything.".to_string(),
            0 => "None of them has written anything.".to_string(),
            1 if count == 1 => "It has written, or locked rows, which others cannot change until it ends.".to_string(),
            written => format!(
                "{} of them have written, or locked rows, which others cannot change until they end.",
                Count(written)
            ),
        },
    ];
    if leak.blocked > 0 {
        let others = match leak.blocked {
            1 => "1 other session waits".to_string(),
            many => format!("{} other sessions wait", Count(many)),
        };
        cause.push(format!("{others} because of {} locks.", if count == 1 { "its" } else { "their" }));
    }
    if let Some(age) = leak.oldest_snapshot().filter(|age| *age > 0) {
        cause.push(format!(
            "The oldest snapshot is {} behind: VACUUM removes no rows that are newer.",
            Count(age as u64).of("transaction")
        ));
    }
    cause.extend(endings.refused.as_ref().map(|refused| format!("{refused}.")));
    cause.retain(|sentence| !sentence.is_empty());
    cause.join(" ")
}

fn evidence(leak: &Leak, activity: &Activity, oldest: f64) -> Map<String, Value> {
    let sessions = &leak.sessions;
    let (first, count) = (sessions[0], sessions.len());
    object! {
        "sessions": count,
        "oldest_seconds": oldest,
        "shortest_seconds": sessions.iter().filter_map(|s| s.state_seconds).min_by(f64::total_cmp),
        "with_transaction_id": leak.written(),
        "oldest_snapshot_age_transactions": leak.oldest_snapshot(),
        "sessions_blocked": leak.blocked,
        "slots_share": thousandths(count as f64 / activity.slots.ordinary().max(1) as f64),
        "database": first.database,
        "user_name": first.role,
        "application_name": first.application,
        "last_query": first.query,
        "query_id": first.query_id,
        "tags": leak.tags(),
        "longest": sessions.iter().take(SHOWN).map(|session| json!({
            "pid": session.pid,
            "client_address": session.client_address,
            "idle_seconds": session.state_seconds,
            "transaction_seconds": session.transaction_seconds,
            "transaction_id": session.transaction_id,
        })).collect::<Vec<_>>(),
    }
}

fn app_fix(session: &Session, activity: &Activity, words: &Words) -> String {
    if session.application == "psql" {
        return "A person's session (psql): ask who it is; \\set AUTOCOMMIT on, and COMMIT when done.".to_string();
    }
    if !words.may_end {
        return words.app_fix.to_string();
    }
    let role = session.role_oid.and_then(|oid| activity.slots.role(oid));
    let second = match role {
        Some(role) if role.superuser => {
            "Then give the application a role of its own, no superuser, with an idle_in_transaction_session_timeout."
                .to_string()
        }
        Some(role) => format!(
            "Then, so that the server ends the next ones by itself: alter role {} set idle_in_transaction_session_timeout = '60s'; \
             (longer than the longest pause that is meant).",
            crate::db::quote_identifier(&role.name)
        ),
        None => "Then set idle_in_transaction_session_timeout for its role.".to_string(),
    };
    format!("{} {second}", words.app_fix)
}

fn risk(count: u64, written: u64) -> String {
    let rolled_back = match (count, written) {
        (1, 0) => {
            "Its transaction is rolled back, which has written nothing. Its client loses the connection".to_string()
        }
        (1, _) => {
            "Its transaction is rolled back with all that it has written. Its client loses the connection".to_string()
        }
        (_, 0) => "Their transactions are rolled back; none has written anything. Their clients lose the connections"
            .to_string(),
        (_, written) => format!(
            "Their transactions are rolled back, with all that {} of them {} written. Their clients lose the connections",
            Count(written),
            if written == 1 { "has" } else { "have" }
        ),
    };
    format!(
        "{rolled_back} (SQLSTATE 57P01), and what they would have done next fails and must be done again. A session that has gone on \
         since is left alone."
    )
}
