//! What findings on those whom one root holds up have in common.

use super::blocked_builds::{is_of_autovacuum, wait_alone};
use super::blocked_in_turn::InTurn;
use super::blocked_replay;
use super::blocked_replication;
use super::blocked_trees::{Reason, Tree, trees};
use super::blocking::{self, Blocking};
use super::blocking_words::Waiting;
use super::end_parties::Script;
use crate::facts::Facts;
use crate::facts::activity::locks::{LockWait, Party};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::{OptionSpec, Options};
use crate::units::{Count, capitalized, duration};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};

/// Of several that hold up others together, so many are told of, and so many are in evidence.
const HOLDERS_NAMED: usize = 3;
const HOLDERS_SHOWN: usize = 20;

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
    let finding = |tree: Tree| {
        let mut finding = of_tree(&blocking, &tree, options)?;
        complete(&blocking, &tree, &mut finding);
        blocked_replication::tell(&blocking, &tree.waiting, &mut finding);
        Some(finding)
    };
    trees(&blocking, reason).into_iter().filter_map(finding).collect()
}

fn of_tree(blocking: &Blocking, tree: &Tree, options: &Options) -> Option<Finding> {
    let waiting = blocking.waiting(&tree.roots, &tree.waiting);
    if waiting.longest_seconds < options.number("min_seconds") || !blocking.concerns_any(&tree.roots, &tree.waiting) {
        return None;
    }
    let roots = blocking.parties(&tree.roots);
    let (count, way) = (tree.waiting.len(), Way::of(blocking, tree));
    let in_turn = InTurn::of(blocking, tree);
    let (script, after) = match way {
        // Whether they go on depends on what the server does not show.
        Way::End => (blocking.end_all(&roots), in_turn.is_none().then(|| count - tree.freed)),
        Way::Cancel => {
            let (script, after) = cancel(blocking, tree);
            (script, Some(after))
        }
        Way::None => {
            (Err("nobody waits for what waits, and it goes on by itself when that is done".to_string()), Some(count))
        }
    };
    let mut finding = Finding {
        severity: match way {
            Way::None => Severity::low,
            _ if is_of_autovacuum(blocking, tree) => Severity::low,
            _ => severity(options, count, waiting.longest_seconds),
        },
        object: object_of(blocking, tree),
        weight: count as u64,
        summary: summary(blocking, tree, waiting.longest_seconds, blocked_replay::wait_for(blocking, &roots).is_some()),
        cause: format!(
            "{} {} because of {}, {} of them directly; the longest chain has {}.{}{}{}",
            roots.iter().take(HOLDERS_NAMED).map(|root| told(blocking, root)).collect::<Vec<_>>().join(" "),
            sessions_wait(count),
            if roots.len() == 1 { "it".to_string() } else { format!("these {}", roots.len()) },
            waiting.directly,
            waiting.deepest,
            if way == Way::End { rest(blocking, tree) } else { String::new() },
            instead(blocking, tree, way, script.is_ok()),
            blocking::why_no_fix(&script),
        ),
        evidence: evidence(blocking, tree, waiting),
        impact: object! { "sessions_waiting": change((count, "measured"), (after, "estimated")) },
        fix_sql: script.as_ref().ok().map(|script| script.sql.clone()),
        risk: script.map_or_else(|_| Finding::that_changes_nothing().risk, |script| script.risk),
        verify_sql: Some(blocking::verify_sql(
            &roots,
            &in_turn.as_ref().map_or_else(Vec::new, |in_turn| in_turn.statements(blocking)),
        )),
        ..Finding::that_changes_nothing()
    };
    if let Some(in_turn) = in_turn {
        in_turn.tell(blocking, &mut finding);
    }
    Some(finding)
}

fn evidence(blocking: &Blocking, tree: &Tree, waiting: Waiting) -> Map<String, Value> {
    let roots = blocking.parties(&tree.roots);
    let mut evidence = match roots.as_slice() {
        [root] => blocking.of_root(root),
        _ => {
            object! { "holders": roots.iter().take(HOLDERS_SHOWN).map(|root| blocking.of_root(root)).collect::<Vec<_>>() }
        }
    };
    evidence.extend(object! {
        "blocked": tree.waiting.len(),
        "blocked_directly": waiting.directly,
        "longest_chain": waiting.deepest,
        "longest_wait_seconds": waiting.longest_seconds,
        "waiting": waiting.rows,
    });
    if !tree.others.is_empty() {
        let others = blocking.parties(&tree.others);
        evidence.insert("also_held_up_by".to_string(), others.iter().map(|party| blocking.identity(party)).collect());
    }
    evidence
}

/// One root is what it is; several are told by what they hold, for each may be another a moment later.
fn object_of(blocking: &Blocking, tree: &Tree) -> String {
    let roots = blocking.parties(&tree.roots);
    if let [root] = roots.as_slice() {
        return blocking.identity(root);
    }
    let of_root: HashSet<usize> = tree.roots.iter().map(|root| blocking.nodes[*root].party).collect();
    let direct = |wait: &&LockWait| wait.blockers.iter().any(|blocker| of_root.contains(&blocker.party));
    let waiting = blocking.parties(&tree.waiting);
    let targets = waiting.iter().flat_map(|party| &party.waits).filter(direct);
    let targets: BTreeSet<&str> = targets.map(|wait| wait.target.name.as_str()).collect();
    format!("holders of {}", targets.into_iter().collect::<Vec<_>>().join(", "))
}

/// `at_most`: since when it waits is written nowhere.
fn summary(blocking: &Blocking, tree: &Tree, seconds: f64, at_most: bool) -> String {
    let roots = blocking.parties(&tree.roots);
    let (waits, at_most) = (sessions_wait(tree.waiting.len()), if at_most { "at most " } else { "" });
    let longest = format!("{at_most}{}", duration(seconds));
    let others = match tree.others.len() {
        0 => String::new(),
        1 => ", and for another".to_string(),
        count => format!(", and for {count} others"),
    };
    match roots.as_slice() {
        [root] => {
            let (who, doing) = (blocking.described(root.who), blocking.doing(root));
            format!("{waits} for {who}, which {doing}{others}; the longest for {longest}")
        }
        _ => {
            let mut named: Vec<String> =
                roots.iter().take(HOLDERS_NAMED).map(|root| blocking.described(root.who)).collect();
            if roots.len() > HOLDERS_NAMED {
                named.push("…".to_string());
            }
            let (count, named) = (roots.len(), named.join(", "));
            format!("{waits} for {count} sessions together{others}: {named}; the longest for {longest}")
        }
    }
}

/// A root, what it does and what it holds.
fn told(blocking: &Blocking, root: &Party) -> String {
    format!(
        "{} {}.{}{}",
        capitalized(&blocking.described(root.who)),
        blocking.doing(root),
        blocking.last_statement(root),
        blocking::holds(root).map_or(String::new(), |holds| format!(" It holds {holds}.")),
    )
}

/// What the end of the roots does not do.
fn rest(blocking: &Blocking, tree: &Tree) -> String {
    let (several, left) = (tree.roots.len() > 1, tree.waiting.len() - tree.freed);
    let together = if several { " The end of one of them alone frees nobody." } else { "" };
    if left == 0 {
        return together.to_string();
    }
    let ended = if several { "The end of all of them" } else { "Its end alone" };
    let (frees, rest) = match tree.freed {
        0 => ("frees nobody".to_string(), "who waits"),
        freed => (format!("lets {freed} of {} go on", tree.waiting.len()), "the rest"),
    };
    let keeps = |place: &usize| blocking.waits().keeps(*place);
    let also = match tree.others.is_empty() {
        true if tree.waiting.iter().any(keeps) => {
            "waits on, for whoever gets an advisory lock for its session keeps it".to_string()
        }
        true => "is in a circle besides, or waits for one (deadlock_in_making)".to_string(),
        false => format!("also waits for {}", blocking.with_endings(&blocking.parties(&tree.others))),
    };
    format!("{together} {ended} {frees}: {rest} {also}.")
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// End the roots.
    End,
    /// What one of them does takes long to do again, and whoever waits for it asks for a strong lock: that can wait.
    Cancel,
    /// Who waits harms nobody.
    None,
}

impl Way {
    fn of(blocking: &Blocking, tree: &Tree) -> Way {
        match () {
            () if !wait_alone(blocking, tree).is_empty() => Way::None,
            () if blocking.parties(&tree.roots).iter().any(|root| blocking.is_to_finish(root)) => Way::Cancel,
            () => Way::End,
        }
    }
}

/// Those in front, and how many wait once they do not any more.
fn cancel(blocking: &Blocking, tree: &Tree) -> (Result<Script, String>, usize) {
    let waits = blocking.waits();
    let in_front = waits.blocked_by(&tree.roots);
    let cheap = |place: &usize| {
        let party = blocking.party(&blocking.nodes[*place]);
        let client = blocking.session(party.who).is_some_and(|session| session.is_client() || session.hidden);
        client && !blocking.is_to_finish(party)
    };
    let cancelled: Vec<usize> = tree.waiting.iter().copied().filter(|place| in_front[*place] && cheap(place)).collect();
    if cancelled.is_empty() {
        let why =
            "what waits would have to be done again as well, or is the server's own: it goes on when the other is done";
        return (Err(why.to_string()), tree.waiting.len());
    }
    let freed = waits.freed(&cancelled);
    let goes_on = tree.waiting.iter().filter(|place| freed.binary_search(place).is_ok()).count();
    (blocking.end_all(&blocking.parties(&cancelled)), tree.waiting.len() - cancelled.len() - goes_on)
}

/// The other way, where it is not for us to end what holds, or it takes the end of more sessions than wait.
fn instead(blocking: &Blocking, tree: &Tree, way: Way, fixed: bool) -> String {
    match way {
        Way::None => return all_the_same(blocking, tree),
        Way::Cancel => {
            let cancels = if fixed { ": fix_sql cancels those in front of it" } else { "" };
            return format!(
                " What holds them up would have to be done again from the start{cancels}.{}",
                all_the_same(blocking, tree)
            );
        }
        Way::End => {}
    }
    if tree.roots.len() <= tree.waiting.len() || tree.freed == 0 {
        return String::new();
    }
    match blocking.end_all(&blocking.parties(&tree.waiting)) {
        Ok(script) => {
            format!(" Those that wait are fewer than those that hold; to cancel them instead: {}", script.sql)
        }
        Err(_) => String::new(),
    }
}

/// How to end the roots, in words.
pub fn all_the_same(blocking: &Blocking, tree: &Tree) -> String {
    match blocking.end_all(&blocking.parties(&tree.roots)) {
        Ok(script) if tree.roots.len() <= HOLDERS_NAMED => {
            format!(" To end it all the same: {} {}", script.sql, script.risk)
        }
        _ => String::new(),
    }
}

/// `1 session waits`, `5 sessions wait`
pub fn sessions_wait(count: usize) -> String {
    Count(count as u64).does("session", "waits", "wait")
}
