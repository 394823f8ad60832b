//! The analyzed tree as plain data.

mod called;
mod expression;
#[cfg(any(test, feature = "pg_test"))]
mod in_server;
mod raw;

pub use raw::Raw;

use crate::db::{self, string};
use crate::facts::statement_tree::{
    Distinct, Expression, From, Item, ItemKind, JoinKind, Kind, Select, SetKind, SetOperation, SetPart, SortKey,
    Target, Window, With,
};
use crate::measure::server;
use expression::children;
use pgrx::PgList;
use pgrx::pg_sys::{self, JoinType, Node, NodeTag, RTEKind};
use regex_lite::Regex;
use std::sync::LazyLock;

/// SAFETY: `query` is an analyzed SELECT of `text`, not rewritten; `raw` is of the statement that it is the reading part of.
pub unsafe fn select(query: *mut pg_sys::Query, raw: &Raw, text: &str) -> Select {
    let mut reader = Reader { text, raw, queries: Vec::new() };
    // SAFETY: as said above.
    unsafe { reader.select(query) }
}

struct Reader<'a> {
    text: &'a str,
    raw: &'a Raw,
    /// Around what is being read, outermost first.
    queries: Vec<*mut pg_sys::Query>,
}

impl Reader<'_> {
    unsafe fn select(&mut self, query: *mut pg_sys::Query) -> Select {
        db::check_for_interrupts();
        // SAFETY: the tree is the server's own; its lists are of the nodes named here; queries around it outlive the call.
        unsafe {
            pg_sys::check_stack_depth();
            self.queries.push(query);
            let query = &*query;
            let with = PgList::<pg_sys::CommonTableExpr>::from_pg(query.cteList);
            let entries = PgList::<pg_sys::RangeTblEntry>::from_pg(query.rtable);
            let join_tree = &*query.jointree;
            let windows = PgList::<pg_sys::WindowClause>::from_pg(query.windowClause);
            let select = Select {
                with: with.iter_ptr().map(|with| self.with(&*with)).collect(),
                items: entries.iter_ptr().map(|entry| self.item(&*entry)).collect(),
                from: PgList::<Node>::from_pg(join_tree.fromlist).iter_ptr().map(|node| self.from(node)).collect(),
                condition: self.optional(join_tree.quals),
                targets: self.targets(query.targetList),
                group_by: self.group_by(query),
                grouping_sets: !query.groupingSets.is_null(),
                having: self.optional(query.havingQual),
                windows: windows.iter_ptr().map(|window| self.window(query, &*window)).collect(),
                distinct: self.distinct(query),
                order_by: self.sort_keys(query, query.sortClause),
                limit: self.optional(query.limitCount),
                with_ties: query.limitOption == pg_sys::LimitOption::LIMIT_OPTION_WITH_TIES,
                offset: self.optional(query.limitOffset),
                set_operation: self.set_operation(query.setOperations),
                locks: self.raw.locks(query.targetList),
                has_aggregates: query.hasAggs,
                returns_sets: query.hasTargetSRFs,
            };
            self.queries.pop();
            select
        }
    }

    unsafe fn with(&mut self, with: &pg_sys::CommonTableExpr) -> With {
        // SAFETY: an analyzed WITH query is a Query.
        unsafe {
            With {
                query: self.select(with.ctequery.cast()),
                recursive: with.cterecursive,
                writes: self.raw.writes(with.location),
            }
        }
    }

    unsafe fn item(&mut self, entry: &pg_sys::RangeTblEntry) -> Item {
        // SAFETY: every range table entry has an `eref`; the other fields are those of its kind.
        unsafe {
            let kind = match entry.rtekind {
                RTEKind::RTE_RELATION => ItemKind::Relation {
                    oid: entry.relid.to_u32(),
                    inherited: entry.inh
                        && entry.relkind as u8 != pg_sys::RELKIND_PARTITIONED_TABLE
                        && server::has_subclass(entry.relid),
                    sampled: !entry.tablesample.is_null(),
                },
                RTEKind::RTE_SUBQUERY => ItemKind::Subquery(Box::new(self.select(entry.subquery))),
                RTEKind::RTE_FUNCTION => {
                    let functions = PgList::<pg_sys::RangeTblFunction>::from_pg(entry.functions);
                    let calls: Vec<Expression> =
                        functions.iter_ptr().map(|function| self.expression((*function).funcexpr)).collect();
                    let one = |call: &Expression| matches!(&call.kind, Kind::Function(call) if !call.returns_set);
                    ItemKind::Function { returns_set: !calls.iter().all(one), calls }
                }
                RTEKind::RTE_VALUES => {
                    let rows = PgList::<pg_sys::List>::from_pg(entry.values_lists);
                    ItemKind::Values { rows: rows.iter_ptr().map(|row| self.expressions(row)).collect() }
                }
                RTEKind::RTE_CTE => {
                    let level = entry.ctelevelsup as usize;
                    ItemKind::With { level, position: self.with_position(level, &string(entry.ctename)) }
                }
                RTEKind::RTE_JOIN => ItemKind::Join,
                RTEKind::RTE_TABLEFUNC => {
                    let parts = children(entry.tablefunc.cast());
                    let calls = parts.into_iter().map(|part| self.expression(part)).collect();
                    ItemKind::Function { calls, returns_set: true }
                }
                _ => ItemKind::Other,
            };
            let columns = PgList::<pg_sys::String>::from_pg((*entry.eref).colnames);
            Item {
                kind,
                name: string((*entry.eref).aliasname),
                columns: columns.iter_ptr().map(|name| string((*name).sval)).collect(),
            }
        }
    }

    unsafe fn with_position(&self, level: usize, name: &str) -> Option<usize> {
        let around = self.queries.len().checked_sub(level + 1)?;
        // SAFETY: the list is of WITH queries.
        unsafe {
            let with = PgList::<pg_sys::CommonTableExpr>::from_pg((*self.queries[around]).cteList);
            with.iter_ptr().position(|with| string((*with).ctename) == name)
        }
    }

    unsafe fn from(&mut self, node: *mut Node) -> From {
        // SAFETY: a join tree is of these two; positions in the range table count from 1.
        unsafe {
            pg_sys::check_stack_depth();
            if (*node).type_ == NodeTag::T_RangeTblRef {
                return From::Item((*node.cast::<pg_sys::RangeTblRef>()).rtindex as usize - 1);
            }
            let join = &*node.cast::<pg_sys::JoinExpr>();
            From::Join {
                kind: match join.jointype {
                    JoinType::JOIN_LEFT => JoinKind::Left,
                    JoinType::JOIN_RIGHT => JoinKind::Right,
                    JoinType::JOIN_FULL => JoinKind::Full,
                    _ => JoinKind::Inner,
                },
                left: Box::new(self.from(join.larg)),
                right: Box::new(self.from(join.rarg)),
                condition: self.optional(join.quals),
            }
        }
    }

    unsafe fn targets(&mut self, list: *mut pg_sys::List) -> Vec<Target> {
        // SAFETY: a target list.
        unsafe {
            let entries = PgList::<pg_sys::TargetEntry>::from_pg(list);
            let shown = entries.iter_ptr().filter(|entry| !(**entry).resjunk);
            let targets = shown.map(|entry| {
                let expression = self.expression((*entry).expr.cast());
                let column = matches!(expression.kind, Kind::Column(_));
                let star = column && expression.location.is_some_and(|from| is_star(self.text, from));
                Target { expression, name: string((*entry).resname), star }
            });
            // What the reading part of a write adds has no place in the text, where the statement's first word is.
            targets.filter(|target| target.expression.location != Some(0)).collect()
        }
    }

    unsafe fn group_by(&mut self, query: &pg_sys::Query) -> Vec<Expression> {
        // SAFETY: the list is of SortGroupClauses.
        unsafe { self.keys(query, query.groupClause) }
    }

    unsafe fn distinct(&mut self, query: &pg_sys::Query) -> Distinct {
        if query.distinctClause.is_null() {
            return Distinct::No;
        }
        // SAFETY: the list is of SortGroupClauses.
        if query.hasDistinctOn {
            Distinct::On(unsafe { self.keys(query, query.distinctClause) })
        } else {
            Distinct::All
        }
    }

    unsafe fn window(&mut self, query: &pg_sys::Query, window: &pg_sys::WindowClause) -> Window {
        // SAFETY: the lists are of SortGroupClauses.
        unsafe {
            Window {
                partition_by: self.keys(query, window.partitionClause),
                order_by: self.sort_keys(query, window.orderClause),
            }
        }
    }

    unsafe fn keys(&mut self, query: &pg_sys::Query, list: *mut pg_sys::List) -> Vec<Expression> {
        // SAFETY: the list is of SortGroupClauses, each of which has a target.
        unsafe {
            let clauses = PgList::<pg_sys::SortGroupClause>::from_pg(list);
            let keys = clauses.iter_ptr().map(|clause| {
                let target = pg_sys::get_sortgroupclause_tle(clause, query.targetList);
                self.expression((*target).expr.cast())
            });
            keys.collect()
        }
    }

    unsafe fn sort_keys(&mut self, query: &pg_sys::Query, list: *mut pg_sys::List) -> Vec<SortKey> {
        // SAFETY: as of `keys`.
        unsafe {
            let clauses = PgList::<pg_sys::SortGroupClause>::from_pg(list);
            let directions = clauses.iter_ptr().map(|clause| {
                let mut descending = false;
                pg_sys::get_equality_op_for_ordering_op((*clause).sortop, &raw mut descending);
                descending
            });
            let keys = self.keys(query, list).into_iter().zip(directions);
            keys.map(|(expression, descending)| SortKey { expression, descending }).collect()
        }
    }

    unsafe fn set_operation(&mut self, node: *mut Node) -> Option<SetOperation> {
        // SAFETY: null, or the SetOperationStmt of a query.
        unsafe {
            if node.is_null() {
                return None;
            }
            match self.set_part(node) {
                SetPart::Operation(operation) => Some(operation),
                SetPart::Arm(_) => None,
            }
        }
    }

    unsafe fn set_part(&mut self, node: *mut Node) -> SetPart {
        // SAFETY: arms are RangeTblRefs, others SetOperationStmts.
        unsafe {
            pg_sys::check_stack_depth();
            if (*node).type_ == NodeTag::T_RangeTblRef {
                return SetPart::Arm((*node.cast::<pg_sys::RangeTblRef>()).rtindex as usize - 1);
            }
            let operation = &*node.cast::<pg_sys::SetOperationStmt>();
            SetPart::Operation(SetOperation {
                kind: match operation.op {
                    pg_sys::SetOperation::SETOP_INTERSECT => SetKind::Intersect,
                    pg_sys::SetOperation::SETOP_EXCEPT => SetKind::Except,
                    _ => SetKind::Union,
                },
                all: operation.all,
                left: Box::new(self.set_part(operation.larg)),
                right: Box::new(self.set_part(operation.rarg)),
            })
        }
    }
}

/// At that place of the text is `*`, be it behind the name of a table.
fn is_star(text: &str, from: usize) -> bool {
    static STAR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"^(?:(?:"(?:[^"]|"")*"|[^\s.*"(),]+)\s*\.\s*)*\*"#).expect("a constant"));
    text.get(from..).is_some_and(|text| STAR.is_match(text))
}
