use crate::facts::Facts;
use crate::facts::activity::timeouts::HIDDEN;
use crate::facts::activity::{Activity, Session, State};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Count, listing};
use std::collections::BTreeSet;

/// Evidence names so many.
const SHOWN: usize = 50;

pub static RULE: Rule = Rule {
    id: "activity_not_read",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A part of what the server does at this moment could not be looked at: locked by another session, or hidden from the \
                caller or not tracked (more sessions than hidden_sessions; track_activities off), or a rule that failed. Low, and apart: \
                timeouts of the server that settings of the caller's own hide.",
    effect: "Silence about that part says nothing: what is wrong there has no finding.",
    workaround: "Call it as a member of pg_monitor, who sees all sessions, and again when the lock is gone; track_activities on; no \
                     timeouts for the role that monitors, or a superuser's look.",
    sources: &["https://www.postgresql.org/docs/17/predefined-roles.html"],
    options: &[OptionSpec::number(
        "hidden_sessions",
        (0.0, "sessions"),
        (0.0, 1e9),
        "So many sessions may be hidden from the caller, or not tracked.",
    )],
    needs: &[Need::Activity],
    cases: &[
        Case {
            name: "the settings of the rules are locked",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'maintenance', null, 'begin; lock table dbre.rule_settings')",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a session that is not tracked",
            setup: "create table sessions (step int, session text, role text, statement text, waits bool default false); \
                    insert into sessions values (1, 'web', null, 'set track_activities = off'), (2, 'web', null, 'begin; create table t (a int)')",
            finds: 1,
            fix_clears: false,
        },
        Case { name: "a superuser looks", setup: "", finds: 0, fix_clears: false },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    Ok(not_read(activity, options).into_iter().chain(hidden_timeouts(activity)).collect())
}

fn not_read(activity: &Activity, options: &Options) -> Option<Finding> {
    let hidden = activity.connections().filter(|session| session.hidden).count();
    let untracked: Vec<&Session> =
        activity.connections().filter(|session| session.state == Some(State::Disabled)).collect();
    let too_many = (hidden + untracked.len()) as f64 > options.number("hidden_sessions");
    let of = |count: usize, why: &str| {
        (too_many && count > 0).then(|| format!("what {} do is {why}", Count(count as u64).of("session")))
    };
    let states = [of(hidden, "hidden from the caller"), of(untracked.len(), "not tracked (track_activities is off)")];
    let left_out = activity.left_out.iter().filter(|what| *what != HIDDEN);
    let missing: Vec<&String> = left_out.chain(states.iter().flatten()).collect();
    let first = missing.first()?;
    let mut cause = vec!["Findings that need it are not complete.".to_string()];
    if states[0].is_some() {
        cause.push("Sessions of other roles show what they do to members of pg_read_all_stats only.".to_string());
    }
    if states[1].is_some() {
        let roles: BTreeSet<&str> = untracked.iter().filter_map(|session| session.role.as_deref()).collect();
        cause.push(format!(
            "With track_activities off, as it is in sessions of {}, nobody sees what a session does, nor since when: a leak or a \
             long statement there has no finding.",
            listing(&Vec::from_iter(roles))
        ));
    }
    Some(Finding {
        severity: RULE.severity,
        object: "activity".to_string(),
        summary: match missing.len() {
            1 => format!("Not looked at: {first}"),
            many => format!("Not looked at: {first}, and {} more", Count(many as u64 - 1)),
        },
        cause: cause.join(" "),
        evidence: object! {
            "left_out": missing.iter().take(SHOWN).collect::<Vec<_>>(),
            "left_out_count": missing.len(),
            "hidden_sessions": hidden,
            "untracked_sessions": untracked.len(),
        },
        ..Finding::that_changes_nothing()
    })
}

/// A role that monitors often has timeouts of its own: only what roles get that have none is not known.
fn hidden_timeouts(activity: &Activity) -> Option<Finding> {
    let names = activity.timeouts.hidden_of_server();
    (!names.is_empty()).then(|| Finding {
        severity: Severity::low,
        object: "timeouts of the server".to_string(),
        summary: format!("Not looked at: what the server itself sets {} to", listing(&names)),
        cause: "The caller's own role, database or connection sets it, which hides the server's value from the caller: roles that have \
                none of their own may lack it, and timeouts_not_set does not say so. Nothing else is missing. Ask once as a superuser \
                or as a role without such a setting, or, if the caller's role has it: alter role … reset …; and set it in the session \
                after the call."
            .to_string(),
        evidence: object! { "hidden": names },
        ..Finding::that_changes_nothing()
    })
}
