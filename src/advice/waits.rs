//! Sessions that wait for the same at one moment.

use super::measured_query::{excerpt, took};
use super::wait_events::meaning_or_kind;
use crate::facts::activity::{Activity, Session, Wait};
use crate::finding::{Finding, Severity, object};
use crate::units::{Count, thousandths};
use serde_json::{Value, json};

/// Those that execute something now, in what the caller wants to know about; a parallel worker counts as its query does.
pub fn active(activity: &Activity) -> impl Iterator<Item = &Session> {
    let works = |session: &&Session| session.is_client() || session.is_parallel_worker();
    activity.sessions.iter().filter(works).filter(|session| session.runs() && activity.concerns(session))
}

pub struct Group<'a> {
    pub wait: &'a Wait,
    pub sessions: Vec<&'a Session>,
    /// How many execute something.
    pub active: usize,
    cores: u64,
}

/// It is of a commit.
pub fn ends_transaction(wait: &Wait) -> bool {
    let event = wait.event.to_lowercase();
    match wait.kind.as_str() {
        "IO" => event.starts_with("wal") && event != "walread",
        "LWLock" => matches!(event.as_str(), "walwrite" | "syncrep"),
        "IPC" => matches!(event.as_str(), "syncrep" | "procarraygroupupdate" | "xactgroupupdate"),
        _ => false,
    }
}

/// One that is not of a commit: the same wait is one rule's matter.
pub fn is_lwlock(wait: &Wait) -> bool {
    wait.kind == "LWLock" && !ends_transaction(wait)
}

/// By event, most first.
pub fn groups<'a>(activity: &'a Activity, takes: impl Fn(&Wait) -> bool) -> Vec<Group<'a>> {
    let all = active(activity).count();
    let mut groups: Vec<Group> = Vec::new();
    for session in active(activity) {
        let Some(wait) = session.wait.as_ref().filter(|wait| takes(wait)) else { continue };
        match groups.iter_mut().find(|group| group.wait == wait) {
            Some(group) => group.sessions.push(session),
            None => groups.push(Group { wait, sessions: vec![session], active: all, cores: activity.cores }),
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.sessions.len()), group.wait));
    groups
}

impl Group<'_> {
    pub fn share(&self) -> f64 {
        self.sessions.len() as f64 / self.active.max(1) as f64
    }

    /// One sample may be an accident, unless it is of many.
    pub fn is_many(&self, min_sessions: f64, min_share: f64) -> bool {
        self.sessions.len() as f64 >= min_sessions && self.share() >= min_share
    }

    /// High: most of what runs stands still for it, for longer than users wait gladly, and the cores idle. One look at statements
    /// that take milliseconds is an accident, unless it was so before.
    fn severity(&self, recorded: Option<Waited>, min_share: f64) -> Severity {
        let rest = (self.active - self.sessions.len()) as u64;
        let stands = self.share() >= 0.5 && self.sessions.len() >= MANY && rest < self.cores;
        match self.median_seconds() >= LASTS_SECONDS {
            true if stands => Severity::high,
            true => Severity::medium,
            false if recorded.is_some_and(|recorded| recorded.lasts(min_share)) => Severity::medium,
            false => Severity::low,
        }
    }

    /// Of the statements that wait.
    fn median_seconds(&self) -> f64 {
        let mut seconds: Vec<f64> = self.sessions.iter().filter_map(|session| session.query_seconds).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or_default()
    }

    pub fn event(&self) -> String {
        format!("{}: {}", self.wait.kind, self.wait.event)
    }

    /// `12 of 20 sessions that run …`
    pub fn summary(&self, waits: &str) -> String {
        let (count, active) = (Count(self.sessions.len() as u64), Count(self.active as u64));
        format!("{count} of {} that run {waits}", active.of("session"))
    }

    /// Without what to do about it; `min_share` is what the rule takes for much.
    pub fn finding(&self, activity: &Activity, min_share: f64) -> Finding {
        let meaning = meaning_or_kind(&self.wait.kind, &self.wait.event);
        let recorded = recorded(activity, self.wait);
        let before = match recorded {
            Some(Waited { mean, most, .. }) => format!("Recorded before: {mean:.1} on average, {most} at most."),
            None => "It is one sample: dbre.sample_activity() shows whether it lasts.".to_string(),
        };
        let median = self.median_seconds();
        Finding {
            severity: self.severity(recorded, min_share),
            object: format!("{} in {}", self.event(), activity.only.as_deref().unwrap_or("all databases")),
            weight: self.sessions.len() as u64,
            summary: self.summary(&format!("wait at {}", self.event())),
            cause: format!(
                "Each {}. {}Half of these statements have run for {} or longer. {before}",
                meaning.means,
                self.statements_told(),
                took(median * 1000.0)
            ),
            evidence: object! {
                "wait_event_type": self.wait.kind,
                "wait_event": self.wait.event,
                "waiting_sessions": self.sessions.len(),
                "active_sessions": self.active,
                "share": thousandths(self.share()),
                "cores": self.cores,
                "median_statement_seconds": median,
                "statements": self.statements(),
                "recorded_mean_sessions": recorded.map(|recorded| recorded.mean),
                "recorded_most_sessions": recorded.map(|recorded| recorded.most),
                "recorded_share": recorded.map(|recorded| thousandths(recorded.share)),
                "recorded_samples": recorded.map(|recorded| recorded.samples),
                "basis": "counted at one moment; recorded: dbre.activity_history",
            },
            app_fix: meaning.remedy.map(str::to_string),
            ..Finding::that_changes_nothing()
        }
    }

    /// What they run, by how many; hidden texts apart.
    fn by_statement(&self) -> Vec<(&Session, usize)> {
        let mut statements: Vec<(&Session, usize)> = Vec::new();
        for session in &self.sessions {
            let same = |other: &Session| match (session.query_id, other.query_id) {
                (Some(id), Some(other)) => id == other,
                _ => session.query == other.query,
            };
            match statements.iter_mut().find(|(other, _)| same(other)) {
                Some((_, count)) => *count += 1,
                None => statements.push((session, 1)),
            }
        }
        statements.sort_by_key(|(session, count)| (std::cmp::Reverse(*count), session.pid));
        statements
    }

    fn statements(&self) -> Vec<Value> {
        let shown = self.by_statement().into_iter().take(SHOWN);
        shown
            .map(|(session, count)| {
                json!({
                    "sessions": count, "query_id": session.query_id, "query": session.query, "pid": session.pid,
                    "user_name": session.role, "application_name": session.application,
                })
            })
            .collect()
    }

    fn statements_told(&self) -> String {
        match self.by_statement().first() {
            Some((session, count)) => match &session.query {
                Some(query) => format!("{} of them run: {} ", count, excerpt(query)).trim_end().to_string() + ". ",
                None => format!("What {count} of them run is hidden from the caller. "),
            },
            None => String::new(),
        }
    }
}

/// What was recorded of an event, in what the caller wants to know about.
#[derive(Clone, Copy)]
struct Waited {
    /// Sessions at it.
    mean: f64,
    most: u32,
    /// Of all that were active.
    share: f64,
    samples: u64,
}

impl Waited {
    fn lasts(&self, min_share: f64) -> bool {
        self.samples >= ENOUGH_SAMPLES && self.mean >= 1.0 && self.share >= min_share
    }
}

fn recorded(activity: &Activity, wait: &Wait) -> Option<Waited> {
    let history = activity.history.as_ref()?;
    let concerned = history.waits.iter().filter(|one| activity.only.is_none() || activity.only == one.database);
    let (mut mean, mut most, mut all) = (0.0, 0, 0.0);
    for one in concerned {
        all += one.sessions.mean;
        if one.wait.as_ref() == Some(wait) {
            mean += one.sessions.mean;
            // Of several databases the most of one: they need not have come together.
            most = most.max(one.sessions.most);
        }
    }
    Some(Waited { mean, most, share: if all > 0.0 { mean / all } else { 0.0 }, samples: history.samples })
}

/// Most of what runs, if it is so many.
const MANY: usize = 10;
/// From here on a user waits.
const LASTS_SECONDS: f64 = 1.0;
/// Fewer say nothing about time.
const ENOUGH_SAMPLES: u64 = 10;
/// More statements are left out.
const SHOWN: usize = 5;

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::activity::{History, RecordedWait, State, Use};

    #[test]
    fn what_commits_wait_for_is_told_once() {
        let session = |event: &str| Session {
            kind: "client backend".to_string(),
            state: Some(State::Active),
            wait: Some(Wait { kind: "LWLock".to_string(), event: event.to_string() }),
            ..Session::default()
        };
        let sessions = ["WALWrite", "SyncRep", "WALInsert", "BufferContent", "WALWrite"].map(session);
        let activity = Activity { sessions: sessions.to_vec(), ..Activity::default() };
        let told = |takes: fn(&Wait) -> bool| -> Vec<(String, usize)> {
            groups(&activity, takes).iter().map(|group| (group.event(), group.sessions.len())).collect()
        };
        let expected = |all: [(&str, usize); 2]| all.map(|(event, count)| (format!("LWLock: {event}"), count));
        assert_eq!(told(ends_transaction), expected([("WALWrite", 2), ("SyncRep", 1)]));
        assert_eq!(told(is_lwlock), expected([("BufferContent", 1), ("WALInsert", 1)]));
    }

    #[test]
    fn one_look_at_short_statements_is_low() {
        let wait = || Wait { kind: "LWLock".to_string(), event: "WALWrite".to_string() };
        let session = |seconds: f64| Session {
            kind: "client backend".to_string(),
            state: Some(State::Active),
            wait: Some(wait()),
            query_seconds: Some(seconds),
            ..Session::default()
        };
        let severity = |seconds: [f64; 3], history: Option<History>| {
            let sessions = (0..15).map(|number| session(seconds[number % 3])).collect();
            let activity = Activity { sessions, cores: 2, history, ..Activity::default() };
            groups(&activity, ends_transaction)[0].finding(&activity, 0.25).severity
        };
        assert_eq!(severity([0.002, 0.003, 0.1], None), Severity::low);
        assert_eq!(severity([0.002, 0.003, 9.0], None), Severity::low, "one is old");
        assert_eq!(severity([0.1, 1.5, 9.0], None), Severity::high);
        let history = |samples: u64, at_it: f64| {
            let waited =
                |wait: Option<Wait>, mean: f64| RecordedWait { database: None, wait, sessions: Use { mean, most: 15 } };
            let waits = vec![waited(Some(wait()), at_it), waited(None, 4.0)];
            Some(History { samples, waits, ..History::default() })
        };
        assert_eq!(severity([0.002, 0.003, 0.1], history(600, 6.0)), Severity::medium);
        assert_eq!(severity([0.002, 0.003, 0.1], history(600, 1.0)), Severity::low, "seldom");
        assert_eq!(severity([0.002, 0.003, 0.1], history(5, 6.0)), Severity::low, "a moment");
    }
}
