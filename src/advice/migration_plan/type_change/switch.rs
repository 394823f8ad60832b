//! The swap of the columns, in one transaction that changes the catalog alone.

use super::Change;
use super::parts::{Kind, Part};
use crate::advice::migration_plan::planned::brief;
use crate::facts::migration::{LockMode, Phase, PlannedStatement};

impl Change<'_> {
    pub fn switch(&self, parts: &[Part]) -> Vec<PlannedStatement> {
        let (on, name, beside, old) = (&self.on(), &self.name, &self.beside, &self.old);
        let mut plan = Vec::new();
        let mut locked =
            |sql: String, why: &str| plan.push(brief(Phase::Switch, sql, LockMode::AccessExclusive, on, why));
        locked(
            format!("LOCK TABLE {on} IN ACCESS EXCLUSIVE MODE;"),
            "All of this is one transaction of catalog changes: the strongest lock comes first.",
        );
        locked(format!("DROP TRIGGER {} ON {on};", self.trigger), "Both columns are the same now.");
        locked(format!("DROP FUNCTION {}();", self.function), "Only the trigger used it.");
        for part in parts {
            match &part.kind {
                Kind::Index { schema, constraint: None, .. } => {
                    locked(format!("DROP INDEX {schema}.{};", part.name), "The new column's takes its place.");
                }
                _ => locked(
                    format!("ALTER TABLE {on} DROP CONSTRAINT {};", part.name),
                    "The new column's takes its place.",
                ),
            }
        }
        locked(self.carry_over(), "Comment, privileges, statistics target and owned sequences go with the column.");
        if let Some(kind) = &self.column.identity {
            locked(self.identity(kind), "The identity goes with the column, and goes on where it is.");
        }
        if let Some(default) = self.new.default.unwrap_or(self.column.default.as_deref()) {
            locked(format!("ALTER TABLE {on} ALTER COLUMN {beside} SET DEFAULT {default};"), "As it is to be.");
        }
        if self.column.default.is_some() {
            locked(format!("ALTER TABLE {on} ALTER COLUMN {name} DROP DEFAULT;"), "Nobody fills it any more.");
        }
        if self.column.not_null {
            locked(format!("ALTER TABLE {on} ALTER COLUMN {name} DROP NOT NULL;"), "Nobody fills it any more.");
        }
        locked(format!("ALTER TABLE {on} RENAME COLUMN {name} TO {old};"), "Out of the way.");
        locked(format!("ALTER TABLE {on} RENAME COLUMN {beside} TO {name};"), "From here on it is the column.");
        for part in parts {
            let (name, temporary) = (&part.name, &part.temporary);
            match &part.kind {
                Kind::Index { schema, constraint: None, .. } => {
                    locked(format!("ALTER INDEX {schema}.{temporary} RENAME TO {name};"), "Its name stays.");
                }
                Kind::Index { constraint: Some(constraint), .. } => {
                    let (kind, deferrable) = match constraint.strip_prefix("PRIMARY KEY") {
                        Some(rest) => ("PRIMARY KEY", rest),
                        None => ("UNIQUE", constraint.trim_start_matches("UNIQUE")),
                    };
                    locked(
                        format!("ALTER TABLE {on} ADD CONSTRAINT {name} {kind} USING INDEX {temporary}{deferrable};"),
                        "Its name stays.",
                    );
                }
                Kind::Constraint { .. } => {
                    locked(format!("ALTER TABLE {on} RENAME CONSTRAINT {temporary} TO {name};"), "Its name stays.");
                }
            }
        }
        plan
    }
}
