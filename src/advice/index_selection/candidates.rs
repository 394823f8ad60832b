//! Candidates for each query, from its shape and the statistics of its tables.

use super::containment::with_included;
use super::key_lists::{Demand, KeyList, demand, distinct, key_lists, way};
use super::specialized::specialized;
use super::{Candidate, ExistingIndex, Options, Planner, TableStatistics, Workload};
use crate::facts::query::{ConditionKind, Part, Reference};
use std::collections::{BTreeMap, BTreeSet};

/// Predicates of a reference that are tried, the most shared first.
const MAX_PREDICATES: usize = 3;
/// A column of at most so many values is of states or kinds: an index on the rows of one of them may serve for long.
const STATES: f64 = 20.0;
/// So many queries with the same range make it more than the constants of one day.
const SHARED_RANGE: usize = 3;
/// Candidates for one query.
const MANY: usize = 60;
/// The most columns that are included.
const MAX_INCLUDED: usize = 8;
/// Bytes of a value, on average.
const WIDEST_INCLUDED: f64 = 100.0;
/// Header and line pointer of a row.
const ROW_HEADER: f64 = 28.0;

/// Candidates in a fixed order, and which of them each query asks for.
pub struct Proposals {
    pub candidates: Vec<Candidate>,
    /// For each query, ascending places of its own candidates.
    pub of_query: Vec<Vec<u32>>,
}

/// Queries that have a predicate, by table.
type Shared<'a> = BTreeMap<(u32, &'a str), usize>;

/// Queries that there is no time for get none.
pub fn propose(workload: &Workload, planner: &impl Planner) -> Proposals {
    let demand = demand(workload.queries.iter().flat_map(|query| &query.shape.references));
    let shared = shared_predicates(workload);
    let mut asked: BTreeMap<Candidate, Vec<u32>> = BTreeMap::new();
    for (number, query) in workload.queries.iter().enumerate() {
        if planner.time_is_up() {
            break;
        }
        let mut own = BTreeSet::new();
        for reference in &query.shape.references {
            if let Some(table) = workload.tables.get(&reference.table)
                && table.pages >= workload.options.min_pages
            {
                let existing = || workload.indexes.iter().filter(|index| index.table == reference.table);
                if !existing().any(|index| finds_one_row(index, reference)) {
                    own.extend(of_reference(reference, table, &workload.options, &demand, &shared));
                }
            }
        }
        for candidate in not_too_many(own) {
            asked.entry(candidate).or_default().push(number as u32);
        }
    }
    asked.retain(|candidate, _| fits(candidate, workload.tables.get(&candidate.table)));
    asked.retain(|candidate, _| !workload.indexes.iter().any(|index| index.serves(candidate)));
    let mut kept: Vec<(Candidate, Vec<u32>)> = asked.into_iter().collect();
    if kept.len() > workload.options.max_candidates {
        kept.sort_by_key(|(_, queries)| std::cmp::Reverse(queries.len()));
        kept.truncate(workload.options.max_candidates);
        kept.sort();
    }
    let mut proposals = Proposals { candidates: Vec::new(), of_query: vec![Vec::new(); workload.queries.len()] };
    for (place, (candidate, queries)) in kept.into_iter().enumerate() {
        for query in queries {
            proposals.of_query[query as usize].push(place as u32);
        }
        proposals.candidates.push(candidate);
    }
    proposals
}

/// Of a query with many conditions and arms of OR the planner's time grows with the product of both: the short ones stay.
fn not_too_many(mut own: BTreeSet<Candidate>) -> BTreeSet<Candidate> {
    let is_short = [
        |candidate: &Candidate| candidate.keys.len() <= 3,
        |candidate: &Candidate| candidate.keys.len() <= 2,
        |candidate: &Candidate| candidate.included.is_empty(),
        |candidate: &Candidate| candidate.predicate.is_none(),
    ];
    for is_short in is_short {
        if own.len() > MANY {
            own.retain(is_short);
        }
    }
    own
}

/// A column that may hold what no btree can is neither key nor included; without statistics nobody knows.
fn fits(candidate: &Candidate, table: Option<&TableStatistics>) -> bool {
    let of = |column: &i16| table.and_then(|table| table.columns.get(column));
    let keys = candidate.keys.iter().filter_map(|key| match &key.part {
        Part::Column(column) => Some(column),
        Part::Expression(_) => None,
    });
    let known_wide = |column: &i16| of(column).is_some_and(|statistics| !statistics.fits_btree);
    let narrow = |column: &i16| {
        of(column).is_some_and(|statistics| statistics.fits_btree && statistics.average_width <= WIDEST_INCLUDED)
    };
    candidate.included.iter().all(narrow) && (candidate.method != "btree" || !{ keys }.any(known_wide))
}

fn shared_predicates(workload: &Workload) -> Shared<'_> {
    let mut shared = Shared::new();
    for query in &workload.queries {
        let references = &query.shape.references;
        let own: BTreeSet<(u32, &str)> =
            references.iter().flat_map(|r| r.predicates.iter().map(|text| (r.table, text.as_str()))).collect();
        for predicate in own {
            *shared.entry(predicate).or_default() += 1;
        }
    }
    shared
}

/// Constants for all columns of a unique index: no other index can do better.
fn finds_one_row(index: &ExistingIndex, reference: &Reference) -> bool {
    index.unique
        && index.predicate.is_none()
        && index.keys.iter().all(|key| {
            let mut equalities = reference.conditions.iter().filter(|c| c.kind == ConditionKind::Equality);
            equalities.any(|condition| condition.part == key.part && !condition.text.ends_with(" IS NULL"))
        })
}

fn of_reference(
    reference: &Reference,
    table: &TableStatistics,
    options: &Options,
    demand: &Demand,
    shared: &Shared<'_>,
) -> Vec<Candidate> {
    let mut candidates = specialized(reference, table, options);
    let lists = key_lists(reference, None, table, demand);
    candidates.extend(btrees(reference, table, options, None, lists));
    for predicate in predicates(reference, table, shared) {
        let partial: Vec<Candidate> = candidates
            .iter()
            .filter(|candidate| {
                candidate.predicate.is_none() && ["gin", "gist", "hnsw"].contains(&candidate.method.as_str())
            })
            .map(|candidate| Candidate { predicate: Some(predicate.clone()), ..candidate.clone() })
            .collect();
        candidates.extend(partial);
        let lists = key_lists(reference, Some(&predicate), table, demand);
        candidates.extend(btrees(reference, table, options, Some(&predicate), lists));
    }
    candidates
}

/// Each list plain, and with the other columns of the query included where it may be scanned alone.
fn btrees(
    reference: &Reference,
    table: &TableStatistics,
    options: &Options,
    predicate: Option<&str>,
    mut lists: Vec<KeyList>,
) -> Vec<Candidate> {
    if let Some(list) = scan_of_columns(reference, table, predicate, &lists) {
        lists.push(list);
    }
    let mut candidates = Vec::new();
    for KeyList { keys, selective, longest } in lists {
        let plain = Candidate {
            table: reference.table,
            method: "btree".into(),
            keys: keys.clone(),
            included: Vec::new(),
            predicate: predicate.map(str::to_string),
        };
        let columns = reference.columns.iter().copied().filter(|column| *column > 0);
        let covering = with_included(&plain, keys, columns);
        let narrow = width(&covering.included, table) <= options.max_included_share * row_width(table);
        // An index that repeats the whole table is a second table, until a column is added.
        let some = reference.columns.len() < table.columns.len();
        let sane = !covering.included.is_empty() && covering.included.len() <= MAX_INCLUDED && narrow && some;
        if longest && !reference.whole_rows && sane {
            candidates.push(covering);
        }
        if selective || predicate.is_some() {
            candidates.push(plain);
        }
    }
    candidates
}

/// Where a query reads few columns of all rows, or of those of the predicate, any index that holds them is smaller.
fn scan_of_columns(
    reference: &Reference,
    table: &TableStatistics,
    predicate: Option<&str>,
    lists: &[KeyList],
) -> Option<KeyList> {
    let column = *reference.columns.first()?;
    (lists.is_empty() && (!reference.whole_rows || predicate.is_some()) && table.columns.contains_key(&column)).then(
        || {
            let way = crate::facts::query::Way { method: "btree".into(), class: None, collation: None };
            KeyList {
                keys: vec![super::Key::of(&Part::Column(column), &way)],
                selective: !reference.whole_rows,
                longest: true,
            }
        },
    )
}

fn width(columns: &[i16], table: &TableStatistics) -> f64 {
    columns.iter().filter_map(|column| table.columns.get(column)).map(|column| column.average_width).sum()
}

fn row_width(table: &TableStatistics) -> f64 {
    ROW_HEADER + table.columns.values().map(|column| column.average_width).sum::<f64>()
}

/// Predicates worth an index of their own, and all of them together.
fn predicates(reference: &Reference, table: &TableStatistics, shared: &Shared<'_>) -> Vec<String> {
    let queries = |text: &str| shared.get(&(reference.table, text)).copied().unwrap_or(0);
    let mut predicates: Vec<&String> = reference
        .predicates
        .iter()
        .filter(|text| {
            let condition = reference.conditions.iter().find(|condition| condition.text == bare(text));
            match condition.map(|condition| (condition.kind, &condition.part)) {
                Some((ConditionKind::Equality | ConditionKind::Membership, part)) => {
                    // Of one query alone it is the constant of the day, unless there are but two.
                    let most = if queries(text) > 1 { STATES } else { 2.0 };
                    distinct(part, table).is_some_and(|distinct| distinct <= most)
                }
                Some(_) => queries(text) >= SHARED_RANGE,
                // So is a pattern.
                None => queries(text) >= SHARED_RANGE || !matches_pattern(text),
            }
        })
        .collect();
    predicates.sort_by(|a, b| queries(b).cmp(&queries(a)).then_with(|| a.cmp(b)));
    predicates.dedup();
    predicates.truncate(MAX_PREDICATES);
    let mut texts: Vec<String> = predicates.iter().map(|text| text.to_string()).collect();
    if predicates.len() > 1 {
        texts.push(predicates.iter().map(|text| format!("({text})")).collect::<Vec<_>>().join(" AND "));
    }
    texts
}

/// LIKE, ILIKE and regular expressions, also negated, as they are printed.
fn matches_pattern(text: &str) -> bool {
    [" ~~ ", " ~~* ", " ~ ", " ~* ", " !~~ ", " !~~* ", " !~ ", " !~* "].iter().any(|operator| text.contains(operator))
}

/// A predicate is printed within parentheses, a condition without.
fn bare(text: &str) -> &str {
    text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text)
}

/// A condition of the reference is on a key of the candidate, an order begins like it, or it holds all columns read.
pub fn could_serve(candidate: &Candidate, reference: &Reference) -> bool {
    if candidate.table != reference.table
        || candidate.predicate.as_ref().is_some_and(|predicate| !reference.predicates.contains(predicate))
    {
        return false;
    }
    let by_condition = reference.conditions.iter().any(|condition| {
        way(&condition.ways, &candidate.method).is_some() && candidate.keys.iter().any(|key| key.part == condition.part)
    });
    let first = candidate.keys.first().map(|key| &key.part);
    let by_order = reference
        .orders
        .iter()
        .filter_map(|order| order.keys.first())
        .any(|key| Some(&key.part) == first && way(&key.ways, &candidate.method).is_some());
    let covers = || {
        let columns: Vec<i16> = candidate.columns().collect();
        !reference.whole_rows && reference.columns.iter().all(|column| columns.contains(column))
    };
    by_condition || by_order || covers()
}
