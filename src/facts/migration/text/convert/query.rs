//! SELECT, INSERT, UPDATE, DELETE, MERGE: what they read and write.

use super::super::node::Node;
use super::names::relation;
use crate::facts::migration::NameAsWritten;
use crate::facts::migration::statement::{Query, QueryKind};

/// Of SELECT … INTO; NULL of any other. In a set operation it is the first SELECT that says so.
pub fn into(select: Node) -> Node {
    let mut select = select;
    while select.field("intoClause").is_null() && !select.field("larg").is_null() {
        select = select.field("larg");
    }
    select.field("intoClause")
}

pub fn query(node: Node) -> Query {
    let named = Named::by_with(node);
    let mut writes = Vec::new();
    let mut written = Vec::new();
    for statement in node.nodes() {
        let Some(kind) = kind(statement.tag()).filter(|kind| *kind != QueryKind::Select) else { continue };
        let target = statement.field("relation");
        writes.push((kind, relation(target)));
        written.push(target);
    }
    let is_written = |node: &Node| written.iter().any(|target| node.is_within(*target));
    // FOR UPDATE names what FROM names, by its alias.
    let locking: Vec<Node> = node.all("LOCKINGCLAUSE").collect();
    let of: Vec<String> =
        locking.iter().flat_map(|clause| clause.all("RANGEVAR")).map(|of| of.name("relname")).collect();
    let locks_all = locking.iter().any(|clause| clause.all("RANGEVAR").next().is_none());
    let mut reads: Vec<NameAsWritten> = Vec::new();
    let mut locked: Vec<NameAsWritten> = Vec::new();
    for read in node.all("RANGEVAR").filter(|node| !is_written(node)) {
        let name = relation(read);
        if named.is_query(read, &name) || locking.iter().any(|clause| read.is_within(*clause)) {
            continue;
        }
        let alias = read.field("alias").name("aliasname");
        let known_as = if alias.is_empty() { &name.name } else { &alias };
        if (locks_all || of.contains(known_as)) && !locked.contains(&name) {
            locked.push(name.clone());
        }
        if !reads.contains(&name) {
            reads.push(name);
        }
    }
    let mut functions: Vec<Vec<String>> = Vec::new();
    for called in node.all("FUNCCALL").map(|call| call.names("funcname")) {
        if !functions.contains(&called) {
            functions.push(called);
        }
    }
    Query {
        kind: kind(node.tag()).unwrap_or(QueryKind::Select),
        writes,
        columns: columns(node),
        reads,
        has_condition: !node.field("whereClause").is_null() || !node.field("joinCondition").is_null(),
        value_rows: value_rows(node),
        functions,
        locked,
    }
}

fn kind(tag: &str) -> Option<QueryKind> {
    Some(match tag {
        "SELECTSTMT" => QueryKind::Select,
        "INSERTSTMT" => QueryKind::Insert,
        "UPDATESTMT" => QueryKind::Update,
        "DELETESTMT" => QueryKind::Delete,
        "MERGESTMT" => QueryKind::Merge,
        _ => return None,
    })
}

fn columns(node: Node) -> Vec<String> {
    let target = match node.tag() {
        "INSERTSTMT" => node.field("cols"),
        "UPDATESTMT" => node.field("targetList"),
        "MERGESTMT" => node.field("mergeWhenClauses"),
        _ => return Vec::new(),
    };
    let of_merge = target.children().filter(|clause| clause.is("MERGEWHENCLAUSE"));
    let lists = of_merge.map(|clause| clause.field("targetList")).chain([target]);
    lists.flat_map(Node::children).filter(|node| node.is("RESTARGET")).filter_map(|node| node.string("name")).collect()
}

fn value_rows(node: Node) -> Option<usize> {
    let select = node.field("selectStmt");
    match node.is("INSERTSTMT") {
        false => None,
        true if select.is_null() => Some(1),
        true => Some(select.field("valuesLists").count()).filter(|rows| *rows > 0),
    }
}

/// Names of WITH queries.
struct Named<'t>(Vec<(String, Node<'t>, bool)>);

impl<'t> Named<'t> {
    fn by_with(node: Node<'t>) -> Named<'t> {
        let clauses = node.all("WITHCLAUSE");
        let queries = clauses.flat_map(|clause| {
            let recursive = clause.flag("recursive");
            clause.field("ctes").children().map(move |query| (query.name("ctename"), query, recursive))
        });
        Named(queries.collect())
    }

    /// In a query that is not recursive, its own name is that of a table.
    fn is_query(&self, read: Node, name: &NameAsWritten) -> bool {
        name.schema.is_none()
            && self
                .0
                .iter()
                .any(|(named, query, recursive)| *named == name.name && (*recursive || !read.is_within(*query)))
    }
}
