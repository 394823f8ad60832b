//! UPDATE and DELETE of many rows in batches, by ranges of a unique key, with a COMMIT after each.

use super::planned::alone;
use super::words::{Word, words};
use super::{Catalog, Piece, When, is_new};
use crate::db::quote_identifier;
use crate::facts::migration::statement::{Query, QueryKind};
use crate::facts::migration::{LockMode, ObjectKind, Phase, PlannedStatement, Relation};

const BATCH_ROWS: usize = 5000;

/// `body` in dollar quotes that it does not contain.
pub fn quoted_body(body: &str) -> String {
    let tag = (0..).map(|number| if number == 0 { "$dbre$".into() } else { format!("$dbre{number}$") });
    let tag = tag.into_iter().find(|tag: &String| !body.contains(tag.as_str())).expect("numbers do not run out");
    format!("{tag}{body}{tag}")
}

/// The columns of the narrowest unique key, none of which can be NULL.
fn key(table: &Relation) -> Option<Vec<String>> {
    let not_null = |name: &String| table.columns.iter().any(|column| column.name == *name && column.not_null);
    let keys = table.indexes.iter().filter(|index| {
        index.unique && index.valid && !index.partial && index.method == "btree" && !index.columns.is_empty()
    });
    let keys = keys.filter_map(|index| index.columns.iter().cloned().collect::<Option<Vec<_>>>());
    keys.filter(|columns| columns.iter().all(not_null)).min_by_key(Vec::len)
}

/// Fills a column with `assignment`, as a rewrite would: no trigger fires, no policy hides a row.
pub fn filled(table: &Relation, assignment: &str, condition: &str) -> Result<PlannedStatement, String> {
    let mut settings = String::new();
    let mut why = "The rows that are there, a batch and a COMMIT at a time: nobody waits. Run again after an error, it goes on with \
                   what is missing."
        .to_string();
    if !table.triggers.is_empty() {
        settings.push_str("\n        SET LOCAL session_replication_role = replica;");
        why.push_str(&format!(
            " A rewrite fires no triggers, and neither does this ({}): to set session_replication_role takes a superuser or GRANT \
             SET ON PARAMETER.",
            table.triggers.join(", ")
        ));
    }
    if table.row_security {
        // Better an error than rows that a policy hides and that stay as they are.
        settings.push_str("\n        SET LOCAL row_security = off;");
    }
    let head = format!("UPDATE {} SET {assignment}", table.name);
    let sql = batched(table, &head, Some(condition), &settings)?;
    Ok(alone(Phase::Backfill, sql, Some((LockMode::RowExclusive, table.name.to_string())), &why))
}

/// `head` is the statement up to its condition; `settings` are made in each transaction.
fn batched(table: &Relation, head: &str, condition: Option<&str>, settings: &str) -> Result<String, String> {
    let columns = key(table).ok_or_else(|| {
        format!(
            "{} has no primary key or other unique key without NULLs by whose ranges it could be done in batches.",
            table.name
        )
    })?;
    let on = &table.name;
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(column)).collect();
    let variables = |which: &str| (1..=names.len()).map(|number| format!("dbre_{which}_{number}")).collect::<Vec<_>>();
    let (first, last) = (variables("first"), variables("last"));
    let row = |parts: &[String]| if parts.len() == 1 { parts[0].clone() } else { format!("({})", parts.join(", ")) };
    let mut declared = String::new();
    for (variable, name) in first.iter().chain(&last).zip(names.iter().cycle()) {
        declared.push_str(&format!("    {variable} {on}.{name}%TYPE;\n"));
    }
    let down: Vec<String> = names.iter().map(|name| format!("{name} DESC")).collect();
    let (key, list, first_list, last_list) = (row(&names), names.join(", "), first.join(", "), last.join(", "));
    let (from, to, down) = (row(&first), row(&last), down.join(", "));
    let condition =
        condition.map_or(String::new(), |condition| format!("\n            AND ({condition}\n            )"));
    let body = format!(
        "
DECLARE
{declared}BEGIN
    SELECT {list} INTO {first_list} FROM {on} ORDER BY {list} LIMIT 1;
    WHILE {} IS NOT NULL LOOP{settings}
        SELECT {list} INTO {last_list}
        FROM (SELECT {list} FROM {on} WHERE {key} >= {from} ORDER BY {list} LIMIT {BATCH_ROWS}) AS batch
        ORDER BY {down} LIMIT 1;
        {head}
        WHERE {key} >= {from} AND {key} <= {to}{condition};
        COMMIT;
        SELECT {list} INTO {first_list} FROM {on} WHERE {key} > {to} ORDER BY {list} LIMIT 1;
        IF NOT FOUND THEN
            EXIT;
        END IF;
    END LOOP;
END
",
        first[0]
    );
    Ok(format!("DO {};", quoted_body(&body)))
}

/// What is the same in every row whenever and in whatever order it is computed.
const UNCHANGING: [&str; 34] = [
    "abs",
    "btrim",
    "ceil",
    "char_length",
    "coalesce",
    "concat_ws",
    "decode",
    "encode",
    "floor",
    "greatest",
    "initcap",
    "jsonb_set",
    "jsonb_build_object",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "nullif",
    "octet_length",
    "overlay",
    "position",
    "regexp_replace",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "split_part",
    "substring",
    "upper",
];

/// An UPDATE or DELETE of one table that does the same row by row, in any order and when it is run again.
pub fn candidate(text: &str, query: &Query, catalog: &impl Catalog) -> Option<Piece> {
    let [(kind, name)] = query.writes.as_slice() else { return None };
    if query.kind != *kind || !matches!(kind, QueryKind::Update | QueryKind::Delete) {
        return None;
    }
    let table = catalog.find(name)?;
    if is_new(table) || table.kind != ObjectKind::Table {
        return None;
    }
    let way = in_batches(text, query, table).map(|sql| {
        vec![alone(
            Phase::Backfill,
            sql,
            Some((LockMode::RowExclusive, table.name.to_string())),
            "A batch and a COMMIT at a time: locks on rows are short and vacuum keeps up. Each batch stays when a later one fails; \
             run it again, it changes nothing twice.",
        )]
    });
    Some(Piece::one(text, When::WritesMany, way))
}

fn in_batches(text: &str, query: &Query, table: &Relation) -> Result<String, String> {
    let refused = |why: &str| Err(format!("It cannot be told to do the same in batches: {why}."));
    if !table.children.is_empty() {
        return refused("other tables inherit from it");
    }
    if !table.triggers.is_empty() {
        return refused("triggers may count on all its rows in one statement");
    }
    if query.reads.iter().any(|_| true) {
        return refused("it reads other tables");
    }
    if table.constraints.iter().any(|constraint| constraint.references == Some(table.id)) {
        return refused("rows of the table refer to each other");
    }
    let changing = |name: &Vec<String>| !name.last().is_some_and(|name| UNCHANGING.contains(&name.as_str()));
    if let Some(function) = query.functions.iter().find(|name| changing(name)) {
        return Err(format!(
            "It cannot be told to do the same in batches: what {}() returns may differ from batch to batch.",
            function.join(".")
        ));
    }
    let said = words(text);
    let named = |names: &[&str]| said.iter().any(|word| names.iter().any(|name| word.is(name)));
    if named(&[
        "current_timestamp",
        "current_time",
        "current_date",
        "localtimestamp",
        "localtime",
        "current_user",
        "session_user",
        "user",
    ]) {
        return refused("the time of a transaction is another in each batch");
    }
    if named(&["select", "returning", "current", "with", "using"])
        || said.iter().any(|word| word.depth == 0 && word.is("from")) && query.kind == QueryKind::Update
    {
        return refused("it has a subquery, RETURNING, FROM or USING");
    }
    if query.kind == QueryKind::Update
        && let Err(why) = assignments(&said, table)
    {
        return refused(&why);
    }
    let condition = said.iter().position(|word| word.depth == 0 && word.is("where"));
    match condition {
        Some(at) => batched(table, text[..said[at].start].trim_end(), Some(text[said[at].end()..].trim()), ""),
        None => batched(table, text.trim_end(), None, ""),
    }
}

/// What it sets must not be what it reads, nor what ranges and uniqueness go by.
fn assignments(said: &[Word], table: &Relation) -> Result<(), String> {
    let at = |keyword: &str| said.iter().position(|word| word.depth == 0 && word.is(keyword));
    let set = at("set").ok_or("it sets nothing")?;
    let end = at("where").unwrap_or(said.len());
    let words = &said[set + 1..end];
    let mut columns = Vec::new();
    let mut begins = true;
    for (index, word) in words.iter().enumerate() {
        if begins {
            let plain = words.get(index + 1).is_some_and(|next| next.text == "=");
            let column = word.name().filter(|_| plain).ok_or("it sets several columns at once, or part of one")?;
            columns.push(column);
        }
        begins = word.depth == 0 && word.text == ",";
    }
    for column in &columns {
        if words.iter().filter(|word| word.name().as_ref() == Some(column)).count() > 1 {
            return Err(format!(
                "what {column} becomes depends on what is set, and would be computed twice when it is run again"
            ));
        }
        let part_of_key =
            table.indexes.iter().any(|index| index.unique && index.columns.contains(&Some(column.clone())));
        if part_of_key || table.partition_columns.contains(&Some(column.clone())) {
            return Err(format!("{column} is part of a unique key"));
        }
    }
    Ok(())
}
