//! What goes with what is dropped, as the server follows pg_depend.

use crate::db;
use crate::facts::QualifiedName;
use crate::facts::migration::text::Parsed;
use crate::facts::migration::{Id, ObjectKind, Statement, Target};
use pgrx::pg_sys::Oid;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// As pg_depend has it: the catalog, the row, the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub class: u32,
    pub object: u32,
    pub part: i32,
}

/// An object that a DROP may name.
#[derive(Clone, Debug)]
pub struct Named {
    pub address: Address,
    /// `relation`, `type`, `function` …
    pub kind: String,
    pub schema: String,
    pub name: String,
    /// Of a trigger, policy or rule its own name; of a function its arguments.
    pub part: String,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub kind: ObjectKind,
    /// As pg_identify_object prints it.
    pub identity: String,
    /// That is locked to drop it.
    pub relation: Option<Target>,
    /// Its own name, of what is part of a relation.
    pub part: Option<String>,
}

#[derive(Debug, Default)]
pub struct Dependencies {
    named: Vec<Named>,
    objects: HashMap<Address, Object>,
    /// To an object or a part of it, those that depend on it, with the kind of dependency.
    dependents: BTreeMap<Address, Vec<(Address, char)>>,
    owners: HashMap<Address, Vec<(Address, char)>>,
}

/// What a DROP takes.
#[derive(Debug, Default)]
pub struct Fallout {
    /// With the object that it needs CASCADE for; None: named, or part of what goes.
    pub dropped: BTreeMap<Address, Option<Address>>,
    /// A named object that only goes with another.
    pub part_of: Option<(Address, Address)>,
}

pub const RELATIONS: u32 = 1259;
/// What initdb makes is never dropped with users' objects.
const FIRST_USER_OID: u32 = 16384;

impl Dependencies {
    /// Of all objects whose names are in the DROPs of `statements`.
    pub fn read(statements: &[Parsed]) -> Dependencies {
        let mut names = BTreeSet::new();
        statements.iter().for_each(|parsed| dropped_names(&parsed.statement, &mut names));
        if names.is_empty() {
            return Dependencies::default();
        }
        let names: Vec<String> = names.into_iter().collect();
        let sql = include_str!("../../../sql/facts/migration/droppable.sql");
        let named = db::read(sql, &[names.into()], |row| {
            let (class, object) = (row.take::<Oid>().to_u32(), row.take::<Oid>().to_u32());
            Named {
                address: Address { class, object, part: 0 },
                kind: row.take(),
                schema: row.take(),
                name: row.take(),
                part: row.take(),
            }
        });
        let starts: Vec<Address> = named.iter().map(|named| named.address).collect();
        let mut read = Dependencies { named, ..Dependencies::follow(&starts) };
        read.describe();
        read
    }

    fn follow(starts: &[Address]) -> Dependencies {
        let classes: Vec<Oid> = starts.iter().map(|start| Oid::from(start.class)).collect();
        let objects: Vec<Oid> = starts.iter().map(|start| Oid::from(start.object)).collect();
        let mut found = Dependencies::default();
        for start in starts {
            found.dependents.entry(*start).or_default();
        }
        let sql = include_str!("../../../sql/facts/migration/dependencies.sql");
        let edges = db::read(sql, &[classes.into(), objects.into()], |row| {
            let mut address =
                || Address { class: row.take::<Oid>().to_u32(), object: row.take::<Oid>().to_u32(), part: row.take() };
            let (dependent, on) = (address(), address());
            (dependent, on, row.take::<String>().chars().next().unwrap_or('n'))
        });
        for (dependent, on, kind) in edges {
            if dependent.object >= FIRST_USER_OID {
                found.dependents.entry(on).or_default().push((dependent, kind));
                if matches!(kind, 'i' | 'e' | 'P' | 'S') {
                    found.owners.entry(dependent).or_default().push((on, kind));
                }
            }
        }
        found
    }

    fn describe(&mut self) {
        let below = self.dependents.values().flatten().map(|(dependent, _)| *dependent);
        let all: BTreeSet<Address> = self.dependents.keys().copied().chain(below).collect();
        let classes: Vec<Oid> = all.iter().map(|address| Oid::from(address.class)).collect();
        let objects: Vec<Oid> = all.iter().map(|address| Oid::from(address.object)).collect();
        let parts: Vec<i32> = all.iter().map(|address| address.part).collect();
        let sql = include_str!("../../../sql/facts/migration/dependents_described.sql");
        let described = db::read(sql, &[classes.into(), objects.into(), parts.into()], |row| {
            let address =
                Address { class: row.take::<Oid>().to_u32(), object: row.take::<Oid>().to_u32(), part: row.take() };
            let (kind, identity, part) = (kind_named(&row.take::<String>()), row.take(), row.take_option());
            let relation = row.take::<Oid>().to_u32();
            let (schema, name): (Option<String>, String) = (row.take_option(), row.take());
            let relation_kind = relation_kind(&row.take::<String>());
            let (rows, bytes) = (row.take(), row.take::<i64>() as u64);
            let relation = schema.map(|schema| Target {
                id: Id::Oid(relation),
                name: QualifiedName { schema: schema.into(), name: name.into() },
                kind: relation_kind,
                rows,
                rows_guessed: false,
                bytes,
                index_bytes: 0,
                private: false,
            });
            let kind = match kind {
                ObjectKind::Table => relation_kind,
                kind => kind,
            };
            let object = Object { kind, identity, relation, part };
            (address, object)
        });
        self.objects = described.into_iter().collect();
    }

    /// Objects of that kind and name, in whatever schema.
    pub fn named<'a>(&'a self, kind: &'a str, name: &'a str, part: Option<&'a str>) -> impl Iterator<Item = &'a Named> {
        let fits = move |named: &&Named| {
            named.kind == kind && named.name == name && part.is_none_or(|part| named.part == part)
        };
        self.named.iter().filter(fits)
    }

    /// Triggers, policies or rules, of whatever name.
    pub fn parts<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Named> {
        self.named.iter().filter(move |named| named.kind == kind)
    }

    pub fn every(&self) -> impl Iterator<Item = &Named> {
        self.named.iter()
    }

    pub fn object(&self, address: Address) -> Option<&Object> {
        self.objects.get(&address)
    }

    /// All that `starts` take with them; what `is_gone`, by itself or from what it depended on, takes nothing.
    pub fn fallout(&self, starts: &[Address], is_gone: impl Fn(Address, Address) -> bool) -> Fallout {
        let mut fallout = Fallout::default();
        let mut open: Vec<Address> = starts.to_vec();
        fallout.dropped.extend(starts.iter().map(|start| (*start, None)));
        while let Some(next) = open.pop() {
            let whole = Address { part: 0, ..next };
            // What is part of another object takes that with it.
            let owner = self.owners.get(&next).into_iter().flatten().find(|(owner, kind)| {
                let whole = Address { part: 0, ..*owner };
                let goes = fallout.dropped.contains_key(owner) || fallout.dropped.contains_key(&whole);
                matches!(kind, 'i' | 'e') && !goes && !is_gone(*owner, next)
            });
            if let Some((owner, kind)) = owner {
                if starts.contains(&next) {
                    fallout.part_of = Some((next, *owner));
                } else if *kind == 'i' {
                    fallout.dropped.insert(*owner, Some(whole));
                    open.push(*owner);
                }
            }
            for (dependent, kind) in self.on(next) {
                let covered = dependent.part != 0
                    && matches!(fallout.dropped.get(&Address { part: 0, ..dependent }), Some(reason) if reason.is_none() || kind == 'n');
                if covered || is_gone(dependent, next) {
                    continue;
                }
                let reason = (kind == 'n').then_some(next);
                match fallout.dropped.get_mut(&dependent) {
                    None => {
                        fallout.dropped.insert(dependent, reason);
                        open.push(dependent);
                    }
                    // It goes with another that is named or part of what goes: nobody needs CASCADE for it.
                    Some(known) if reason.is_none() => *known = None,
                    Some(_) => {}
                }
            }
        }
        for start in starts {
            let owners = self.owners.get(start).into_iter().flatten();
            let parts: Vec<Address> =
                owners.filter(|(_, kind)| matches!(kind, 'P' | 'S')).map(|(owner, _)| *owner).collect();
            if let Some(owner) =
                parts.first().filter(|_| !parts.iter().any(|owner| fallout.dropped.contains_key(owner)))
            {
                fallout.part_of = Some((*start, *owner));
            }
        }
        fallout
    }

    /// What depends on the object or, where it is a whole, on any part of it.
    fn on(&self, address: Address) -> Vec<(Address, char)> {
        let last = if address.part == 0 { i32::MAX } else { address.part };
        let range = self.dependents.range(address..=Address { part: last, ..address });
        range.flat_map(|(_, dependents)| dependents.iter().copied()).collect()
    }
}

fn dropped_names(statement: &Statement, names: &mut BTreeSet<String>) {
    if let Statement::Do { statements, .. } = statement {
        statements.iter().for_each(|nested| dropped_names(&nested.statement, names));
    }
    if let Statement::Drop(drop) = statement {
        names.extend(drop.objects.iter().filter_map(|parts| parts.last().cloned()));
    }
}

fn relation_kind(letter: &str) -> ObjectKind {
    match letter {
        "p" => ObjectKind::PartitionedTable,
        "f" => ObjectKind::ForeignTable,
        "v" => ObjectKind::View,
        "m" => ObjectKind::MaterializedView,
        "S" => ObjectKind::Sequence,
        "c" => ObjectKind::Type,
        "i" | "I" => ObjectKind::Index,
        _ => ObjectKind::Table,
    }
}

/// As pg_identify_object names kinds.
pub fn kind_named(kind: &str) -> ObjectKind {
    match kind {
        "table" => ObjectKind::Table,
        "foreign table" => ObjectKind::ForeignTable,
        "view" => ObjectKind::View,
        "materialized view" => ObjectKind::MaterializedView,
        "index" => ObjectKind::Index,
        "sequence" => ObjectKind::Sequence,
        "default value" => ObjectKind::Default,
        "policy" => ObjectKind::Policy,
        "trigger" => ObjectKind::Trigger,
        "rule" => ObjectKind::Rule,
        "table constraint" => ObjectKind::Constraint,
        "domain constraint" => ObjectKind::DomainConstraint,
        "function" | "procedure" | "aggregate" => ObjectKind::Function,
        "statistics object" => ObjectKind::Statistics,
        "publication" | "publication relation" | "publication namespace" => ObjectKind::Publication,
        "type" | "composite type" => ObjectKind::Type,
        "schema" => ObjectKind::Schema,
        "extension" => ObjectKind::Extension,
        kind if kind.ends_with("column") => ObjectKind::Column,
        _ => ObjectKind::Other,
    }
}
