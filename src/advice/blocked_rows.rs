//! Rows that many change one after the other. Whoever waits for such a row begins to wait anew with each transaction that ends before
//! its own turn: no single wait is long, and the statement is.

use super::blocked_finding::sessions_wait;
use super::blocking::Blocking;
use super::measured_query::excerpt;
use crate::facts::Facts;
use crate::facts::activity::locks::{Kind, LockWait, Party, Target};
use crate::finding::{Finding, Severity, change, object};
use crate::rule::Options;
use crate::units::{duration, rounded};
use std::collections::BTreeMap;

/// A finding for each relation.
pub fn findings(facts: &Facts, options: &Options) -> Vec<Finding> {
    let blocking = Blocking::of(facts.activity());
    let mut by_relation: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (place, node) in blocking.nodes.iter().enumerate() {
        let row = blocking.party(node).waits.iter().find_map(row);
        if let Some((database, relation)) = row.and_then(|row| Some((row.database, row.relation?))) {
            by_relation.entry((database, relation)).or_default().push(place);
        }
    }
    by_relation.into_iter().filter_map(|(relation, places)| judge(&blocking, options, relation, &places)).collect()
}

/// The row that it waits for.
fn row(wait: &LockWait) -> Option<&Target> {
    wait.row.as_ref().or(Some(&wait.target)).filter(|row| row.kind == Kind::Tuple)
}

fn judge(blocking: &Blocking, options: &Options, relation: (u32, u32), places: &[usize]) -> Option<Finding> {
    let (count, least) = (places.len(), options.number("min_seconds"));
    let waiting = blocking.waiting(&[], places);
    let parties = blocking.parties(places);
    let (seconds, longest) = longest(blocking, &parties)?;
    let in_turn = waiting.longest_seconds < least && seconds >= least;
    if (count as f64) < options.number("many") || !in_turn || !blocking.concerns_any(&[], places) {
        return None;
    }
    let name = parties.iter().flat_map(|party| &party.waits).find_map(row)?.name.clone();
    let table = name.split_once(" of ").map_or(name.as_str(), |(_, table)| table);
    Some(Finding {
        severity: Severity::high,
        object: format!("rows of {table}"),
        weight: count as u64,
        summary: format!(
            "{} for rows of {table}, for one transaction after the other; the longest for at most {}",
            sessions_wait(count),
            duration(seconds)
        ),
        cause: format!(
            "Whoever waits for {name}, or another that many change, begins to wait anew with each transaction that ends before it has its \
             turn: no wait has lasted {} yet, and the statement of the {} has run for {}.{} Such a row takes one transaction at a time, \
             with however many connections. No fix_sql: the transactions that are waited for end by themselves, and the next comes.",
            duration(least),
            blocking.described(longest.who),
            duration(seconds),
            blocking.session(longest.who).and_then(|session| session.query.as_deref()).map_or(String::new(), |query| format!(
                " It runs: {}.",
                excerpt(query)
            )),
        ),
        evidence: object! {
            "blocked": count,
            "longest_wait_seconds": waiting.longest_seconds,
            "longest_statement_seconds": rounded(seconds),
            "waiting": waiting.rows,
        },
        impact: object! { "sessions_waiting": change((count, "measured"), (None::<usize>, "estimated")) },
        app_fix: Some(
            "Change such a row less often, and for a shorter time: add up in the application and write once a second; spread a counter over \
             several rows, of which each transaction changes one, and sum them up when it is read; change it last in the transaction, \
             right before COMMIT. Where rows are jobs of a queue: SELECT … FOR UPDATE SKIP LOCKED. More connections only make the queue longer."
                .to_string(),
        ),
        verify_sql: Some(format!(
            "select not exists (select from pg_catalog.pg_locks where locktype = 'tuple' and not granted and (database, relation) = ({}, {})) \
             as cured;",
            relation.0, relation.1
        )),
        ..Finding::that_changes_nothing()
    })
}

/// Whose statement has run for longest; one that commits within may have waited only for a moment.
fn longest<'a>(blocking: &Blocking, parties: &[&'a Party]) -> Option<(f64, &'a Party)> {
    let of_party = |party: &&'a Party| {
        let session =
            blocking.session(party.who).filter(|session| session.runs() && !session.has_committed_within())?;
        Some((session.query_seconds?, *party))
    };
    parties.iter().filter_map(of_party).max_by(|one, other| one.0.total_cmp(&other.0))
}
