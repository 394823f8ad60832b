//! Which tables and columns a query names.

use super::do_block;
use super::node::{Node, Tree};
use super::parser;
use crate::facts::QualifiedName;

/// Of one query: names as written.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// Schema, name and alias.
    relations: Vec<(Option<String>, String, Option<String>)>,
    /// Qualifier and name.
    columns: Vec<(Option<String>, String)>,
    /// Of an INSERT: what it names of its table; empty: all.
    inserted: Option<Vec<String>>,
}

/// Of SELECT, INSERT, UPDATE, DELETE and MERGE; of anything else, and of what does not parse, nothing.
pub fn of_query(sql: &str) -> Vec<Uses> {
    let of = |raw: parser::Raw| {
        let is_query = matches!(raw.tag.as_str(), "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "SELECT INTO");
        is_query.then(|| of_tree(Tree::read(raw.tree).root()))
    };
    parser::parse(sql, of).map(|all| all.into_iter().flatten().collect()).unwrap_or_default()
}

/// Of the queries in a function's body.
pub fn of_function(language: &str, body: &str) -> Vec<Uses> {
    match language {
        "sql" => of_query(body),
        "plpgsql" => do_block::statements(language, body).0.iter().flat_map(|parsed| of_query(&parsed.text)).collect(),
        _ => Vec::new(),
    }
}

fn of_tree(root: Node) -> Uses {
    let mut uses = Uses::default();
    for range in root.all("RANGEVAR") {
        let alias = range.field("alias").string("aliasname");
        uses.relations.push((range.string("schemaname"), range.name("relname"), alias));
    }
    for reference in root.all("COLUMNREF") {
        let mut parts: Vec<String> = reference.field("fields").children().filter_map(Node::text).collect();
        if let Some(name) = parts.pop() {
            uses.columns.push((parts.pop(), name));
        }
    }
    let targets = |list: Node| list.children().filter_map(|target| target.string("name")).collect::<Vec<_>>();
    for insert in root.all("INSERTSTMT") {
        let columns = targets(insert.field("cols"));
        uses.columns.extend(columns.iter().map(|name| (None, name.clone())));
        uses.inserted = Some(columns);
    }
    for update in root.all("UPDATESTMT") {
        uses.columns.extend(targets(update.field("targetList")).into_iter().map(|name| (None, name)));
    }
    uses
}

impl Uses {
    fn ranges<'a>(
        &'a self,
        table: &'a QualifiedName,
    ) -> impl Iterator<Item = &'a (Option<String>, String, Option<String>)> {
        self.relations.iter().filter(|(schema, name, _)| {
            name == table.name.raw() && schema.as_deref().is_none_or(|schema| schema == table.schema.raw())
        })
    }

    pub fn names_table(&self, table: &QualifiedName) -> bool {
        self.ranges(table).next().is_some()
    }

    pub fn names_column(&self, table: &QualifiedName, column: &str) -> bool {
        self.ranges(table).any(|(_, name, alias)| {
            self.columns.iter().any(|(qualifier, own)| {
                let of_table = |qualifier: &str| qualifier == alias.as_deref().unwrap_or(name);
                own == column && qualifier.as_deref().is_none_or(of_table)
            })
        })
    }

    /// It inserts into the table, and names other columns, or none.
    pub fn inserts_without(&self, table: &QualifiedName, column: &str) -> bool {
        let first = self.relations.first().is_some_and(|(_, name, _)| name == table.name.raw());
        let without = |columns: &Vec<String>| !columns.iter().any(|name| name == column);
        first && self.names_table(table) && self.inserted.as_ref().is_some_and(without)
    }
}
