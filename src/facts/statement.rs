//! What one statement filters by, from the server's own parse analysis.

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

/// None when `text` is not one SELECT, INSERT, UPDATE or DELETE. Raises the errors of parser and analysis; takes ACCESS SHARE
/// locks on the tables. Placeholders may stand for constants.
pub fn filters(text: &CStr) -> Option<Vec<Filter>> {
    // SAFETY: the trees are the server's own, made in the current memory context and walked before it goes; every node is
    // cast only after its tag has been looked at.
    unsafe {
        let statements = PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
            text.as_ptr(),
            pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
        ));
        let statement = statements.get_ptr(0).filter(|_| statements.len() == 1)?;
        (*statement).stmt = as_select((*statement).stmt)?;
        if takes_strong_locks((*statement).stmt, std::ptr::null_mut()) {
            return None;
        }
        let (mut types, mut count) = (std::ptr::null_mut(), 0);
        let query =
            pg_sys::parse_analyze_varparams(statement, text.as_ptr(), &mut types, &mut count, std::ptr::null_mut());
        let mut search = Search { range_tables: Vec::new(), filters: Vec::new() };
        walk(query.cast(), (&raw mut search).cast());
        Some(search.filters)
    }
}

/// A query that reads what the statement reads. Analysis of the statement itself would lock the table it writes to, in a mode
/// that a standby refuses.
///
/// SAFETY: `statement` is a raw parse tree.
unsafe fn as_select(statement: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: as said above; nodes are cast after a look at their tags, and the new node is of the size its tag says.
    unsafe {
        let (target, others, condition, with) = match (*statement).type_ {
            NodeTag::T_SelectStmt => {
                (*statement.cast::<pg_sys::SelectStmt>()).lockingClause = std::ptr::null_mut();
                return Some(statement);
            }
            NodeTag::T_InsertStmt => {
                let insert = &*statement.cast::<pg_sys::InsertStmt>();
                return (!insert.selectStmt.is_null()).then_some(insert.selectStmt);
            }
            NodeTag::T_UpdateStmt => {
                let update = &*statement.cast::<pg_sys::UpdateStmt>();
                (update.relation, update.fromClause, update.whereClause, update.withClause)
            }
            NodeTag::T_DeleteStmt => {
                let delete = &*statement.cast::<pg_sys::DeleteStmt>();
                (delete.relation, delete.usingClause, delete.whereClause, delete.withClause)
            }
            _ => return None,
        };
        let select = pg_sys::palloc0(size_of::<pg_sys::SelectStmt>()).cast::<pg_sys::SelectStmt>();
        (*select).type_ = NodeTag::T_SelectStmt;
        (*select).fromClause = pg_sys::lcons(target.cast(), others);
        (*select).whereClause = condition;
        (*select).withClause = with;
        Some(select.cast())
    }
}

/// Something in the tree writes, or locks rows.
///
/// SAFETY: called by `filters` and by the server's tree walker, with nodes of a raw parse tree.
#[pg_guard]
unsafe extern "C-unwind" fn takes_strong_locks(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe {
        !node.is_null()
            && (matches!(
                (*node).type_,
                NodeTag::T_InsertStmt
                    | NodeTag::T_UpdateStmt
                    | NodeTag::T_DeleteStmt
                    | NodeTag::T_MergeStmt
                    | NodeTag::T_LockingClause
            ) || pg_sys::raw_expression_tree_walker(node, Some(takes_strong_locks), context))
    }
}

/// The walk's state: the range tables of the queries around the node, outermost first.
struct Search {
    range_tables: Vec<*mut pg_sys::List>,
    filters: Vec<Filter>,
}

/// SAFETY: called by `filters` and by the server's tree walkers, with nodes of one analyzed query and a `Search`.
#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: as said above; `context` is the `Search` of `filters`, which nothing else uses meanwhile.
    unsafe {
        let search = &mut *context.cast::<Search>();
        match (*node).type_ {
            NodeTag::T_Query => {
                let query = node.cast::<pg_sys::Query>();
                search.range_tables.push((*query).rtable);
                pg_sys::query_tree_walker(query, Some(walk), context, 0);
                (*context.cast::<Search>()).range_tables.pop();
                return false;
            }
            NodeTag::T_OpExpr => {
                let expression = &*node.cast::<pg_sys::OpExpr>();
                if expression.opresulttype == pg_sys::BOOLOID {
                    search.add_comparison(expression.opno, expression.args, "");
                }
            }
            NodeTag::T_ScalarArrayOpExpr => {
                let expression = &*node.cast::<pg_sys::ScalarArrayOpExpr>();
                let quantifier = if expression.useOr { " ANY" } else { " ALL" };
                search.add_comparison(expression.opno, expression.args, quantifier);
            }
            NodeTag::T_NullTest => {
                let test = &*node.cast::<pg_sys::NullTest>();
                let operator =
                    if test.nulltesttype == pg_sys::NullTestType::IS_NULL { "IS NULL" } else { "IS NOT NULL" };
                if let Some((table, column)) = search.column(test.arg.cast()) {
                    search.filters.push(Filter { table, column, operator: operator.to_string() });
                }
            }
            _ => {}
        }
        pg_sys::expression_tree_walker(node, Some(walk), context)
    }
}

impl Search {
    /// SAFETY: `arguments` is the argument list of an analyzed operator expression.
    unsafe fn add_comparison(&mut self, operator: pg_sys::Oid, arguments: *mut pg_sys::List, suffix: &str) {
        // SAFETY: as said above; get_opname returns a string in the current memory context, or null.
        unsafe {
            let arguments = PgList::<pg_sys::Node>::from_pg(arguments);
            let (Some(left), Some(right)) = (arguments.get_ptr(0), arguments.get_ptr(1)) else { return };
            let (table, column) = match (self.column(left), self.column(right)) {
                (Some(column), None) | (None, Some(column)) => column,
                _ => return,
            };
            let name = pg_sys::get_opname(operator);
            if !name.is_null() {
                let operator = format!("{}{suffix}", CStr::from_ptr(name).to_string_lossy());
                self.filters.push(Filter { table, column, operator });
            }
        }
    }

    /// The table and column that an expression is, but for a change of type that changes no bits.
    ///
    /// SAFETY: `node` is an expression of an analyzed query whose range tables are `self.range_tables`.
    unsafe fn column(&self, mut node: *mut pg_sys::Node) -> Option<(u32, i16)> {
        // SAFETY: as said above; nodes are cast after a look at their tags, and list positions are checked.
        unsafe {
            while (*node).type_ == NodeTag::T_RelabelType {
                node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
            }
            if (*node).type_ != NodeTag::T_Var {
                return None;
            }
            let var = &*node.cast::<pg_sys::Var>();
            let level = self.range_tables.len().checked_sub(1 + var.varlevelsup as usize)?;
            let range_table = PgList::<pg_sys::RangeTblEntry>::from_pg(self.range_tables[level]);
            let entry = range_table.get_ptr((var.varno as usize).checked_sub(1)?)?;
            let is_column = (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION && var.varattno > 0;
            is_column.then(|| ((*entry).relid.to_u32(), var.varattno))
        }
    }
}
