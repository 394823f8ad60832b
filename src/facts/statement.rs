//! What one statement filters by, from its text alone.
//!
//! The text is parsed and never analyzed: analysis calls the input functions of types, which for a domain run its CHECK. That
//! would run code of whoever wrote the statement with the rights of whoever looks at it.

use super::{Catalog, Name, Table};
use crate::db::string;
use fnv::FnvHashMap;
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgList, pg_guard};
use std::ffi::{CStr, c_void};

/// `column operator something`, the something not being a column.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    pub table: u32,
    pub column: i16,
    pub operator: String,
}

/// The tables by name.
pub struct TableNames<'a>(FnvHashMap<(&'a str, &'a str), &'a Table>);

impl<'a> TableNames<'a> {
    pub fn of(catalog: &'a Catalog) -> TableNames<'a> {
        TableNames(
            catalog.all_tables().map(|table| ((table.name.schema.raw(), table.name.name.raw()), table)).collect(),
        )
    }

    fn find(&self, search_path: &[String], schema: Option<&str>, name: &str) -> Option<&'a Table> {
        match schema {
            Some(schema) => self.0.get(&(schema, name)).copied(),
            None => search_path.iter().find_map(|schema| self.0.get(&(schema.as_str(), name)).copied()),
        }
    }
}

/// None when `text` is not one SELECT, INSERT, UPDATE, DELETE or MERGE. Raises the parser's errors. Names are looked up in
/// `search_path`; a column that could be of several tables, or of a subquery, is left out.
pub fn filters(text: &CStr, names: &TableNames, search_path: &[String]) -> Option<Vec<Filter>> {
    // SAFETY: the tree is the server's own, made in the current memory context and walked before it goes; every node is
    // cast only after its tag has been looked at.
    unsafe {
        let statements = PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
            text.as_ptr(),
            pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
        ));
        let statement = statements.get_ptr(0).filter(|_| statements.len() == 1)?;
        let node = (*statement).stmt;
        let reads = matches!(
            (*node).type_,
            NodeTag::T_SelectStmt
                | NodeTag::T_InsertStmt
                | NodeTag::T_UpdateStmt
                | NodeTag::T_DeleteStmt
                | NodeTag::T_MergeStmt
        );
        if !reads {
            return None;
        }
        let mut search = Search { names, search_path, scopes: Vec::new(), with: Vec::new(), filters: Vec::new() };
        visit(node, (&raw mut search).cast());
        Some(search.filters)
    }
}

/// Operators that compute a value rather than compare: without analysis, their names tell them.
const COMPUTING: &[&str] = &["+", "-", "*", "/", "%", "^", "||", "|", "&", "#", "->", "->>", "#>", "#>>", "#-"];

/// The walk's state.
struct Search<'a> {
    names: &'a TableNames<'a>,
    search_path: &'a [String],
    /// What FROM names, of the queries around the node, outermost first.
    scopes: Vec<Vec<Source<'a>>>,
    /// Names of WITH queries seen so far.
    with: Vec<String>,
    filters: Vec<Filter>,
}

/// One item of FROM. No table: a subquery, a function, a WITH query or something unknown.
struct Source<'a> {
    name: String,
    table: Option<&'a Table>,
}

/// SAFETY: called by `filters` and by the server's tree walker, with nodes of a raw parse tree and a `Search`.
unsafe fn visit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: as said above; `context` is the `Search` of `filters`, which nothing else uses meanwhile; nodes are cast after a
    // look at their tags.
    unsafe {
        let search = &mut *context.cast::<Search>();
        let sources = match (*node).type_ {
            NodeTag::T_SelectStmt => {
                let select = &*node.cast::<pg_sys::SelectStmt>();
                search.add_with(select.withClause);
                Some((std::ptr::null_mut(), select.fromClause))
            }
            NodeTag::T_UpdateStmt => {
                let update = &*node.cast::<pg_sys::UpdateStmt>();
                search.add_with(update.withClause);
                Some((update.relation, update.fromClause))
            }
            NodeTag::T_DeleteStmt => {
                let delete = &*node.cast::<pg_sys::DeleteStmt>();
                search.add_with(delete.withClause);
                Some((delete.relation, delete.usingClause))
            }
            NodeTag::T_A_Expr => {
                search.add_comparison(&*node.cast::<pg_sys::A_Expr>());
                None
            }
            NodeTag::T_NullTest => {
                let test = &*node.cast::<pg_sys::NullTest>();
                let is_null = test.nulltesttype == pg_sys::NullTestType::IS_NULL;
                search.add(test.arg.cast(), if is_null { "IS NULL" } else { "IS NOT NULL" });
                None
            }
            _ => None,
        };
        let Some((relation, from)) = sources else {
            return pg_sys::raw_expression_tree_walker(node, Some(walk), context);
        };
        let mut scope = Vec::new();
        search.add_source(&mut scope, relation.cast());
        for item in PgList::<pg_sys::Node>::from_pg(from).iter_ptr() {
            search.add_source(&mut scope, item);
        }
        search.scopes.push(scope);
        pg_sys::raw_expression_tree_walker(node, Some(walk), context);
        (*context.cast::<Search>()).scopes.pop();
        false
    }
}

/// The server's walker calls this; our own code calls `visit`, for an error must unwind through it.
///
/// SAFETY: as of `visit`.
#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { visit(node, context) }
}

impl<'a> Search<'a> {
    /// SAFETY: `clause` is null or of a raw parse tree.
    unsafe fn add_with(&mut self, clause: *mut pg_sys::WithClause) {
        // SAFETY: as said above; the parser makes a list of CommonTableExpr.
        unsafe {
            if !clause.is_null() {
                let queries = PgList::<pg_sys::CommonTableExpr>::from_pg((*clause).ctes);
                self.with.extend(queries.iter_ptr().map(|query| string((*query).ctename)));
            }
        }
    }

    /// SAFETY: `item` is null or an item of FROM in a raw parse tree.
    unsafe fn add_source(&self, scope: &mut Vec<Source<'a>>, item: *mut pg_sys::Node) {
        // SAFETY: as said above; nodes are cast after a look at their tags.
        unsafe {
            if item.is_null() {
                return;
            }
            match (*item).type_ {
                NodeTag::T_RangeVar => {
                    let relation = &*item.cast::<pg_sys::RangeVar>();
                    let name = string(relation.relname);
                    let schema = (!relation.schemaname.is_null()).then(|| string(relation.schemaname));
                    let with = schema.is_none() && self.with.contains(&name);
                    let table = self.names.find(self.search_path, schema.as_deref(), &name).filter(|_| !with);
                    let name = if relation.alias.is_null() { name } else { string((*relation.alias).aliasname) };
                    scope.push(Source { name, table });
                }
                NodeTag::T_JoinExpr => {
                    let join = &*item.cast::<pg_sys::JoinExpr>();
                    self.add_source(scope, join.larg);
                    self.add_source(scope, join.rarg);
                }
                NodeTag::T_RangeSubselect => {
                    let alias = (*item.cast::<pg_sys::RangeSubselect>()).alias;
                    let name = if alias.is_null() { String::new() } else { string((*alias).aliasname) };
                    scope.push(Source { name, table: None });
                }
                _ => scope.push(Source { name: String::new(), table: None }),
            }
        }
    }

    /// SAFETY: `expression` is of a raw parse tree.
    unsafe fn add_comparison(&mut self, expression: &pg_sys::A_Expr) {
        use pg_sys::A_Expr_Kind as Kind;
        // SAFETY: as said above; the parser makes an operator's name a list of strings, its last part the operator itself.
        unsafe {
            let parts = PgList::<pg_sys::String>::from_pg(expression.name);
            let Some(last) = parts.get_ptr(parts.len().wrapping_sub(1)) else { return };
            let name = string((*last).sval);
            if COMPUTING.contains(&name.as_str()) {
                return;
            }
            let operator = match expression.kind {
                Kind::AEXPR_OP | Kind::AEXPR_LIKE | Kind::AEXPR_ILIKE | Kind::AEXPR_BETWEEN => name,
                Kind::AEXPR_OP_ANY => format!("{name} ANY"),
                Kind::AEXPR_OP_ALL => format!("{name} ALL"),
                Kind::AEXPR_IN if name == "=" => "= ANY".to_string(),
                Kind::AEXPR_IN => format!("{name} ALL"),
                _ => return,
            };
            match (is_column(expression.lexpr), is_column(expression.rexpr)) {
                (true, false) => self.add(expression.lexpr, &operator),
                (false, true) => self.add(expression.rexpr, &operator),
                _ => {}
            }
        }
    }

    /// SAFETY: `node` is null or of a raw parse tree.
    unsafe fn add(&mut self, node: *mut pg_sys::Node, operator: &str) {
        // SAFETY: as said above; a ColumnRef has a list of strings, or of a star in the end.
        unsafe {
            if !is_column(node) {
                return;
            }
            let fields = PgList::<pg_sys::Node>::from_pg((*node.cast::<pg_sys::ColumnRef>()).fields);
            let names: Vec<String> = fields
                .iter_ptr()
                .take_while(|field| (**field).type_ == NodeTag::T_String)
                .map(|field| string((*field.cast::<pg_sys::String>()).sval))
                .collect();
            let (qualifier, column) = match names.as_slice() {
                [column] => (None, column),
                [.., table, column] => (Some(table), column),
                [] => return,
            };
            if let Some((table, column)) = self.resolve(qualifier, column) {
                self.filters.push(Filter { table, column, operator: operator.to_string() });
            }
        }
    }

    /// The innermost query that knows the name decides.
    fn resolve(&self, qualifier: Option<&String>, column: &str) -> Option<(u32, i16)> {
        let number = |table: &Table| {
            table.columns.iter().find(|known| Name::raw(&known.name) == column).map(|known| (table.oid, known.number))
        };
        for scope in self.scopes.iter().rev() {
            match qualifier {
                Some(qualifier) => {
                    if let Some(source) = scope.iter().find(|source| source.name == *qualifier) {
                        return number(source.table?);
                    }
                }
                None => {
                    let known: Vec<_> = scope.iter().filter_map(|source| number(source.table?)).collect();
                    match known.as_slice() {
                        [only] => return Some(*only),
                        [] if scope.iter().all(|source| source.table.is_some()) => {}
                        _ => return None,
                    }
                }
            }
        }
        None
    }
}

/// SAFETY: `node` is null or of a raw parse tree.
unsafe fn is_column(node: *mut pg_sys::Node) -> bool {
    // SAFETY: as said above.
    unsafe { !node.is_null() && (*node).type_ == NodeTag::T_ColumnRef }
}
