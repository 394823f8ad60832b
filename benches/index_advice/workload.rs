//! Queries with their weights, and which columns each could want in an index.

use crate::cluster::Result;
use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};

pub struct Workload {
    /// Of the database, too.
    pub name: String,
    pub queries: Vec<Query>,
}

pub struct Query {
    pub name: String,
    pub text: String,
    pub calls: f64,
}

/// `schema.table` where the search path does not find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column {
    pub table: String,
    pub name: String,
}

const COLUMNS: &str = "
    select c.oid::pg_catalog.regclass::text, a.attname::text
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_opclass o on o.opcintype = a.atttypid and o.opcdefault
        or o.opcintype = 'text'::pg_catalog.regtype and o.opcdefault and a.atttypid = 'varchar'::pg_catalog.regtype
    join pg_catalog.pg_am m on m.oid = o.opcmethod and m.amname = 'btree'
    where c.relkind in ('r', 'p')
        and not c.relispartition
        and n.nspname !~ '^pg_'
        and n.nspname <> 'information_schema'
    order by 1, 2";

/// Words after a table's name that are not its alias.
const NO_ALIAS: [&str; 21] = [
    "where",
    "on",
    "join",
    "left",
    "right",
    "inner",
    "outer",
    "full",
    "cross",
    "natural",
    "group",
    "order",
    "set",
    "union",
    "limit",
    "using",
    "having",
    "intersect",
    "except",
    "for",
    "values",
];

/// Per query its columns that a btree can hold, as far as its text tells: whoever plans over SQL has no more.
pub fn indexable_columns(client: &mut Client, queries: &[Query]) -> Result<Vec<BTreeSet<Column>>> {
    let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
    for row in client.query(COLUMNS, &[])? {
        tables.entry(row.get(0)).or_default().insert(row.get(1));
    }
    Ok(queries.iter().map(|query| columns_of(&query.text, &tables)).collect())
}

fn columns_of(text: &str, tables: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Column> {
    let words = words(text);
    let mut aliases = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (at, word) in words.iter().enumerate() {
        let follows_from = at > 0 && matches!(words[at - 1].as_str(), "from" | "join" | "update" | "," | "(" | "into");
        let Some((table, _)) = tables.get_key_value(word).filter(|_| follows_from) else { continue };
        let next = words.get(at + 1).map_or("", |next| if next == "as" { &words[at + 2] } else { next });
        let named = next.starts_with(|first: char| first.is_ascii_alphabetic()) && !NO_ALIAS.contains(&next);
        aliases.entry(if named { next } else { word }).or_default().insert(table);
        // A statement may name the same table with and without an alias.
        aliases.entry("").or_default().insert(table);
    }
    let mut columns = BTreeSet::new();
    for word in &words {
        let (alias, name) = word.rsplit_once('.').unwrap_or(("", word));
        for table in aliases.get(alias).into_iter().flatten() {
            if tables[*table].contains(name) {
                columns.insert(Column { table: table.to_string(), name: name.to_string() });
            }
        }
    }
    columns
}

/// Names, with what qualifies them, and single other characters, in lower case; strings are left out.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            words.push(rest[..end].to_ascii_lowercase());
            end
        } else {
            if !first.is_whitespace() {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}
