//! What a query's parameters are compared with.

use super::expressions::{Side, without_relabeling};
use super::ways::Comparison;
use crate::facts::query::{Parameter, ParameterRole, Part};
use pgrx::pg_sys::{self, Node, NodeTag, Oid};
use pgrx::{PgList, pg_guard};
use std::ffi::c_void;

/// Parameters, in the order in which they were found; the same one may be there several times.
#[derive(Default)]
pub struct Bindings(Vec<Parameter>);

impl Bindings {
    /// `side` is compared with `value`. No comparison: by an operator that tells nothing of order or equality.
    pub unsafe fn compared(&mut self, value: *mut Node, table: Oid, side: &Side, comparison: Option<Comparison>) {
        let column = match side.part {
            Part::Column(number) => Some((table.to_u32(), number)),
            Part::Expression(_) => None,
        };
        let role = match comparison {
            Some(Comparison::Equal) => ParameterRole::Equal,
            Some(Comparison::Greater) => ParameterRole::LowerBound,
            Some(Comparison::Less) => ParameterRole::UpperBound,
            Some(Comparison::Other) | None => ParameterRole::Other,
        };
        // SAFETY: `value` is an expression of the planner's.
        unsafe { self.add(value, column, role) };
    }

    unsafe fn add(&mut self, value: *mut Node, column: Option<(u32, i16)>, role: ParameterRole) {
        // SAFETY: nodes are cast after a look at their tags.
        unsafe {
            let value = without_casts(value);
            match (*value).type_ {
                NodeTag::T_Param => {
                    let param = &*value.cast::<pg_sys::Param>();
                    if param.paramkind == pg_sys::ParamKind::PARAM_EXTERN {
                        let type_oid = param.paramtype.to_u32();
                        self.0.push(Parameter { number: param.paramid, type_oid, column, role });
                    }
                }
                NodeTag::T_ArrayExpr => {
                    for element in PgList::<Node>::from_pg((*value.cast::<pg_sys::ArrayExpr>()).elements).iter_ptr() {
                        self.add(element, column, role);
                    }
                }
                _ => {}
            }
        }
    }

    /// Every parameter of the query once, by number; those that are compared with nothing have the role Other.
    pub unsafe fn of(mut self, query: *mut pg_sys::Query) -> Vec<Parameter> {
        // SAFETY: the tree is analyzed; `visit` gets back the collection that it is handed here.
        unsafe { visit(query.cast(), (&raw mut self).cast()) };
        let rank = |found: &Parameter| (found.role == ParameterRole::Other, found.column.is_none());
        self.0.sort_by_key(|found| (found.number, rank(found)));
        self.0.dedup_by_key(|found| found.number);
        self.0
    }
}

/// SAFETY: called by `Bindings::of` and by the server's tree walkers, with a `Bindings`.
unsafe fn visit(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: as said above; nodes are cast after a look at their tags.
    unsafe {
        if node.is_null() {
            return false;
        }
        let bindings = &mut *context.cast::<Bindings>();
        match (*node).type_ {
            NodeTag::T_Query => {
                let query = &*node.cast::<pg_sys::Query>();
                for (count, role) in
                    [(query.limitCount, ParameterRole::Limit), (query.limitOffset, ParameterRole::Offset)]
                {
                    if !count.is_null() {
                        bindings.add(count, None, role);
                    }
                }
                pg_sys::query_tree_walker(node.cast(), Some(walk), context, 0)
            }
            NodeTag::T_Param => {
                bindings.add(node, None, ParameterRole::Other);
                false
            }
            // As deep as there are arms, and none of them is in it: they are in the range table.
            NodeTag::T_SetOperationStmt => false,
            _ => pg_sys::expression_tree_walker(node, Some(walk), context),
        }
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

/// Beneath casts, of whatever kind.
unsafe fn without_casts(node: *mut Node) -> *mut Node {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        let mut node = without_relabeling(node);
        loop {
            let inner = match (*node).type_ {
                NodeTag::T_CoerceViaIO => (*node.cast::<pg_sys::CoerceViaIO>()).arg.cast(),
                NodeTag::T_ArrayCoerceExpr => (*node.cast::<pg_sys::ArrayCoerceExpr>()).arg.cast(),
                NodeTag::T_CoerceToDomain => (*node.cast::<pg_sys::CoerceToDomain>()).arg.cast(),
                NodeTag::T_FuncExpr => {
                    let call = &*node.cast::<pg_sys::FuncExpr>();
                    let is_cast = matches!(
                        call.funcformat,
                        pg_sys::CoercionForm::COERCE_EXPLICIT_CAST | pg_sys::CoercionForm::COERCE_IMPLICIT_CAST
                    );
                    match PgList::<Node>::from_pg(call.args).get_ptr(0) {
                        Some(argument) if is_cast => argument,
                        _ => return node,
                    }
                }
                _ => return node,
            };
            node = without_relabeling(inner);
        }
    }
}
