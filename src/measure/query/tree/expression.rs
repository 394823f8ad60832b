//! Expressions of an analyzed tree.

use super::Reader;
use super::called::{named, operator, printed, sql_value_function, volatility};
use crate::db::{self, string};
use crate::facts::statement_tree::{Call, Cast, Column, Expression, Kind, SubLink, SubLinkKind, Volatility};
use pgrx::pg_sys::{self, BoolExprType, CoercionForm, Node, NodeTag, NullTestType, ParamKind, RTEKind};
use pgrx::{PgList, pg_guard};
use std::ffi::c_void;

impl Reader<'_> {
    pub(super) unsafe fn optional(&mut self, node: *mut Node) -> Option<Expression> {
        // SAFETY: null or a node of an analyzed expression.
        (!node.is_null()).then(|| unsafe { self.expression(node) })
    }

    pub(super) unsafe fn expressions(&mut self, list: *mut pg_sys::List) -> Vec<Expression> {
        // SAFETY: a list of nodes of analyzed expressions.
        unsafe { PgList::<Node>::from_pg(list).iter_ptr().map(|node| self.expression(node)).collect() }
    }

    /// SAFETY: `node` is of an analyzed expression of the innermost of `queries`.
    pub(super) unsafe fn expression(&mut self, node: *mut Node) -> Expression {
        db::check_for_interrupts();
        // SAFETY: as said above.
        unsafe {
            pg_sys::check_stack_depth();
            // A column merged of both sides of a join is an expression of theirs.
            if let Some(merged) = self.merged(node) {
                return self.expression(merged);
            }
            let type_oid = match (*node).type_ {
                NodeTag::T_List | NodeTag::T_TargetEntry => 0,
                _ => pg_sys::exprType(node).to_u32(),
            };
            let location = usize::try_from(pg_sys::exprLocation(node)).ok();
            Expression { kind: self.kind(node), location, type_oid }
        }
    }

    unsafe fn kind(&mut self, node: *mut Node) -> Kind {
        // SAFETY: nodes are cast after a look at their tags.
        unsafe {
            match (*node).type_ {
                NodeTag::T_Var => Kind::Column(self.column(&*node.cast())),
                NodeTag::T_Const => Kind::Constant(printed(&*node.cast())),
                NodeTag::T_Param => {
                    let param = &*node.cast::<pg_sys::Param>();
                    let external = param.paramkind == ParamKind::PARAM_EXTERN;
                    if external { Kind::Parameter(param.paramid) } else { Kind::Output }
                }
                NodeTag::T_OpExpr => {
                    let operation = &*node.cast::<pg_sys::OpExpr>();
                    Kind::Operator(operator(operation.opno, self.expressions(operation.args)))
                }
                NodeTag::T_DistinctExpr => {
                    let operation = &*node.cast::<pg_sys::DistinctExpr>();
                    Kind::Distinct(operator(operation.opno, self.expressions(operation.args)))
                }
                NodeTag::T_FuncExpr => self.function(&*node.cast()),
                NodeTag::T_SQLValueFunction => Kind::Function(sql_value_function(&*node.cast())),
                NodeTag::T_Aggref => Kind::Aggregate(self.aggregate(&*node.cast())),
                NodeTag::T_WindowFunc => Kind::Window(self.window_call(&*node.cast())),
                NodeTag::T_BoolExpr => self.boolean(&*node.cast()),
                NodeTag::T_NullTest => {
                    let test = &*node.cast::<pg_sys::NullTest>();
                    let argument = Box::new(self.expression(test.arg.cast()));
                    // Of a row, IS NOT NULL is not the contrary of IS NULL.
                    match test.argisrow {
                        true => Kind::Other(vec![*argument]),
                        false => Kind::IsNull { argument, negated: test.nulltesttype == NullTestType::IS_NOT_NULL },
                    }
                }
                NodeTag::T_ScalarArrayOpExpr => {
                    let operation = &*node.cast::<pg_sys::ScalarArrayOpExpr>();
                    let mut sides = self.expressions(operation.args).into_iter();
                    let mut side = || Box::new(sides.next().expect("there are two"));
                    let (left, array) = (side(), side());
                    Kind::AnyArray {
                        operator: operator(operation.opno, Vec::new()),
                        all: !operation.useOr,
                        left,
                        array,
                    }
                }
                NodeTag::T_ArrayExpr => Kind::Array(self.expressions((*node.cast::<pg_sys::ArrayExpr>()).elements)),
                NodeTag::T_SubLink => Kind::SubLink(self.sub_link(&*node.cast())),
                NodeTag::T_NamedArgExpr => self.kind((*node.cast::<pg_sys::NamedArgExpr>()).arg.cast()),
                NodeTag::T_RelabelType => {
                    let cast = &*node.cast::<pg_sys::RelabelType>();
                    self.cast(cast.arg.cast(), cast.relabelformat, true, Volatility::Immutable)
                }
                NodeTag::T_CoerceToDomain => {
                    let cast = &*node.cast::<pg_sys::CoerceToDomain>();
                    self.cast(cast.arg.cast(), cast.coercionformat, true, Volatility::Stable)
                }
                NodeTag::T_CoerceViaIO => {
                    let cast = &*node.cast::<pg_sys::CoerceViaIO>();
                    self.cast(cast.arg.cast(), cast.coerceformat, false, Volatility::Stable)
                }
                NodeTag::T_ArrayCoerceExpr => {
                    let cast = &*node.cast::<pg_sys::ArrayCoerceExpr>();
                    self.cast(cast.arg.cast(), cast.coerceformat, false, Volatility::Stable)
                }
                NodeTag::T_CaseExpr => Kind::Case(self.parts(node)),
                NodeTag::T_CoalesceExpr => Kind::Coalesce(self.parts(node)),
                NodeTag::T_RowExpr => Kind::Row(self.parts(node)),
                _ => Kind::Other(self.parts(node)),
            }
        }
    }

    unsafe fn parts(&mut self, node: *mut Node) -> Vec<Expression> {
        // SAFETY: as of `expression`.
        unsafe { children(node).into_iter().map(|child| self.expression(child)).collect() }
    }

    unsafe fn entry(&self, var: &pg_sys::Var) -> *mut pg_sys::RangeTblEntry {
        let around = self.queries.len() - 1 - var.varlevelsup as usize;
        // SAFETY: a column is of one of the queries around it, whose range table has an entry for it.
        unsafe {
            let entries = PgList::<pg_sys::RangeTblEntry>::from_pg((*self.queries[around]).rtable);
            entries.get_ptr(var.varno as usize - 1).expect("every column has an entry")
        }
    }

    unsafe fn column(&self, var: &pg_sys::Var) -> Column {
        // SAFETY: as of `entry`; the names are in the order of attribute numbers.
        unsafe {
            let names = PgList::<pg_sys::String>::from_pg((*(*self.entry(var)).eref).colnames);
            let position = usize::try_from(var.varattno).ok().and_then(|number| number.checked_sub(1));
            let name = position.and_then(|position| names.get_ptr(position));
            Column {
                level: var.varlevelsup as usize,
                item: var.varno as usize - 1,
                attribute: var.varattno,
                name: name.map(|name| string((*name).sval)).unwrap_or_default(),
            }
        }
    }

    unsafe fn merged(&self, node: *mut Node) -> Option<*mut Node> {
        // SAFETY: as of `entry`; a join has an expression for each of its columns.
        unsafe {
            if (*node).type_ != NodeTag::T_Var {
                return None;
            }
            let var = &*node.cast::<pg_sys::Var>();
            let entry = self.entry(var);
            // The expressions of a query around this one count levels from there.
            if (*entry).rtekind != RTEKind::RTE_JOIN || var.varlevelsup > 0 || var.varattno <= 0 {
                return None;
            }
            PgList::<Node>::from_pg((*entry).joinaliasvars).get_ptr(var.varattno as usize - 1)
        }
    }

    unsafe fn function(&mut self, call: &pg_sys::FuncExpr) -> Kind {
        // SAFETY: the arguments are expressions.
        unsafe {
            let is_cast =
                matches!(call.funcformat, CoercionForm::COERCE_EXPLICIT_CAST | CoercionForm::COERCE_IMPLICIT_CAST);
            let first = PgList::<Node>::from_pg(call.args).get_ptr(0);
            match first {
                Some(argument) if is_cast => {
                    let volatility = volatility(pg_sys::func_volatile(call.funcid));
                    self.cast(argument, call.funcformat, false, volatility)
                }
                _ => {
                    let arguments = self.expressions(call.args);
                    Kind::Function(Call { returns_set: call.funcretset, arguments, ..named(call.funcid) })
                }
            }
        }
    }

    unsafe fn aggregate(&mut self, call: &pg_sys::Aggref) -> Call {
        // SAFETY: the arguments are targets.
        unsafe {
            let mut arguments = self.expressions(call.aggdirectargs);
            for target in PgList::<pg_sys::TargetEntry>::from_pg(call.args).iter_ptr() {
                arguments.push(self.expression((*target).expr.cast()));
            }
            Call {
                arguments,
                filter: self.optional(call.aggfilter.cast()).map(Box::new),
                level: call.agglevelsup as usize,
                ..named(call.aggfnoid)
            }
        }
    }

    unsafe fn window_call(&mut self, call: &pg_sys::WindowFunc) -> Call {
        // SAFETY: the arguments are expressions.
        unsafe {
            let arguments = self.expressions(call.args);
            let filter = self.optional(call.aggfilter.cast()).map(Box::new);
            Call { arguments, filter, ..named(call.winfnoid) }
        }
    }

    unsafe fn boolean(&mut self, expression: &pg_sys::BoolExpr) -> Kind {
        // SAFETY: the arguments are expressions, NOT has one.
        let mut arguments = unsafe { self.expressions(expression.args) };
        match expression.boolop {
            BoolExprType::AND_EXPR => Kind::And(arguments),
            BoolExprType::OR_EXPR => Kind::Or(arguments),
            _ => Kind::Not(Box::new(arguments.remove(0))),
        }
    }

    unsafe fn sub_link(&mut self, link: &pg_sys::SubLink) -> SubLink {
        // SAFETY: after analysis the subquery is a Query.
        unsafe {
            let test = self.optional(link.testexpr).map(Box::new);
            let query = Box::new(self.select(link.subselect.cast()));
            let kind = match link.subLinkType {
                pg_sys::SubLinkType::EXISTS_SUBLINK => SubLinkKind::Exists,
                pg_sys::SubLinkType::ANY_SUBLINK => SubLinkKind::Any,
                pg_sys::SubLinkType::ALL_SUBLINK => SubLinkKind::All,
                pg_sys::SubLinkType::EXPR_SUBLINK => SubLinkKind::Scalar,
                pg_sys::SubLinkType::ARRAY_SUBLINK => SubLinkKind::Array,
                _ => SubLinkKind::Other,
            };
            SubLink { kind, correlated: query.is_correlated(), query, test }
        }
    }

    unsafe fn cast(
        &mut self,
        argument: *mut Node,
        format: CoercionForm::Type,
        relabels: bool,
        volatility: Volatility,
    ) -> Kind {
        // SAFETY: the argument is an expression.
        let argument = Box::new(unsafe { self.expression(argument) });
        Kind::Cast(Cast { argument, implicit: format == CoercionForm::COERCE_IMPLICIT_CAST, relabels, volatility })
    }
}

/// The expressions directly in a node.
pub(super) unsafe fn children(node: *mut Node) -> Vec<*mut Node> {
    let mut children: Vec<*mut Node> = Vec::new();
    // SAFETY: the walker gives back the list that it is handed here.
    unsafe { pg_sys::expression_tree_walker(node, Some(collect), (&raw mut children).cast()) };
    children
}

/// SAFETY: called by the server's walker with a node and the list of `children`.
#[pg_guard]
unsafe extern "C-unwind" fn collect(node: *mut Node, children: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe {
        if !node.is_null() && (*node).type_ == NodeTag::T_List {
            return pg_sys::expression_tree_walker(node, Some(collect), children);
        }
        if !node.is_null() {
            (*children.cast::<Vec<*mut Node>>()).push(node);
        }
        false
    }
}
