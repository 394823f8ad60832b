//! Counts sessions over samples.

use super::backends::Backend;
use crate::facts::activity::{Connections, State, Use};
use std::collections::HashMap;
use std::hash::Hash;

/// How many of a sample, summed over samples, and at most in one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Count {
    pub sum: u64,
    pub most: u32,
    now: u32,
}

/// Sessions of a group.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Counts {
    pub sessions: Count,
    pub in_use: Count,
    pub active: Count,
    /// In how many samples the group had sessions.
    pub samples: u64,
    /// The last of these.
    sample: u64,
    /// Of some of them the state is not known.
    pub unknown: bool,
}

impl Count {
    fn add(&mut self) {
        self.now += 1;
        self.sum += 1;
        self.most = self.most.max(self.now);
    }

    fn merge(&mut self, other: &Count) {
        self.sum += other.sum;
        self.most = self.most.max(other.most);
    }

    pub fn over(&self, samples: u64) -> Use {
        Use { mean: self.sum as f64 / samples.max(1) as f64, most: self.most }
    }
}

impl Counts {
    /// `sample`: the number of the sample, from 1. `visible`: the caller may know the state.
    pub fn add(&mut self, sample: u64, backend: &Backend, visible: bool) {
        if self.sample != sample {
            self.sample = sample;
            self.samples += 1;
            (self.sessions.now, self.in_use.now, self.active.now) = (0, 0, 0);
        }
        self.sessions.add();
        if !visible || backend.state == Some(State::Disabled) {
            self.unknown = true;
            return;
        }
        if backend.is_in_use() {
            self.in_use.add();
        }
        if backend.is_active() {
            self.active.add();
        }
    }

    /// Of the same group at another time.
    pub fn merge(&mut self, other: &Counts) {
        self.sessions.merge(&other.sessions);
        self.in_use.merge(&other.in_use);
        self.active.merge(&other.active);
        self.samples += other.samples;
        self.unknown |= other.unknown;
    }

    pub fn over(&self, samples: u64) -> Connections {
        Connections {
            open: self.sessions.over(samples),
            in_use: self.in_use.over(samples),
            active: self.active.over(samples),
        }
    }
}

/// Counts by group, of which there are so many at most: more are counted in one, which `rest` names.
pub struct Tally<K> {
    most: usize,
    pub groups: HashMap<K, Counts>,
}

impl<K: Hash + Eq + Clone> Tally<K> {
    pub fn new(most: usize) -> Tally<K> {
        Tally { most, groups: HashMap::new() }
    }

    /// True: it is a new group.
    pub fn add(&mut self, group: K, rest: impl FnOnce() -> K, sample: u64, backend: &Backend, visible: bool) -> bool {
        if let Some(counts) = self.groups.get_mut(&group) {
            counts.add(sample, backend, visible);
            return false;
        }
        let fits = self.groups.len() < self.most;
        let group = if fits { group } else { rest() };
        self.groups.entry(group).or_default().add(sample, backend, visible);
        fits
    }
}
