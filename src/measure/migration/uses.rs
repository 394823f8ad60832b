//! What the application and functions still use of what a migration takes from them: pg_stat_statements' queries, as far as the
//! caller sees them, and bodies of functions, which no dependency of the catalogs holds.

use super::Model;
use crate::db;
use crate::facts::migration::text::uses::{Uses, of_function, of_query};
use crate::facts::migration::{Dropped, Effect, Id, NameAsWritten, ObjectKind, Scan, Statement, Step, Target, User};
use crate::facts::{self, Database, QualifiedName, shortened};
use std::collections::HashMap;

/// Statements of pg_stat_statements that are looked at, those first that took most time.
const STATEMENTS: u32 = 5_000;

/// Adds what can be told only with all steps in view.
pub fn complete(steps: &mut [Step], model: &Model) {
    without_index(steps, model);
    let wanted = wanted(steps, model);
    if wanted.is_empty() {
        return;
    }
    let users = users(&wanted, steps);
    for wanted in wanted {
        let by: Vec<User> = users
            .iter()
            .filter(|(uses, user)| uses.iter().any(|uses| wanted.is_hit_by(uses, user)))
            .map(|(_, user)| user.clone())
            .collect();
        if !by.is_empty() {
            steps[wanted.step].effects.push(wanted.effect(by));
        }
    }
}

fn without_index(steps: &mut [Step], model: &Model) {
    for step in steps {
        let lacking = |effect: &Effect| match effect {
            Effect::AddsForeignKey { table, constraint, .. } if !constraint.inherited => {
                let relation = model.relation(table.id).filter(|relation| !relation.dropped)?;
                let kept = relation.constraints.iter().any(|kept| kept.name == constraint.name);
                let covers = relation.indexes.iter().any(|index| {
                    let leading: Vec<_> = index.columns.iter().take(constraint.columns.len()).flatten().collect();
                    // A predicate may be implied; who wrote it knows what it is for.
                    matches!(index.method.as_str(), "btree" | "hash")
                        && constraint.columns.iter().all(|column| leading.contains(&column))
                });
                (kept && !covers)
                    .then(|| Effect::ForeignKeyWithoutIndex { table: table.clone(), constraint: constraint.clone() })
            }
            _ => None,
        };
        let effects: Vec<Effect> = step.effects.iter().filter_map(lacking).collect();
        step.effects.extend(effects);
    }
}

/// What somebody may still use.
struct Wanted {
    /// Position of its step.
    step: usize,
    /// As it was called before the migration.
    table: QualifiedName,
    what: What,
}

enum What {
    Table(Dropped),
    Column(Dropped, String),
    /// A column that an INSERT has to give a value from then on.
    Value(Target, String),
}

impl Wanted {
    fn is_hit_by(&self, uses: &Uses, user: &User) -> bool {
        match &self.what {
            What::Table(_) => uses.names_table(&self.table),
            What::Column(_, column) => uses.names_column(&self.table, column),
            What::Value(_, column) => user.calls.is_some() && uses.inserts_without(&self.table, column),
        }
    }

    fn effect(self, by: Vec<User>) -> Effect {
        match self.what {
            What::Table(object) | What::Column(object, _) => Effect::StillUsed { object, by },
            What::Value(table, column) => Effect::InsertedWithout { table, column, by },
        }
    }
}

fn wanted(steps: &[Step], model: &Model) -> Vec<Wanted> {
    let mut first_names: HashMap<Id, QualifiedName> = HashMap::new();
    let mut first_columns: HashMap<(Id, String), String> = HashMap::new();
    let mut wanted = Vec::new();
    for (position, step) in steps.iter().enumerate() {
        for effect in &step.effects {
            let (object, new_name) = match effect {
                Effect::Renames { object, new_name } => (object, Some(new_name)),
                Effect::Drops { object, .. } => (object, None),
                Effect::AddsColumn { table, column, has_default: false } if column.not_null => {
                    wanted.extend(value(position, table, &column.name, model));
                    continue;
                }
                Effect::Scans { table, why: Scan::SetNotNull { column } } => {
                    wanted.extend(value(position, table, column, model));
                    continue;
                }
                _ => continue,
            };
            let Some(table) = object.table.as_ref().filter(|table| matches!(table.id, Id::Oid(_))) else { continue };
            let first = first_names.entry(table.id).or_insert_with(|| table.name.clone()).clone();
            let there = model.find(&as_written(&first));
            match (&object.kind, &object.part) {
                (ObjectKind::Column, Some(column)) => {
                    let original = first_columns.remove(&(table.id, column.clone())).unwrap_or_else(|| column.clone());
                    if let Some(new_name) = new_name {
                        first_columns.insert((table.id, new_name.clone()), original.clone());
                    }
                    if there.is_none_or(|relation| !relation.columns.iter().any(|column| column.name == original)) {
                        wanted.push(Wanted {
                            step: position,
                            table: first,
                            what: What::Column(object.clone(), original),
                        });
                    }
                }
                (
                    ObjectKind::Table
                    | ObjectKind::PartitionedTable
                    | ObjectKind::View
                    | ObjectKind::MaterializedView
                    | ObjectKind::ForeignTable,
                    None,
                ) if there.is_none() => {
                    wanted.push(Wanted { step: position, table: first, what: What::Table(object.clone()) });
                }
                _ => {}
            }
        }
    }
    wanted
}

fn value(step: usize, table: &Target, column: &str, model: &Model) -> Option<Wanted> {
    let relation = model.relation(table.id).filter(|relation| !relation.dropped && !relation.created_here)?;
    let known = relation.columns.iter().find(|known| known.name == column)?;
    let must_be_given =
        known.not_null && known.default.is_none() && known.identity.is_none() && known.generated.is_none();
    let what = What::Value(table.clone(), column.to_string());
    must_be_given.then(|| Wanted { step, table: table.name.clone(), what })
}

fn as_written(name: &QualifiedName) -> NameAsWritten {
    NameAsWritten { schema: Some(name.schema.raw().to_string()), name: name.name.raw().to_string() }
}

/// Those whose text holds one of the names at all.
fn users(wanted: &[Wanted], steps: &[Step]) -> Vec<(Vec<Uses>, User)> {
    let mut words: Vec<String> = wanted.iter().map(|wanted| wanted.table.name.raw().to_string()).collect();
    words.sort_unstable();
    words.dedup();
    let mut users = Vec::new();
    let statements = db::read_only(|| facts::statements(&Database::read(), STATEMENTS)).ok().flatten();
    for statement in statements.into_iter().flatten() {
        db::check_for_interrupts();
        let text = statement.text.to_lowercase();
        let ours = statement.text.starts_with(db::MARK.trim_end());
        if ours || !statement.top_level || !words.iter().any(|word| text.contains(&word.to_lowercase())) {
            continue;
        }
        let user = User {
            name: format!("query {}", statement.query_id),
            text: shortened(&statement.text),
            calls: Some(statement.calls),
        };
        users.push((of_query(&statement.text), user));
    }
    let made_anew = |name: &str| {
        steps.iter().any(|step| {
            matches!(&step.statement, Statement::CreateFunction { name: parts, .. } if parts.last().is_some_and(|own| own == name))
                || matches!(&step.statement, Statement::Drop(drop) if drop.kind == ObjectKind::Function
                    && drop.objects.iter().any(|parts| parts.last().is_some_and(|own| own == name)))
        })
    };
    let functions =
        db::read(include_str!("../../../sql/facts/migration_function_bodies.sql"), &[words.into()], |row| {
            (row.take::<String>(), row.take::<String>(), row.take::<String>(), row.take::<String>())
        });
    for (name, signature, language, body) in functions {
        if !made_anew(&name) {
            let user = User { name: format!("function {signature}"), text: shortened(&body), calls: None };
            users.push((of_function(&language, &body), user));
        }
    }
    users
}
