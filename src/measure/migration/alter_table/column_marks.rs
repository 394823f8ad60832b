//! NOT NULL, identity and the expression of a generated column.

use super::work::Work;
use crate::db::quote_identifier;
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{Failure, Id, LockMode, Rewrite, Scan};

impl Work<'_> {
    pub fn set_not_null(&mut self, column: &str) {
        if !self.has_column(column) {
            return;
        }
        for id in self.recursed() {
            self.require_not_null(id, column, Scan::SetNotNull { column: column.to_string() });
        }
    }

    /// Marks the column; its rows are read, unless they are known to have a value.
    pub fn require_not_null(&mut self, id: Id, column: &str, why: Scan) {
        let relation = self.relation(id);
        let Some(known) = relation.column(column).filter(|known| !known.not_null) else { return };
        let (nulls, rows) = (known.null_fraction, relation.rows);
        let condition = format!("{} is not null", quote_identifier(column));
        let checks = relation.constraints.iter().filter(|constraint| constraint.validated);
        let checks: Vec<&str> = checks.filter_map(|constraint| constraint.check.as_deref()).collect();
        let implied = !checks.is_empty() && self.judge.checks_imply(relation, &checks, &condition);
        if !implied {
            self.scan(id, why);
            let table = self.model.target(id).expect("a relation of the model");
            match nulls {
                Some(fraction) if fraction * rows >= 1.0 => {
                    let basis = "statistics of the last ANALYZE".to_string();
                    let why = Failure::NullsExist { table, column: column.to_string(), rows: fraction * rows, basis };
                    self.out.may_fail(why, "23502");
                }
                _ => {}
            }
        }
        let relation = self.model.relation_mut(id);
        if let Some(known) =
            relation.and_then(|relation| relation.columns.iter_mut().find(|known| known.name == column))
        {
            known.not_null = true;
            known.null_fraction = Some(0.0);
        }
    }

    pub fn drop_not_null(&mut self, column: &str) {
        let relation = self.relation(self.id);
        let in_key = relation.constraints.iter().any(|constraint| {
            constraint.kind == ConstraintKind::PrimaryKey && constraint.columns.iter().any(|one| one == column)
        });
        if in_key {
            let message = format!("column {} is in a primary key", quote_identifier(column));
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        self.each_column(column, |known| known.not_null = false);
    }

    pub fn add_identity(&mut self, column: &str) {
        if !self.has_column(column) {
            return;
        }
        let known = self.relation(self.id).column(column).cloned();
        if let Some(known) = known {
            let message = match () {
                () if known.identity.is_some() => Some("is already an identity column"),
                () if known.default.is_some() => Some("already has a default value"),
                () if !known.not_null => Some("must be declared NOT NULL before identity can be added"),
                () => None,
            };
            if let Some(message) = message {
                let message = format!("column {} {message}", quote_identifier(column));
                return self.out.fails(Failure::Other { message }, "55000");
            }
        }
        self.each_partition_column(column, |known| known.identity = Some("ALWAYS".to_string()));
    }

    /// Its sequence is altered.
    pub fn set_identity(&mut self, column: &str) {
        if !self.has_column(column) {
            return;
        }
        for sequence in self.sequences_of(self.id, column) {
            self.out.lock(self.model, sequence, LockMode::ShareRowExclusive);
        }
        self.each_partition_column(column, |_| {});
    }

    pub fn drop_identity(&mut self, column: &str, missing_ok: bool) {
        if !self.has_column(column) {
            return;
        }
        let known = self.relation(self.id).column(column);
        if known.is_some_and(|known| known.identity.is_none()) {
            if !missing_ok {
                let message = format!("column {} is not an identity column", quote_identifier(column));
                self.out.fails(Failure::Other { message }, "55000");
            }
            return;
        }
        for sequence in self.sequences_of(self.id, column) {
            self.out.lock(self.model, sequence, LockMode::AccessExclusive);
            self.model.drop_relation(sequence);
        }
        self.each_partition_column(column, |known| known.identity = None);
    }

    pub fn set_expression(&mut self, column: &str, expression: &str) {
        if !self.has_column(column) {
            return;
        }
        if self.relation(self.id).column(column).is_some_and(|known| known.generated.is_none()) {
            let message = format!("column {} is not a generated column", quote_identifier(column));
            return self.out.fails(Failure::Other { message }, "55000");
        }
        for id in self.recursed() {
            self.rewrite(id, Rewrite::SetExpression { column: column.to_string() });
            self.rebuild_dependents(id, column);
        }
        self.each_column(column, |known| known.generated = Some(expression.to_string()));
    }
}
