//! The whole migration, the safe way: each row can be run as it stands, in order.

use super::python::execute;
use super::retries::Patience;
use super::steps::{is_bound, is_lost, locks_strongly, of_runner, phase, reason, runs_in_do, strongest};
use crate::facts::migration::statement::Transaction;
use crate::facts::migration::{Effect, LockMode, Migration, Phase, PlannedStatement, Statement, Step, Unread};

/// What is sent to the server at once.
pub struct Row {
    pub phase: Phase,
    /// Of the migration as written; None: what is no statement.
    pub step: Option<usize>,
    pub sql: String,
    pub python: Python,
    /// It stands between BEGIN and COMMIT.
    pub in_transaction: bool,
    /// The strongest lock and on what.
    pub lock: Option<(LockMode, String)>,
    pub why: String,
}

/// The same in a revision of Alembic.
pub enum Python {
    /// In the transaction that Alembic has open.
    Here(String),
    /// In an `autocommit_block`.
    Apart(String),
    /// In an `autocommit_block`, tried again while the lock is not to be had.
    Retried(String),
    /// Alembic's own affair.
    None,
}

pub fn rows(migration: &Migration, patience: &Patience) -> Vec<Row> {
    let safe = migration.steps.iter().all(|step| step.safer.is_none());
    let mut script = Script { rows: Vec::new(), safe, patience, unlimited: false };
    if let Some((sql, why)) = of_runner(migration).filter(|_| !safe) {
        script.remark(sql.into(), why.into());
    }
    let mut left_out = migration.unread.iter().filter(|unread| is_lost(unread.what)).peekable();
    let mut steps = migration.steps.as_slice();
    while let Some(step) = steps.first() {
        crate::db::check_for_interrupts();
        while let Some(unread) = left_out.next_if(|unread| unread.line < step.line) {
            script.left_out(unread);
        }
        let length = match step.transaction {
            Some(number) => steps.iter().take_while(|step| step.transaction == Some(number)).count(),
            None => 1,
        };
        let (unit, rest) = steps.split_at(length);
        match step.transaction {
            Some(_) => script.transaction(unit),
            None => script.single(step),
        }
        steps = rest;
    }
    left_out.for_each(|unread| script.left_out(unread));
    let mut before = None;
    for row in &mut script.rows {
        let later = matches!(row.phase, Phase::Switch | Phase::Contract);
        if before.replace(row.phase) != Some(row.phase) && later {
            row.why = format!("{} {}", row.phase.meaning(), row.why);
        }
    }
    script.rows
}

struct Script<'a> {
    rows: Vec<Row>,
    /// Nothing of it is to be done in another way.
    safe: bool,
    patience: &'a Patience,
    /// The plan has set lock_timeout to 0.
    unlimited: bool,
}

impl Script<'_> {
    /// A comment.
    fn remark(&mut self, sql: String, why: String) {
        let python = Python::Here(sql.replacen("--", "#", 1));
        self.rows.push(Row { phase: Phase::Expand, step: None, sql, python, in_transaction: false, lock: None, why });
    }

    fn left_out(&mut self, unread: &Unread) {
        let text = unread.text.lines().next().unwrap_or_default();
        self.remark(format!("-- line {} is left out: {text}", unread.line), unread.why.clone());
    }

    fn transaction(&mut self, steps: &[Step]) {
        let (bounds, inner): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| is_bound(step));
        let whole = inner.iter().all(|step| step.safer.is_none());
        let savepoints = inner.iter().any(|step| matches!(step.statement, Statement::Transaction(_)));
        if (whole || savepoints) && (self.safe || !bounds.is_empty()) {
            let limited = !self.needs_lock_timeout(steps.iter());
            for step in steps {
                self.as_written(step, true);
                if !limited && matches!(step.statement, Statement::Transaction(Transaction::Begin)) {
                    self.limit(step, phase(step));
                }
            }
            return;
        }
        let mut together: Vec<&Step> = Vec::new();
        for step in inner {
            match &step.safer {
                None => together.push(step),
                Some(plan) => {
                    self.together(std::mem::take(&mut together));
                    self.planned(step, plan);
                }
            }
        }
        self.together(together);
    }

    /// What stays in one transaction.
    fn together(&mut self, steps: Vec<&Step>) {
        match steps.as_slice() {
            [] => {}
            [step] => self.alone(step),
            [first, .., last] => {
                self.bound(first, phase(first), "BEGIN;");
                if self.needs_lock_timeout(steps.iter().copied()) {
                    self.limit(first, phase(first));
                }
                steps.iter().for_each(|step| self.as_written(step, true));
                self.bound(last, phase(last), "COMMIT;");
            }
        }
    }

    fn single(&mut self, step: &Step) {
        match &step.safer {
            Some(plan) => self.planned(step, plan),
            None => self.alone(step),
        }
    }

    /// One statement as written, in a transaction of its own.
    fn alone(&mut self, step: &Step) {
        if !(locks_strongly(step) && runs_in_do(&step.statement)) {
            return self.as_written(step, false);
        }
        if self.patience.retries == 0 {
            self.bound(step, phase(step), "BEGIN;");
            self.limit(step, phase(step));
            self.as_written(step, true);
            return self.bound(step, phase(step), "COMMIT;");
        }
        let sql = self.patience.retried(&[&step.text]);
        self.rows.push(Row {
            phase: phase(step),
            step: Some(step.number),
            python: Python::Apart(execute(&sql)),
            sql,
            in_transaction: false,
            lock: strongest(step),
            why: format!(
                "{} Tried again while the lock is not to be had within {}.",
                reason(step),
                self.patience.timeout()
            ),
        });
    }

    fn as_written(&mut self, step: &Step, in_transaction: bool) {
        let sql = format!("{};", step.text);
        let python = execute(&sql);
        let of_runner = is_bound(step) || step.text.contains("alembic_version");
        let apart = step.effects.iter().any(|effect| matches!(effect, Effect::BuildsIndex { concurrently: true, .. }))
            || step.kind.contains("concurrently")
            || step.kind.starts_with("vacuum");
        self.rows.push(Row {
            phase: phase(step),
            step: Some(step.number),
            sql,
            python: match () {
                () if of_runner => Python::None,
                () if apart => Python::Apart(python),
                () => Python::Here(python),
            },
            in_transaction,
            lock: strongest(step),
            why: reason(step),
        });
    }

    /// Statements of a plan that may stand together are one transaction, tried again as a whole.
    fn planned(&mut self, step: &Step, plan: &[PlannedStatement]) {
        let mut rest = plan;
        while let Some(first) = rest.first() {
            let together = |other: &&PlannedStatement| other.in_transaction && other.phase == first.phase;
            let length = if first.in_transaction { rest.iter().take_while(together).count() } else { 1 };
            let (group, after) = rest.split_at(length);
            self.group(step, first, group);
            rest = after;
        }
    }

    fn group(&mut self, step: &Step, first: &PlannedStatement, group: &[PlannedStatement]) {
        let lock = group.iter().filter_map(|planned| planned.lock.clone()).max_by_key(|(mode, _)| *mode);
        let strong = lock.as_ref().is_some_and(|(mode, _)| mode.blocks_writes());
        let single = group.len() == 1;
        self.unlimited(step, first);
        let plain = !first.in_transaction || (single && !strong);
        if !plain && self.patience.retries == 0 {
            return self.once(step, first, group);
        }
        let sql = match () {
            () if plain => first.sql.clone(),
            () => self.patience.retried(&group.iter().map(|planned| planned.sql.as_str()).collect::<Vec<_>>()),
        };
        let operation = single && !first.alembic.starts_with("op.execute(");
        let python = match () {
            () if operation && strong && first.in_transaction => Python::Retried(first.alembic.clone()),
            () if operation => Python::Apart(first.alembic.clone()),
            () => Python::Apart(execute(&sql)),
        };
        let mut why: Vec<&str> = Vec::new();
        for planned in group {
            if !why.contains(&planned.why.as_str()) {
                why.push(&planned.why);
            }
        }
        self.rows.push(Row {
            phase: first.phase,
            step: Some(step.number),
            sql,
            python,
            in_transaction: false,
            lock,
            why: why.join(" "),
        });
    }

    /// One transaction that fails when its locks are not to be had.
    fn once(&mut self, step: &Step, first: &PlannedStatement, group: &[PlannedStatement]) {
        self.bound(step, first.phase, "BEGIN;");
        self.limit(step, first.phase);
        self.rows.extend(group.iter().map(|planned| Row {
            phase: planned.phase,
            step: Some(step.number),
            sql: planned.sql.clone(),
            python: Python::Here(planned.alembic.clone()),
            in_transaction: true,
            lock: planned.lock.clone(),
            why: planned.why.clone(),
        }));
        self.bound(step, first.phase, "COMMIT;");
    }

    fn bound(&mut self, step: &Step, phase: Phase, sql: &str) {
        self.rows.push(Row {
            phase,
            step: Some(step.number),
            sql: sql.into(),
            python: Python::None,
            in_transaction: true,
            lock: None,
            why: "One transaction.".into(),
        });
    }

    fn needs_lock_timeout<'s>(&self, mut steps: impl Iterator<Item = &'s Step>) -> bool {
        steps.any(|step| locks_strongly(step) && (step.lock_timeout.is_none() || self.unlimited))
    }

    /// What waits for open transactions to end must not be ended by a timeout.
    fn unlimited(&mut self, step: &Step, planned: &PlannedStatement) {
        if self.unlimited || step.lock_timeout.is_none() || !planned.sql.to_ascii_uppercase().contains("CONCURRENTLY") {
            return;
        }
        self.unlimited = true;
        let sql = "SET lock_timeout = 0;".to_string();
        self.rows.push(Row {
            phase: planned.phase,
            step: Some(step.number),
            python: Python::Apart(execute(&sql)),
            sql,
            in_transaction: false,
            lock: None,
            why: "CONCURRENTLY waits for transactions to end: a lock_timeout would end it and leave an invalid index."
                .into(),
        });
    }

    fn limit(&mut self, step: &Step, phase: Phase) {
        let sql = format!("SET LOCAL lock_timeout = '{}';", self.patience.timeout());
        self.rows.push(Row {
            phase,
            step: Some(step.number),
            python: Python::Here(execute(&sql)),
            sql,
            in_transaction: true,
            lock: None,
            why: "Who waits for a strong lock makes everybody wait behind it. After error 55P03 run the transaction again.".into(),
        });
    }
}
