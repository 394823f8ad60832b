//! What copies or refreshes a relation as a whole; values of enumerated types.

use super::planned::alone;
use super::words::insert_after;
use super::{Catalog, Piece, When, is_new};
use crate::facts::migration::statement::{AlterEnum, AlterEnumAction};
use crate::facts::migration::{LockMode, NameAsWritten, Phase};

pub fn refresh(
    text: &str,
    name: &NameAsWritten,
    concurrently: bool,
    with_data: bool,
    catalog: &impl Catalog,
) -> Option<Piece> {
    let view = catalog.find(name)?;
    if concurrently || !with_data || is_new(view) {
        return None;
    }
    let unique = view
        .indexes
        .iter()
        .any(|index| index.unique && index.valid && !index.partial && index.columns.iter().all(Option::is_some));
    let way = if unique {
        let sql = insert_after(text, &["view"], " CONCURRENTLY")?;
        Ok(vec![alone(
            Phase::Expand,
            format!("{sql};"),
            Some((LockMode::Exclusive, view.name.to_string())),
            "Reads go on. It needs the view populated, takes longer, and writes only rows that differ.",
        )])
    } else {
        Err(format!(
            "CONCURRENTLY needs a unique index on plain columns of {}, without a condition: create one, and it can be refreshed \
             while it is read.",
            view.name
        ))
    };
    Some(Piece::one(text, When::Always, way))
}

fn refused(text: &str, reason: &str) -> Piece {
    Piece::one(text, When::Always, Err(reason.into()))
}

pub fn cluster(text: &str) -> Piece {
    refused(
        text,
        "CLUSTER copies the table under ACCESS EXCLUSIVE and nothing in PostgreSQL 17 does it online; pg_repack, an extension, \
         does, with a moment's lock at the end. Run it in a maintenance window otherwise.",
    )
}

pub fn vacuum_full(text: &str) -> Piece {
    refused(
        text,
        "VACUUM FULL copies the table under ACCESS EXCLUSIVE and nothing in PostgreSQL 17 does it online; pg_repack, an extension, \
         does, with a moment's lock at the end. Plain VACUUM makes the space usable again, and REINDEX CONCURRENTLY shrinks indexes.",
    )
}

/// A new value is not usable before the transaction that adds it has ended.
pub fn enum_value(text: &str, alter: &AlterEnum) -> Option<Piece> {
    let AlterEnumAction::AddValue { if_not_exists, .. } = &alter.action else { return None };
    let text_to_run = match if_not_exists {
        true => text.to_string(),
        false => insert_after(text, &["value"], " IF NOT EXISTS")?,
    };
    let why = "In a transaction of its own: what follows may use the value.";
    let planned = alone(Phase::Expand, format!("{text_to_run};"), None, why);
    Some(Piece::one(text, When::Always, Ok(vec![planned])))
}
