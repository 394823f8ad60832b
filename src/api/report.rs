//! `dbre.report()`.

use super::arguments::{TextArray, required, selection};
use crate::db::raise;
use crate::finding::severity;
use crate::{engine, report as reports};
use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

/// The findings as text, in one of the formats markdown, brief and json.
///
/// Each begins with the database, the server, the time, since when statistics count, and what was skipped or failed.
#[pg_extern(stable)]
#[search_path(pg_catalog, dbre, pg_temp)]
fn report(
    format: default!(Option<&str>, "'markdown'"),
    categories: default!(Option<TextArray>, "NULL"),
    rules: default!(Option<TextArray>, "NULL"),
    schemas: default!(Option<TextArray>, "NULL"),
    min_severity: default!(Option<severity>, "'low'"),
) -> String {
    let hint = format!("Formats: {}.", reports::FORMATS.map(|(name, _)| name).join(", "));
    let format = required("format", format, &hint);
    let Some((_, render)) = reports::FORMATS.iter().find(|(name, _)| *name == format) else {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument format: unknown format {format:?}"),
            hint,
        )
    };
    render(&engine::run(&selection(categories, rules, schemas, min_severity)))
}
