//! Statements of the log, those of one kind together, in bounded memory.

use super::record::{Field, MOST_TEXT, Record};
use crate::facts::normalized::normalized;
use std::collections::HashMap;
use std::hash::Hasher;

/// Of a group's text and example so many bytes are kept.
const MOST_SHOWN: usize = 1000;
const MOST_PARAMETERS: usize = 300;
/// At about 4 kB each.
const MOST_GROUPS: usize = 5_000;
const MOST_NAMES: usize = 8;
const MOST_NAME: usize = 64;

/// Events of one statement, each with a figure: ms or bytes.
#[derive(Debug)]
pub struct Group {
    /// `query id 42`, or by a hash of its text.
    pub object: String,
    pub query_id: i64,
    pub text: String,
    pub events: Events,
    /// Those of auto_explain.
    pub plans: Events,
    pub example: String,
    pub parameters: String,
    pub users: Names,
    pub applications: Names,
}

#[derive(Debug, Default)]
pub struct Events {
    pub count: u64,
    pub total: f64,
    pub largest: f64,
    /// ms since 1970
    pub first: i64,
    pub last: i64,
    histogram: Histogram,
}

impl Events {
    pub fn add(&mut self, figure: f64, at: i64) {
        if self.count == 0 {
            (self.first, self.last) = (at, at);
        }
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        self.count += 1;
        self.total += figure;
        self.largest = self.largest.max(figure);
        self.histogram.add(figure);
    }

    pub fn mean(&self) -> f64 {
        self.total / self.count.max(1) as f64
    }

    /// Of 95% of them the figure is not larger.
    pub fn p95(&self) -> f64 {
        self.histogram.quantile(0.95).min(self.largest)
    }
}

/// Eight buckets for each doubling: a quantile is at most 9% too large.
#[derive(Debug, Default)]
struct Histogram(Vec<u32>);

impl Histogram {
    const PER_DOUBLING: f64 = 8.0;
    const LEAST: f64 = 0.125;
    /// Up to 2^45 times the least.
    const BUCKETS: usize = 360;

    fn add(&mut self, figure: f64) {
        let bucket = ((figure / Self::LEAST).max(1.0).log2() * Self::PER_DOUBLING).ceil() as usize;
        let bucket = bucket.min(Self::BUCKETS - 1);
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    fn quantile(&self, part: f64) -> f64 {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all as f64 * part).ceil() as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        Self::LEAST * (bucket.unwrap_or(0) as f64 / Self::PER_DOUBLING).exp2()
    }
}

/// How often each name came, the first few.
#[derive(Debug, Default)]
pub struct Names(Vec<(Vec<u8>, u64)>);

impl Names {
    pub fn add(&mut self, name: Field) {
        let name = &name.raw[..name.raw.len().min(MOST_NAME)];
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| known == name) {
            *count += 1;
        } else if !name.is_empty() && self.0.len() < MOST_NAMES {
            self.0.push((name.to_vec(), 1));
        }
    }

    /// Most frequent first.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.iter().collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        names.iter().map(|(name, _)| String::from_utf8_lossy(name).replace('\0', "\u{fffd}")).collect()
    }
}

#[derive(Debug, Default)]
pub struct Groups {
    groups: HashMap<u64, Group>,
    /// Statements that were dropped for others that weigh more, and what they had.
    pub dropped: u64,
    pub dropped_events: u64,
    pub dropped_total: f64,
}

impl Groups {
    /// Adds an event of `statement`; false: its text is not all UTF-8.
    pub fn add(&mut self, record: &Record, statement: Statement, figure: f64, at: i64) -> bool {
        let by_id = record.query_id != 0;
        let known = by_id && self.groups.contains_key(&(record.query_id as u64));
        let (mut text, mut valid) = (None, true);
        if !known {
            let decoded;
            (decoded, valid) = statement.decode();
            text = Some((normalized(&decoded), decoded));
        }
        let hash = text.as_ref().map_or(0, |(normalized, _)| hash(normalized));
        let key = if by_id { record.query_id as u64 } else { hash };
        if !self.groups.contains_key(&key) {
            self.make_room();
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            object: if by_id { format!("query id {}", record.query_id) } else { format!("query {hash:016x}") },
            query_id: record.query_id,
            text: text.as_ref().map(|(normalized, _)| shown(normalized)).unwrap_or_default(),
            events: Events::default(),
            plans: Events::default(),
            example: String::new(),
            parameters: String::new(),
            users: Names::default(),
            applications: Names::default(),
        });
        if figure > group.events.largest.max(group.plans.largest) || group.example.is_empty() {
            let example = text.map_or_else(|| statement.decode().0, |(_, decoded)| decoded);
            group.example = shown(&example);
            group.parameters = record.detail.text(MOST_PARAMETERS).0;
        }
        let events = if matches!(statement, Statement::Planned(_)) { &mut group.plans } else { &mut group.events };
        events.add(figure, at);
        group.users.add(record.user);
        group.applications.add(record.application);
        valid
    }

    /// What parsing and binding took is the statement's, without being another execution. False: it is not known.
    pub fn add_to_known(&mut self, record: &Record, statement: Statement, figure: f64) -> bool {
        let key = match record.query_id {
            0 => hash(&normalized(&statement.decode().0)),
            id => id as u64,
        };
        let known = self.groups.get_mut(&key);
        known.map(|group| group.events.total += figure).is_some()
    }

    /// Half of them go, those with the least: what comes often enough comes again.
    fn make_room(&mut self) {
        if self.groups.len() < MOST_GROUPS {
            return;
        }
        let weight = |group: &Group| group.events.total.max(group.plans.total);
        let mut weights: Vec<f64> = self.groups.values().map(weight).collect();
        let middle = weights.len() / 2;
        let (_, least, _) = weights.select_nth_unstable_by(middle, f64::total_cmp);
        let least = *least;
        let (dropped, events, total) = (&mut self.dropped, &mut self.dropped_events, &mut self.dropped_total);
        let mut room = middle;
        self.groups.retain(|_, group| {
            let stays = weight(group) > least || room == 0;
            if !stays {
                room -= 1;
                *dropped += 1;
                *events += group.events.count.max(group.plans.count);
                *total += weight(group);
            }
            stays
        });
    }

    /// Those with the largest total first. An execution that auto_explain has logged as well is one.
    pub fn finish(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        for group in &mut groups {
            if group.plans.count > group.events.count {
                std::mem::swap(&mut group.plans, &mut group.events);
            }
        }
        groups.sort_by(|a, b| b.events.total.total_cmp(&a.events.total).then_with(|| a.object.cmp(&b.object)));
        groups
    }
}

#[derive(Clone, Copy)]
pub enum Statement<'a> {
    Text(Field<'a>),
    /// In a plan of auto_explain's.
    Planned(Field<'a>),
}

impl Statement<'_> {
    fn decode(self) -> (String, bool) {
        match self {
            Statement::Text(field) => field.text(MOST_TEXT),
            Statement::Planned(field) => {
                let (plan, valid) = field.text(MOST_TEXT);
                (super::messages::planned_statement(&plan).unwrap_or(plan), valid)
            }
        }
    }
}

/// As `facts::Statement::object` has it.
fn hash(normalized: &str) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(normalized.as_bytes());
    hasher.finish()
}

pub fn shown(text: &str) -> String {
    match text.len() > MOST_SHOWN {
        true => format!("{} …", &text[..text.floor_char_boundary(MOST_SHOWN)]),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::{Events, Groups, MOST_GROUPS, Record, Statement};
    use crate::facts::server_log::record::{Escapes, Field};

    #[test]
    fn quantiles_are_within_nine_percent() {
        let mut events = Events::default();
        (1..=1000).for_each(|ms| events.add(f64::from(ms), 0));
        assert!((950.0..=1036.0).contains(&events.p95()), "{}", events.p95());
        assert_eq!((events.count, events.mean(), events.largest), (1000, 500.5, 1000.0));
    }

    #[test]
    fn what_weighs_most_survives_many_statements() {
        let mut groups = Groups::default();
        for number in 0..3 * MOST_GROUPS {
            for (text, ms) in [(format!("select t{number}"), 1.0), ("select heavy".to_string(), 100.0)] {
                let field = Field { raw: text.as_bytes(), escapes: Escapes::None };
                groups.add(&Record::default(), Statement::Text(field), ms, 0);
            }
        }
        assert!(groups.groups.len() <= MOST_GROUPS && groups.dropped > 0);
        let all = groups.dropped_events;
        let finished = groups.finish();
        assert_eq!((finished[0].text.as_str(), finished[0].events.count), ("select heavy", 3 * MOST_GROUPS as u64));
        assert_eq!(finished.iter().map(|group| group.events.count).sum::<u64>() + all, 6 * MOST_GROUPS as u64);
    }
}
