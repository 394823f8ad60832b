//! Which statement's rows a statement is repeated for, by the counters: an inference, with the confidence it deserves.

use super::relations::{Relation, RelationKind, relations};
use crate::facts::{Catalog, ColumnStatistics, Lookups, ReadingStatement};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    Low,
    Medium,
    High,
}

impl Confidence {
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// A lookup whose number of calls follows from the rows of other statements.
#[derive(Debug)]
pub struct Repetition<'a> {
    pub lookup: &'a ReadingStatement,
    /// Of one parent several when all of them together explain the calls.
    pub relations: Vec<Relation<'a>>,
    /// Most rows first.
    pub parents: Vec<&'a ReadingStatement>,
    /// Lookups that the parents' rows lead to.
    pub expected: f64,
    /// Other statements whose rows could lead to a part of the calls.
    pub others: Vec<Other<'a>>,
    /// A statement that finds one row of the parent's table ran as often.
    pub one_by_one: Option<&'a ReadingStatement>,
    pub confidence: Confidence,
}

/// A statement that could be the parent too.
#[derive(Debug)]
pub struct Other<'a> {
    pub parent: &'a ReadingStatement,
    pub relation: Relation<'a>,
    pub expected: f64,
}

/// What makes calls a repetition.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    pub min_calls: f64,
    pub min_calls_per_parent: f64,
}

/// Calls of the lookup for each that the parents' rows lead to.
const RATIO: std::ops::RangeInclusive<f64> = 0.2..=1.1;
/// Calls of a statement that would explain the lookup's one by one.
const AS_OFTEN: std::ops::RangeInclusive<f64> = 0.95..=1.05;
/// A parent returns several rows, on average.
const MIN_PARENT_ROWS: f64 = 2.0;

/// The statements that may be parents, by role and table.
pub struct Repetitions<'a> {
    catalog: &'a Catalog,
    statistics: &'a ColumnStatistics,
    readers: BTreeMap<(u32, u32), Vec<&'a ReadingStatement>>,
    /// Those that return a row at a time.
    single: BTreeMap<(u32, u32), Vec<&'a ReadingStatement>>,
    thresholds: Thresholds,
}

/// Rows of one statement, or of several, that would explain the calls.
struct Explanation<'a> {
    relations: Vec<Relation<'a>>,
    parents: Vec<&'a ReadingStatement>,
    expected: f64,
    parent_calls: f64,
}

impl<'a> Repetitions<'a> {
    pub fn of(
        catalog: &'a Catalog,
        statistics: &'a ColumnStatistics,
        lookups: &'a Lookups,
        thresholds: Thresholds,
    ) -> Repetitions<'a> {
        let mut readers: BTreeMap<(u32, u32), Vec<&ReadingStatement>> = BTreeMap::new();
        let mut single = readers.clone();
        for statement in &lookups.statements {
            let several = statement.measured.rows_per_call() >= MIN_PARENT_ROWS;
            let map = if several { &mut readers } else { &mut single };
            let tables: BTreeSet<u32> = statement.shape.sources.iter().map(|source| source.table).collect();
            for table in tables {
                map.entry((statement.measured.role, table)).or_default().push(statement);
            }
        }
        Repetitions { catalog, statistics, readers, single, thresholds }
    }

    /// None: nothing says that it is repeated for the rows of another statement.
    pub fn judge(&self, lookup: &'a ReadingStatement) -> Option<Repetition<'a>> {
        if (lookup.measured.calls as f64) < self.thresholds.min_calls {
            return None;
        }
        let all = relations(self.catalog, &lookup.shape);
        let (reloads, foreign): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|relation| relation.kind == RelationKind::Reload);
        self.best(lookup, &foreign).or_else(|| self.best(lookup, &reloads))
    }

    fn best(&self, lookup: &'a ReadingStatement, relations: &[Relation<'a>]) -> Option<Repetition<'a>> {
        let calls = lookup.measured.calls as f64;
        let singles = self.explanations(lookup, relations);
        let fits = |one: &&Explanation| {
            RATIO.contains(&(calls / one.expected)) && calls >= self.thresholds.min_calls_per_parent * one.parent_calls
        };
        let distance = |one: &Explanation| (calls / one.expected).ln().abs();
        // Who has joined the table once rather joins it twice than looks it up.
        let reads = |one: &Explanation| one.relations[0].is_read_by(&one.parents[0].shape);
        let nearest =
            |a: &&Explanation, b: &&Explanation| reads(a).cmp(&reads(b)).then(distance(a).total_cmp(&distance(b)));
        let together = together(&singles, relations);
        let (best, is_single) = match singles.iter().filter(fits).min_by(nearest) {
            Some(one) => (one, true),
            None => (together.iter().filter(fits).min_by(nearest)?, false),
        };
        let ratio = calls / best.expected;
        let mut others: Vec<Other> = Vec::new();
        for other in
            singles.iter().filter(|other| other.expected >= RATIO.start() * calls && other.relations.len() == 1)
        {
            let parent = other.parents[0];
            let known = best.parents.iter().chain(others.iter().map(|one| &one.parent));
            if !known.into_iter().any(|one| std::ptr::eq(*one, parent)) {
                others.push(Other { parent, relation: other.relations[0].clone(), expected: other.expected });
            }
        }
        let many_to_one = best.relations.iter().any(|relation| relation.kind == RelationKind::ManyToOne);
        let near = (if many_to_one { 0.5 } else { 0.7 }..=1.05).contains(&ratio);
        let exact = (0.9..=1.02).contains(&ratio);
        let reload = best.relations.iter().any(|relation| relation.kind == RelationKind::Reload);
        let one_by_one = self.one_by_one(lookup, relations);
        let confidence = match (is_single, others.len()) {
            _ if one_by_one.is_some() => Confidence::Low,
            // Whoever lists objects also shows single ones.
            _ if reload => Confidence::Low,
            (true, 0) if near => Confidence::High,
            (true, 1..=2) if exact => Confidence::High,
            (true, 0..=2) => Confidence::Medium,
            (false, 0) if exact && best.parents.len() <= 3 => Confidence::Medium,
            _ => Confidence::Low,
        };
        // Columns that explain it alike cannot be told apart.
        let alike = |one: &&Explanation| {
            is_single && one.relations.len() == 1 && std::ptr::eq(one.parents[0], best.parents[0]) && fits(one)
        };
        let mut related = best.relations.clone();
        for one in singles.iter().filter(alike) {
            if related.iter().all(|relation| relation.parent_columns != one.relations[0].parent_columns) {
                related.push(one.relations[0].clone());
            }
        }
        Some(Repetition {
            lookup,
            relations: related,
            parents: best.parents.clone(),
            expected: best.expected,
            others,
            one_by_one,
            confidence,
        })
    }

    /// A request that shows one object with what belongs to it.
    fn one_by_one(&self, lookup: &'a ReadingStatement, relations: &[Relation<'a>]) -> Option<&'a ReadingStatement> {
        let calls = lookup.measured.calls as f64;
        relations.iter().find_map(|relation| {
            let singles = self.single.get(&(lookup.measured.role, relation.parent)).into_iter().flatten().copied();
            let as_often = |single: &&ReadingStatement| AS_OFTEN.contains(&(single.measured.calls as f64 / calls));
            let mut others = singles.filter(|single| !std::ptr::eq(*single, lookup)).filter(as_often);
            others.find(|single| relation.returns_keys(&single.shape))
        })
    }

    /// Each statement by each relation, and by all of them.
    fn explanations(&self, lookup: &'a ReadingStatement, relations: &[Relation<'a>]) -> Vec<Explanation<'a>> {
        let mut by_parent: Vec<(&ReadingStatement, Vec<Explanation>)> = Vec::new();
        for relation in relations {
            let readers = self.readers.get(&(lookup.measured.role, relation.parent));
            for parent in readers.into_iter().flatten().filter(|parent| !std::ptr::eq(**parent, lookup)) {
                if !relation.comes_from(&parent.shape) {
                    continue;
                }
                let parent_calls = parent.measured.calls as f64;
                let per_call = relation.lookups(self.catalog, self.statistics, parent.measured.rows_per_call());
                let explanation = |expected: f64| Explanation {
                    relations: vec![relation.clone()],
                    parents: vec![*parent],
                    expected: expected.max(f64::MIN_POSITIVE),
                    parent_calls,
                };
                let mut found = vec![explanation(parent_calls * per_call)];
                if relation.parent == relation.table && relation.key.is_some() {
                    // Rows that were looked up lead to lookups in turn: a tree, level by level.
                    found.push(explanation(parent_calls * per_call + lookup.measured.rows as f64));
                }
                match by_parent.iter_mut().find(|(known, _)| std::ptr::eq(*known, *parent)) {
                    Some((_, explanations)) => explanations.extend(found),
                    None => by_parent.push((parent, found)),
                }
            }
        }
        for (_, explanations) in &mut by_parent {
            if explanations.len() > 1 && explanations[0].relations[0].parent != explanations[0].relations[0].table {
                let all = Explanation {
                    relations: explanations.iter().flat_map(|one| one.relations.clone()).collect(),
                    expected: explanations.iter().map(|one| one.expected).sum(),
                    parents: explanations[0].parents.clone(),
                    parent_calls: explanations[0].parent_calls,
                };
                explanations.push(all);
            }
        }
        by_parent.into_iter().flat_map(|(_, explanations)| explanations).collect()
    }
}

/// All statements that return rows for one relation: the same list with other conditions is another statement.
fn together<'a>(singles: &[Explanation<'a>], relations: &[Relation<'a>]) -> Vec<Explanation<'a>> {
    let of_relation = |relation: &Relation<'a>| {
        let is_it = |one: &&Explanation| {
            one.relations.len() == 1
                && one.relations[0].parent_columns == relation.parent_columns
                && one.relations[0].parent == relation.parent
        };
        let mut parts: Vec<&Explanation> = singles.iter().filter(is_it).collect();
        parts.sort_by(|a, b| b.expected.total_cmp(&a.expected));
        (parts.len() > 1).then(|| Explanation {
            relations: vec![relation.clone()],
            parents: parts.iter().flat_map(|part| part.parents.iter().copied()).collect(),
            expected: parts.iter().map(|part| part.expected).sum(),
            parent_calls: parts.iter().map(|part| part.parent_calls).sum(),
        })
    };
    relations.iter().filter_map(of_relation).collect()
}
