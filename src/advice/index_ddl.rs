//! Statements that create and drop indexes while the application runs.

use crate::advice::index_selection::{Candidate, Key};
use crate::db::{check_for_interrupts, quote_literal};
use crate::facts::query::Part;
use crate::facts::{Catalog, Index, Name, Namer, QualifiedName, Table, TableKind};
use crate::finding::Rollback;
use std::fmt::Write;

/// An index to create.
pub struct NewIndex<'a> {
    pub unique: bool,
    /// From `USING` on.
    pub specification: String,
    /// What its name is made of.
    pub columns: Vec<&'a Name>,
}

/// How to create an index online.
pub struct Creation {
    pub name: QualifiedName,
    pub fix_sql: String,
    pub rollback_sql: String,
    pub verify_sql: String,
    pub risk: String,
}

impl NewIndex<'_> {
    /// On a partitioned table: on the parent alone, which is quick, then on each partition concurrently, then attached;
    /// `fits` tells which index of a partition can be attached as it is.
    pub fn creation(
        &self,
        catalog: &Catalog,
        namer: &mut Namer,
        table: &Table,
        fits: impl Fn(&Table, &Index) -> bool,
    ) -> Creation {
        // A rule may make thousands of these.
        check_for_interrupts();
        let name = namer.index(&table.name, &self.columns);
        let mut fix_sql = String::new();
        let (rollback_sql, risk) = match table.kind {
            TableKind::Partitioned if catalog.has_foreign_partitions(table) => {
                // Built on the parent alone it would wait for parts that foreign tables cannot have.
                let _ = writeln!(fix_sql, "CREATE INDEX {} ON {} {};", name.name, table.name, self.specification);
                (
                    format!("DROP INDEX {name};"),
                    "SHARE on the table and its partitions until all are built: writes wait. Foreign tables among the partitions \
                     rule out the way without.",
                )
            }
            TableKind::Partitioned => {
                self.create(&mut fix_sql, catalog, namer, table, &name, &fits);
                (
                    format!("DROP INDEX {name};"),
                    "On the parent CREATE INDEX takes a short SHARE lock; on each partition CONCURRENTLY reads and writes go on \
                     (SHARE UPDATE EXCLUSIVE). ATTACH locks the index of the partition exclusively: it waits for what uses that, \
                     and new queries on the partition wait behind it. Run the statements outside a transaction block. The \
                     rollback drops the attached indexes of all partitions and blocks their tables while it does.",
                )
            }
            _ => {
                self.create(&mut fix_sql, catalog, namer, table, &name, &fits);
                (
                    drop_index(&name),
                    "SHARE UPDATE EXCLUSIVE on the table: reads and writes go on; it waits for open transactions to end and \
                     cannot run in a transaction block. If it fails it leaves an invalid index behind: drop that and try again.",
                )
            }
        };
        Creation {
            verify_sql: verify_valid(&name),
            fix_sql: fix_sql.trim_end().to_string(),
            rollback_sql,
            risk: risk.into(),
            name,
        }
    }

    fn create(
        &self,
        sql: &mut String,
        catalog: &Catalog,
        namer: &mut Namer,
        table: &Table,
        name: &QualifiedName,
        fits: &impl Fn(&Table, &Index) -> bool,
    ) {
        let (specification, target, name_alone) = (&self.specification, &table.name, &name.name);
        let unique = if self.unique { "UNIQUE " } else { "" };
        if table.kind == TableKind::Partitioned {
            let _ = writeln!(sql, "CREATE {unique}INDEX {name_alone} ON ONLY {target} {specification};");
            self.attach_parts(sql, catalog, namer, table, (name, None), fits);
        } else {
            let _ = writeln!(sql, "CREATE {unique}INDEX CONCURRENTLY {name_alone} ON {target} {specification};");
        }
    }

    /// Gives every partition of `table` that has no part of `index` (by name, and as it exists, if it does) one that fits,
    /// an index that is there or a new one, and attaches it.
    pub fn attach_parts(
        &self,
        sql: &mut String,
        catalog: &Catalog,
        namer: &mut Namer,
        table: &Table,
        (name, index): (&QualifiedName, Option<&Index>),
        fits: &impl Fn(&Table, &Index) -> bool,
    ) {
        for partition in catalog.partitions(table) {
            if index.is_some_and(|index| partition.part_of(index).is_some()) {
                continue;
            }
            let fitting = partition
                .indexes
                .iter()
                .find(|part| part.parent.is_none() && (part.is_usable() || part.partitioned) && fits(partition, part));
            let part = match fitting {
                Some(part) => {
                    let part_name = partition.index_name(part);
                    self.attach_parts(sql, catalog, namer, partition, (&part_name, Some(part)), fits);
                    part_name
                }
                None => {
                    let part_name = namer.index(&partition.name, &self.columns);
                    self.create(sql, catalog, namer, partition, &part_name, fits);
                    part_name
                }
            };
            let _ = writeln!(sql, "ALTER INDEX {name} ATTACH PARTITION {part};");
        }
    }
}

/// One key as CREATE INDEX takes it.
fn key_text(key: &Key, table: &Table) -> String {
    let mut text = match &key.part {
        Part::Column(number) => table.column(*number).map_or(String::new(), |column| column.name.to_string()),
        Part::Expression(expression) => format!("({expression})"),
    };
    for word in [key.collation.as_ref().map(|collation| format!("COLLATE {collation}")), key.class.clone()] {
        text.extend(word.map(|word| format!(" {word}")));
    }
    text.push_str(match (key.descending, key.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    });
    text
}

/// The same in the terms of SQLAlchemy and Alembic. None: a materialized view has no model.
pub fn candidate_in_sqlalchemy(name: &QualifiedName, table: &Table, candidate: &Candidate) -> Option<String> {
    if table.kind == TableKind::MaterializedView {
        return None;
    }
    let keys = candidate.keys.iter().map(|key| {
        let text = key_text(key, table);
        match &key.part {
            Part::Column(number) if table.column(*number).is_some_and(|column| column.name.to_string() == text) => {
                format!("{:?}", table.column(*number).map_or("", |column| column.name.raw()))
            }
            _ => format!("text({text:?})"),
        }
    });
    let keys = keys.collect::<Vec<_>>().join(", ");
    let mut options = String::new();
    if candidate.method != "btree" {
        let _ = write!(options, ", postgresql_using={:?}", candidate.method);
    }
    if !candidate.included.is_empty() {
        let included = candidate.included.iter().filter_map(|number| table.column(*number));
        let included: Vec<_> = included.map(|column| format!("{:?}", column.name.raw())).collect();
        let _ = write!(options, ", postgresql_include=[{}]", included.join(", "));
    }
    if let Some(predicate) = &candidate.predicate {
        let _ = write!(options, ", postgresql_where=text({predicate:?})");
    }
    Some(in_terms_of_sqlalchemy(name, table, &keys, &options))
}

/// A candidate of the search from `USING` on, as CREATE INDEX takes it and as the server would print it.
pub fn specification(candidate: &Candidate, table: &Table) -> String {
    let name = |number: i16| table.column(number).map_or(String::new(), |column| column.name.to_string());
    let keys = candidate.keys.iter().map(|key| key_text(key, table));
    let mut specification = format!("USING {} ({})", candidate.method, keys.collect::<Vec<_>>().join(", "));
    if !candidate.included.is_empty() {
        let included: Vec<_> = candidate.included.iter().map(|number| name(*number)).collect();
        let _ = write!(specification, " INCLUDE ({})", included.join(", "));
    }
    if let Some(predicate) = &candidate.predicate {
        let _ = write!(specification, " WHERE {predicate}");
    }
    specification
}

pub fn drop_index(name: &QualifiedName) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS {name};")
}

/// How to drop an index that nothing depends on.
pub struct Removal {
    pub fix_sql: String,
    pub app_fix: String,
    pub rollback: Rollback,
    pub verify_sql: String,
    pub risk: String,
}

impl Removal {
    pub fn of(table: &Table, index: &Index) -> Removal {
        let name = &table.index_name(index);
        let (fix_sql, risk) = if index.partitioned {
            (
                format!("DROP INDEX IF EXISTS {name};"),
                "ACCESS EXCLUSIVE on the table and its partitions for a moment, after waiting for all that uses them: set \
                 lock_timeout first. The rollback blocks writes on each partition while it builds the index again.",
            )
        } else {
            (
                drop_index(name),
                "CONCURRENTLY lets reads and writes go on; it waits for transactions that use the table and cannot run in a \
                 transaction block. Plans that used the index change at once.",
            )
        };
        let statistics = match index.expressions {
            Some(_) => " ANALYZE no longer gathers statistics on its expression: CREATE STATISTICS on it keeps them.",
            None => "",
        };
        let after = index.clustered.then(|| format!("ALTER TABLE {} CLUSTER ON {};", table.name, index.name));
        Removal {
            fix_sql,
            app_fix: format!("Remove Index({:?}) from the model.", index.name.raw()),
            rollback: Rollback::Recreate { before: None, index: index.oid, after },
            verify_sql: format!(
                "SELECT pg_catalog.to_regclass({}) IS NULL AS dropped;",
                quote_literal(&name.to_string())
            ),
            risk: format!("{risk}{statistics}"),
        }
    }
}

/// Drops `gone` only where `needed` is valid: pasted after a statement that failed, it changes nothing.
pub fn drop_if_valid(needed: &QualifiedName, gone: &QualifiedName) -> String {
    let refusal = quote_literal(&format!("{needed} is not valid: {gone} stays"));
    let body = format!(
        "
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_index
        WHERE indexrelid = pg_catalog.to_regclass({}) AND indisvalid
    ) THEN
        RAISE EXCEPTION USING MESSAGE = {refusal};
    END IF;
    SET LOCAL lock_timeout = '2s';
    DROP INDEX {gone};
END
",
        quote_literal(&needed.to_string())
    );
    let tag = (0..).map(|number| format!("$dbre{number}$")).find(|tag| !body.contains(tag.as_str()));
    let tag = tag.expect("numbers do not run out");
    format!("DO {tag}{body}{tag};")
}

/// The index exists and is valid.
pub fn verify_valid(name: &QualifiedName) -> String {
    let name = quote_literal(&name.to_string());
    format!("SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass({name});")
}

/// The same in the terms of SQLAlchemy and Alembic.
pub fn in_sqlalchemy(name: &QualifiedName, table: &Table, columns: &[&Name]) -> String {
    let quoted = |names: Vec<String>| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>();
    let columns = quoted(columns.iter().map(|column| column.raw().to_string()).collect()).join(", ");
    in_terms_of_sqlalchemy(name, table, &columns, "")
}

/// `keys` and `options` as Index() and op.create_index() take them; each option begins with a comma.
pub fn in_terms_of_sqlalchemy(name: &QualifiedName, table: &Table, keys: &str, options: &str) -> String {
    let (index, schema, table) = (name.name.raw(), table.name.schema.raw(), table.name.name.raw());
    format!(
        "SQLAlchemy: Index({index:?}, {keys}{options}) in __table_args__. Alembic: inside \
         op.get_context().autocommit_block(), op.create_index({index:?}, {table:?}, [{keys}], schema={schema:?}{options}, \
         postgresql_concurrently=True)."
    )
}
