//! ADD FOREIGN KEY: first for new rows, then for those that are there.

use super::planned::{BRIEF, brief, validate};
use super::{Catalog, chosen_name, partitions_of, python};
use crate::db::quote_identifier;
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{ConstraintDefinition, Reference};
use crate::facts::migration::{LockMode, ObjectKind, Phase, PlannedStatement, Relation};

pub fn added(
    table: &Relation,
    constraint: &ConstraintDefinition,
    catalog: &impl Catalog,
) -> Result<Vec<PlannedStatement>, String> {
    let columns: Vec<&str> = constraint.columns.iter().map(String::as_str).collect();
    let reference = constraint.references.as_ref().ok_or("What it refers to is not known.")?;
    let parent = catalog.find(&reference.table).ok_or("The table that it refers to is not known.")?;
    let name = constraint.name.clone().unwrap_or_else(|| chosen_name(catalog, &table.name, &columns, "fkey"));
    let key = Key { constraint, reference, parent, name: &name };
    if table.kind != ObjectKind::PartitionedTable {
        return Ok(key.not_valid(table).into());
    }
    let (mut plan, mut validations) = (Vec::new(), Vec::new());
    for partition in key.leaves(table, catalog)? {
        let [add, validate] = key.not_valid(partition);
        plan.push(add);
        validations.push(validate);
    }
    plan.extend(validations);
    let sql = format!("ALTER TABLE {} ADD {};", table.name, key.named());
    plan.push(brief(
        Phase::Expand,
        sql,
        LockMode::ShareRowExclusive,
        &format!("{} and {}", table.name, parent.name),
        "The partitions' validated keys become part of it: no row is read.",
    ));
    Ok(plan)
}

struct Key<'a> {
    constraint: &'a ConstraintDefinition,
    reference: &'a Reference,
    parent: &'a Relation,
    name: &'a str,
}

impl Key<'_> {
    fn named(&self) -> String {
        match self.constraint.name {
            Some(_) => self.constraint.text.clone(),
            None => format!("CONSTRAINT {} {}", quote_identifier(self.name), self.constraint.text),
        }
    }

    /// ADD … NOT VALID and VALIDATE.
    fn not_valid(&self, table: &Relation) -> [PlannedStatement; 2] {
        let parent = &self.parent.name;
        let sql = format!("ALTER TABLE {} ADD {} NOT VALID;", table.name, self.named());
        let on = format!("{} and {parent}", table.name);
        let why = format!("Holds for new rows at once; those that are there are not read. {BRIEF}");
        let add = brief(Phase::Expand, sql, LockMode::ShareRowExclusive, &on, &why);
        let add = match self.operation(&table.name) {
            Some(operation) => add.operation(operation),
            None => add,
        };
        [add, validate(&table.name, &quote_identifier(self.name), Some(&parent.to_string()))]
    }

    /// NOT VALID is an error on a partitioned table of PostgreSQL 17: each partition gets its own, of the same name.
    fn leaves<'a>(&self, table: &Relation, catalog: &'a impl Catalog) -> Result<Vec<&'a Relation>, String> {
        let mut leaves = Vec::new();
        for partition in partitions_of(catalog, table).ok_or("A partition of it is not known.")? {
            match partition.kind {
                ObjectKind::PartitionedTable => leaves.extend(self.leaves(partition, catalog)?),
                ObjectKind::Table => leaves.push(partition),
                _ => return Err(format!("{} is no table.", partition.name)),
            }
        }
        Ok(leaves)
    }

    fn operation(&self, table: &QualifiedName) -> Option<String> {
        let (constraint, reference) = (self.constraint, self.reference);
        if reference.columns.is_empty() || constraint.text.to_ascii_uppercase().contains("MATCH") {
            return None;
        }
        // `SET NULL (column)` has no operation.
        if [reference.on_delete, reference.on_update].iter().any(|action| action.starts_with("SET")) {
            return None;
        }
        let mut options = String::new();
        for (option, action) in [("onupdate", reference.on_update), ("ondelete", reference.on_delete)] {
            if action != "NO ACTION" {
                options.push_str(&format!(", {option}={}", python::literal(action)));
            }
        }
        if constraint.deferrable {
            let initially = if constraint.initially_deferred { "DEFERRED" } else { "IMMEDIATE" };
            options.push_str(&format!(", deferrable=True, initially={}", python::literal(initially)));
        }
        Some(format!(
            "op.create_foreign_key({}, {}, {}, [{}], [{}], source_schema={}, referent_schema={}{options}, postgresql_not_valid=True)",
            python::literal(self.name),
            python::literal(table.name.raw()),
            python::literal(self.parent.name.name.raw()),
            python::list(&constraint.columns),
            python::list(&reference.columns),
            python::literal(table.schema.raw()),
            python::literal(self.parent.name.schema.raw()),
        ))
    }
}
