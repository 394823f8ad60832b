//! What the role uses of a session that outlives a transaction.

use super::Input;
use super::rows::{Basis, percent};
use crate::advice::session_features::{SessionFeature, Used, gathered, maybe_used};
use crate::facts::activity::concurrency::{StatementTime, StatementTimes};
use crate::units::{Count, listing};

const MOST_CHARACTERS: usize = 80;
/// A SET is taken for that of migrations, scripts and pg_dump where it ran no more often, or is no larger a share of the role's calls:
/// an application that relies on it does it for each connection or request.
const SELDOM_CALLS: u64 = 20;
const SELDOM_SHARE: f64 = 0.01;
const SEARCHED_TOO: &str = "DO blocks and the functions in SQL and PL/pgSQL that these call were searched, too, but not what \
                            those call in turn, nor triggers";

#[derive(Debug, Default)]
pub struct Features {
    used: Vec<Used>,
    /// What is set seldom: that alone does not decide.
    seldom: Vec<Used>,
    /// The texts do not say.
    maybe: Vec<Used>,
    /// Sessions that hold an advisory lock outside of any transaction.
    hold_advisory_locks: u64,
    /// Texts that were searched.
    texts: usize,
}

impl Features {
    pub fn of(input: &Input) -> Features {
        let texts = |statements: fn(&StatementTimes) -> &Vec<StatementTime>| -> Vec<(&str, u64)> {
            let statements = input.concurrency.statements.iter().flat_map(statements);
            statements.filter_map(|s| Some((s.text.as_deref()?, s.calls as u64))).collect()
        };
        let counted = texts(|times| &times.of_role);
        // What a session ran last: one that listens does nothing else.
        let ours = input.activity.sessions.iter().filter(|session| input.is_ours(session));
        let hold_advisory_locks =
            ours.clone().filter(|session| input.activity.keeps_advisory_lock(session)).count() as u64;
        let last: Vec<&str> = ours.filter_map(|session| session.query.as_deref()).collect();
        let calls: u64 = counted.iter().map(|(_, calls)| calls).sum();
        let is_seldom = |used: &Used| {
            let most = SELDOM_CALLS.max((calls as f64 * SELDOM_SHARE) as u64);
            matches!(used.feature, SessionFeature::Setting | SessionFeature::Timeout) && used.calls <= most
        };
        let functions = input.concurrency.functions.iter();
        let functions: Vec<_> = functions
            .inspect(|_| (input.check)())
            .map(|f| (format!("function {}.{}", f.schema, f.name), f.calls, SessionFeature::of_body(&f.body)))
            .collect();
        let of = |text| {
            (input.check)();
            SessionFeature::of(text)
        };
        // SET ROLE is counted for the role that it switches to: what this one has counted is others'.
        let without_roles = |text| of(text).into_iter().filter(|f| *f != SessionFeature::Role).collect();
        let of_counted = counted.iter().map(|(text, calls)| (*text, *calls, without_roles(text)));
        let of_last = last.iter().map(|text| (*text, 0, of(text)));
        let of_functions = functions.iter().map(|(name, calls, features)| (name.as_str(), *calls, features.clone()));
        let used = gathered(of_counted.chain(of_last).chain(of_functions));
        let (seldom, used): (Vec<Used>, Vec<Used>) = used.into_iter().partition(is_seldom);
        let role_changes = texts(|times| &times.role_changes).into_iter().map(|(text, calls)| (text, calls, of(text)));
        let role_changes = gathered(role_changes).into_iter().filter(|used| used.feature == SessionFeature::Role);
        let texts = counted.len() + last.len();
        let maybe = maybe_used(counted.into_iter().chain(last.into_iter().map(|text| (text, 0))), input.check);
        Features { texts, maybe: role_changes.chain(maybe).collect(), seldom, used, hold_advisory_locks }
    }

    pub fn are_none(&self) -> bool {
        self.used.is_empty() && self.hold_advisory_locks == 0
    }

    /// Who sets what is set seldom, or a role; in which transaction lastval() runs; whether set_config() is for the session or for the
    /// transaction: its constants decide, which pg_stat_statements leaves out.
    pub fn cannot_be_told(&self) -> bool {
        !self.seldom.is_empty() || !self.maybe.is_empty()
    }

    pub fn names(&self) -> String {
        let mut names: Vec<_> = self.used.iter().map(|used| used.feature.name()).collect();
        if self.hold_advisory_locks > 0 && !names.contains(&SessionFeature::AdvisoryLock.name()) {
            names.push(SessionFeature::AdvisoryLock.name());
        }
        listing(&names)
    }

    /// For what there is nothing of, and what it rests on.
    pub fn searched(&self) -> (Basis, String) {
        match self.texts {
            0 => (
                Basis::Default,
                "Whether the application needs sessions of its own is not known: no statement of the role is visible \
                 (pg_stat_statements). Search it for LISTEN, SET, temporary tables and advisory locks"
                    .to_string(),
            ),
            _ if self.cannot_be_told() => (
                Basis::Estimated,
                "The role's statements do not say whether that is safe: see the warning may_need_its_session"
                    .to_string(),
            ),
            texts => (
                Basis::Estimated,
                format!(
                    "Nothing that needs a session of its own was found in {} of the role (pg_stat_statements, which sees SET and \
                     LISTEN only with track_utility; {SEARCHED_TOO})",
                    Count(texts as u64).of("statement")
                ),
            ),
        }
    }

    /// Each with what to do instead.
    pub fn told(&self) -> Vec<(Basis, String)> {
        let told = |feature: SessionFeature, seen: String| {
            let text = format!(
                "{} ({seen}): with transaction pooling {}. Instead: {}",
                feature.name(),
                feature.breaks(),
                feature.instead()
            );
            (Basis::Measured, text)
        };
        let mut all: Vec<_> = self.used.iter().map(|used| told(used.feature, seen(used))).collect();
        if self.hold_advisory_locks > 0 {
            let seen = format!("held now by {} in no transaction", Count(self.hold_advisory_locks).of("session"));
            all.push(told(SessionFeature::AdvisoryLock, seen));
        }
        all
    }

    /// Each with what to look for.
    pub fn maybe_told(&self) -> Vec<String> {
        let told = |used: &Used| match used.feature {
            SessionFeature::Role => format!(
                "{} ({}): counted for a role to which the application's may switch, and by whom it ran is not known. With transaction \
                 pooling {}. Search the application for it: {}, or pass pool_mode => 'session'",
                used.feature.name(),
                seen(used),
                used.feature.breaks(),
                used.feature.instead()
            ),
            SessionFeature::SequenceValue => format!(
                "{} ({}): the text does not say whether it runs in the transaction that has drawn the number. If not, with transaction \
                 pooling {}. Instead: {}",
                used.feature.name(),
                seen(used),
                used.feature.breaks(),
                used.feature.instead()
            ),
            _ => format!(
                "set_config() ({}): the text does not say whether the third argument is true, for the transaction alone. If it is false, \
                 with transaction pooling {}; only of TimeZone, client_encoding, application_name and three more PgBouncer keeps track for each client. Search the application for it: make it \
                 true, within each transaction that needs the setting, or pass pool_mode => 'session'",
                seen(used),
                used.feature.breaks(),
            ),
        };
        let seldom = self.seldom.iter().map(|used| {
            format!(
                "{} ({}): so seldom that it is taken for that of migrations, scripts or pg_dump (at most {SELDOM_CALLS} calls, or {} of the \
                 role's). With transaction pooling {}. Let those connect past the pooler, or as a role of their own; elsewhere \
                 use SET LOCAL within the transaction. If the application itself relies on it: ALTER ROLE … SET, or pool_mode => 'session'",
                used.feature.name(),
                seen(used),
                percent(SELDOM_SHARE),
                used.feature.breaks(),
            )
        });
        seldom.chain(self.maybe.iter().map(told)).collect()
    }
}

fn seen(used: &Used) -> String {
    let calls = match used.calls {
        0 => "what a session ran last".to_string(),
        calls => format!("{} of {}", Count(calls).of("call"), Count(used.statements as u64).of("statement")),
    };
    format!("{calls}, such as {}", shortened(&used.example))
}

/// On one line.
fn shortened(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
