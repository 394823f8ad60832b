//! Partitions that come and go without a scan under a strong lock.

use super::planned::{BRIEF, alone, brief, validate};
use super::words::words;
use super::{Catalog, Piece, Way, When, chosen_name, is_new};
use crate::db::quote_identifier;
use crate::facts::migration::statement::{Bound, CreateTable};
use crate::facts::migration::{LockMode, NameAsWritten, ObjectKind, Phase, PlannedStatement, Relation};

/// What rows of a partition fulfil, and what those of the default partition then do.
struct Conditions {
    inside: String,
    outside: String,
}

impl Conditions {
    /// Of a range or list over one column. None: the server could not tell that it implies the bound.
    fn of(parent: &Relation, bound: &Bound) -> Option<Conditions> {
        let [Some(column)] = parent.partition_columns.as_slice() else { return None };
        let key = quote_identifier(column);
        let said = words(&bound.text);
        let list = |keyword: &str| {
            let at = said.iter().position(|word| word.depth == 0 && word.is(keyword))? + 1;
            let open = said.get(at).filter(|word| word.text == "(")?;
            let close = said[at..].iter().find(|word| word.text == ")" && word.depth == open.depth)?;
            let inner = said.iter().filter(|word| word.start > open.start && word.start < close.start);
            let commas = inner.clone().filter(|word| word.depth == open.depth + 1 && word.text == ",").count();
            let null = inner.clone().any(|word| word.is("null"));
            Some((bound.text[open.end()..close.start].trim(), commas, null))
        };
        if let Some((values, _, null)) = list("in") {
            let conditions = Conditions {
                inside: format!("{key} IS NOT NULL AND {key} IN ({values})"),
                outside: format!("{key} IS NULL OR {key} NOT IN ({values})"),
            };
            return (!null).then_some(conditions);
        }
        let ((from, more, _), (to, _, _)) = (list("from")?, list("to")?);
        if more > 0 {
            return None;
        }
        let (mut inside, mut outside) = (vec![format!("{key} IS NOT NULL")], vec![format!("{key} IS NULL")]);
        if !from.eq_ignore_ascii_case("minvalue") {
            inside.push(format!("{key} >= {from}"));
            outside.push(format!("{key} < {from}"));
        }
        if !to.eq_ignore_ascii_case("maxvalue") {
            inside.push(format!("{key} < {to}"));
            outside.push(format!("{key} >= {to}"));
        }
        Some(Conditions { inside: inside.join(" AND "), outside: outside.join(" OR ") })
    }
}

const NOT_ONE_COLUMN: &str = "A CHECK that spares the scan can be written for ranges and lists over one column; here add one yourself \
                              that implies the partition's bound, NOT VALID first, then validated.";

/// A CHECK that holds beforehand, and how to drop it.
fn proof(table: &Relation, condition: &str, catalog: &impl Catalog) -> (Vec<PlannedStatement>, PlannedStatement) {
    let (on, name) = (&table.name, chosen_name(catalog, &table.name, &[], "bound_check"));
    let name = quote_identifier(&name);
    let add = brief(
        Phase::Expand,
        format!("ALTER TABLE {on} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID;"),
        LockMode::AccessExclusive,
        on,
        &format!("Proves beforehand what would be looked for in every row. {BRIEF}"),
    );
    let gone = brief(
        Phase::Expand,
        format!("ALTER TABLE {on} DROP CONSTRAINT {name};"),
        LockMode::AccessExclusive,
        on,
        "The partition's bound says the same from here on.",
    );
    (vec![add, validate(on, &name, None)], gone)
}

/// What spares the scan of the default partition, if there is one with its own storage.
fn default_proof(
    parent: &Relation,
    conditions: &Conditions,
    catalog: &impl Catalog,
) -> Option<(Vec<PlannedStatement>, PlannedStatement)> {
    let default = catalog.relation(parent.default_partition?)?;
    (!is_new(default)).then(|| proof(default, &conditions.outside, catalog))
}

pub fn attached(
    parent: &Relation,
    partition: &NameAsWritten,
    bound: &Bound,
    command: &str,
    catalog: &impl Catalog,
) -> Way {
    let partition = catalog.find(partition).ok_or("The partition is not known.")?;
    let conditions = Conditions::of(parent, bound).ok_or(NOT_ONE_COLUMN)?;
    let (mut plan, mut after) = (Vec::new(), Vec::new());
    let of_partition = (!is_new(partition)).then(|| proof(partition, &conditions.inside, catalog));
    for (before, gone) in of_partition.into_iter().chain(default_proof(parent, &conditions, catalog)) {
        plan.extend(before);
        after.push(gone);
    }
    plan.push(brief(
        Phase::Expand,
        format!("ALTER TABLE {} {command};", parent.name),
        LockMode::AccessExclusive,
        &partition.name,
        "SHARE UPDATE EXCLUSIVE on the partitioned table; no row is read, for a CHECK implies the bound. Indexes that the \
         partition lacks are built here: create them concurrently before.",
    ));
    plan.extend(after);
    Ok(plan)
}

/// A new partition beside a default one.
pub fn create(text: &str, create: &CreateTable, catalog: &impl Catalog) -> Option<Piece> {
    let parent = catalog.find(create.partition_of.as_ref()?)?;
    let bound = create.bound.as_ref()?;
    if is_new(parent) {
        return None;
    }
    let way = match Conditions::of(parent, bound) {
        None => Err(NOT_ONE_COLUMN.to_string()),
        Some(conditions) => {
            let (mut plan, gone) = default_proof(parent, &conditions, catalog)?;
            plan.push(brief(
                Phase::Expand,
                format!("{text};"),
                LockMode::AccessExclusive,
                &parent.name,
                "The default partition is not read, for its CHECK says that none of its rows belongs here.",
            ));
            plan.push(gone);
            Ok(plan)
        }
    };
    Some(Piece::one(text, When::Scans, way))
}

pub fn detached(parent: &Relation, partition: &NameAsWritten, catalog: &impl Catalog) -> Way {
    if parent.default_partition.is_some() {
        return Err("DETACH PARTITION CONCURRENTLY is not for tables with a default partition.".into());
    }
    let partition = catalog.find(partition).ok_or("The partition is not known.")?;
    if partition.kind != ObjectKind::Table {
        return Err(
            "What is detached is no plain table: the constraint that CONCURRENTLY leaves on it is yours to drop."
                .into(),
        );
    }
    let on = &partition.name;
    let columns: Option<Vec<&str>> = parent.partition_columns.iter().map(Option::as_deref).collect();
    let columns = columns.ok_or(
        "The partition key is an expression: the name of the constraint that CONCURRENTLY leaves is not known.",
    )?;
    let named: &[&str] = if columns.len() == 1 { &columns } else { &[] };
    let left = chosen_name(catalog, on, named, "check");
    Ok(vec![
        alone(
            Phase::Contract,
            format!("ALTER TABLE {} DETACH PARTITION {on} CONCURRENTLY;", parent.name),
            Some((LockMode::ShareUpdateExclusive, parent.name.to_string())),
            "Reads and writes of the partitioned table go on; it waits for what uses it. If it is interrupted, ALTER TABLE … \
             DETACH PARTITION … FINALIZE ends it.",
        ),
        brief(
            Phase::Contract,
            format!("ALTER TABLE {on} DROP CONSTRAINT IF EXISTS {};", quote_identifier(&left)),
            LockMode::AccessExclusive,
            on,
            "CONCURRENTLY leaves the bound as a CHECK on what was detached.",
        ),
    ])
}
