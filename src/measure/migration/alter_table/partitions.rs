//! ATTACH and DETACH PARTITION, and what a partition's bound says of its rows.

use super::FOREIGN_KEY_LOCK;
use super::bounds::{bound_condition, is_implied};
use super::work::Work;
use crate::db::quote_identifier;
use crate::facts::QualifiedName;
use crate::facts::migration::statement::Bound;
use crate::facts::migration::{
    Build, Constraint, Failure, Id, Index, LockMode, NameAsWritten, ObjectKind, Relation, Scan,
};
use crate::measure::migration::indexes::in_transaction;

impl Work<'_> {
    pub fn attach(&mut self, partition: &NameAsWritten, bound: &Bound) {
        let Some(part) = self.model.find(partition).cloned() else {
            return self.model.missing(&mut self.out, ObjectKind::Table, partition);
        };
        let parent = self.relation(self.id).clone();
        if !self.is_partitioned() {
            let message = format!("table {} is not partitioned", parent.name);
            return self.out.fails(Failure::Other { message }, "42809");
        }
        if part.is_partition {
            let message = format!("{} is already a partition", part.name);
            return self.out.fails(Failure::Other { message }, "42809");
        }
        if let Some(missing) = parent.columns.iter().find(|column| part.column(&column.name).is_none()) {
            let message = format!("child table is missing column {}", quote_identifier(&missing.name));
            return self.out.fails(Failure::Other { message }, "42804");
        }
        if let Some(surplus) = part.columns.iter().find(|column| parent.column(&column.name).is_none()) {
            let message = format!(
                "table {} contains column {} not found in the parent",
                part.name,
                quote_identifier(&surplus.name)
            );
            return self.out.fails(Failure::Other { message }, "42804");
        }
        self.lock_with_partitions(part.id, LockMode::AccessExclusive);
        if let Some(default) = parent.default_partition {
            self.lock_with_partitions(default, LockMode::AccessExclusive);
        }
        let condition = bound_condition(&parent, bound, &self.siblings(&parent));
        self.scan_attached(&parent, &part, condition.as_deref());
        if let Some(default) = parent.default_partition {
            self.scan_default(&parent, default, &part.name.to_string(), condition.as_deref());
        }
        self.attach_indexes(&parent, &part);
        self.attach_foreign_keys(&parent, &part);
        let (id, parent_id) = (part.id, parent.id);
        if let Some(relation) = self.model.relation_mut(id) {
            relation.parents = vec![parent_id];
            relation.is_partition = true;
            relation.bound = Some(bound.text.clone());
        }
        if let Some(relation) = self.model.relation_mut(parent_id) {
            relation.children.push(id);
            if bound.default {
                relation.default_partition = Some(id);
            }
        }
    }

    /// Bounds of the partitions that are there: what a default partition must not hold.
    fn siblings(&self, parent: &Relation) -> Vec<String> {
        let bounds = parent.children.iter().filter_map(|child| self.model.relation(*child)?.bound.clone());
        bounds.collect()
    }

    /// Every leaf is read whose rows are not known to be within the bound.
    fn scan_attached(&mut self, parent: &Relation, part: &Relation, condition: Option<&str>) {
        // A default partition of a table without others may hold anything.
        if condition == Some("true") {
            return;
        }
        let leaves: Vec<Id> = std::iter::once(part.id).chain(self.model.descendants(part.id)).collect();
        let implied = |work: &Work, id: Id| {
            condition.is_some_and(|condition| is_implied(&work.judge, work.relation(id), condition, true))
        };
        if implied(self, part.id) {
            return;
        }
        for leaf in leaves {
            if leaf == part.id || !implied(self, leaf) {
                self.scan(leaf, Scan::AttachPartition { parent: parent.name.to_string() });
            }
        }
    }

    fn scan_default(&mut self, parent: &Relation, default: Id, partition: &str, condition: Option<&str>) {
        let negated = condition.map(|condition| format!("not ({condition})"));
        let leaves: Vec<Id> = std::iter::once(default).chain(self.model.descendants(default)).collect();
        for leaf in leaves {
            let implied =
                negated.as_deref().is_some_and(|negated| is_implied(&self.judge, self.relation(leaf), negated, false));
            if !implied {
                let (parent, partition) = (parent.name.to_string(), partition.to_string());
                self.scan(leaf, Scan::DefaultPartition { parent, partition });
            }
        }
    }

    /// An index like each of the parent's is attached, or built.
    fn attach_indexes(&mut self, parent: &Relation, part: &Relation) {
        let mut taken: Vec<Id> = Vec::new();
        for index in &parent.indexes {
            self.out.lock(self.model, index.id, LockMode::ShareUpdateExclusive);
            let like = part.indexes.iter().find(|own| {
                own.parent.is_none()
                    && own.valid
                    && !taken.contains(&own.id)
                    && own.columns == index.columns
                    && own.include == index.include
                    && own.method == index.method
                    && own.unique == index.unique
                    && own.partial == index.partial
                    && has_constraint(part, own) >= has_constraint(parent, index)
            });
            if let Some(own) = like {
                taken.push(own.id);
                let relation = self.model.relation_mut(part.id);
                let own = relation.and_then(|relation| relation.indexes.iter_mut().find(|one| one.id == own.id));
                if let Some(own) = own {
                    own.parent = Some(index.id);
                }
                continue;
            }
            let columns: Vec<String> = index.columns.iter().flatten().cloned().collect();
            let name = format!("{}_{}_idx", part.name.name.raw(), columns.join("_"));
            let leaves = std::iter::once(part.id).chain(self.model.descendants(part.id));
            for leaf in leaves.collect::<Vec<_>>() {
                self.scan(leaf, Scan::Index);
                self.build(leaf, name.clone(), Build::Attach);
            }
            let id = self.model.new_id();
            let name = QualifiedName { schema: part.name.schema.clone(), name: name.into() };
            self.model
                .add_index(part.id, Index { id, name, parent: Some(index.id), created_here: true, ..index.clone() });
        }
    }

    /// The parent's foreign keys become the partition's, and are checked.
    fn attach_foreign_keys(&mut self, parent: &Relation, part: &Relation) {
        for constraint in &parent.constraints {
            let Some(referenced) = constraint.references else { continue };
            self.lock_with_partitions(referenced, FOREIGN_KEY_LOCK);
            let same = |own: &&Constraint| own.references == constraint.references && own.columns == constraint.columns;
            if part.constraints.iter().any(|own| same(&own) && own.validated) {
                continue;
            }
            for leaf in std::iter::once(part.id).chain(self.model.descendants(part.id)).collect::<Vec<_>>() {
                self.scan(leaf, Scan::ForeignKey { constraint: constraint.name.clone() });
            }
            self.put(part.id, Constraint { inherited: true, ..constraint.clone() });
        }
        // Those that refer to the parent refer to the partition, too.
        let referring: Vec<Id> = self.model.referring(parent.id).map(|(other, _)| other.id).collect();
        for other in referring {
            self.lock_with_partitions(other, FOREIGN_KEY_LOCK);
        }
    }

    pub fn detach(&mut self, partition: &NameAsWritten, concurrently: bool, finalize: bool) {
        let Some(part) = self.model.find(partition).cloned() else {
            return self.model.missing(&mut self.out, ObjectKind::Table, partition);
        };
        if concurrently && in_transaction(self.model, &mut self.out, "ALTER TABLE … DETACH PARTITION … CONCURRENTLY")
        {
            return;
        }
        let parent = self.relation(self.id).clone();
        if !part.parents.contains(&self.id) || !part.is_partition {
            let message = format!("{} is not a partition of {}", part.name, parent.name);
            return self.out.fails(Failure::Other { message }, "42P01");
        }
        let mode = LockMode::AccessExclusive;
        if let Some(default) = parent.default_partition {
            if concurrently {
                let message = "cannot detach partitions concurrently when a default partition exists".to_string();
                return self.out.fails(Failure::Other { message }, "55000");
            }
            self.out.lock(self.model, default, mode);
        }
        let _ = finalize;
        self.lock_with_partitions(part.id, mode);
        for index in part.indexes.iter().filter(|index| index.parent.is_some()) {
            self.out.lock(self.model, index.id, mode);
        }
        for constraint in part.constraints.iter().filter(|constraint| constraint.inherited) {
            if let Some(referenced) = constraint.references {
                self.lock_with_partitions(referenced, FOREIGN_KEY_LOCK);
            }
        }
        // What refers to the parent must not refer to a row that goes: it is looked for.
        let referring: Vec<(Id, String)> =
            self.model.referring(part.id).map(|(other, one)| (other.id, one.name.clone())).collect();
        for (other, constraint) in referring {
            self.lock_with_partitions(other, mode);
            self.scan(other, Scan::ForeignKey { constraint });
            if let Some(relation) = self.model.relation_mut(other) {
                relation.constraints.retain(|one| one.references != Some(part.id));
            }
        }
        let (id, parent_id) = (part.id, parent.id);
        if let Some(relation) = self.model.relation_mut(id) {
            relation.parents.clear();
            relation.is_partition = false;
            relation.bound = None;
            relation.indexes.iter_mut().for_each(|index| index.parent = None);
            relation.constraints.iter_mut().for_each(|constraint| constraint.inherited = false);
        }
        if let Some(relation) = self.model.relation_mut(parent_id) {
            relation.children.retain(|child| *child != id);
            relation.default_partition = relation.default_partition.filter(|default| *default != id);
        }
    }
}

fn has_constraint(relation: &Relation, index: &Index) -> bool {
    relation
        .constraints
        .iter()
        .any(|constraint| constraint.references.is_none() && constraint.index.as_deref() == Some(index.name.name.raw()))
}
