//! Bursts of one statement, judged: for which rows it was repeated, or that its answer was known.

mod finding;

pub use finding::finding;

use super::eager_loading::waiting;
use super::lookups::{Confidence, Relation, RelationKind, Repetition, Repetitions, relations};
use crate::facts::{Burst, Facts, ReadingShape};
use crate::finding::Severity;
use crate::rule::Options;
use std::collections::BTreeMap;

/// At most this share of different parameters: the answer was known.
const SAME: f64 = 0.2;
/// More parameters are not told apart.
const MOST_DISTINCT: f64 = 2000.0;
/// Lookups for each call of a list that a request needs anyway.
const FEW_LOOKUPS: f64 = 3.0;
/// Executions for each row of a parent that nothing in the catalogs ties to the statement.
const RATIO: std::ops::RangeInclusive<f64> = 0.2..=1.1;

/// By statement and role; those with most executions first.
pub fn groups(bursts: &[Burst]) -> Vec<Vec<&Burst>> {
    let mut groups = BTreeMap::<(i64, u32), Vec<&Burst>>::new();
    for burst in bursts {
        groups.entry((burst.query_id, burst.role)).or_default().push(burst);
    }
    for group in groups.values_mut() {
        group.sort_by(|a, b| (b.executions, &a.application_name).cmp(&(a.executions, &b.application_name)));
    }
    groups.into_values().collect()
}

/// By the counters each call of the parent has few lookups; without them, too few for its rows, over several connections.
fn is_hot(facts: &Facts, burst: &Burst) -> bool {
    let calls = |query_id: i64| facts.lookups().statement(query_id, burst.role).map(|one| one.measured.calls as f64);
    match (calls(burst.query_id), burst.parent_query_id.map(calls)) {
        (Some(lookups), Some(Some(lists))) => lookups < FEW_LOOKUPS * lists,
        (_, Some(None)) => {
            burst.connections > 1 && !RATIO.contains(&(burst.executions as f64 / burst.parent_rows.max(1) as f64))
        }
        _ => false,
    }
}

pub struct Judged<'a> {
    group: Vec<&'a Burst>,
    /// The one that is told of first: with a parent, if there is one.
    main: &'a Burst,
    shape: Option<&'a ReadingShape>,
    relations: Vec<Relation<'a>>,
    /// The parent's rows lead to it by a foreign key, or as the same rows.
    related: bool,
    repetition: Option<Repetition<'a>>,
    same: bool,
    /// Outside transactions requests of several users look like one: their lists and lookups are as many.
    hot: bool,
    severity: Severity,
}

impl<'a> Judged<'a> {
    /// None: nothing to tell.
    pub fn of(
        facts: &'a Facts,
        options: &Options,
        repetitions: &Repetitions<'a>,
        group: Vec<&'a Burst>,
    ) -> Option<Judged<'a>> {
        let first = *group.first()?;
        let (lookups, catalog) = (facts.lookups(), facts.catalog());
        let shape = lookups.shape(first.query_id, first.role);
        // What reads no table of the application is a ping, or a look at a clock.
        if shape.is_some_and(|shape| shape.sources.is_empty()) {
            return None;
        }
        let mut possible = shape.map(|shape| relations(catalog, shape)).unwrap_or_default();
        let leads = |burst: &Burst, relation: &Relation| {
            let parent = burst.parent_query_id.and_then(|parent| lookups.shape(parent, burst.role));
            parent.is_some_and(|parent| relation.comes_from(parent))
        };
        let by_foreign_key =
            |burst: &&&Burst| possible.iter().any(|one| one.kind != RelationKind::Reload && leads(burst, one));
        // Over a pool the list and most of what follows are of different connections: it is the parent of them all.
        let main = *group
            .iter()
            .find(by_foreign_key)
            .or_else(|| group.iter().find(|burst| burst.parent_query_id.is_some()))
            .unwrap_or(&first);
        let of_parent = |relation: &Relation| leads(main, relation);
        let repetition = lookups.statement(main.query_id, main.role).and_then(|lookup| repetitions.judge(lookup));
        let related = possible.iter().any(of_parent);
        if related {
            // A foreign key before the same row once more.
            possible.retain(of_parent);
            possible.truncate(possible.iter().filter(|one| one.kind != RelationKind::Reload).count().max(1));
        } else if let Some(repetition) = &repetition {
            possible = repetition.relations.clone();
        } else {
            possible.retain(|relation| relation.kind != RelationKind::Reload);
            possible.truncate(1);
        }
        let different = main.distinct_parameters / (main.last_executions as f64).clamp(1.0, MOST_DISTINCT);
        let same = different <= SAME || main.distinct_parameters <= 1.5;
        let hot = !main.in_transaction && is_hot(facts, main);
        let relations = possible;
        let mut judged =
            Judged { group, main, shape, relations, related, repetition, same, hot, severity: Severity::low };
        judged.severity = judged.severity(options)?;
        Some(judged)
    }

    fn per_burst(&self) -> f64 {
        self.main.executions_per_burst()
    }

    fn rows_per_parent(&self) -> f64 {
        self.main.parent_rows as f64 / self.main.bursts.max(1) as f64
    }

    fn mean_ms(&self) -> f64 {
        self.main.total_ms / self.main.executions.max(1) as f64
    }

    fn bursts(&self) -> u64 {
        self.group.iter().map(|burst| burst.bursts).sum()
    }

    /// Many more than a page shows, or for many more rows.
    fn is_batch(&self, options: &Options) -> bool {
        let most = options.number("batch_rows");
        self.rows_per_parent() > most || self.per_burst() > most
    }

    /// None: nothing to tell.
    fn severity(&self, options: &Options) -> Option<Severity> {
        let main = self.main;
        let severity = if self.finds_nothing() {
            Severity::low
        } else if self.same {
            // Of a key that is NULL, perhaps: what finds nothing costs least.
            if main.in_transaction && main.rows > 0 { Severity::medium } else { Severity::low }
        } else if self.is_batch(options) || self.hot {
            Severity::low
        } else if main.parent_query_id.is_some() {
            // What looks up by no key goes with any rows.
            let is_lookup = self.shape.is_none_or(|shape| shape.lookup.is_some());
            let fits = is_lookup && RATIO.contains(&(main.executions as f64 / main.parent_rows.max(1) as f64));
            let reload = self.relations.first().is_some_and(|relation| relation.kind == RelationKind::Reload);
            match self.related {
                true if !reload => Severity::high,
                true => Severity::medium,
                false if fits || self.is_confirmed() => Severity::medium,
                false => Severity::low,
            }
        } else if main.in_transaction {
            if self.relations.is_empty() { Severity::low } else { Severity::medium }
        } else if main.connections > 1 && !self.relations.is_empty() {
            // A loop over a pool leaves no other trace: its list came over another connection.
            if self.is_confirmed() { Severity::medium } else { Severity::low }
        } else {
            // A lookup that is hot by itself, whatever the sums look like.
            return None;
        };
        Some(severity.max(self.most(options)))
    }

    /// What SQLAlchemy sends for an object whose foreign key of several columns has a NULL.
    fn finds_nothing(&self) -> bool {
        self.shape.is_some_and(|shape| shape.finds_nothing)
    }

    /// Of all that is told, whatever came before.
    fn per_burst_of_all(&self) -> f64 {
        self.group.iter().map(|burst| burst.executions).sum::<u64>() as f64 / self.bursts().max(1) as f64
    }

    fn is_confirmed(&self) -> bool {
        self.repetition.as_ref().is_some_and(|one| one.confidence == Confidence::High)
    }

    /// The severity that what it costs deserves, whatever the reason.
    fn most(&self, options: &Options) -> Severity {
        let (each_ms, _) = waiting(self.per_burst(), self.mean_ms(), options);
        let often = self.bursts() as f64 >= options.number("min_bursts");
        let many = self.per_burst() >= options.number("high_lookups_per_parent");
        let all_ms = each_ms * self.bursts() as f64;
        let waits = each_ms >= options.number("high_waiting_ms") || all_ms >= options.number("high_total_ms");
        if often && many && waits {
            Severity::high
        } else if often || all_ms >= options.number("min_waiting_ms") {
            Severity::medium
        } else {
            Severity::low
        }
    }
}
