//! What one statement would do, as the functions that follow each kind of statement put it together.

use super::model::Model;
use crate::facts::migration::{Effect, Failure, Id, Lock, LockMode, ObjectKind};

#[derive(Debug, Default)]
pub struct Prediction {
    pub locks: Vec<Lock>,
    pub effects: Vec<Effect>,
}

impl Prediction {
    /// The statement locks `id`, a relation or index; to be said before the model changes. Of several modes the strongest stays.
    /// ACCESS SHARE, and on indexes what is weaker than SHARE UPDATE EXCLUSIVE, is left out.
    pub fn lock(&mut self, model: &Model, id: Id, mode: LockMode) {
        let Some(target) = model.target(id) else { return };
        let least = if target.kind == ObjectKind::Index { LockMode::ShareUpdateExclusive } else { LockMode::RowShare };
        if mode < least {
            return;
        }
        match self.locks.iter_mut().find(|lock| lock.target.id == id) {
            Some(lock) => lock.mode = lock.mode.max(mode),
            None => self.locks.push(Lock { target, mode, step: 0 }),
        }
    }

    pub fn add(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub fn fails(&mut self, why: Failure, sqlstate: &'static str) {
        self.effects.push(Effect::Fails { why, sqlstate, certain: true });
    }

    /// By statistics.
    pub fn may_fail(&mut self, why: Failure, sqlstate: &'static str) {
        self.effects.push(Effect::Fails { why, sqlstate, certain: false });
    }

    pub fn missing(&mut self, kind: ObjectKind, name: impl ToString) {
        let sqlstate = match kind {
            ObjectKind::Column => "42703",
            ObjectKind::Schema => "3F000",
            ObjectKind::Function => "42883",
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Index
            | ObjectKind::Sequence
            | ObjectKind::PartitionedTable
            | ObjectKind::ForeignTable => "42P01",
            _ => "42704",
        };
        self.fails(Failure::Missing { kind, name: name.to_string() }, sqlstate);
    }

    pub fn exists(&mut self, kind: ObjectKind, name: impl ToString) {
        let sqlstate = match kind {
            ObjectKind::Column => "42701",
            ObjectKind::Schema => "42P06",
            ObjectKind::Function => "42723",
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Index
            | ObjectKind::Sequence
            | ObjectKind::PartitionedTable
            | ObjectKind::ForeignTable => "42P07",
            _ => "42710",
        };
        self.fails(Failure::Exists { kind, name: name.to_string() }, sqlstate);
    }

    pub fn not_judged(&mut self, why: impl Into<String>) {
        self.effects.push(Effect::NotJudged { why: why.into() });
    }

    /// It will not run: what else it would do, it does not.
    pub fn certainly_fails(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Fails { certain: true, .. }))
    }
}
