//! A column of another type beside the old one: a trigger keeps both the same, the rows that are there are filled in batches,
//! and one short transaction swaps them.

mod carry_over;
mod parts;
mod switch;

use super::planned::{BRIEF, alone, brief, harmless};
use super::{Catalog, Way, batches, not_null};
use crate::db::quote_identifier;
use crate::facts::migration::statement::ConstraintKind;
use crate::facts::migration::{Column, LockMode, ObjectKind, Phase, PlannedStatement, Relation};
use parts::Part;

pub struct New<'a> {
    pub of_type: &'a str,
    pub collation: Option<&'a str>,
    pub using: Option<&'a str>,
    /// What the same statement says of the default; None: nothing.
    pub default: Option<Option<&'a str>>,
}

/// The change of one column.
struct Change<'a> {
    table: &'a Relation,
    column: &'a Column,
    new: &'a New<'a>,
    /// Quoted: of the column as it is, the new one beside it, and the old one after the swap.
    name: String,
    beside: String,
    old: String,
    /// Of the function, qualified, and the trigger.
    function: String,
    trigger: String,
}

pub fn way(table: &Relation, column: &str, new: &New, catalog: &impl Catalog) -> Way {
    let column = table.columns.iter().find(|known| known.name == column).ok_or("The column is not known.")?;
    refuse(table, column, catalog)?;
    let free = |suffix: &str| {
        let taken = |name: &String| table.columns.iter().any(|known| known.name == *name);
        let mut names = (0..).map(|number| match number {
            0 => clipped(&column.name, suffix),
            _ => clipped(&column.name, &format!("{suffix}{number}")),
        });
        names.find(|name| !taken(name)).expect("numbers do not run out")
    };
    let (beside, old) = (free("_new"), free("_old"));
    let function = crate::facts::free_name(table.name.name.raw(), &column.name, "sync", |_| true);
    // Triggers fire in the order of their names: this one must see what the others have made of the row.
    let trigger = if table.triggers.is_empty() {
        function.clone()
    } else {
        clipped("~", &function[..function.floor_char_boundary(62)])
    };
    let change = Change {
        table,
        column,
        new,
        name: quote_identifier(&column.name),
        beside: quote_identifier(&beside),
        old: quote_identifier(&old),
        function: format!("{}.{}", table.name.schema, quote_identifier(&function)),
        trigger: quote_identifier(&trigger),
    };
    let parts = parts::of(&change, catalog)?;
    let mut plan = change.expand();
    plan.push(change.fill()?);
    if column.not_null {
        // The new column's own name goes into that of the CHECK, which is gone in the end.
        plan.extend(not_null::by_check(table, &beside, catalog));
    }
    plan.extend(parts.iter().flat_map(Part::beforehand));
    plan.push(alone(
        Phase::Backfill,
        format!("ANALYZE {} ({});", table.name, change.beside),
        None,
        "Plans need statistics of the new column from its first moment on.",
    ));
    plan.extend(change.switch(&parts));
    plan.push(change.contract());
    Ok(plan)
}

/// Whole characters of the name, and the suffix.
fn clipped(name: &str, suffix: &str) -> String {
    let most = name.len().min(63 - suffix.len());
    format!("{}{suffix}", &name[..name.floor_char_boundary(most)])
}

fn refuse(table: &Relation, column: &Column, catalog: &impl Catalog) -> Result<(), String> {
    let refused = |why: String| Err(format!("The way over a second column is not for this: {why}."));
    if table.kind != ObjectKind::Table || !table.children.is_empty() || !table.parents.is_empty() {
        return refused("the table has partitions, children or parents, whose columns change with it".into());
    }
    if column.generated.is_some() {
        return refused("it is generated".into());
    }
    if let Some(referring) = catalog.referring(table.id, &column.name) {
        return refused(format!("{referring} refers to it, and must change with it"));
    }
    let involved = |of: &[String]| of.contains(&column.name);
    if let Some(dependent) = table.dependents.iter().find(|dependent| {
        dependent.kind == ObjectKind::Statistics && (dependent.columns.is_empty() || involved(&dependent.columns))
    }) {
        return refused(format!("{} is about it", dependent.name));
    }
    let hindrance = table.constraints.iter().find(|constraint| {
        involved(&constraint.columns)
            && (constraint.kind == ConstraintKind::Exclude
                || constraint.references == Some(table.id)
                || constraint.definition.contains("SET NULL (")
                || constraint.definition.contains("SET DEFAULT ("))
    });
    if let Some(constraint) = hindrance {
        return refused(format!("constraint {} cannot be built beforehand", constraint.name));
    }
    if let Some(index) = table.indexes.iter().find(|index| index.replica_identity) {
        return refused(format!("{} is the replica identity", index.name));
    }
    Ok(())
}

impl Change<'_> {
    fn on(&self) -> String {
        self.table.name.to_string()
    }

    /// The new column and the trigger that fills it, in one transaction.
    fn expand(&self) -> Vec<PlannedStatement> {
        let (on, beside) = (self.on(), &self.beside);
        let collation = self.new.collation.map_or(String::new(), |collation| format!(" COLLATE {collation}"));
        let value = match self.new.using {
            Some(using) => format!("(SELECT ({using}) FROM (SELECT NEW.*) AS {})", self.table.name.name),
            None => format!("NEW.{}", self.name),
        };
        // What USING calls is found where the migration finds it, whoever writes.
        let path = if self.new.using.is_some() { " SET search_path FROM CURRENT" } else { "" };
        let body =
            format!("\n#variable_conflict use_column\nBEGIN\n    NEW.{beside} := {value};\n    RETURN NEW;\nEND\n");
        vec![
            brief(
                Phase::Expand,
                format!("ALTER TABLE {on} ADD COLUMN {beside} {}{collation};", self.new.of_type),
                LockMode::AccessExclusive,
                &on,
                BRIEF,
            ),
            harmless(
                Phase::Expand,
                format!(
                    "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql{path} AS {};",
                    self.function,
                    batches::quoted_body(&body)
                ),
                "What both columns have in common.",
            ),
            brief(
                Phase::Expand,
                format!(
                    "CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {on} FOR EACH ROW EXECUTE FUNCTION {}();",
                    self.trigger, self.function
                ),
                LockMode::ShareRowExclusive,
                &on,
                "From here on every row that is written has both.",
            ),
        ]
    }

    /// The trigger computes the value.
    fn fill(&self) -> Result<PlannedStatement, String> {
        let (name, beside) = (&self.name, &self.beside);
        let value = self.new.using.map_or(name.clone(), |using| format!("({using})"));
        let missing = match self.new.using {
            Some(_) => format!("{beside} IS NULL"),
            None => format!("{beside} IS NULL AND {name} IS NOT NULL"),
        };
        batches::filled(self.table, &format!("{beside} = {value}"), &missing)
    }

    fn contract(&self) -> PlannedStatement {
        let on = self.on();
        let sql = format!("ALTER TABLE {on} DROP COLUMN {};", self.old);
        let why = "When the new column has proven itself. The order of the columns is another than that of ALTER COLUMN TYPE: it is \
                   the last now.";
        brief(Phase::Contract, sql, LockMode::AccessExclusive, &on, why)
    }
}
