//! Columns: added, dropped, made NOT NULL, generated, identity.

use super::work::{Work, constraint_name, is_open};
use crate::db::quote_identifier;
use crate::facts::migration::statement::{ColumnDefinition, ConstraintKind, TypeAsWritten};
use crate::facts::migration::{Column, Effect, Failure, Id, ObjectKind, Rewrite, Scan, TypeKind};
use crate::measure::migration::judge::Resolved;

/// A type as a column definition names it.
pub struct Found {
    pub resolved: Resolved,
    pub name: String,
    /// Of one that users made.
    pub id: Option<Id>,
}

impl Work<'_> {
    /// None: the statement fails, or cannot be judged, and that is said.
    pub fn find_type(&mut self, written: &TypeAsWritten) -> Option<Found> {
        let text = if written.serial { serial_base(&written.text) } else { written.text.as_str() };
        if let Some(known) =
            plain_name(text).and_then(|name| self.model.find_type(&name)).filter(|known| known.created_here)
        {
            let resolved = Resolved { oid: 0, typmod: -1, collation: 0 };
            return Some(Found { resolved, name: known.name.to_string(), id: Some(known.id) });
        }
        match self.judge.resolve_type(text) {
            Ok(resolved) => {
                let name = self.judge.type_name(resolved);
                Some(Found { resolved, name, id: Some(Id::Oid(resolved.oid)) })
            }
            // An array or range of what the migration has made.
            Err(_) if self.model.types().any(|known| known.created_here && text.contains(known.name.name.raw())) => {
                let resolved = Resolved { oid: 0, typmod: -1, collation: 0 };
                Some(Found { resolved, name: text.to_string(), id: None })
            }
            // Of the columns of an extension's type no more is said than that they are there.
            Err(_) if self.cannot_tell => {
                let resolved = Resolved { oid: 0, typmod: -1, collation: 0 };
                Some(Found { resolved, name: text.to_string(), id: None })
            }
            Err(caught) => {
                self.refused(&caught);
                None
            }
        }
    }

    pub fn add_column(&mut self, definition: &ColumnDefinition, if_not_exists: bool) {
        let relation = self.relation(self.id);
        if relation.column(&definition.name).is_some() {
            if !if_not_exists {
                let name = format!("{}.{}", relation.name, quote_identifier(&definition.name));
                self.out.exists(ObjectKind::Column, name);
            }
            return;
        }
        if self.only && self.is_partitioned() && !relation.children.is_empty() {
            let message = "column must be added to child tables too".to_string();
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        let Some(of_type) = self.find_type(&definition.of_type) else { return };
        let Some(rewrite) = self.rewrite_of_added(definition, &of_type) else { return };
        let has_default =
            rewrite.is_some() || definition.default.as_ref().is_some_and(|default| !is_null(&default.text));
        let key = definition.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
        let not_null = definition.not_null || key || definition.of_type.serial || definition.identity.is_some();
        let column = Column {
            name: definition.name.clone(),
            number: 0,
            type_name: of_type.name.clone(),
            type_oid: of_type.resolved.oid,
            typmod: of_type.resolved.typmod,
            collation: of_type.resolved.collation,
            not_null,
            default: definition.default.as_ref().map(|default| default.text.clone()),
            identity: definition.identity.clone(),
            generated: definition.generated.as_ref().map(|generated| generated.text.clone()),
            default_changed: false,
            null_fraction: (!has_default).then_some(1.0),
            distinct: None,
            width: None,
            created_here: true,
        };
        for id in self.recursed() {
            // A child that has such a column keeps it.
            if self.relation(id).column(&column.name).is_some() {
                continue;
            }
            if let Some(why) = &rewrite {
                self.rewrite(id, why.clone());
            } else if not_null && !has_default {
                self.scan(id, Scan::SetNotNull { column: column.name.clone() });
                self.rows_stand_against(id, &column.name);
            }
            let table = self.model.target(id).expect("a relation of the model");
            if id == self.id && self.relation(id).kind != ObjectKind::Type {
                self.out.add(Effect::AddsColumn { table, column: column.clone(), has_default });
            }
            if let Some(relation) = self.model.relation_mut(id).filter(|relation| !is_open(relation)) {
                relation.columns.push(column.clone());
            }
        }
        for constraint in &definition.constraints {
            let mut constraint = constraint.clone();
            if constraint.columns.is_empty() {
                constraint.columns = vec![definition.name.clone()];
            }
            let is_given = definition.default.is_some() || definition.of_type.serial || definition.generated.is_some();
            self.add_constraint_to_added(&constraint, is_given);
            let unique = matches!(constraint.kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey);
            if unique && rewrite.is_none() && has_default {
                self.same_value_everywhere(&column.name);
            }
        }
    }

    /// Why every row is written; the outer None: it cannot be told, and that is said.
    fn rewrite_of_added(&mut self, definition: &ColumnDefinition, of_type: &Found) -> Option<Option<Rewrite>> {
        let column = definition.name.clone();
        if definition.of_type.serial {
            return Some(Some(Rewrite::Serial { column }));
        }
        if definition.identity.is_some() {
            return Some(Some(Rewrite::Identity { column }));
        }
        if definition.generated.is_some() {
            return Some(Some(Rewrite::StoredGenerated { column }));
        }
        let constrained = of_type.id.is_some_and(|id| self.is_constrained(id));
        if constrained {
            return Some(Some(Rewrite::ConstrainedDomain { column, domain: of_type.name.clone() }));
        }
        let Some(default) = &definition.default else {
            // A domain may have a default of its own; that of one that users made is not looked into beyond being there.
            return Some(None);
        };
        match self.own_function(&default.text) {
            Some('v') => return Some(Some(Rewrite::VolatileDefault { column, default: default.text.clone() })),
            Some(_) => return Some(None),
            None => {}
        }
        if of_type.resolved.oid == 0 {
            // Of a type that the migration makes only literals can be defaults, or calls of functions.
            if default.text.contains('(') {
                self.out.not_judged(format!("whether {} is volatile: its type is made here", default.text));
            }
            return Some(None);
        }
        match self.judge.default_is_volatile(&default.text, of_type.resolved) {
            Ok(true) => Some(Some(Rewrite::VolatileDefault { column, default: default.text.clone() })),
            Ok(false) => Some(None),
            Err(caught) => {
                self.refused(&caught);
                self.cannot_tell.then_some(None)
            }
        }
    }

    /// One default for all rows of a column that is to be unique.
    fn same_value_everywhere(&mut self, column: &str) {
        let Some(table) = self.model.target(self.id).filter(|table| table.rows >= 2.0 && !table.private) else {
            return;
        };
        let (rows, certain) = (table.rows, !table.rows_guessed);
        let basis = "the default, which is the same for every row".to_string();
        let why = Failure::DuplicatesExist { table, columns: vec![column.to_string()], rows, basis };
        self.out.add(Effect::Fails { why, sqlstate: "23505", certain });
    }

    /// NOT NULL without a default: rows that are there would have none.
    fn rows_stand_against(&mut self, id: Id, column: &str) {
        let Some(table) = self.model.target(id).filter(|table| table.rows >= 1.0 && !table.private) else { return };
        let what = format!("column {} is NOT NULL and has no default", quote_identifier(column));
        let why = Failure::RowsExist { table, what };
        self.out.add(Effect::Fails { why, sqlstate: "23502", certain: false });
    }

    /// Those that a serial or identity column owns.
    pub fn sequences_of(&self, id: Id, column: &str) -> Vec<Id> {
        let relation = self.relation(id);
        let Some(column) = relation.column(column) else { return Vec::new() };
        let is_named = |sequence: &Id| {
            let Some(sequence) = self.model.relation(*sequence) else { return false };
            let usual = format!("{}_{}_seq", relation.name.name.raw(), column.name);
            let default = column.default.as_deref().unwrap_or("");
            sequence.name.name.raw() == usual || default.contains(sequence.name.name.raw())
        };
        relation.sequences.iter().copied().filter(is_named).collect()
    }

    /// A name for a constraint that the statement does not name.
    pub fn name_constraint(&self, id: Id, name: Option<&String>, kind: ConstraintKind, columns: &[String]) -> String {
        name.cloned().unwrap_or_else(|| constraint_name(self.relation(id), kind, columns))
    }

    /// The type is a domain, and whether it has constraints.
    pub fn domain(&self, id: Id) -> Option<bool> {
        let known = self.model.type_of(id)?;
        (known.kind == TypeKind::Domain).then(|| self.is_constrained(id))
    }
}

fn is_null(default: &str) -> bool {
    default.trim().eq_ignore_ascii_case("null")
}

/// The text of an expression has the column's name in it, as a word.
pub fn names(expression: &str, column: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    expression.match_indices(column).any(|(start, found)| {
        let before = expression[..start].chars().next_back();
        let after = expression[start + found.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn serial_base(text: &str) -> &'static str {
    let name = text.rsplit('.').next().unwrap_or(text).trim_matches('"').to_lowercase();
    match name.as_str() {
        "smallserial" | "serial2" => "pg_catalog.int2",
        "bigserial" | "serial8" => "pg_catalog.int8",
        _ => "pg_catalog.int4",
    }
}

/// `schema.name` or `name`, of a type without modifiers.
pub fn plain_name(text: &str) -> Option<crate::facts::migration::NameAsWritten> {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"')?;
            parts.push(quoted[..end].to_string());
            rest = &quoted[end + 1..];
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(rest.len());
            parts.push(rest[..end].to_lowercase());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let name = parts.pop().filter(|name| !name.is_empty() && rest.is_empty())?;
    Some(crate::facts::migration::NameAsWritten { schema: parts.pop(), name })
}
