//! What became of a statement.

use super::observe::{Observed, Scanned};
use crate::facts::migration::LockMode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ran,
    Failed,
    NotTried,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ran => "ran",
            Status::Failed => "failed",
            Status::NotTried => "not tried",
        }
    }
}

/// A statement, and what became of it.
pub struct Tried {
    /// From 1.
    pub step: usize,
    pub line: usize,
    pub text: String,
    pub status: Status,
    pub ms: Option<f64>,
    pub locks: Vec<(String, LockMode)>,
    pub rewrites: Vec<String>,
    /// None: not counted.
    pub scans: Option<Vec<Scanned>>,
    pub message: Option<String>,
    /// What it would have left is not there for later steps.
    pub leaves_gap: bool,
}

impl Tried {
    /// What the end of its transaction has done.
    pub(super) fn add(&mut self, observed: Observed) {
        for (relation, mode) in observed.locks {
            match self.locks.iter_mut().find(|(locked, _)| *locked == relation) {
                Some((_, held)) => *held = mode.max(*held),
                None => self.locks.push((relation, mode)),
            }
        }
        self.locks.sort();
        if let (Some(scans), Some(more)) = (&mut self.scans, observed.scans) {
            let known: Vec<String> = scans.iter().map(|scan| scan.relation.clone()).collect();
            scans.extend(more.into_iter().filter(|scan| !known.contains(&scan.relation)));
        }
    }
}
