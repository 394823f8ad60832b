//! The statements by which an index is searched, and the same searched exactly. `$1` is the query vector.

use super::target::Target;
use crate::db::MARK;
use crate::facts::vector::Key;

/// `k` rows and their distances, nearest first.
pub fn exact(target: &Target, filter: Option<&str>, k: usize) -> String {
    let distance = match target.reranked {
        true => answer_distance(target),
        false => key_distance(target),
    };
    let conditions = conditions(target, filter, Some(&has_vector(target)));
    let table = &target.table_name;
    format!("{MARK}select ctid, {distance} from only {table}{conditions} order by {distance} limit {k}")
}

/// As an application searches by the index; of a key that is less than the column, `candidates` by the key are ordered again by
/// the column's distance.
pub fn approximate(target: &Target, filter: Option<&str>, k: usize, candidates: usize) -> String {
    let conditions = conditions(target, filter, None);
    let (table, distance) = (&target.table_name, key_distance(target));
    if !target.reranked {
        return format!("{MARK}select ctid, {distance} from only {table}{conditions} order by {distance} limit {k}");
    }
    let answer = answer_distance(target);
    let within = format!(
        "select ctid as tid, {answer} as distance from only {table}{conditions} order by {distance} limit {candidates}"
    );
    format!("{MARK}select tid, distance from ({within}) as candidates order by distance limit {k}")
}

/// Rows that the index holds: those of its predicate.
pub fn conditions(target: &Target, filter: Option<&str>, further: Option<&str>) -> String {
    let given = [target.predicate.as_deref(), filter, further];
    // A condition may end with a comment.
    let all: Vec<String> = given.into_iter().flatten().map(|condition| format!("({condition}\n)")).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!(" where {}", all.join(" and ")),
    }
}

/// The key is not asked: it may be made of no row but those of the predicate.
pub fn has_vector(target: &Target) -> String {
    format!("{} is not null", target.column)
}

/// By which the index is ordered.
fn key_distance(target: &Target) -> String {
    let schema = &target.extension.schema;
    let query = match &target.key {
        Key::Cast { element, dimensions } if target.reranked => match element.name() {
            "bit" => format!("$1::bit({dimensions})"),
            name => format!("$1::{schema}.{name}({dimensions})"),
        },
        Key::BinaryQuantize { dimensions } => format!("{schema}.binary_quantize($1)::bit({dimensions})"),
        Key::Subvector { first, dimensions } => {
            format!("{schema}.subvector($1, {first}, {dimensions})::{schema}.{}({dimensions})", target.element.name())
        }
        Key::Column | Key::Cast { .. } | Key::Other(_) => "$1".to_string(),
    };
    let (operator, operator_schema) = (target.operator.sql(), &target.operator_schema);
    format!("(({}) operator({operator_schema}.{operator}) {query})", target.key_sql)
}

/// By which answers are ordered.
fn answer_distance(target: &Target) -> String {
    let operator = target.answer_operator().sql();
    format!("({} operator({}.{operator}) $1)", target.column, target.extension.schema)
}
