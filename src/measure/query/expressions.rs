//! Expressions over one table, as an index on it would hold them.

use crate::db::{quote_identifier, string};
use crate::facts::query::Part;
use pgrx::PgList;
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Node, NodeTag, Oid, PlannerInfo, RelOptInfo};
use std::cell::OnceCell;
use std::ffi::c_void;

/// Evidence is cut here: an IN list may have thousands of values.
const LONGEST_TEXT: usize = 300;

/// A table in the range of a query level that the planner is at work on.
pub struct Relation {
    pub root: *mut PlannerInfo,
    pub rel: *mut RelOptInfo,
    pub table: Oid,
    /// Printing context, in which the table is number 1.
    names: OnceCell<*mut pg_sys::List>,
}

/// One side of a comparison, or what is sorted by.
pub struct Side {
    pub part: Part,
    pub type_oid: Oid,
    pub collation: Oid,
}

impl Relation {
    pub fn new(root: *mut PlannerInfo, rel: *mut RelOptInfo, table: Oid) -> Relation {
        Relation { root, rel, table, names: OnceCell::new() }
    }

    /// None: an index cannot hold it, or it is not of this table.
    pub unsafe fn side(&self, node: *mut Node) -> Option<Side> {
        // SAFETY: `node` is an expression of the planner's; nodes are cast after a look at their tags.
        unsafe {
            let node = without_relabeling(node);
            let part = if (*node).type_ == NodeTag::T_Var {
                self.has_var(&*node.cast()).then(|| Part::Column((*node.cast::<pg_sys::Var>()).varattno))?
            } else {
                let indexable = self.is_own(node) && !pg_sys::expression_returns_set(node);
                indexable.then(|| Part::Expression(self.print(node)))?
            };
            Some(Side { part, type_oid: pg_sys::exprType(node), collation: pg_sys::exprCollation(node) })
        }
    }

    /// A column of the table that no outer join has made NULL.
    pub unsafe fn has_var(&self, var: &pg_sys::Var) -> bool {
        // SAFETY: the relation is the planner's.
        unsafe {
            var.varno as u32 == (*self.rel).relid
                && var.varattno > 0
                && var.varlevelsup == 0
                && var.varnullingrels.is_null()
        }
    }

    /// It can be the predicate of an index, or be in one: columns of this table, constants, immutable functions.
    pub unsafe fn is_own(&self, node: *mut Node) -> bool {
        // SAFETY: as in `side`.
        unsafe {
            !any(node, &mut |node| (*node).type_ == NodeTag::T_Param)
                && self.is_printable(node)
                && any(node, &mut |node| (*node).type_ == NodeTag::T_Var)
                && !pg_sys::contain_mutable_functions(node)
        }
    }

    /// It holds no column of the table.
    pub unsafe fn is_free_of(&self, node: *mut Node) -> bool {
        // SAFETY: as in `side`.
        unsafe { !pg_sys::bms_is_member((*self.rel).relid as i32, pg_sys::pull_varnos(self.root, node)) }
    }

    /// There is nothing in it that only the planner knows.
    pub unsafe fn is_printable(&self, node: *mut Node) -> bool {
        // SAFETY: as in `side`.
        unsafe {
            !any(node, &mut |node| match (*node).type_ {
                NodeTag::T_Var => !self.has_var(&*node.cast()),
                NodeTag::T_Param => (*node.cast::<pg_sys::Param>()).paramkind != pg_sys::ParamKind::PARAM_EXTERN,
                NodeTag::T_Aggref
                | NodeTag::T_GroupingFunc
                | NodeTag::T_WindowFunc
                | NodeTag::T_SubLink
                | NodeTag::T_SubPlan
                | NodeTag::T_AlternativeSubPlan
                | NodeTag::T_PlaceHolderVar
                | NodeTag::T_CurrentOfExpr => true,
                _ => false,
            })
        }
    }

    /// Without the table's name. `node` is printable.
    pub unsafe fn print(&self, node: *mut Node) -> String {
        // SAFETY: as in `print_with`.
        unsafe { self.print_with(node, false) }
    }

    unsafe fn print_with(&self, node: *mut Node, prefix: bool) -> String {
        // SAFETY: the copy is ours to change; the context knows one relation, which is number 1 in the copy.
        unsafe {
            let names =
                *self.names.get_or_init(|| pg_sys::deparse_context_for(pg_sys::get_rel_name(self.table), self.table));
            let copy: *mut Node = pg_sys::copyObjectImpl(node.cast()).cast();
            any(copy, &mut |node| {
                if (*node).type_ == NodeTag::T_Var {
                    let var = &mut *node.cast::<pg_sys::Var>();
                    (var.varno, var.varnosyn, var.varattnosyn) = (1, 0, 0);
                }
                false
            });
            string(pg_sys::deparse_expression(copy, names, prefix, false))
        }
    }

    /// For evidence: what is of another table has its name before it, and what has no name is left out.
    pub unsafe fn describe(&self, node: *mut Node) -> String {
        // SAFETY: as in `side`.
        unsafe {
            if self.is_printable(node) {
                return shortened(self.print(node));
            }
            if let Some(other) = self.other_relation(node).filter(|other| other.is_printable(node)) {
                return shortened(other.print_with(node, true));
            }
            self.outer_var(without_relabeling(node))
                .and_then(|(entry, number)| var_name(entry, number))
                .unwrap_or_else(|| "…".to_string())
        }
    }

    /// The one other table of this query level that `node` has columns of.
    unsafe fn other_relation(&self, node: *mut Node) -> Option<Relation> {
        // SAFETY: as in `side`; when paths are made, the planner's arrays have an element for every table of the level.
        unsafe {
            let root = self.root;
            let numbers = pg_sys::pull_varnos(root, node);
            if pg_sys::bms_membership(numbers) != pg_sys::BMS_Membership::BMS_SINGLETON {
                return None;
            }
            let number = pg_sys::bms_singleton_member(numbers);
            let rel = *(*root).simple_rel_array.add(number as usize);
            let entry = *(*root).simple_rte_array.add(number as usize);
            let is_table = !rel.is_null() && (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION;
            is_table.then(|| Relation::new(root, rel, (*entry).relid))
        }
    }

    pub unsafe fn describe_part(&self, part: &Part) -> String {
        match part {
            // SAFETY: the column is of this table.
            Part::Column(number) => unsafe { column_name(self.table, *number) },
            Part::Expression(text) => shortened(text.clone()),
        }
    }

    /// The table whose columns `node` is made of, be it of this query level or of one around it; looks into subqueries.
    pub unsafe fn other_table(&self, node: *mut Node) -> Option<Oid> {
        // SAFETY: as in `side`.
        unsafe {
            if let Some(other) = self.other_relation(node) {
                return Some(other.table);
            }
            let (entry, number) = self.outer_var(without_relabeling(node))?;
            table_behind(entry, number)
        }
    }

    /// Range table entry and attribute number of a Var, or of the Var that a parameter of a correlated subquery is for.
    unsafe fn outer_var(&self, node: *mut Node) -> Option<(*mut pg_sys::RangeTblEntry, i16)> {
        // SAFETY: as in `side`; the range table has an entry for every varno.
        unsafe {
            let (root, var) = match (*node).type_ {
                NodeTag::T_Var => (self.root, node.cast::<pg_sys::Var>()),
                NodeTag::T_Param => self.correlated(&*node.cast())?,
                _ => return None,
            };
            // Of the levels around, the planner has no arrays yet.
            let entries = PgList::<pg_sys::RangeTblEntry>::from_pg((*(*root).parse).rtable);
            Some((entries.get_ptr((*var).varno as usize - 1)?, (*var).varattno))
        }
    }

    unsafe fn correlated(&self, param: &pg_sys::Param) -> Option<(*mut PlannerInfo, *mut pg_sys::Var)> {
        // SAFETY: while a subquery is planned, the levels around it list what it takes from them.
        unsafe {
            if param.paramkind != pg_sys::ParamKind::PARAM_EXEC {
                return None;
            }
            let mut root = (*self.root).parent_root;
            while !root.is_null() {
                for item in PgList::<pg_sys::PlannerParamItem>::from_pg((*root).plan_params).iter_ptr() {
                    if (*item).paramId == param.paramid {
                        let is_var = (*(*item).item).type_ == NodeTag::T_Var;
                        return is_var.then(|| (root, (*item).item.cast()));
                    }
                }
                root = (*root).parent_root;
            }
            None
        }
    }
}

unsafe fn table_behind(entry: *mut pg_sys::RangeTblEntry, number: i16) -> Option<Oid> {
    // SAFETY: an entry of a range table; a subquery has a target for each of its columns.
    unsafe {
        match (*entry).rtekind {
            pg_sys::RTEKind::RTE_RELATION => Some((*entry).relid),
            pg_sys::RTEKind::RTE_SUBQUERY if number > 0 => {
                let subquery = (*entry).subquery;
                let target = pg_sys::get_tle_by_resno((*subquery).targetList, number);
                let node = without_relabeling(target.as_ref()?.expr.cast());
                if (*node).type_ != NodeTag::T_Var || (*node.cast::<pg_sys::Var>()).varlevelsup > 0 {
                    return None;
                }
                let var = &*node.cast::<pg_sys::Var>();
                let entries = PgList::<pg_sys::RangeTblEntry>::from_pg((*subquery).rtable);
                table_behind(entries.get_ptr(var.varno as usize - 1)?, var.varattno)
            }
            _ => None,
        }
    }
}

/// Casts that change nothing but the type's name, or the collation, are not part of an index.
pub unsafe fn without_relabeling(mut node: *mut Node) -> *mut Node {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        while (*node).type_ == NodeTag::T_RelabelType {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        node
    }
}

/// `test` holds for some node of the expression. It may change the nodes that it is given.
pub unsafe fn any(node: *mut Node, mut test: &mut dyn FnMut(*mut Node) -> bool) -> bool {
    // SAFETY: `visit` gets back what it is handed here, while it is borrowed.
    unsafe { visit(node, (&raw mut test).cast()) }
}

/// SAFETY: called by `any` and the server's tree walker, with a reference to a test of `any`.
unsafe fn visit(node: *mut Node, test: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe {
        if node.is_null() {
            return false;
        }
        (*test.cast::<&mut dyn FnMut(*mut Node) -> bool>())(node)
            || pg_sys::expression_tree_walker(node, Some(walk), test)
    }
}

/// The server's walker calls this; our own code calls `visit`, for an error must unwind through it.
///
/// SAFETY: as of `visit`.
#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { visit(node, context) }
}

/// As EXPLAIN would name it.
unsafe fn var_name(entry: *mut pg_sys::RangeTblEntry, number: i16) -> Option<String> {
    // SAFETY: an entry of a range table; its column names are in the order of its attribute numbers.
    unsafe {
        let alias = &*(*entry).eref;
        let names = PgList::<pg_sys::String>::from_pg(alias.colnames);
        let column = names.get_ptr(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let quoted = |name| quote_identifier(&string(name));
        Some(format!("{}.{}", quoted(alias.aliasname), quoted((*column).sval)))
    }
}

unsafe fn column_name(table: Oid, number: i16) -> String {
    // SAFETY: returns a copy, or null when it is gone.
    unsafe { quote_identifier(&string(pg_sys::get_attname(table, number, true))) }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
