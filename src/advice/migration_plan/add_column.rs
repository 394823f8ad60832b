//! ADD COLUMN whose default must be computed for each row, or with constraints.

use super::planned::{BRIEF, brief, harmless};
use super::words::{Word, words};
use super::{Catalog, Way, When, batches, check, chosen_name, foreign_key, not_null, unique};
use crate::db::{quote_identifier, quote_literal};
use crate::facts::migration::statement::{ColumnDefinition, ConstraintDefinition, ConstraintKind};
use crate::facts::migration::{LockMode, Phase, PlannedStatement, Relation};

pub fn ways(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> Vec<(When, Way)> {
    let mut ways = vec![(When::Rewrites(column.name.clone()), filled(table, column, catalog))];
    let reads = |constraint: &&ConstraintDefinition| match constraint.kind {
        ConstraintKind::ForeignKey => column.default.is_some(),
        ConstraintKind::NotNull => false,
        _ => true,
    };
    if column.constraints.iter().any(|constraint| reads(&constraint)) {
        ways.push((When::Always, constrained(table, column, catalog)));
    }
    ways
}

/// The default is a constant: only the constraints come afterwards.
fn constrained(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> Way {
    let definition = without_constraints(column).ok_or(UNREAD)?;
    let sql = format!("ALTER TABLE {} ADD COLUMN {definition};", table.name);
    let mut plan = vec![brief(Phase::Expand, sql, LockMode::AccessExclusive, &table.name, BRIEF)];
    plan.extend(constraints(table, column, catalog)?);
    Ok(plan)
}

const UNREAD: &str = "The column's definition could not be taken apart.";

/// Nullable and empty first; the default for new rows; the rows that are there in batches; then NOT NULL and constraints.
fn filled(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> Way {
    if column.generated.is_some() {
        return Err("A stored generated column is computed for every row under ACCESS EXCLUSIVE; PostgreSQL 17 has no other way. \
                    A plain column that a trigger fills, with the rows that are there filled in batches, or a view or an \
                    index on the expression, does without."
            .into());
    }
    if !table.children.is_empty() && table.partition_key.is_none() {
        return Err("Tables that inherit from it have rows of their own: fill them table by table.".into());
    }
    let name = quote_identifier(&column.name);
    let fill = batches::filled(table, &format!("{name} = DEFAULT"), &format!("{name} IS NULL"))?;
    let mut plan = source(table, column, catalog)?;
    plan.push(fill);
    let primary = column.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
    if column.not_null || primary || column.of_type.serial || column.identity.is_some() {
        plan.extend(not_null::by_check(table, &column.name, catalog));
    }
    plan.extend(identity(table, column, catalog));
    plan.extend(constraints(table, column, catalog)?);
    Ok(plan)
}

/// The column and where its values come from.
fn source(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> Way {
    let (name, on) = (quote_identifier(&column.name), &table.name);
    let owner = quote_identifier(&table.owner);
    let definition = bare(column).ok_or(UNREAD)?;
    let added = |default: &str| {
        brief(
            Phase::Expand,
            format!("ALTER TABLE {on} ADD COLUMN {definition}, ALTER COLUMN {name} SET DEFAULT {default};"),
            LockMode::AccessExclusive,
            on,
            &format!("New rows get the default at once; those that are there stay NULL and are not written. {BRIEF}"),
        )
    };
    if column.of_type.serial || column.identity.is_some() {
        let sequence = sequence(table, column, catalog);
        let (of_type, options) = match &column.identity {
            Some(_) => (column.of_type.text.clone(), identity_options(column)),
            None => (serial_type(&column.of_type.text).into(), String::new()),
        };
        let mut plan = vec![
            harmless(Phase::Expand, format!("CREATE SEQUENCE {sequence} AS {of_type}{options};"), "Nobody has it yet."),
            harmless(Phase::Expand, format!("ALTER SEQUENCE {sequence} OWNER TO {owner};"), "As the table."),
            added(&format!("pg_catalog.nextval({}::pg_catalog.regclass)", quote_literal(&sequence))),
        ];
        plan.push(match column.identity {
            Some(_) => harmless(
                Phase::Expand,
                format!("GRANT USAGE ON SEQUENCE {sequence} TO PUBLIC;"),
                "Until it is an identity column, whoever inserts needs its sequence.",
            ),
            None => harmless(
                Phase::Expand,
                format!("ALTER SEQUENCE {sequence} OWNED BY {on}.{name};"),
                "It goes with the column.",
            ),
        });
        return Ok(plan);
    }
    match &column.default {
        Some(default) => Ok(vec![added(&default.text)]),
        None => Err("Every row is checked against the domain's constraints under ACCESS EXCLUSIVE. Take the domain's base type, \
                     with a CHECK that is added NOT VALID and validated."
            .into()),
    }
}

/// The server's name for what is owned by the column; another for what only helps it on the way to an identity.
fn sequence(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> String {
    let label = if column.identity.is_some() { "dbre_seq" } else { "seq" };
    let name = chosen_name(catalog, &table.name, &[&column.name], label);
    format!("{}.{}", table.name.schema, quote_identifier(&name))
}

fn serial_type(serial: &str) -> &'static str {
    match serial.to_ascii_lowercase().as_str() {
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        _ => "integer",
    }
}

/// From the sequence that gave the values so far to an identity, in one transaction.
fn identity(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> Vec<PlannedStatement> {
    let Some(kind) = &column.identity else { return Vec::new() };
    let (name, on) = (quote_identifier(&column.name), &table.name);
    let sequence = sequence(table, column, catalog);
    let options = identity_options(column);
    let options = if options.is_empty() { options } else { format!(" ({})", options.trim()) };
    let locked = |sql: String, why: &str| brief(Phase::Switch, sql, LockMode::AccessExclusive, on, why);
    vec![
        locked(format!("ALTER TABLE {on} ALTER COLUMN {name} DROP DEFAULT;"), "An identity column has no default."),
        locked(
            format!("ALTER TABLE {on} ALTER COLUMN {name} ADD GENERATED {kind} AS IDENTITY{options};"),
            "It is NOT NULL by now: no row is read.",
        ),
        harmless(
            Phase::Switch,
            format!(
                "SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence({}, {})::pg_catalog.regclass, last_value, is_called) \
                 FROM {sequence};",
                quote_literal(&on.to_string()),
                quote_literal(&column.name)
            ),
            "It goes on where the other sequence ends; the lock is still held.",
        ),
        harmless(Phase::Switch, format!("DROP SEQUENCE {sequence};"), "Nothing uses it any more."),
    ]
}

/// What stands in the parentheses after IDENTITY.
fn identity_options(column: &ColumnDefinition) -> String {
    let said = words(&column.text);
    let Some(at) = said.iter().position(|word| word.depth == 0 && word.is("identity")) else { return String::new() };
    match said.get(at + 1) {
        Some(open) if open.text == "(" => {
            let close = said[at + 2..].iter().find(|word| word.text == ")" && word.depth == open.depth);
            close.map_or(String::new(), |close| format!(" {}", column.text[open.end()..close.start].trim()))
        }
        _ => String::new(),
    }
}

/// UNIQUE, CHECK, PRIMARY KEY and REFERENCES of the column, each the way that it is added to a table.
fn constraints(table: &Relation, column: &ColumnDefinition, catalog: &impl Catalog) -> Way {
    let mut plan = Vec::new();
    for constraint in &column.constraints {
        let own = quote_identifier(&column.name);
        let of_table = |constraint: &ConstraintDefinition| {
            let mut constraint = constraint.clone();
            if constraint.columns.is_empty() {
                constraint.columns = vec![column.name.clone()];
            }
            constraint
        };
        plan.extend(match constraint.kind {
            ConstraintKind::Check => check::added(table, &[&column.name], constraint, catalog),
            ConstraintKind::Unique | ConstraintKind::PrimaryKey => {
                unique::added(table, &of_table(constraint), catalog)?
            }
            ConstraintKind::ForeignKey => {
                let mut constraint = of_table(constraint);
                let at = words(&constraint.text).into_iter().find(|word| word.is("references")).map(|word| word.start);
                let at = at.ok_or(UNREAD)?;
                constraint.text.insert_str(at, &format!("FOREIGN KEY ({own}) "));
                foreign_key::added(table, &constraint, catalog)?
            }
            ConstraintKind::Exclude | ConstraintKind::NotNull => Vec::new(),
        });
    }
    Ok(plan)
}

/// The definition without CHECK, UNIQUE, PRIMARY KEY and REFERENCES.
fn without_constraints(column: &ColumnDefinition) -> Option<String> {
    let mut text = column.text.clone();
    for constraint in column.constraints.iter().filter(|constraint| constraint.kind != ConstraintKind::NotNull) {
        let at = text.find(&constraint.text)?;
        text.replace_range(at..at + constraint.text.len(), "");
    }
    Some(text.trim_end().into())
}

/// The name and the type with its collation and storage alone: no default, no NOT NULL, no constraint.
fn bare(column: &ColumnDefinition) -> Option<String> {
    let mut text = without_constraints(column)?;
    if column.of_type.serial {
        let at = text.find(&column.of_type.text)?;
        text.replace_range(at..at + column.of_type.text.len(), serial_type(&column.of_type.text));
    }
    if let Some(default) = &column.default {
        let start = keyword(&text, &["default"])?.0;
        let value = start + text[start..].find(&default.text)?;
        text.replace_range(start..value + default.text.len(), "");
    }
    if column.identity.is_some() {
        let start = keyword(&text, &["generated"])?.0;
        let mut end = keyword(&text, &["identity"])?.1;
        let said = words(&text);
        if let Some(open) = said.iter().find(|word| word.start >= end && word.text == "(") {
            end =
                said.iter().find(|word| word.start > open.start && word.text == ")" && word.depth == open.depth)?.end();
        }
        text.replace_range(start..end, "");
    }
    if let Some((start, end)) = keyword(&text, &["not", "null"]) {
        let named = named_before(&text, start).unwrap_or(start);
        text.replace_range(named..end, "");
    }
    Some(text.trim_end().into())
}

/// Where these words stand one after the other, outside parentheses.
fn keyword(text: &str, keywords: &[&str]) -> Option<(usize, usize)> {
    let said = words(text);
    let here =
        |window: &&[Word]| window.iter().zip(keywords).all(|(word, keyword)| word.depth == 0 && word.is(keyword));
    said.windows(keywords.len()).find(here).map(|window| (window[0].start, window[keywords.len() - 1].end()))
}

/// Where the `CONSTRAINT name` begins that ends at `at`.
fn named_before(text: &str, at: usize) -> Option<usize> {
    let said = words(text);
    let before: Vec<&Word> = said.iter().filter(|word| word.start < at).collect();
    match before.as_slice() {
        [.., constraint, _name] if constraint.is("constraint") => Some(constraint.start),
        _ => None,
    }
}
