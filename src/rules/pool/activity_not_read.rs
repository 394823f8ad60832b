use crate::facts::Facts;
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::Count;

/// Evidence names so many.
const SHOWN: usize = 50;

pub static RULE: Rule = Rule {
    id: "activity_not_read",
    category: "pool",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A part of what the server does at this moment could not be looked at: locked by another session, or hidden from the \
                caller (more sessions than hidden_sessions), or a rule that failed.",
    effect: "Silence about that part says nothing: what is wrong there has no finding.",
    workaround: "Call it as a member of pg_monitor, who sees all sessions, and again when the lock is gone.",
    sources: &["https://www.postgresql.org/docs/17/predefined-roles.html"],
    options: &[OptionSpec::number(
        "hidden_sessions",
        (0.0, "sessions"),
        (0.0, 1e9),
        "So many sessions may be hidden from the caller.",
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
        Case { name: "a superuser looks", setup: "", finds: 0, fix_clears: false },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let activity = facts.activity();
    let hidden = activity.connections().filter(|session| session.hidden).count();
    let too_many = hidden as f64 > options.number("hidden_sessions");
    let states = too_many.then(|| format!("what {} do is hidden from the caller", Count(hidden as u64).of("session")));
    let missing: Vec<&String> = activity.left_out.iter().chain(&states).collect();
    let Some(first) = missing.first() else { return Ok(Vec::new()) };
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "activity".to_string(),
        summary: match missing.len() {
            1 => format!("Not looked at: {first}"),
            many => format!("Not looked at: {first}, and {} more", Count(many as u64 - 1)),
        },
        cause: format!(
            "Findings that need it are not complete.{}",
            if too_many {
                " Sessions of other roles show what they do to members of pg_read_all_stats only."
            } else {
                ""
            }
        ),
        evidence: object! {
            "left_out": missing.iter().take(SHOWN).collect::<Vec<_>>(),
            "left_out_count": missing.len(),
            "hidden_sessions": hidden,
        },
        ..Finding::that_changes_nothing()
    }])
}
