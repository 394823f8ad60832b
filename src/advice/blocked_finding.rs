//! What findings on those whom one root holds up have in common.

use super::blocked_trees::{Reason, Tree, trees};
use super::blocking::{self, Blocking};
use super::end_session::duration;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{OptionSpec, Options};
use crate::units::Count;

/// How long and how many is how bad; for every rule on blocked sessions the same.
pub const OPTIONS: [OptionSpec; 3] = [
    OptionSpec::number(
        "min_seconds",
        (1.0, "seconds"),
        (0.0, 1e9),
        "Those whose longest wait is shorter are let alone.",
    ),
    OptionSpec::number("long_seconds", (10.0, "seconds"), (0.0, 1e9), "Some wait for so long: high."),
    OptionSpec::number("many", (10.0, "sessions"), (1.0, 1e9), "So many that wait are critical."),
];

pub fn severity(options: &Options, count: usize, longest_seconds: f64) -> Severity {
    match () {
        () if count as f64 >= options.number("many") => Severity::critical,
        () if longest_seconds < options.number("long_seconds") => Severity::medium,
        () => Severity::high,
    }
}

/// A finding for each root of this kind that has held up one for long enough; `complete` adds what is the rule's own.
pub fn of_roots(
    facts: &Facts,
    options: &Options,
    reason: Reason,
    complete: impl Fn(&Blocking, &Tree, &mut Finding),
) -> Vec<Finding> {
    let blocking = Blocking::of(facts.activity());
    let of_reason = trees(&blocking).into_iter().filter(|tree| tree.reason == reason);
    let finding = |tree: Tree| {
        let mut finding = of_root(&blocking, &tree, options)?;
        complete(&blocking, &tree, &mut finding);
        Some(finding)
    };
    of_reason.filter_map(finding).collect()
}

fn of_root(blocking: &Blocking, tree: &Tree, options: &Options) -> Option<Finding> {
    let waiting = blocking.waiting(&tree.waiting);
    if waiting.longest_seconds < options.number("min_seconds") || !blocking.concerns_any(tree.root, &tree.waiting) {
        return None;
    }
    let root = blocking.party(&blocking.nodes[tree.root]);
    let ending = blocking.ending(root);
    let count = tree.waiting.len();
    let (who, doing) = (blocking.described(root), blocking.doing(root));
    let mut evidence = blocking.of_root(root);
    evidence.extend(object! {
        "blocked": count,
        "blocked_directly": waiting.directly,
        "longest_chain": waiting.deepest,
        "longest_wait_seconds": waiting.longest_seconds,
        "waiting": waiting.rows,
    });
    Some(Finding {
        severity: severity(options, count, waiting.longest_seconds),
        object: blocking.identity(root),
        weight: count as u64,
        summary: format!(
            "{} for {who}, which {doing}; the longest for {}",
            sessions_wait(count),
            duration(waiting.longest_seconds)
        ),
        cause: format!(
            "{}{doing}.{}{} {} because of it, {} of them directly; the longest chain below it has {}.{}",
            capital(&format!("{who} ")),
            blocking.last_statement(root),
            blocking::holds(root).map_or(String::new(), |holds| format!(" It holds {holds}.")),
            sessions_wait(count),
            waiting.directly,
            waiting.deepest,
            blocking::why_no_fix(&ending),
        ),
        evidence,
        impact: object! { "sessions_waiting": change((count, "measured"), (0, "estimated")) },
        fix_sql: ending.as_ref().ok().map(|ending| ending.sql.clone()),
        risk: ending.map_or_else(|_| Finding::that_changes_nothing().risk, |ending| ending.risk),
        verify_sql: Some(blocking::verify_sql(root)),
        ..Finding::that_changes_nothing()
    })
}

/// `1 session waits`, `5 sessions wait`
pub fn sessions_wait(count: usize) -> String {
    format!("{} {}", Count(count as u64).of("session"), if count == 1 { "waits" } else { "wait" })
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}
