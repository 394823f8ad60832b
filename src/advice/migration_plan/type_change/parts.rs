//! Indexes and constraints of the column, built for the new one beforehand.

use super::Change;
use crate::advice::migration_plan::Catalog;
use crate::advice::migration_plan::planned::{BRIEF, alone, brief, validate};
use crate::advice::migration_plan::words::{after_table, mentions, with_column, words};
use crate::db::quote_identifier;
use crate::facts::free_name;
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{Constraint, Index, LockMode, Phase, PlannedStatement};

/// An index or constraint that is made anew.
pub struct Part {
    /// Qualified.
    pub table: String,
    /// Quoted; of the old one, which the new one gets, and of the new one until then.
    pub name: String,
    pub temporary: String,
    pub kind: Kind,
}

pub enum Kind {
    Index {
        /// `CREATE INDEX … CONCURRENTLY`
        sql: String,
        /// Qualified with the schema, of both.
        schema: String,
        /// `UNIQUE` or `PRIMARY KEY` with what it is deferrable by, if it is a constraint's.
        constraint: Option<String>,
    },
    Constraint {
        /// From CHECK or FOREIGN KEY on.
        definition: String,
        validated: bool,
        parent: Option<String>,
    },
}

pub fn of(change: &Change, catalog: &impl Catalog) -> Result<Vec<Part>, String> {
    let (table, column) = (change.table, &change.column.name);
    let mut given: Vec<String> = Vec::new();
    let mut temporary = |name: &str, schema: &str| {
        let free = |candidate: &str| {
            let taken = catalog.name_taken(schema, candidate) || given.iter().any(|name| name == candidate);
            if !taken {
                given.push(candidate.to_string());
            }
            !taken
        };
        free_name(name, "", "new", free)
    };
    let mut parts = Vec::new();
    for index in &table.indexes {
        let tail = after_table(&index.definition).ok_or("An index could not be read.")?;
        if !mentions(tail, column) {
            continue;
        }
        if !index.valid {
            return Err(format!("{} is invalid: drop it or build it anew first.", index.name));
        }
        let new = temporary(index.name.name.raw(), index.name.schema.raw());
        let owner = table.constraints.iter().find(|constraint| owns(constraint, index));
        let unique = if index.unique { "UNIQUE " } else { "" };
        let sql = format!(
            "CREATE {unique}INDEX CONCURRENTLY {} ON {} {};",
            quote_identifier(&new),
            table.name,
            with_column(tail, column, &change.beside)
        );
        parts.push(Part {
            table: table.name.to_string(),
            name: index.name.name.to_string(),
            temporary: quote_identifier(&new),
            kind: Kind::Index { sql, schema: index.name.schema.to_string(), constraint: owner.map(as_constraint) },
        });
    }
    for constraint in table.constraints.iter().filter(|constraint| constraint.columns.contains(column)) {
        let definition = match constraint.kind {
            ConstraintKind::Check => with_column(&constraint.definition, column, &change.beside),
            ConstraintKind::ForeignKey => {
                let at = constraint.definition.find(" REFERENCES ").ok_or("A foreign key could not be read.")?;
                let (own, rest) = constraint.definition.split_at(at);
                format!("{}{rest}", with_column(own, column, &change.beside))
            }
            _ => continue,
        };
        let parent = constraint.references.and_then(|id| catalog.relation(id)).map(|parent| parent.name.to_string());
        parts.push(Part {
            table: table.name.to_string(),
            name: quote_identifier(&constraint.name),
            temporary: quote_identifier(&temporary(&constraint.name, table.name.schema.raw())),
            kind: Kind::Constraint {
                definition: definition.trim_end_matches(" NOT VALID").to_string(),
                validated: constraint.validated,
                parent,
            },
        });
    }
    Ok(parts)
}

fn owns(constraint: &Constraint, index: &Index) -> bool {
    matches!(constraint.kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey)
        && constraint.index.as_deref() == Some(index.name.name.raw())
}

fn as_constraint(constraint: &Constraint) -> String {
    let kind = if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" };
    let said = words(&constraint.definition);
    let deferrable = said.iter().find(|word| word.depth == 0 && word.is("deferrable"));
    let deferrable = deferrable.map_or("", |word| constraint.definition[word.start..].trim());
    format!("{kind} {deferrable}").trim().to_string()
}

impl Part {
    pub fn beforehand(&self) -> Vec<PlannedStatement> {
        let on = &self.table;
        match &self.kind {
            Kind::Index { sql, schema, .. } => vec![alone(
                Phase::Expand,
                sql.clone(),
                Some((LockMode::ShareUpdateExclusive, on.clone())),
                &format!(
                    "What {} is for the old column. If it fails, DROP INDEX CONCURRENTLY IF EXISTS {schema}.{}; and run it again.",
                    self.name, self.temporary
                ),
            )],
            Kind::Constraint { definition, validated, parent } => {
                let sql = format!("ALTER TABLE {on} ADD CONSTRAINT {} {definition} NOT VALID;", self.temporary);
                let (mode, both) = match parent {
                    Some(parent) => (LockMode::ShareRowExclusive, format!("{on} and {parent}")),
                    None => (LockMode::AccessExclusive, on.clone()),
                };
                let why = format!("What {} is for the old column. {BRIEF}", self.name);
                let mut plan = vec![brief(Phase::Expand, sql, mode, &both, &why)];
                if *validated {
                    plan.push(validate(on, &self.temporary, parent.as_deref()));
                }
                plan
            }
        }
    }
}
