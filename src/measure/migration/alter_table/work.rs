//! What an ALTER TABLE has gathered to do at its end, table by table.

use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{
    Build, Column, Effect, Failure, Id, LockMode, ObjectKind, Relation, Rewrite, Scan, Target,
};
use crate::measure::migration::judge::Judge;
use crate::measure::migration::{Model, Prediction};

pub struct Work<'a> {
    pub model: &'a mut Model,
    pub out: Prediction,
    pub judge: Judge,
    /// Whose ALTER TABLE it is.
    pub id: Id,
    pub lock: LockMode,
    /// ONLY
    pub only: bool,
    pub tables: Vec<Table>,
    /// Whatever the server says of a type or expression that the migration's own code may have made is no failure.
    pub cannot_tell: bool,
}

/// What phase 3 of ALTER TABLE does to a table.
pub struct Table {
    pub target: Target,
    pub rewrites: Vec<Rewrite>,
    pub scans: Vec<Scan>,
    pub builds: Vec<(String, Build)>,
}

impl<'a> Work<'a> {
    pub fn new(model: &'a mut Model, out: Prediction, id: Id, lock: LockMode, only: bool) -> Work<'a> {
        let judge = Judge::of(model);
        let cannot_tell = model.unknown.is_some();
        Work { model, out, judge, id, lock, only, tables: Vec::new(), cannot_tell }
    }

    /// The table itself and, unless ONLY is said, all that inherit from it, locked as it is.
    pub fn recursed(&mut self) -> Vec<Id> {
        let mut all = vec![self.id];
        if self.relation(self.id).kind == ObjectKind::Type {
            all.extend(self.model.tables_of(self.id));
        } else if !self.only {
            all.extend(self.model.descendants(self.id));
        }
        let is_type = |id: &&Id| self.model.relation(**id).is_some_and(|relation| relation.kind == ObjectKind::Type);
        for id in all.iter().filter(|id| !is_type(id)) {
            self.out.lock(self.model, *id, self.lock);
        }
        all
    }

    pub fn relation(&self, id: Id) -> &Relation {
        self.model.relation(id).expect("the statement works on relations of the model")
    }

    pub fn is_partitioned(&self) -> bool {
        self.relation(self.id).kind == ObjectKind::PartitionedTable
    }

    pub fn table(&mut self, id: Id) -> &mut Table {
        if let Some(position) = self.tables.iter().position(|table| table.target.id == id) {
            return &mut self.tables[position];
        }
        let target = self.model.target(id).expect("the statement works on relations of the model");
        self.tables.push(Table { target, rewrites: Vec::new(), scans: Vec::new(), builds: Vec::new() });
        self.tables.last_mut().expect("it has just been pushed")
    }

    /// Only what has rows in a file of its own can be rewritten or read.
    pub fn rewrite(&mut self, id: Id, why: Rewrite) {
        if self.relation(id).has_rows_itself() {
            self.table(id).rewrites.push(why);
        }
    }

    pub fn scan(&mut self, id: Id, why: Scan) {
        if self.relation(id).has_rows_itself() {
            self.table(id).scans.push(why);
        }
    }

    pub fn build(&mut self, id: Id, index: String, why: Build) {
        if self.relation(id).has_rows_itself() {
            self.table(id).builds.push((index, why));
        }
    }

    pub fn is_rewritten(&self, id: Id) -> bool {
        self.tables.iter().any(|table| table.target.id == id && !table.rewrites.is_empty())
    }

    /// Changes the column in the table and all that inherit from it.
    pub fn each_column(&mut self, column: &str, change: impl Fn(&mut Column)) {
        if !self.has_column(column) {
            return;
        }
        for id in self.recursed() {
            let changed = self
                .model
                .relation_mut(id)
                .and_then(|relation| relation.columns.iter_mut().find(|known| known.name == column));
            if let Some(changed) = changed {
                change(changed);
            }
        }
    }

    /// Partitions share what inheritance children do not: identity.
    pub fn each_partition_column(&mut self, column: &str, change: impl Fn(&mut Column)) {
        if self.is_partitioned() {
            return self.each_column(column, change);
        }
        if !self.has_column(column) {
            return;
        }
        let relation = self.model.relation_mut(self.id);
        if let Some(changed) = relation.and_then(|relation| relation.columns.iter_mut().find(|one| one.name == column))
        {
            change(changed);
        }
    }

    pub fn own_column(&mut self, column: &str) {
        self.has_column(column);
    }

    /// If not, the statement fails.
    pub fn has_column(&mut self, column: &str) -> bool {
        let relation = self.relation(self.id);
        if relation.column(column).is_some() || is_open(relation) {
            return true;
        }
        let name = format!("{}.{}", relation.name, crate::db::quote_identifier(column));
        self.out.missing(ObjectKind::Column, name);
        false
    }

    /// The server refuses a type or an expression: a failure, unless the migration itself may have made what it names.
    pub fn refused(&mut self, caught: &crate::db::Caught) {
        if self.cannot_tell {
            let code = self.model.unknown.clone().unwrap_or_default();
            self.out.not_judged(format!("{}: and {code} may have made it", caught.message));
            return;
        }
        let message = caught.message.clone();
        self.out.fails(Failure::Other { message }, known_sqlstate(&caught.sqlstate));
    }

    /// A function of the migration's own that the expression calls: i, s or v, the most volatile.
    pub fn own_function(&self, expression: &str) -> Option<char> {
        let made = self.model.made_functions.iter();
        made.filter(|(name, _)| super::columns::names(expression, name)).map(|(_, volatility)| *volatility).max()
    }

    /// The domain has constraints, or one that it is made of.
    pub fn is_constrained(&self, id: Id) -> bool {
        is_constrained(self.model, &self.judge, id)
    }

    pub fn finish(mut self) -> Prediction {
        for table in std::mem::take(&mut self.tables) {
            if !table.rewrites.is_empty() {
                // Each index is locked to be built anew.
                let indexes: Vec<Id> = self
                    .model
                    .relation(table.target.id)
                    .map(|relation| {
                        relation.indexes.iter().filter(|index| !index.created_here).map(|index| index.id).collect()
                    })
                    .unwrap_or_default();
                for index in indexes {
                    self.out.lock(self.model, index, LockMode::AccessExclusive);
                }
            }
            for why in table.rewrites {
                self.out.add(Effect::Rewrites { table: table.target.clone(), why });
            }
            for why in table.scans {
                self.out.add(Effect::Scans { table: table.target.clone(), why });
            }
            for (index, why) in table.builds {
                self.out.add(Effect::BuildsIndex { table: table.target.clone(), index, concurrently: false, why });
            }
        }
        self.out
    }
}

/// Made by a query that cannot be analyzed before the migration runs: which columns it has is not known.
pub fn is_open(relation: &Relation) -> bool {
    relation.created_here && relation.columns.is_empty()
}

pub fn is_constrained(model: &Model, judge: &Judge, id: Id) -> bool {
    match (model.type_of(id), id) {
        (Some(known), _) => {
            let by_itself = known.not_null || !known.checks.is_empty();
            by_itself || known.base.is_some_and(|base| is_constrained(model, judge, base))
        }
        (None, Id::Oid(oid)) => judge.is_constrained(oid),
        (None, Id::New(_)) => false,
    }
}

/// Those that the server's checks of types and expressions raise.
fn known_sqlstate(sqlstate: &str) -> &'static str {
    const KNOWN: [&str; 14] = [
        "42883", "42704", "42703", "42804", "42846", "42601", "42P01", "0A000", "42P17", "22P02", "22007", "42P16",
        "42501", "42725",
    ];
    KNOWN.into_iter().find(|known| *known == sqlstate).unwrap_or("XX000")
}

/// As the server names a constraint for which the statement has no name.
pub fn constraint_name(relation: &Relation, kind: ConstraintKind, columns: &[String]) -> String {
    let table = relation.name.name.raw();
    let suffix = match kind {
        ConstraintKind::PrimaryKey => return free(relation, format!("{table}_pkey")),
        ConstraintKind::Unique => "key",
        ConstraintKind::Exclude => "excl",
        ConstraintKind::ForeignKey => "fkey",
        ConstraintKind::Check => "check",
        ConstraintKind::NotNull => "not_null",
    };
    // A CHECK of several columns is named after the table alone.
    let columns = match kind {
        ConstraintKind::Check if columns.len() != 1 => String::new(),
        _ => format!("_{}", columns.join("_")),
    };
    free(relation, format!("{table}{columns}_{suffix}"))
}

fn free(relation: &Relation, wanted: String) -> String {
    let taken = |name: &str| relation.constraint(name).is_some() || relation.index(name).is_some();
    let numbered = (1..).map(|number| format!("{wanted}{number}"));
    std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(wanted)
}
