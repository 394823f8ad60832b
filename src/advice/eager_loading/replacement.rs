//! One statement that finds for all keys what a lookup finds for one.

use crate::advice::lookups::Relation;
use crate::facts::{Catalog, LookupKey, ReadingShape};
use regex_lite::Regex;
use std::sync::LazyLock;

/// A set of keys becomes the parameter that one key was. None: the text does not show where the key is.
pub fn replacement(catalog: &Catalog, shape: &ReadingShape, relation: &Relation) -> Option<String> {
    let lookup = shape.lookup.as_ref()?;
    let keys: Vec<&LookupKey> = relation
        .columns
        .iter()
        .map(|column| lookup.keys.iter().find(|key| key.column == *column))
        .collect::<Option<_>>()?;
    let types: Vec<String> =
        relation.columns.iter().map(|column| array_type(catalog, relation.table, *column)).collect::<Option<_>>()?;
    let text = without_end(&shape.text);
    let once = |key: &&LookupKey| occurrences(text, key.parameter) == 1;
    if !keys.iter().all(once) {
        return None;
    }
    // A LIMIT is meant for each, and a sum is one of each.
    let simple = !lookup.aggregates && !lookup.limited;
    // The rows of a set are told apart by the key.
    let tells = relation.columns.iter().all(|column| shape.sources[lookup.source].returned.contains(column));
    match (keys.as_slice(), types.as_slice()) {
        ([key], [array]) if simple => any(text, key, array, tells).or_else(|| lateral(text, &keys, &types)),
        _ => lateral(text, &keys, &types),
    }
}

/// `column = $1` becomes `column = any ($1::bigint[])`; the column is returned too, unless it is already.
fn any(text: &str, key: &LookupKey, array: &str, is_returned: bool) -> Option<String> {
    const NAME: &str = r#"(?:"(?:[^"]|"")+"|[\w$\x80-\u{10FFFF}]+)"#;
    static EQUALITY: LazyLock<Regex> = LazyLock::new(|| {
        let (column, value) = (format!(r"{NAME}(?:\s*\.\s*{NAME})*"), r"\$\d+(?:\s*::\s*[\w.]+)?");
        Regex::new(&format!(r"^(?:(?P<a>{column})\s*=\s*{value}|{value}\s*=\s*(?P<b>{column}))")).expect("constants")
    });
    let (from, _) = key.place?;
    let found = EQUALITY.captures(text.get(from..)?)?;
    let column = found.name("a").or_else(|| found.name("b"))?.as_str();
    let whole = found.get(0)?.as_str();
    let behind = text.get(from + whole.len()..)?;
    // A type of several words, a second cast.
    let next = behind.trim_start().to_ascii_lowercase();
    let is_type = ["varying", "precision", "with ", "without "].iter().any(|word| next.starts_with(word));
    if is_type || behind.starts_with(|c: char| c.is_alphanumeric()) || next.starts_with(['(', ':', '[']) {
        return None;
    }
    let mut before = text[..from].to_string();
    if !is_returned {
        static SELECT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\bselect\b").expect("a constant"));
        static SINGLE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(?i)^\s*select\s+(?:distinct\b|all\s+)?").expect("a constant"));
        let start = SINGLE.find(&before).filter(|start| !start.as_str().to_lowercase().contains("distinct"))?.end();
        // In another query than the outermost the column would have no name.
        if SELECT.find_iter(text).count() != 1 {
            return None;
        }
        before.insert_str(start, &format!("{column}, "));
    }
    Some(format!("{before}{column} = any (${}::{array}){behind}", key.parameter))
}

/// The lookup as it is, once for each key, in their order.
fn lateral(text: &str, keys: &[&LookupKey], types: &[String]) -> Option<String> {
    let mut places: Vec<(usize, usize, i32)> = Vec::new();
    for (key, number) in keys.iter().zip(1..) {
        places.push((key.place?.1, number, key.parameter));
    }
    places.sort_unstable();
    let (mut inner, mut from) = (String::new(), 0);
    for (at, number, parameter) in places {
        let written = format!("${parameter}");
        if !text.get(at..)?.starts_with(&written) {
            return None;
        }
        inner += &format!("{}dbre_key.key{number}", text.get(from..at)?);
        from = at + written.len();
    }
    inner += text.get(from..)?;
    let sets: Vec<String> =
        keys.iter().zip(types).map(|(key, array)| format!("pg_catalog.unnest(${}::{array})", key.parameter)).collect();
    let names: Vec<String> = (1..=keys.len()).map(|number| format!("key{number}")).collect();
    Some(format!(
        "select dbre_key.*, dbre_found.* from rows from ({}) with ordinality as dbre_key ({}, position) cross join lateral (\n\
         {inner}\n) dbre_found order by dbre_key.position",
        sets.join(", "),
        names.join(", ")
    ))
}

/// Without a semicolon and a comment behind, which is where sqlcommenter puts what differs from call to call.
fn without_end(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(';').trim_end();
    let comment = text.rfind("/*").filter(|from| text.ends_with("*/") && text[*from..].matches("*/").count() == 1);
    comment.map_or(text, |from| text[..from].trim_end())
}

fn array_type(catalog: &Catalog, table: u32, column: i16) -> Option<String> {
    let column = catalog.table(table).column(column)?;
    catalog.type_of(column.type_oid).map(|known| format!("{}[]", known.name))
}

fn occurrences(text: &str, parameter: i32) -> usize {
    let written = format!("${parameter}");
    text.match_indices(&written)
        .filter(|(at, found)| !text[at + found.len()..].starts_with(|c: char| c.is_ascii_digit()))
        .count()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn key(text: &str, equality: &str, parameter: i32) -> LookupKey {
        let from = text.find(equality).unwrap();
        let at = from + equality.find('$').unwrap();
        LookupKey { column: 1, parameter, place: Some((from, at)) }
    }

    #[test]
    fn one_key_becomes_any() {
        let of = |text: &str, equality: &str| any(text, &key(text, equality, 1), "bigint[]", true);
        let text = "SELECT c.x AS c_x FROM c WHERE $1 = c.post_id ORDER BY c.id";
        let expected = "SELECT c.x AS c_x FROM c WHERE c.post_id = any ($1::bigint[]) ORDER BY c.id";
        assert_eq!(of(text, "$1 = c.post_id").unwrap(), expected);
        let text = "select * from \"T x\" where \"T x\".\"Id\" = $1::BIGINT and b = $2";
        let expected = "select * from \"T x\" where \"T x\".\"Id\" = any ($1::bigint[]) and b = $2";
        assert_eq!(of(text, "\"T x\".\"Id\" = $1").unwrap(), expected);
        let text = "select * from t where a = $1::character varying(3)";
        assert_eq!(of(text, "a = $1"), None);
        let of = |text: &str, equality: &str| any(text, &key(text, equality, 1), "int[]", false);
        let text = "SELECT t.id FROM t, p WHERE $1 = p.a AND t.id = p.b";
        let expected = "SELECT p.a, t.id FROM t, p WHERE p.a = any ($1::int[]) AND t.id = p.b";
        assert_eq!(of(text, "$1 = p.a").unwrap(), expected);
        assert_eq!(of("select x from (select x from t where a = $1) s", "a = $1"), None);
        assert_eq!(of("select distinct x from t where a = $1", "a = $1"), None);
    }

    #[test]
    fn several_keys_become_a_set() {
        let text = "select count(*) from t where a = $2 and b = $1 -- end";
        let keys = [key(text, "a = $2", 2), key(text, "b = $1", 1)];
        let found = lateral(text, &[&keys[0], &keys[1]], &["int[]".to_string(), "text[]".to_string()]).unwrap();
        assert_eq!(
            found,
            "select dbre_key.*, dbre_found.* from rows from (pg_catalog.unnest($2::int[]), pg_catalog.unnest($1::text[])) with \
             ordinality as dbre_key (key1, key2, position) cross join lateral (\n\
             select count(*) from t where a = dbre_key.key1 and b = dbre_key.key2 -- end\n) dbre_found order by dbre_key.position"
        );
        assert_eq!(occurrences("$1 $10 $1", 1), 2);
        assert_eq!(without_end("select 1 /* a */ from t /*route='x'*/;\n"), "select 1 /* a */ from t");
        assert_eq!(without_end("select '*/'"), "select '*/'");
    }
}
