//! SET DATA TYPE: what is written anew, what is built anew, what is checked again.

use super::columns::Found;
use super::work::Work;
use crate::db::quote_identifier;
use crate::facts::migration::statement::{ConstraintKind, TypeAsWritten};
use crate::facts::migration::{Build, Column, Dropped, Failure, Id, Index, LockMode, ObjectKind, Rewrite, Scan};

impl Work<'_> {
    pub fn set_type(&mut self, name: &str, to: &TypeAsWritten, collation: Option<&str>, using: Option<&str>) {
        if !self.has_column(name) {
            return;
        }
        if to.serial {
            // Only a column definition may say so.
            let message = format!("type \"{}\" does not exist", to.text);
            return self.out.fails(Failure::Other { message }, "42704");
        }
        let Some(mut found) = self.find_type(to) else { return };
        if let Some(collation) = collation {
            match self.judge.collation(collation) {
                Ok(oid) => found.resolved.collation = oid,
                Err(caught) => return self.refused(&caught),
            }
        }
        let relation = self.relation(self.id);
        if relation.partition_columns.iter().flatten().any(|column| column == name) {
            let message =
                format!("cannot alter column {} because it is part of the partition key", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        if relation.is_partition
            || relation
                .parents
                .iter()
                .any(|parent| self.model.relation(*parent).is_some_and(|parent| parent.column(name).is_some()))
        {
            let message = format!("cannot alter inherited column {}", quote_identifier(name));
            return self.out.fails(Failure::Other { message }, "42P16");
        }
        for id in self.recursed() {
            self.set_type_of(id, name, &found, using);
            if self.out.certainly_fails() {
                return;
            }
        }
    }

    fn set_type_of(&mut self, id: Id, name: &str, to: &Found, using: Option<&str>) {
        let relation = self.relation(id).clone();
        let Some(column) = relation.column(name) else { return };
        let users = relation.dependents.iter().filter(|user| {
            let blocks = matches!(
                user.kind,
                ObjectKind::View
                    | ObjectKind::MaterializedView
                    | ObjectKind::Rule
                    | ObjectKind::Policy
                    | ObjectKind::Trigger
                    | ObjectKind::Function
                    | ObjectKind::Publication
            );
            blocks && user.columns.iter().any(|used| used == name)
        });
        let users: Vec<_> = users.cloned().collect();
        let generated = relation
            .columns
            .iter()
            .any(|other| other.name != name && super::columns::names(other.generated.as_deref().unwrap_or(""), name));
        if !users.is_empty() || generated {
            let object = Dropped {
                kind: ObjectKind::Column,
                name: format!("{}.{}", relation.name, quote_identifier(name)),
                table: self.model.target(id),
                part: Some(name.to_string()),
                rows: relation.rows,
                bytes: 0,
            };
            return self.out.fails(Failure::DependentsExist { object, dependents: users }, "0A000");
        }
        let Some(rewrites) = self.type_change_rewrites(&relation, column, to, using) else { return };
        if rewrites {
            let (from, to) = (column.type_name.clone(), to.name.clone());
            self.rewrite(id, Rewrite::TypeChange { column: name.to_string(), from, to });
        }
        self.rebuild_indexes(id, column, to, rewrites);
        self.too_long(id, column, to);
        let relation = self.model.relation_mut(id);
        if let Some(changed) =
            relation.and_then(|relation| relation.columns.iter_mut().find(|known| known.name == name))
        {
            changed.type_name = to.name.clone();
            changed.type_oid = to.resolved.oid;
            changed.typmod = to.resolved.typmod;
            changed.collation = to.resolved.collation;
        }
        self.rebuild_dependents(id, name);
    }

    /// By statistics its texts are longer than the new type takes.
    fn too_long(&mut self, id: Id, column: &Column, to: &Found) {
        const HEADER: f64 = 1.0;
        let texts = [pgrx::pg_sys::VARCHAROID.to_u32(), pgrx::pg_sys::BPCHAROID.to_u32()];
        let rows = self.relation(id).rows;
        let Some(width) = column.width.filter(|_| texts.contains(&to.resolved.oid) && rows >= 1.0) else { return };
        // The modifier is the length with four bytes of a header.
        let longest = f64::from(to.resolved.typmod - 4);
        if longest > 0.0 && width - HEADER > longest {
            let message = format!(
                "value too long for type {}: by the statistics of the last ANALYZE values of {} have {:.0} bytes on average",
                to.name,
                quote_identifier(&column.name),
                width - HEADER
            );
            self.out.may_fail(Failure::Other { message }, "22001");
        }
    }

    /// None: it cannot be told, or fails, and that is said.
    fn type_change_rewrites(
        &mut self,
        relation: &crate::facts::migration::Relation,
        column: &Column,
        to: &Found,
        using: Option<&str>,
    ) -> Option<bool> {
        if column.type_oid == 0 || to.resolved.oid == 0 {
            // Types that the migration itself makes: an enum, range or composite type shares its form with no other type.
            let domain = to.id.and_then(|id| self.domain(id));
            if column.type_name == to.name && using.is_none() {
                return Some(false);
            }
            if domain == Some(false) {
                self.out
                    .not_judged(format!("whether {} and {} have the same form: made here", column.type_name, to.name));
                return None;
            }
            return Some(true);
        }
        // A call of a function is never the old value.
        if using.is_some_and(|using| self.own_function(using).is_some()) {
            return Some(true);
        }
        let constrained = |oid: u32| self.is_constrained(Id::Oid(oid));
        match self.judge.type_change_rewrites(relation, column, to.resolved, using, constrained) {
            Ok(rewrites) => Some(rewrites),
            Err(caught) => {
                // A DEFAULT or USING of what this very statement adds cannot be analyzed: then it is said.
                self.refused(&caught);
                None
            }
        }
    }

    /// Indexes on the column are made again; without a rewrite they keep their files where class and collation stay.
    fn rebuild_indexes(&mut self, id: Id, column: &Column, to: &Found, rewrites: bool) {
        let relation = self.relation(id).clone();
        for index in relation.indexes.iter().filter(|index| index.uses(&column.name)) {
            self.out.lock(self.model, index.id, LockMode::AccessExclusive);
            if let Some(parent) = index.parent {
                self.out.lock(self.model, parent, LockMode::AccessExclusive);
            }
            if rewrites || self.keeps_its_file(index, column, to) {
                continue;
            }
            let name = index.name.to_string();
            self.scan(id, Scan::Index);
            self.build(id, name, Build::TypeChange);
        }
    }

    /// CheckIndexCompatible() of the server.
    fn keeps_its_file(&self, index: &Index, column: &Column, to: &Found) -> bool {
        if index.partial || !index.valid || index.columns.iter().any(Option::is_none) {
            return false;
        }
        index.columns.iter().enumerate().all(|(position, key)| {
            if key.as_deref() != Some(&column.name) {
                return true;
            }
            let (old_class, old_collation) = (index.classes.get(position), index.collations.get(position));
            let (Some(old_class), Some(old_collation)) = (old_class, old_collation) else {
                // Made by the migration: on an empty table, or by classes that follow the type.
                return column.collation == to.resolved.collation;
            };
            let by_default = self.judge.default_class(column.type_oid, &index.method) == *old_class;
            let new_class = match by_default {
                true => self.judge.default_class(to.resolved.oid, &index.method),
                false => *old_class,
            };
            // A collation of the index's own stays.
            let new_collation = if *old_collation == column.collation { to.resolved.collation } else { *old_collation };
            let same_form = column.type_oid == to.resolved.oid || !self.judge.is_polymorphic(new_class);
            new_class == *old_class && new_collation == *old_collation && same_form
        })
    }

    /// Constraints that the column is in are made again: rows are checked again, and other tables are locked.
    pub fn rebuild_dependents(&mut self, id: Id, column: &str) {
        let relation = self.relation(id).clone();
        let rewritten = self.is_rewritten(id);
        for constraint in relation.constraints.iter().filter(|one| one.columns.iter().any(|used| used == column)) {
            match (constraint.kind, constraint.references) {
                (ConstraintKind::Check, _) if constraint.validated => {
                    self.scan(id, Scan::TypeChange);
                }
                (ConstraintKind::ForeignKey, Some(parent)) => {
                    self.still_refers(
                        &constraint.name,
                        (id, &constraint.columns),
                        (parent, &constraint.referenced_columns),
                    );
                    self.lock_with_partitions(parent, LockMode::AccessExclusive);
                    if constraint.validated && rewritten {
                        self.scan(id, Scan::ForeignKey { constraint: constraint.name.clone() });
                    }
                }
                _ => {}
            }
        }
        let referring: Vec<(Id, crate::facts::migration::Constraint)> = self
            .model
            .referring(id)
            .filter(|(_, constraint)| constraint.referenced_columns.iter().any(|used| used == column))
            .map(|(other, constraint)| (other.id, constraint.clone()))
            .collect();
        for (other, constraint) in referring {
            self.still_refers(&constraint.name, (other, &constraint.columns), (id, &constraint.referenced_columns));
            self.lock_with_partitions(other, LockMode::AccessExclusive);
            if constraint.validated && rewritten {
                self.scan(other, Scan::ForeignKey { constraint: constraint.name.clone() });
            }
        }
    }

    /// Or the foreign key cannot be made again.
    fn still_refers(&mut self, name: &str, from: (Id, &[String]), to: (Id, &[String])) {
        let type_of = |(id, name): (Id, &String)| Some(self.model.relation(id)?.column(name)?.type_oid);
        let mut pairs = from.1.iter().zip(to.1);
        let broken = pairs.find(|(own, other)| !self.may_refer((type_of((from.0, own)), type_of((to.0, other)))));
        let broken = broken.map(|(own, other)| (own.clone(), other.clone()));
        if let Some((own, other)) = broken {
            self.cannot_refer(Some(name), &own, &other);
        }
    }

    pub fn lock_with_partitions(&mut self, id: Id, mode: LockMode) {
        self.out.lock(self.model, id, mode);
        if self.model.relation(id).is_some_and(|relation| relation.kind == ObjectKind::PartitionedTable) {
            for part in self.model.descendants(id) {
                self.out.lock(self.model, part, mode);
            }
        }
    }
}
