//! What DROP takes, and how it comes back: all that depends on it, in an order that works.

use super::definitions::definitions;
use super::state::{Address, Known};
use super::units::{self, Node, Units};
use super::{Values, Walk, catalog, gone_rows, name, word};
use crate::db;
use crate::facts::migration::statement::Drop;
use crate::facts::migration::{NameAsWritten, ObjectKind};
use pgrx::pg_sys::{self, Oid};

/// An object that comes back as a whole.
struct Restored {
    identity: String,
    kind: String,
    statements: Vec<String>,
    rows: Option<f64>,
    note: Option<String>,
    values: Values,
}

/// All that goes with what is dropped.
struct Closure {
    restored: Vec<Restored>,
    /// When those are there.
    later: Vec<(String, Option<String>)>,
    all: Vec<Address>,
}

impl Walk {
    pub(super) fn drop(&mut self, drop: &Drop) {
        for (position, object) in drop.objects.iter().enumerate() {
            match drop.kind {
                ObjectKind::Trigger | ObjectKind::Policy | ObjectKind::Rule => self.drop_part(drop.kind, object),
                ObjectKind::Function => {
                    self.drop_function(&name(object), drop.arguments.get(position).and_then(Option::as_deref));
                }
                ObjectKind::Other | ObjectKind::Role | ObjectKind::Database | ObjectKind::Default => {
                    self.note("What this drops is not brought back by this function: keep its definition.");
                }
                kind => self.drop_named(kind, &name(object)),
            }
        }
    }

    fn drop_named(&mut self, kind: ObjectKind, name: &NameAsWritten) {
        let Some((key, known)) = self.state.find(kind, name) else { return };
        self.state.set(kind, key, Known::Gone);
        match known {
            Known::Created(entries) => entries.into_iter().for_each(|at| self.undos[at].cancelled = true),
            Known::Original(address, _) => {
                if address.class == pg_sys::RelationRelationId.to_u32() {
                    self.cancel(address.oid, None);
                    self.renames.retain(|renamed| renamed.relation != Some(address.oid));
                }
                self.restore_dropped(&[address]);
            }
            Known::Gone => {}
        }
    }

    fn drop_function(&mut self, name: &NameAsWritten, arguments: Option<&str>) {
        if let Some((key, Known::Created(entries))) = self.state.find(ObjectKind::Function, name) {
            let spaceless = |text: &str| text.split_whitespace().collect::<String>();
            let own = format!("({});", spaceless(arguments.unwrap_or_default()));
            let of_own = |at: &usize| self.undos[*at].sql.as_deref().is_some_and(|sql| spaceless(sql).ends_with(&own));
            let dropped = entries.iter().copied().find(of_own).or(entries.first().copied());
            dropped.into_iter().for_each(|at| self.undos[at].cancelled = true);
            let left: Vec<usize> = entries.into_iter().filter(|at| Some(*at) != dropped).collect();
            let known = if left.is_empty() { Known::Gone } else { Known::Created(left) };
            return self.state.set(ObjectKind::Function, key, known);
        }
        let candidates = self.state.functions(name);
        let found = match (candidates.as_slice(), arguments) {
            ([(_, only)], _) => Some(*only),
            (_, Some(arguments)) => candidates.iter().map(|(_, f)| *f).find(|f| has_arguments(*f, arguments)),
            _ => None,
        };
        match found {
            Some(address) => self.restore_dropped(&[address]),
            None if candidates.is_empty() => {}
            None => self.note("Which of the functions of this name it drops is not told: none is brought back."),
        }
    }

    fn drop_part(&mut self, kind: ObjectKind, object: &[String]) {
        let Some((own, relation)) = object.split_last() else { return };
        let Some((_, Known::Original(relation, _))) = self.state.relation(&name(relation)) else { return };
        self.drop_part_of(relation.oid, word(kind).to_lowercase(), own);
    }

    /// A constraint, trigger, rule or policy of a relation that was there before.
    pub(super) fn drop_part_of(&mut self, relation: u32, kind: String, own: &str) {
        let known = ["constraint", "trigger", "rule", "policy"].into_iter().find(|known| *known == kind);
        let key = known.map(|kind| (relation, kind, own.to_string()));
        if let Some(entries) = key.as_ref().and_then(|key| self.state.parts.remove(key)) {
            entries.into_iter().for_each(|at| self.undos[at].cancelled = true);
            return;
        }
        let mut own = own.to_string();
        if let Some((original, entries)) = key.and_then(|key| self.state.renamed_parts.remove(&key)) {
            entries.into_iter().for_each(|at| self.undos[at].cancelled = true);
            self.renames.retain(|renamed| renamed.relation != Some(relation) || renamed.old != original);
            own = original;
        }
        let parts: Vec<Address> = catalog::parts(relation, &kind, &own).into_iter().map(|part| part.address).collect();
        self.restore_dropped(&parts);
    }

    /// Entries that bring these objects back, and all that goes with them.
    pub(super) fn restore_dropped(&mut self, roots: &[Address]) {
        let first = self.undos.len();
        let Closure { restored, later, all } = self.closure(roots);
        for object in restored {
            let holds_rows = matches!(object.kind.as_str(), "table" | "table column") && object.rows != Some(0.0);
            let note = match object.kind.as_str() {
                "table" if holds_rows => Some(format!(
                    "The rows do not come back. To keep them, run before the migration: CREATE TABLE {} AS TABLE {};",
                    saved_name(&object.identity),
                    object.identity
                )),
                "table column" if holds_rows => Some(format!(
                    "The values do not come back: only a copy of {} from before the migration, or a backup, has them.",
                    object.identity
                )),
                "materialized view" => Some("Its query runs again, which may take its time.".to_string()),
                _ if object.note.is_some() => object.note.clone(),
                _ if object.statements.is_empty() => Some(format!(
                    "The {} {} is not brought back by this function: keep its definition.",
                    object.kind, object.identity
                )),
                _ => None,
            };
            let sql = object.statements.join("\n");
            let at = match sql.is_empty() {
                true => self.push(None, note),
                false => self.restore(sql, note),
            };
            self.undos[at].loses_data = holds_rows;
            self.undos[at].rows = object.rows.filter(|_| holds_rows);
            self.undos[at].values = object.values;
        }
        for (sql, note) in later {
            self.restore(sql, note);
        }
        // They need each other: all wait for the names that one of them needs.
        let place = self.undos[first..].iter().map(|undo| undo.place).min();
        for undo in &mut self.undos[first..] {
            undo.place = place.unwrap_or(self.step);
        }
        if let Some(undo) = self.undos.get_mut(first) {
            undo.restores = all;
        }
    }

    fn closure(&mut self, roots: &[Address]) -> Closure {
        let nodes: Vec<Node> =
            units::read(roots).into_iter().filter(|node| !self.state.dropped.contains(&node.address)).collect();
        let all: Vec<Address> = nodes.iter().map(|node| node.address).collect();
        self.state.dropped.extend(all.iter().copied());
        let units = Units::of(nodes);
        let mut definitions = definitions(&units);
        let order = units.in_order();
        let mut values = gone_rows::values(&units, &order, &definitions);
        gone_rows::adapt(&units, &order, &mut definitions);
        let restored = order.into_iter().filter_map(|unit| {
            let node = &units.nodes[units.positions[&unit]];
            let statements = definitions.statements.remove(&unit).unwrap_or_default();
            let note = definitions.notes.remove(&unit);
            // Parts that come with their whole: of a partition from its parent, of a view its columns.
            let comes_by_itself = matches!(
                node.kind.as_str(),
                "table constraint"
                    | "trigger"
                    | "default value"
                    | "view column"
                    | "toast table"
                    | "index"
                    | "composite type"
            );
            (!statements.is_empty() || !comes_by_itself).then(|| Restored {
                identity: node.identity.clone(),
                kind: node.kind.clone(),
                statements,
                rows: node.rows,
                note,
                values: values.remove(&unit).unwrap_or_default(),
            })
        });
        let restored = restored.collect();
        Closure { restored, later: definitions.later, all }
    }
}

fn saved_name(identity: &str) -> String {
    format!("{}_saved", identity.trim_end_matches('"')) + if identity.ends_with('"') { "\"" } else { "" }
}

fn has_arguments(function: Address, arguments: &str) -> bool {
    let sql = "select pg_catalog.oidvectortypes(p.proargtypes) = (
            select coalesce(pg_catalog.string_agg(pg_catalog.format_type(pg_catalog.to_regtype(a), null), ', '), '')
            from pg_catalog.unnest(pg_catalog.string_to_array($2, ',')) a
        ) from pg_catalog.pg_proc p where p.oid = $1";
    let read = db::guarded(|| {
        db::read(sql, &[Oid::from(function.oid).into(), arguments.into()], |row| row.take_option::<bool>()).pop()
    });
    read.ok().flatten().flatten() == Some(true)
}

/// The column of a relation, for what is said of it.
pub(super) fn column_of(relation: u32, number: i16) -> Address {
    Address { class: pg_sys::RelationRelationId.to_u32(), oid: relation, column: i32::from(number) }
}
