//! CREATE INDEX and REINDEX without making writers wait.

use super::planned::{alone, brief};
use super::words::{after_table, insert_after, words};
use super::{Catalog, Piece, When, chosen_name, is_new, partitions_of, python};
use crate::db::quote_identifier;
use crate::facts::QualifiedName;
use crate::facts::migration::statement::{ConstraintKind, CreateIndex, Reindex};
use crate::facts::migration::{Index, LockMode, NameAsWritten, ObjectKind, Phase, PlannedStatement, Relation};

/// An index to build, on a table and on whatever its partitions are.
pub struct Wanted<'a> {
    pub unique: bool,
    /// From `USING` or the parenthesis on.
    pub tail: &'a str,
    pub method: &'a str,
    pub columns: &'a [Option<String>],
    pub include: &'a [String],
    pub partial: bool,
    /// `idx` or `key` or `pkey`: the end of names that the server chooses.
    pub label: &'a str,
}

pub fn create(text: &str, create: &CreateIndex, catalog: &impl Catalog) -> Option<Piece> {
    let table = catalog.find(&create.relation)?;
    if is_new(table) || create.concurrently || create.only {
        return None;
    }
    let wanted = Wanted {
        unique: create.unique,
        tail: after_table(text)?,
        method: &create.method,
        columns: &create.columns,
        include: &create.include,
        partial: create.predicate.is_some(),
        label: "idx",
    };
    let way = match table.kind {
        ObjectKind::PartitionedTable => {
            let name = create.name.clone().unwrap_or_else(|| wanted.name_on(table, catalog));
            wanted.on_partitions(table, &name, catalog)
        }
        _ => Ok(vec![concurrently(text, create, table, &wanted, catalog)?]),
    };
    Some(Piece::one(text, When::Always, way))
}

fn concurrently(
    text: &str,
    create: &CreateIndex,
    table: &Relation,
    wanted: &Wanted,
    catalog: &impl Catalog,
) -> Option<PlannedStatement> {
    let named = create.name.clone().or_else(|| wanted.plain_columns().then(|| wanted.name_on(table, catalog)));
    let sql = match (&create.name, &named) {
        (None, Some(name)) => insert_after(text, &["index"], &format!(" CONCURRENTLY {}", quote_identifier(name)))?,
        _ => insert_after(text, &["index"], " CONCURRENTLY")?,
    };
    Some(built(format!("{sql};"), &table.name, named.as_deref(), wanted))
}

/// CREATE INDEX CONCURRENTLY, and what is left of it when it fails.
fn built(sql: String, table: &QualifiedName, name: Option<&str>, wanted: &Wanted) -> PlannedStatement {
    let leftover = match name {
        Some(name) => {
            let index = format!("{}.{}", table.schema, quote_identifier(name));
            format!("If it fails, DROP INDEX CONCURRENTLY IF EXISTS {index}; and run it again.")
        }
        None => "If it fails, an invalid index is left: drop it concurrently and run it again.".to_string(),
    };
    let why = format!("Reads and writes go on while it is built; it waits for transactions that are open. {leftover}");
    let planned = alone(Phase::Expand, sql, Some((LockMode::ShareUpdateExclusive, table.to_string())), &why);
    match name.and_then(|name| wanted.operation(table, name)) {
        Some(operation) => planned.operation(operation),
        None => planned,
    }
}

impl Wanted<'_> {
    /// No expression among the keys.
    fn plain_columns(&self) -> bool {
        self.columns.iter().all(Option::is_some)
    }

    /// What the server would call it.
    pub fn name_on(&self, table: &Relation, catalog: &impl Catalog) -> String {
        if self.label == "pkey" {
            return chosen_name(catalog, &table.name, &[], self.label);
        }
        let keys = self.columns.iter().map(|column| column.as_deref().unwrap_or("expr"));
        let columns: Vec<&str> = keys.chain(self.include.iter().map(String::as_str)).collect();
        chosen_name(catalog, &table.name, &columns, self.label)
    }

    /// `op.create_index(…)`, where nothing but columns is said of it.
    fn operation(&self, table: &QualifiedName, name: &str) -> Option<String> {
        let columns: Option<Vec<&str>> = self.columns.iter().map(Option::as_deref).collect();
        let columns = columns?;
        let said = words(self.tail);
        let plain = said.len() == columns.len() * 2 + 1
            && said.first()?.text == "("
            && said.iter().filter(|word| word.name().is_some()).count() == columns.len();
        let (table, schema) = python::table(table);
        let unique = if self.unique { "unique=True, " } else { "" };
        plain.then(|| {
            format!(
                "op.create_index({}, {table}, [{}], {schema}, {unique}postgresql_concurrently=True)",
                python::literal(name),
                python::list(columns)
            )
        })
    }

    /// On the partitioned tables alone, which is quick, then on each partition concurrently, then attached.
    pub fn on_partitions(
        &self,
        table: &Relation,
        name: &str,
        catalog: &impl Catalog,
    ) -> Result<Vec<PlannedStatement>, String> {
        let (mut builds, mut attached) = (Vec::new(), Vec::new());
        let mut plan = vec![self.on_parent(table, name)];
        self.parts(table, name, catalog, &mut (&mut plan, &mut builds, &mut attached))?;
        plan.extend(builds);
        plan.extend(attached);
        Ok(plan)
    }

    fn on_parent(&self, table: &Relation, name: &str) -> PlannedStatement {
        let unique = if self.unique { "UNIQUE " } else { "" };
        brief(
            Phase::Expand,
            format!("CREATE {unique}INDEX {} ON ONLY {} {};", quote_identifier(name), table.name, self.tail),
            LockMode::Share,
            &table.name,
            "On the partitioned table alone nothing is read; the index is invalid until every partition has its part.",
        )
    }

    /// Each partition's part of the index `name`: one that is there, or a new one.
    fn parts(
        &self,
        table: &Relation,
        name: &str,
        catalog: &impl Catalog,
        plan: &mut (&mut Vec<PlannedStatement>, &mut Vec<PlannedStatement>, &mut Vec<PlannedStatement>),
    ) -> Result<(), String> {
        for partition in partitions_of(catalog, table).ok_or("A partition of it is not known.")? {
            let part = match partition.indexes.iter().find(|index| self.fits(index)) {
                Some(index) => index.name.name.raw().to_string(),
                None => {
                    let part = self.name_on(partition, catalog);
                    match partition.kind {
                        ObjectKind::ForeignTable => {
                            return Err(format!(
                                "{} is a foreign table: an index built on the partitioned table alone would wait for its part \
                                 for ever.",
                                partition.name
                            ));
                        }
                        ObjectKind::PartitionedTable => {
                            plan.0.push(self.on_parent(partition, &part));
                            self.parts(partition, &part, catalog, plan)?;
                        }
                        _ => {
                            let unique = if self.unique { "UNIQUE " } else { "" };
                            let (index, table, tail) = (quote_identifier(&part), &partition.name, self.tail);
                            let sql = format!("CREATE {unique}INDEX CONCURRENTLY {index} ON {table} {tail};");
                            plan.1.push(built(sql, table, Some(&part), self));
                        }
                    }
                    part
                }
            };
            plan.2.push(attach((&table.name, name), (&partition.name, &part)));
        }
        Ok(())
    }

    /// An index of a partition that the server would attach rather than build another. It has the last word on that.
    fn fits(&self, index: &Index) -> bool {
        index.parent.is_none()
            && index.valid
            && index.method == self.method
            && index.unique == self.unique
            && index.columns == self.columns
            && self.plain_columns()
            && index.include == self.include
            && !index.partial
            && !self.partial
    }
}

pub fn attach(whole: (&QualifiedName, &str), part: (&QualifiedName, &str)) -> PlannedStatement {
    let qualified = |(table, name): (&QualifiedName, &str)| format!("{}.{}", table.schema, quote_identifier(name));
    let part_name = qualified(part);
    brief(
        Phase::Expand,
        format!("ALTER INDEX {} ATTACH PARTITION {part_name};", qualified(whole)),
        LockMode::AccessExclusive,
        &part_name,
        "Catalog only. When the last partition has its part, the whole index is valid.",
    )
}

pub fn reindex(text: &str, reindex: &Reindex, catalog: &impl Catalog) -> Option<Piece> {
    if reindex.concurrently {
        return None;
    }
    let refused = |reason: &str| Some(Piece::one(text, When::Always, Err(reason.into())));
    let written = reindex.name.as_ref();
    let on = match reindex.kind {
        ObjectKind::Index => {
            let (table, index) = catalog.index(written?)?;
            if is_new(table) || index.created_here {
                return None;
            }
            if table.constraints.iter().any(|constraint| {
                constraint.kind == ConstraintKind::Exclude && constraint.index.as_deref() == Some(index.name.name.raw())
            }) {
                return refused("An index of an exclusion constraint cannot be rebuilt concurrently.");
            }
            table.name.to_string()
        }
        ObjectKind::Table => {
            let table = catalog.find(written?)?;
            if is_new(table) {
                return None;
            }
            if table.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::Exclude) {
                return refused(
                    "REINDEX TABLE CONCURRENTLY leaves out the indexes of exclusion constraints, which it has.",
                );
            }
            table.name.to_string()
        }
        ObjectKind::Schema | ObjectKind::Database => {
            written.map_or("every table".to_string(), |name| quote_identifier(&name.name))
        }
        _ => return None,
    };
    if words(text).iter().any(|word| word.depth == 0 && word.is("system")) {
        return refused("System catalogs cannot be reindexed concurrently.");
    }
    let sql = insert_after(text, &["index", "table", "schema", "database"], " CONCURRENTLY")?;
    let why = "Reads and writes go on. If it fails it leaves invalid indexes whose names end in _ccnew or _ccold: drop them \
               concurrently and run it again.";
    let lock = Some((LockMode::ShareUpdateExclusive, on));
    Some(Piece::one(text, When::Always, Ok(vec![alone(Phase::Expand, format!("{sql};"), lock, why)])))
}

/// The index of that name as the catalog has it, not of a partitioned table and not new.
pub fn droppable<'a>(name: &NameAsWritten, catalog: &'a impl Catalog) -> Option<&'a Index> {
    let (table, index) = catalog.index(name)?;
    (table.kind != ObjectKind::PartitionedTable && !is_new(table) && !index.created_here).then_some(index)
}
