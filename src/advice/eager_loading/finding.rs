//! What findings on repeated lookups share.

use super::Repeated;
use crate::advice::lookups::Repetition;
use crate::facts::{Facts, MeasuredStatement, shortened};
use crate::finding::{Finding, change, object};
use crate::rule::{OptionSpec, Options};
use crate::units::rounded;
use serde_json::{Value, json};

pub const ROUND_TRIP_MS: OptionSpec = OptionSpec::number(
    "round_trip_ms",
    (0.5, "ms"),
    (0.0, 1000.0),
    "What a statement takes beside its time in the server: network, driver, ORM. Assumed, for the server cannot see it.",
);
pub const HIGH_PER_PARENT: OptionSpec = OptionSpec::number(
    "high_lookups_per_parent",
    (10.0, "lookups"),
    (2.0, 1e6),
    "With fewer for one call of the parent it is not of severity high.",
);
pub const BATCH_ROWS: OptionSpec = OptionSpec::number(
    "batch_rows",
    (1000.0, "rows"),
    (10.0, 1e9),
    "A parent that returns more for each call drives a batch job rather than a page: severity low.",
);
pub const LARGE_COLLECTION: OptionSpec = OptionSpec::number(
    "large_collection_rows",
    (500.0, "rows"),
    (2.0, 1e9),
    "Collections of as many rows are to be paged through rather than loaded whole.",
);

/// What one call of the parent waits for, now and with one statement for all keys.
pub fn waiting(lookups: f64, mean_ms: f64, options: &Options) -> (f64, f64) {
    let round_trip = options.number("round_trip_ms");
    (lookups * (mean_ms + round_trip), lookups * mean_ms + round_trip)
}

/// Adds relation, advice and replacement.
pub fn add_advice(finding: &mut Finding, facts: &Facts, repeated: &Repeated, options: &Options) {
    let catalog = facts.catalog();
    let largest = repeated.largest_collection(catalog, facts.column_statistics());
    let large_rows = options.number("large_collection_rows");
    let large = repeated.rows_per_lookup >= large_rows || largest.is_some_and(|rows| rows >= large_rows);
    finding.evidence.extend(object! {
        "cardinality": repeated.cardinality(),
        "foreign_key": repeated.told(catalog),
        "rows_per_lookup": rounded(repeated.rows_per_lookup),
        "replacement_query": repeated.replacement(catalog),
    });
    if let Some(rows) = largest {
        finding.evidence.insert("largest_collection_rows".to_string(), json!(rows));
    }
    finding.app_fix = Some(repeated.in_sqlalchemy(catalog, large));
    repeated.add_index(finding, catalog);
}

/// `statements_per_parent_call`, `waiting_ms_per_parent_call`
pub fn add_impact(finding: &mut Finding, (lookups, basis): (f64, &str), mean_ms: f64, options: &Options) {
    let (before, after) = waiting(lookups, mean_ms, options);
    finding.impact = object! {
        "statements_per_parent_call": change((rounded(lookups), basis), (1, "estimated")),
        "waiting_ms_per_parent_call": change((rounded(before), "estimated"), (rounded(after), "estimated")),
    };
}

/// What pg_stat_statements says of the lookup and of those that could be its parents.
pub fn statistics(facts: &Facts, repetition: &Repetition) -> Value {
    let lookup = &repetition.lookup.measured;
    let parent_calls: f64 = repetition.parents.iter().map(|parent| parent.measured.calls as f64).sum();
    json!({
        "confidence": repetition.confidence.name(),
        "arithmetic": arithmetic(repetition),
        "calls": lookup.calls,
        "total_ms": rounded(lookup.total_ms),
        "mean_ms": rounded(lookup.mean_ms()),
        "share": rounded(share(facts, lookup)),
        "lookups_per_parent_call": rounded(lookup.calls as f64 / parent_calls.max(1.0)),
        "lookups_expected": rounded(repetition.expected),
        "other_possible_parents": repetition.others.len(),
        "others": repetition.others.iter().take(3).map(|other| json!({
            "query_id": other.parent.measured.query_id,
            "query": shortened(&other.parent.measured.text),
            "columns": facts.catalog().table(other.relation.parent).columns_of(&other.relation.parent_columns),
            "calls": other.parent.measured.calls,
            "lookups_expected": rounded(other.expected),
        })).collect::<Vec<_>>(),
        "parents": repetition.parents.iter().take(5).map(|parent| json!({
            "query_id": parent.measured.query_id,
            "query": shortened(&parent.measured.text),
            "calls": parent.measured.calls,
            "rows_per_call": rounded(parent.measured.rows_per_call()),
        })).collect::<Vec<_>>(),
    })
}

/// `5,000 calls / (100 parent calls × 50 rows, 48 different) = 1.04`
fn arithmetic(repetition: &Repetition) -> String {
    let parents =
        repetition.parents.iter().take(3).map(|parent| {
            format!("{} calls × {} rows", parent.measured.calls, rounded(parent.measured.rows_per_call()))
        });
    let more = if repetition.parents.len() > 3 { " + …" } else { "" };
    let calls = repetition.lookup.measured.calls;
    format!(
        "{calls} calls / {} lookups expected of {}{more} = {:.2}",
        rounded(repetition.expected),
        parents.collect::<Vec<_>>().join(" + "),
        calls as f64 / repetition.expected
    )
}

/// Of the time of all statements that clients sent.
pub fn share(facts: &Facts, statement: &MeasuredStatement) -> f64 {
    statement.total_ms / facts.lookups().total_ms.max(f64::MIN_POSITIVE)
}

/// Calls and rows of these statements now.
pub fn verify_sql(facts: &Facts, role: u32, query_ids: &[i64]) -> Option<String> {
    let schema = facts.database.extension_schema("pg_stat_statements")?;
    let ids: Vec<String> = query_ids.iter().map(i64::to_string).collect();
    Some(format!(
        "select s.queryid, s.calls, s.rows, s.total_exec_time as total_ms from {schema}.pg_stat_statements s where s.queryid in ({}) and \
         s.userid = {role} and s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()) \
         order by s.calls desc;",
        ids.join(", ")
    ))
}
