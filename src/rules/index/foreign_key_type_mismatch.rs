use crate::facts::{Catalog, Column, Facts, ForeignKey};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::{Bytes, listing};
use std::collections::BTreeMap;

pub static RULE: Rule = Rule {
    id: "foreign_key_type_mismatch",
    category: "index",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "A column of a foreign key and the column it references differ in type (domains count as the type below them, \
                text and varchar as the same), or in collation.",
    effect: "An integer child overflows before its bigint parent does; comparing needs a conversion that may keep indexes from \
             being used; collations may disagree on what is equal.",
    workaround: "Give the child's column the parent's type. Large tables: add a new column, fill it in batches, swap.",
    sources: &[
        "https://www.postgresql.org/docs/17/sql-altertable.html",
        "https://www.postgresql.org/docs/17/ddl-constraints.html#DDL-CONSTRAINTS-FK",
    ],
    options: &[OptionSpec::bytes(
        "max_rewrite_bytes",
        100 * Bytes::MIB,
        "The fix rewrites the child under an exclusive lock: for a larger one none is given.",
    )],
    needs: &[Need::Catalog],
    cases: &[
        Case {
            name: "integer to bigint",
            setup: "create table parent (id bigint primary key); create table child (id int primary key, \"Parent Id\" int \
                    references parent); insert into parent values (7); insert into child values (1, 7)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "one of two columns, and a modifier that is part of the parent's type",
            setup: "create table parent (a int, b numeric(12,2), primary key (a, b)); create table child (id int primary key, a \
                    int, b int, foreign key (a, b) references parent)",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a wider child, a view on the column, a partition key, another collation: no fix",
            setup: "create table parent (id int primary key); create table wide (id int primary key, parent_id bigint \
                    references parent); create table big (id bigint primary key); create table seen (id int primary key, \
                    big_id int references big); create view v as select big_id from seen; create table parts (big_id int \
                    references big) partition by range (big_id); create table label (l text primary key); create table \
                    labelled (id int primary key, l text collate \"C\" references label)",
            finds: 4,
            fix_clears: false,
        },
        Case {
            name: "two keys on one column that want different types; typed, inherited, and row types in use: no fix",
            setup: "create table a (id bigint primary key); create table b (id smallint primary key); create table two (id int \
                    references a, foreign key (id) references b); create type shape as (a_id int); create table typed of shape \
                    (foreign key (a_id) references a); create table above (a_id int); create table below (foreign key (a_id) \
                    references a) inherits (above); create table entry (a_id int references a); create table holder (r entry[])",
            finds: 4,
            fix_clears: false,
        },
        Case {
            name: "domains, varchar and text, the same type",
            setup: "create domain positive as bigint check (value > 0); create table parent (id bigint primary key, name \
                    varchar(20) unique); create table child (id int primary key, parent_id positive references parent, name text \
                    references parent (name), other bigint references parent)",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, options: &Options) -> Verdict {
    let catalog = facts.catalog();
    let max_rewrite = options.bytes("max_rewrite_bytes");
    let mut differing: BTreeMap<(u32, &[i16]), Vec<Difference>> = BTreeMap::new();
    for key in catalog.foreign_keys().filter(|key| catalog.table(key.child).is_maintained()) {
        let mismatches: Vec<_> = column_pairs(catalog, key).filter_map(|(c, p)| Mismatch::of(catalog, c, p)).collect();
        if !mismatches.is_empty() {
            differing.entry((key.child, &key.child_columns)).or_default().push((key, mismatches));
        }
    }
    Ok(differing.into_values().map(|keys| finding(catalog, &keys, max_rewrite)).collect())
}

fn column_pairs<'a>(catalog: &'a Catalog, key: &'a ForeignKey) -> impl Iterator<Item = (&'a Column, &'a Column)> {
    let (child, parent) = (catalog.table(key.child), catalog.table(key.parent));
    let pairs = key.child_columns.iter().zip(&key.parent_columns);
    pairs.filter_map(|(c, p)| Some((child.column(*c)?, parent.column(*p)?)))
}

/// A pair of columns that differ.
struct Mismatch<'a> {
    child: &'a Column,
    parent: &'a Column,
    types: (String, String),
    collations_only: bool,
    narrows: bool,
}

impl<'a> Mismatch<'a> {
    fn of(catalog: &Catalog, child: &'a Column, parent: &'a Column) -> Option<Mismatch<'a>> {
        let name = |column: &Column| {
            let type_ = || catalog.type_of(column.type_oid).map_or("?".to_string(), |type_| type_.name.clone());
            column.type_with_modifier.clone().unwrap_or_else(type_)
        };
        let base = |column: &Column| {
            let base = catalog.type_of(catalog.base_type(column.type_oid)).map_or("?", |type_| type_.name.as_str());
            if base == "character varying" { "text" } else { base }
        };
        let (child_base, parent_base) = (base(child), base(parent));
        let collations_only = child_base == parent_base;
        if collations_only && child.collation == parent.collation {
            return None;
        }
        let narrows = match (integer_width(child_base), integer_width(parent_base)) {
            (Some(child), Some(parent)) => child > parent,
            _ => child_base == "numeric",
        };
        Some(Mismatch { child, parent, types: (name(child), name(parent)), collations_only, narrows })
    }

    fn depends_on_time_zone(&self) -> bool {
        let with_zone = |name: &str| name.ends_with("with time zone");
        with_zone(&self.types.0) != with_zone(&self.types.1)
    }

    fn describe(&self) -> String {
        let (child, parent) = &self.types;
        match self.collations_only {
            true => format!("{} and {} are both {child}, of different collations", self.child.name, self.parent.name),
            false => format!("{} is {child}, {} is {parent}", self.child.name, self.parent.name),
        }
    }
}

fn integer_width(type_name: &str) -> Option<u8> {
    match type_name {
        "smallint" => Some(2),
        "integer" => Some(4),
        "bigint" => Some(8),
        _ => None,
    }
}

/// A foreign key with the columns in which its sides differ.
type Difference<'a> = (&'a ForeignKey, Vec<Mismatch<'a>>);

/// `keys` are on the same columns of one child.
fn finding(catalog: &Catalog, keys: &[Difference], max_rewrite: u64) -> Finding {
    let (key, mismatches) = &keys[0];
    let (child, parent) = (catalog.table(key.child), catalog.table(key.parent));
    let bytes = catalog.bytes(child);
    let object = child.columns_of(&key.child_columns);
    let describe = |(key, mismatches): &Difference| {
        let differences: Vec<_> = mismatches.iter().map(Mismatch::describe).collect();
        format!("{} to {}: {}", key.name, catalog.table(key.parent).name, differences.join("; "))
    };
    let differences = keys.iter().map(describe).collect::<Vec<_>>().join("; ");
    let names: Vec<_> = keys.iter().map(|(key, _)| &key.name).collect();
    let obstacle = obstacle(catalog, key, bytes, mismatches, max_rewrite);
    let alter = |to: fn(&Mismatch) -> (String, String)| {
        let columns: Vec<_> = mismatches
            .iter()
            .map(|mismatch| {
                let (column, type_) = to(mismatch);
                format!("ALTER COLUMN {column} TYPE {type_} USING {column}::{type_}")
            })
            .collect();
        format!("ALTER TABLE {} {};", child.name, columns.join(", "))
    };
    let altered: Vec<_> = mismatches.iter().map(|mismatch| mismatch.child.number).collect();
    let followers: Vec<_> = catalog
        .foreign_keys_to(child.oid)
        .filter(|follower| follower.parent_columns.iter().any(|c| altered.contains(c)))
        .map(|follower| &follower.name)
        .collect();
    let chain = match followers.is_empty() {
        true => String::new(),
        false => format!(" It is referenced itself: {} will differ then, and be found next.", listing(&followers)),
    };
    let fixable = obstacle.is_none();
    Finding {
        severity: RULE.severity,
        weight: bytes.0,
        summary: format!("Foreign key {} on {object} references another type: {}", listing(&names), mismatches[0].describe()),
        cause: format!(
            "Both sides of a foreign key should have one type. {differences}.{}",
            obstacle.map(|obstacle| format!(" No statement is given: {obstacle}.")).unwrap_or_default()
        ),
        evidence: object! {
            "constraint_names": names.iter().map(|name| name.raw()).collect::<Vec<_>>(),
            "child": child.name.to_string(),
            "parent": parent.name.to_string(),
            "child_types": mismatches.iter().map(|mismatch| mismatch.types.0.as_str()).collect::<Vec<_>>(),
            "parent_types": mismatches.iter().map(|mismatch| mismatch.types.1.as_str()).collect::<Vec<_>>(),
            "child_bytes": bytes,
            "child_rows": catalog.rows(child),
        },
        impact: object! {},
        fix_sql: fixable.then(|| alter(|mismatch| (mismatch.child.name.to_string(), mismatch.types.1.clone()))),
        app_fix: Some("Change the column's type in the model too (SQLAlchemy: BigInteger for bigint).".to_string()),
        risk: format!(
            "ACCESS EXCLUSIVE on {} while it and its indexes are rewritten ({bytes}) and the key is checked again, SHARE ROW \
             EXCLUSIVE on {}: set lock_timeout, and run it in a quiet hour.{chain}",
            child.name, parent.name
        ),
        rollback: match fixable {
            true => Rollback::Sql(alter(|mismatch| (mismatch.child.name.to_string(), mismatch.types.0.clone()))),
            false => Rollback::None,
        },
        verify_sql: fixable.then(|| {
            format!(
                "SELECT attname, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute WHERE attrelid = \
                 {}::pg_catalog.regclass AND attnum IN ({});",
                crate::db::quote_literal(&child.name.to_string()),
                mismatches.iter().map(|mismatch| mismatch.child.number.to_string()).collect::<Vec<_>>().join(", ")
            )
        }),
        object,
    }
}

/// Why altering the child's type is not safe to propose.
fn obstacle(
    catalog: &Catalog,
    key: &ForeignKey,
    bytes: Bytes,
    mismatches: &[Mismatch],
    max_rewrite: u64,
) -> Option<String> {
    if mismatches.iter().any(|mismatch| mismatch.collations_only) {
        Some("which of the two collations is meant is for you to say".to_string())
    } else if mismatches.iter().any(|mismatch| mismatch.narrows) {
        Some("the child's type is the wider one; widen the parent's column instead".to_string())
    } else if mismatches.iter().any(Mismatch::depends_on_time_zone) {
        Some("what a time without time zone means depends on the session's TimeZone".to_string())
    } else if key.child_columns_in_use {
        Some(
            "a view, policy, trigger, publication, generated column, partition key, parent table or row type holds on to the \
             column's type"
                .to_string(),
        )
    } else if let Some(other) = other_opinion(catalog, key, mismatches) {
        Some(format!("foreign key {} wants another type for the same column", other.name))
    } else if bytes.0 > max_rewrite {
        Some(format!(
            "it would rewrite {bytes} under an exclusive lock; add a column of the right type, fill it in batches, swap the two"
        ))
    } else {
        None
    }
}

/// Another foreign key on one of the columns, to a parent of another type.
fn other_opinion<'a>(catalog: &'a Catalog, key: &ForeignKey, mismatches: &[Mismatch]) -> Option<&'a ForeignKey> {
    catalog.foreign_keys_of(key.child).find(|other| {
        column_pairs(catalog, other).any(|(child, parent)| {
            let ours = mismatches.iter().find(|mismatch| mismatch.child.number == child.number);
            ours.is_some_and(|ours| catalog.base_type(ours.parent.type_oid) != catalog.base_type(parent.type_oid))
        })
    })
}
