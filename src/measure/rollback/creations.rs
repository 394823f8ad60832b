//! What a migration creates is dropped; what it replaces comes back.

use super::state::{Address, Key, Known, TEMPORARY};
use super::{Walk, catalog, name, word};
use crate::advice::migration_rollback::arguments;
use crate::db::{self, quote_identifier};
use crate::facts::migration::statement::CreateIndex;
use crate::facts::migration::{NameAsWritten, ObjectKind, Statement};
use pgrx::pg_sys::Oid;

/// Of what is created together with its rows.
const ROWS: &str = "Rows that are written to it from now on go with it.";

impl Walk {
    pub(super) fn create_or_change(&mut self, statement: &Statement) {
        use ObjectKind as Kind;
        match statement {
            Statement::CreateTable(create) => {
                let kind = if create.foreign { Kind::ForeignTable } else { Kind::Table };
                self.created(kind, &create.name, create.temporary, create.if_not_exists, Some(ROWS));
            }
            Statement::CreateTableAs { name, materialized_view: true, if_not_exists, .. } => {
                self.created(Kind::MaterializedView, name, false, *if_not_exists, None);
            }
            Statement::CreateTableAs { name, temporary, if_not_exists, .. } => {
                self.created(Kind::Table, name, *temporary, *if_not_exists, Some(ROWS));
            }
            Statement::CreateView { name, replace, .. } => self.create_view(name, *replace),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::CreateSequence { name, if_not_exists, temporary, .. } => {
                self.created(Kind::Sequence, name, *temporary, *if_not_exists, None);
            }
            Statement::CreateType { name, .. } => self.created(Kind::Type, name, false, false, None),
            Statement::CreateDomain { name, .. } => self.created(Kind::Domain, name, false, false, None),
            Statement::CreateExtension { name, if_not_exists } => {
                let name = NameAsWritten { schema: None, name: name.clone() };
                self.created(Kind::Extension, &name, false, *if_not_exists, None);
            }
            Statement::CreateStatistics { name: Some(name), .. } => {
                self.created(Kind::Statistics, name, false, false, None);
            }
            Statement::CreateStatistics { .. } => {
                self.note("The server gives the statistics their name: drop them by that.")
            }
            Statement::Publication { name, create: true, .. } => {
                let name = NameAsWritten { schema: None, name: name.clone() };
                self.created(Kind::Publication, &name, false, false, None);
            }
            Statement::CreateSchema { name, if_not_exists, elements } => {
                self.create_schema(name, *if_not_exists, elements);
            }
            Statement::CreateFunction { name: parts, replace, .. } => self.create_function(&name(parts), *replace),
            Statement::CreateTrigger { name, relation, replace, .. } => {
                self.create_part("trigger", name, relation, *replace);
            }
            Statement::CreateRule { name, relation, replace } => self.create_part("rule", name, relation, *replace),
            Statement::Policy { name, relation, create: true } => self.create_part("policy", name, relation, false),
            other => self.change(other),
        }
    }

    fn created(
        &mut self,
        kind: ObjectKind,
        name: &NameAsWritten,
        temporary: bool,
        unless_there: bool,
        note: Option<&str>,
    ) {
        let mut key = self.key(kind, name);
        if temporary {
            // It ends with the session.
            key.0 = TEMPORARY.to_string();
            return self.state.set(kind, key, Known::Created(Vec::new()));
        }
        if unless_there && self.is_there(kind, &key) {
            return;
        }
        let at = self.undo(format!("DROP {} {};", word(kind), shown(kind, &key)));
        self.undos[at].note = note.map(str::to_string);
        self.state.set(kind, key, Known::Created(vec![at]));
    }

    fn key(&self, kind: ObjectKind, name: &NameAsWritten) -> Key {
        match kind {
            ObjectKind::Schema | ObjectKind::Extension | ObjectKind::Publication => (String::new(), name.name.clone()),
            _ => self.state.place(name),
        }
    }

    fn is_there(&self, kind: ObjectKind, key: &Key) -> bool {
        let name =
            NameAsWritten { schema: Some(key.0.clone()).filter(|schema| !schema.is_empty()), name: key.1.clone() };
        self.state.find(kind, &name).is_some()
    }

    fn create_schema(&mut self, name: &str, if_not_exists: bool, elements: &[Statement]) {
        let key = (String::new(), name.to_string());
        if if_not_exists && self.is_there(ObjectKind::Schema, &key) {
            return;
        }
        self.state.set(ObjectKind::Schema, key.clone(), Known::Created(Vec::new()));
        let path = self.state.path.clone();
        self.state.path.insert(0, name.to_string());
        let mut parts = Vec::new();
        let at = self.undo(format!("DROP SCHEMA {};", quote_identifier(name)));
        parts.push(at..at + 1);
        self.state.set(ObjectKind::Schema, key, Known::Created(vec![at]));
        for element in elements {
            let first = self.undos.len();
            self.create_or_change(element);
            parts.push(first..self.undos.len());
        }
        self.last_first(parts);
        self.state.path = path;
    }

    fn create_index(&mut self, create: &CreateIndex) {
        let Some((table, known)) = self.state.relation(&create.relation) else { return };
        let Some(name) = self.index_name(&table, create) else {
            if matches!(known, Known::Original(..)) {
                self.note("The server gives the index its name: drop it by that.");
            }
            return;
        };
        let key = (table.0.clone(), name);
        if create.if_not_exists && self.is_there(ObjectKind::Index, &key) {
            return;
        }
        let Known::Original(address, _) = known else {
            let entries = if self.has_moved(&known) {
                vec![self.undo(format!("DROP INDEX {};", Walk::qualified(&key)))]
            } else {
                Vec::new()
            };
            entries.iter().for_each(|at| self.belongs(table.clone(), *at));
            return self.state.set(ObjectKind::Index, key, Known::Created(entries));
        };
        let at = self.undo(format!("DROP INDEX {};", Walk::qualified(&key)));
        self.undos[at].relation = Some(address.oid);
        self.undos[at].columns = { create.columns.iter().flatten().chain(&create.include) }
            .map(|column| self.state.known_column(address.oid, column))
            .collect();
        if create.concurrently {
            self.undos[at].note =
                Some("Outside a transaction: DROP INDEX CONCURRENTLY, which waits for no one.".to_string());
        }
        self.state.set(ObjectKind::Index, key, Known::Created(vec![at]));
    }

    /// What the migration has made and renamed: under its new name it may stand in the way of what comes back.
    pub(super) fn has_moved(&self, known: &Known) -> bool {
        matches!(known, Known::Created(entries) if entries.len() > 1)
    }

    /// The entry goes with the relation that the migration has made.
    pub(super) fn belongs(&mut self, relation: Key, at: usize) {
        let name = NameAsWritten { schema: Some(relation.0.clone()), name: relation.1.clone() };
        if let Some((key, Known::Created(mut entries))) = self.state.relation(&name) {
            entries.push(at);
            self.state.set(ObjectKind::Table, key, Known::Created(entries));
        }
    }

    fn create_view(&mut self, name: &NameAsWritten, replace: bool) {
        let key = self.key(ObjectKind::View, name);
        let there = NameAsWritten { schema: Some(key.0.clone()), name: key.1.clone() };
        match self.state.find(ObjectKind::View, &there) {
            Some((_, Known::Original(address, _))) if replace => self.replace_view(&key, address),
            Some((_, Known::Created(_))) if replace => {}
            _ => self.created(ObjectKind::View, name, false, false, None),
        }
    }

    /// A view that has got columns cannot be replaced by one without: it is made anew, with what depends on it.
    fn replace_view(&mut self, key: &Key, address: Address) {
        let dropped = self.state.dropped.clone();
        let first = self.undos.len();
        self.restore_dropped(&[address]);
        let dependent = self.undos.len() - first > 1;
        let cascade = if dependent { " CASCADE" } else { "" };
        let drop = format!("DROP VIEW {}{cascade};", Walk::qualified(key));
        let at = self.undo(drop);
        if dependent {
            self.undos[at].note = Some("What depends on the view is made again below.".to_string());
        }
        self.undos[first..].rotate_right(1);
        // They are still there.
        self.state.dropped = dropped;
    }

    fn create_part(&mut self, kind: &'static str, name: &str, relation: &NameAsWritten, replace: bool) {
        let Some((key, Known::Original(address, _))) = self.state.relation(relation) else { return };
        let drop = format!("DROP {} {} ON {};", kind.to_uppercase(), quote_identifier(name), Walk::qualified(&key));
        let own = (address.oid, kind, name.to_string());
        if self.state.parts.contains_key(&own) {
            return;
        }
        let at = self.undo(drop);
        self.undos[at].relation = Some(address.oid);
        let there = if replace { catalog::parts(address.oid, kind, name) } else { Vec::new() };
        match there.into_iter().next() {
            Some(part) if !self.state.dropped.contains(&part.address) => {
                let (dropped, first) = (self.state.dropped.clone(), self.undos.len());
                self.restore_dropped(&[part.address]);
                self.undos[first..].iter_mut().for_each(|undo| undo.relation = Some(address.oid));
                self.state.dropped = dropped;
            }
            _ => {
                self.state.parts.insert(own, vec![at]);
            }
        }
    }

    fn create_function(&mut self, name: &NameAsWritten, replace: bool) {
        let key = self.state.place(name);
        let there = NameAsWritten { schema: Some(key.0.clone()), name: key.1.clone() };
        let text = arguments::of_function(&self.statement);
        let candidates = if replace { self.state.functions(&there) } else { Vec::new() };
        let types = text.as_deref().map(arguments::types).unwrap_or_default();
        let same = candidates.into_iter().map(|(_, address)| address).find(|address| takes(*address, &types));
        if let Some(address) = same {
            let sql = "select pg_catalog.rtrim(pg_catalog.pg_get_functiondef($1), E'\\n') || ';'";
            if let Some(sql) = db::read(sql, &[Oid::from(address.oid).into()], |row| row.take::<String>()).pop() {
                self.restore(sql, None);
            }
            return;
        }
        let list = text.map(|text| format!("({})", text.join(", "))).unwrap_or_default();
        let sql = format!("DROP ROUTINE {}{list};", Walk::qualified(&key));
        let mut entries = match self.state.find(ObjectKind::Function, &there) {
            Some((_, Known::Created(entries))) => entries,
            _ => Vec::new(),
        };
        if !entries.iter().any(|at| self.undos[*at].sql.as_deref() == Some(sql.as_str())) {
            entries.push(self.undo(sql));
        }
        self.state.set(ObjectKind::Function, key, Known::Created(entries));
    }
}

/// Each argument as it may be spelled, the whole or without its name: the function's input types are these.
fn takes(function: Address, arguments: &[Vec<String>]) -> bool {
    let type_of = |spelling: &String| {
        let read = || {
            db::read("select pg_catalog.to_regtype($1)::oid", &[spelling.as_str().into()], |row| {
                row.take_option::<Oid>()
            })
        };
        db::guarded(read).ok().and_then(|mut found| found.pop().flatten())
    };
    let oids: Option<Vec<Oid>> = arguments.iter().map(|spellings| spellings.iter().find_map(type_of)).collect();
    let Some(oids) = oids else { return false };
    // An oidvector counts from 0.
    let sql = "select pg_catalog.array_to_string(p.proargtypes::oid[], ' ') = pg_catalog.array_to_string($2, ' ')
        from pg_catalog.pg_proc p where p.oid = $1";
    db::read(sql, &[Oid::from(function.oid).into(), oids.into()], |row| row.take::<bool>()) == [true]
}

fn shown(kind: ObjectKind, key: &Key) -> String {
    match kind {
        ObjectKind::Extension | ObjectKind::Publication | ObjectKind::Schema => quote_identifier(&key.1),
        _ => Walk::qualified(key),
    }
}
