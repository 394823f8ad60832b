//! CREATE TABLE, INDEX, VIEW, SCHEMA, and tables made of queries.

use super::super::node::Node;
use super::column::{column, table_constraint};
use super::names::{kind, optional_relation, persistence, relation};
use super::source::Source;
use super::{convert, query, relations};
use crate::facts::migration::ObjectKind;
use crate::facts::migration::statement::{Bound, CreateIndex, CreateTable, NameAsWritten, Statement};
use std::ops::Range;

pub fn table(node: Node, source: &Source) -> Statement {
    let foreign = node.is("CREATEFOREIGNTABLESTMT");
    // Fields of the node inside it have its name before theirs.
    let field = |name: &str| node.field(&if foreign { format!("base.{name}") } else { name.to_string() });
    let elements = || field("tableElts").children().chain(field("constraints").children());
    let own = field("relation");
    let partition_of = optional_relation(field("inhRelations").children().next().unwrap_or(field("partbound")))
        .filter(|_| !field("partbound").is_null());
    let like = elements().filter(|element| element.is("TABLELIKECLAUSE"));
    let flag = |name: &str| if foreign { node.flag(&format!("base.{name}")) } else { node.flag(name) };
    Statement::CreateTable(CreateTable {
        name: relation(own),
        if_not_exists: flag("if_not_exists"),
        temporary: persistence(own) == 't',
        unlogged: persistence(own) == 'u',
        foreign,
        columns: elements().filter(|element| element.is("COLUMNDEF")).map(|node| column(node, source)).collect(),
        constraints: elements()
            .filter(|element| element.is("CONSTRAINT"))
            .filter_map(|node| table_constraint(node, source))
            .collect(),
        bound: bound(field("partbound"), source),
        inherits: if partition_of.is_some() { Vec::new() } else { relations(field("inhRelations")) },
        partition_of,
        partition_by: partition_by(field("partspec")),
        like: like.map(|clause| relation(clause.field("relation"))).collect(),
    })
}

fn partition_by(node: Node) -> Option<(String, Vec<Option<String>>)> {
    let strategy = match u8::try_from(node.number("strategy")?).ok()? {
        b'l' => "list",
        b'h' => "hash",
        _ => "range",
    };
    let columns = node.field("partParams").children().map(|element| element.string("name")).collect();
    Some((strategy.to_string(), columns))
}

/// None: the node is NULL.
pub fn bound(node: Node, source: &Source) -> Option<Bound> {
    if node.is_null() {
        return None;
    }
    let default = node.flag("is_default");
    let at = source.at(node);
    // Its place is that of what follows FOR VALUES.
    let from = if default { at } else { at.saturating_sub(2) };
    let after = ["partition", "using", "with", "on", "tablespace"];
    let end = source.end(at + 1, |token| token.is(",") || after.iter().any(|word| token.word(word)));
    Some(Bound { default, text: source.slice(from..end).to_string() })
}

pub fn index(node: Node, source: &Source) -> Statement {
    let on = node.field("relation");
    let names = |field: &str| node.field(field).children().map(|element| element.string("name")).collect::<Vec<_>>();
    Statement::CreateIndex(CreateIndex {
        name: node.string("idxname"),
        relation: relation(on),
        only: !on.flag("inh"),
        concurrently: node.flag("concurrent"),
        unique: node.flag("unique"),
        if_not_exists: node.flag("if_not_exists"),
        method: node.string("accessMethod").unwrap_or_else(|| "btree".to_string()),
        columns: names("indexParams"),
        include: names("indexIncludingParams").into_iter().flatten().collect(),
        predicate: (!node.field("whereClause").is_null())
            .then(|| source.behind(0..source.tokens().len(), "where"))
            .flatten(),
        nulls_not_distinct: node.flag("nulls_not_distinct"),
    })
}

pub fn view(node: Node, source: &Source) -> Statement {
    let name = node.field("view");
    Statement::CreateView {
        name: relation(name),
        replace: node.flag("replace"),
        query: query_text(source, &["check", "option"]),
    }
}

/// What follows AS, without a last clause WITH … that ends in these words.
fn query_text(source: &Source, last: &[&str]) -> String {
    let all = source.tokens().len();
    let Some(at) = source.find(0..all, "as") else { return source.text.to_string() };
    source.slice(at + 1..without_last(source, at + 1..all, last)).to_string()
}

fn without_last(source: &Source, range: Range<usize>, last: &[&str]) -> usize {
    let tokens = source.tokens();
    let is_last = last.iter().rev().zip(tokens[range.clone()].iter().rev()).all(|(word, token)| token.word(word));
    let with = tokens[range.clone()].iter().rposition(|token| token.word("with"));
    match with {
        // WITH [NO] DATA, WITH [CASCADED | LOCAL] CHECK OPTION
        Some(with) if is_last && range.len() - with <= last.len() + 2 => range.start + with,
        _ => range.end,
    }
}

pub fn table_as(node: Node, source: &Source) -> Statement {
    let into = node.field("into");
    Statement::CreateTableAs {
        name: relation(into.field("rel")),
        materialized_view: kind(node, "objtype") == ObjectKind::MaterializedView,
        temporary: persistence(into.field("rel")) == 't',
        if_not_exists: node.flag("if_not_exists"),
        with_data: !into.flag("skipData"),
        query: query_text(source, &["data"]),
    }
}

pub fn select_into(node: Node, source: &Source) -> Statement {
    let target = query::into(node).field("rel");
    Statement::CreateTableAs {
        name: relation(target),
        materialized_view: false,
        temporary: persistence(target) == 't',
        if_not_exists: false,
        with_data: true,
        query: without_into(source, &relation(target)),
    }
}

fn without_into(source: &Source, target: &NameAsWritten) -> String {
    let tokens = source.tokens();
    let Some(at) = source.find(0..tokens.len(), "into") else { return source.text.to_string() };
    let name = |token: &&super::super::lexer::Token| token.name().as_deref() == Some(target.name.as_str());
    let Some(last) = tokens[at..].iter().find(name) else { return source.text.to_string() };
    format!("{}{}", &source.text[..tokens[at].start], source.text[last.end()..].trim_start())
}

pub fn schema(node: Node, source: &Source) -> Statement {
    Statement::CreateSchema {
        name: match node.string("schemaname") {
            Some(name) => name,
            None => node.field("authrole").name("rolename"),
        },
        if_not_exists: node.flag("if_not_exists"),
        elements: node.field("schemaElts").children().map(|element| convert(element, "other", source)).collect(),
    }
}
