//! UNIQUE and PRIMARY KEY over an index that was built beforehand.

use super::indexes::{Wanted, attach};
use super::planned::{BRIEF, alone, brief};
use super::words::words;
use super::{Catalog, not_null};
use crate::db::quote_identifier;
use crate::facts::migration::statement::{ConstraintDefinition, ConstraintKind};
use crate::facts::migration::{LockMode, ObjectKind, Phase, PlannedStatement, Relation};

pub fn added(
    table: &Relation,
    constraint: &ConstraintDefinition,
    catalog: &impl Catalog,
) -> Result<Vec<PlannedStatement>, String> {
    let primary = constraint.kind == ConstraintKind::PrimaryKey;
    let said = words(&constraint.text);
    if said.iter().any(|word| word.depth == 0 && (word.is("with") || word.is("using"))) {
        return Err("Its index has storage options or a tablespace: write CREATE UNIQUE INDEX CONCURRENTLY with them, then ADD \
                    CONSTRAINT … USING INDEX."
            .into());
    }
    let columns: Vec<Option<String>> = constraint.columns.iter().cloned().map(Some).collect();
    let quoted = |names: &[String]| names.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", ");
    let mut tail = format!("({})", quoted(&constraint.columns));
    if !constraint.include.is_empty() {
        tail.push_str(&format!(" INCLUDE ({})", quoted(&constraint.include)));
    }
    if constraint.nulls_not_distinct {
        tail.push_str(" NULLS NOT DISTINCT");
    }
    let wanted = Wanted {
        unique: true,
        tail: &tail,
        method: "btree",
        columns: &columns,
        include: &constraint.include,
        partial: false,
        label: if primary { "pkey" } else { "key" },
    };
    let mut plan = Vec::new();
    if primary {
        for column in &constraint.columns {
            let known = table.columns.iter().find(|known| known.name == *column);
            if known.is_some_and(|known| !known.not_null) {
                plan.extend(not_null::by_check(table, column, catalog));
            }
        }
    }
    let name = constraint.name.clone().unwrap_or_else(|| wanted.name_on(table, catalog));
    let kind = if primary { "PRIMARY KEY" } else { "UNIQUE" };
    let job = Job { wanted: &wanted, kind, constraint };
    match table.kind {
        ObjectKind::PartitionedTable => {
            let (mut builds, mut made) = (Vec::new(), Vec::new());
            job.on_partitions(table, &name, catalog, &mut builds, &mut made)?;
            plan.extend(builds);
            plan.extend(made);
        }
        _ => plan.extend([job.build(table, &name), job.constraint(table, &name)]),
    }
    Ok(plan)
}

struct Job<'a> {
    wanted: &'a Wanted<'a>,
    kind: &'static str,
    constraint: &'a ConstraintDefinition,
}

impl Job<'_> {
    fn deferrable(&self) -> &'static str {
        match (self.constraint.deferrable, self.constraint.initially_deferred) {
            (_, true) => " DEFERRABLE INITIALLY DEFERRED",
            (true, _) => " DEFERRABLE",
            _ => "",
        }
    }

    fn build(&self, table: &Relation, name: &str) -> PlannedStatement {
        let (quoted, on) = (quote_identifier(name), &table.name);
        alone(
            Phase::Expand,
            format!("CREATE UNIQUE INDEX CONCURRENTLY {quoted} ON {on} {};", self.wanted.tail),
            Some((LockMode::ShareUpdateExclusive, on.to_string())),
            &format!(
                "Reads and writes go on while it is built. If it fails, on duplicates for one, it leaves an invalid index that \
                 already refuses new duplicates: DROP INDEX CONCURRENTLY IF EXISTS {}.{quoted}; and run it again.",
                on.schema
            ),
        )
    }

    fn constraint(&self, table: &Relation, name: &str) -> PlannedStatement {
        let (quoted, on, kind) = (quote_identifier(name), &table.name, self.kind);
        brief(
            Phase::Expand,
            format!("ALTER TABLE {on} ADD CONSTRAINT {quoted} {kind} USING INDEX {quoted}{};", self.deferrable()),
            LockMode::AccessExclusive,
            on,
            &format!("The index becomes the constraint's. {BRIEF}"),
        )
    }

    /// USING INDEX is not for partitioned tables: the constraint is made on the table alone, and the partitions' indexes are
    /// attached to its index.
    fn on_partitions(
        &self,
        table: &Relation,
        name: &str,
        catalog: &impl Catalog,
        builds: &mut Vec<PlannedStatement>,
        made: &mut Vec<PlannedStatement>,
    ) -> Result<(), String> {
        let (quoted, on, kind) = (quote_identifier(name), &table.name, self.kind);
        if self.constraint.nulls_not_distinct {
            return Err(
                "NULLS NOT DISTINCT of a partitioned table is left to you: build it partition by partition.".into()
            );
        }
        made.push(brief(
            Phase::Expand,
            format!("ALTER TABLE ONLY {on} ADD CONSTRAINT {quoted} {kind} {}{};", self.wanted.tail, self.deferrable()),
            LockMode::AccessExclusive,
            on,
            "On the partitioned table alone no row is read; it is invalid until every partition has its part.",
        ));
        for id in &table.children {
            let partition = catalog.relation(*id).ok_or("A partition of it is not known.")?;
            let part = self.wanted.name_on(partition, catalog);
            match partition.kind {
                ObjectKind::PartitionedTable => self.on_partitions(partition, &part, catalog, builds, made)?,
                ObjectKind::Table => {
                    builds.push(self.build(partition, &part));
                    made.push(self.constraint(partition, &part));
                }
                _ => return Err(format!("{} can have no unique index.", partition.name)),
            }
            made.push(attach((on, name), (&partition.name, &part)));
        }
        Ok(())
    }
}
