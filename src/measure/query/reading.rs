//! The reading part of a statement that writes: the SELECT that finds the rows it touches.
//!
//! Planned as it stands, an UPDATE takes ROW EXCLUSIVE on its table; the SELECT takes ACCESS SHARE, and the indexes that help
//! the one help the other.

use crate::db::raise;
use crate::facts::query::WriteKind;
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgList, PgSqlErrorCode, pg_guard};
use std::ffi::c_void;
use std::ptr::null_mut;

/// What a statement writes, as its parse tree has it.
pub struct RawWrite {
    pub kind: WriteKind,
    pub relation: *mut pg_sys::RangeVar,
    /// ResTargets whose names are columns that it sets.
    pub sets: Vec<*mut pg_sys::List>,
    /// Those that INSERT names.
    pub inserted: *mut pg_sys::List,
}

/// The SELECT to plan for `statement`, none when it reads nothing (INSERT … VALUES), and what it writes. The tree is changed.
///
/// SAFETY: `statement` is a raw parse tree of a SELECT, INSERT, UPDATE, DELETE or MERGE that nobody else uses.
pub unsafe fn reading_part(statement: *mut pg_sys::Node) -> (Option<*mut pg_sys::Node>, Option<RawWrite>) {
    // SAFETY: nodes are cast after a look at their tags; new ones are allocated in the current memory context, as the tree is.
    unsafe {
        read_only_below(statement, null_mut());
        let (select, write) = of_statement(statement, None);
        (select.map(|select| select.cast()), write)
    }
}

/// `returning`: the columns that the statement must give, as it is a WITH query.
unsafe fn of_statement(
    statement: *mut pg_sys::Node,
    returning: Option<*mut pg_sys::List>,
) -> (Option<*mut pg_sys::SelectStmt>, Option<RawWrite>) {
    // SAFETY: as in `reading_part`.
    unsafe {
        match (*statement).type_ {
            NodeTag::T_UpdateStmt => {
                let update = &*statement.cast::<pg_sys::UpdateStmt>();
                let from = pg_sys::lcons(update.relation.cast(), update.fromClause);
                let targets = returning.unwrap_or_else(|| whole_row_and(update.relation, update.targetList));
                let write = RawWrite {
                    kind: WriteKind::Update,
                    relation: update.relation,
                    sets: vec![update.targetList],
                    inserted: null_mut(),
                };
                (Some(select(targets, from, update.whereClause, update.withClause)), Some(write))
            }
            NodeTag::T_DeleteStmt => {
                let delete = &*statement.cast::<pg_sys::DeleteStmt>();
                let from = pg_sys::lcons(delete.relation.cast(), delete.usingClause);
                let targets = returning.unwrap_or_else(|| whole_row_and(delete.relation, null_mut()));
                let (relation, sets) = (delete.relation, Vec::new());
                let write = RawWrite { kind: WriteKind::Delete, relation, sets, inserted: null_mut() };
                (Some(select(targets, from, delete.whereClause, delete.withClause)), Some(write))
            }
            NodeTag::T_MergeStmt => {
                let merge = &*statement.cast::<pg_sys::MergeStmt>();
                let write = RawWrite {
                    kind: WriteKind::Merge,
                    relation: merge.relation,
                    sets: merge_sets(merge),
                    inserted: null_mut(),
                };
                let join = node::<pg_sys::JoinExpr>(NodeTag::T_JoinExpr);
                (*join).jointype = merge_join(merge);
                (*join).larg = merge.sourceRelation;
                (*join).rarg = merge.relation.cast();
                (*join).quals = merge.joinCondition;
                let from = pg_sys::lcons(join.cast(), null_mut());
                let targets = returning.unwrap_or_else(|| whole_row_and(merge.relation, null_mut()));
                (Some(select(targets, from, null_mut(), merge.withClause)), Some(write))
            }
            NodeTag::T_InsertStmt => {
                let insert = &*statement.cast::<pg_sys::InsertStmt>();
                let conflict = insert.onConflictClause;
                let sets = if conflict.is_null() { Vec::new() } else { vec![(*conflict).targetList] };
                let (relation, inserted) = (insert.relation, insert.cols);
                let write = RawWrite { kind: WriteKind::Insert, relation, sets, inserted };
                (inserted_rows(insert, returning), Some(write))
            }
            _ => (Some(statement.cast()), None),
        }
    }
}

/// What an INSERT inserts, where a query says that; as a WITH query, no rows with the columns it returns.
unsafe fn inserted_rows(
    insert: &pg_sys::InsertStmt,
    returning: Option<*mut pg_sys::List>,
) -> Option<*mut pg_sys::SelectStmt> {
    // SAFETY: as in `reading_part`; a `selectStmt` is a SelectStmt.
    unsafe {
        if let Some(targets) = returning {
            let from = pg_sys::lcons(insert.relation.cast(), null_mut());
            return Some(select(targets, from, never(), insert.withClause));
        }
        let rows = insert.selectStmt.cast::<pg_sys::SelectStmt>();
        if rows.is_null() {
            return None;
        }
        if !(*rows).valuesLists.is_null() {
            let values = PgList::<pg_sys::List>::from_pg((*rows).valuesLists);
            let targets = values.iter_ptr().fold(null_mut(), |targets, row| with_subqueries(targets, row));
            return (!targets.is_null()).then(|| select(targets, null_mut(), null_mut(), insert.withClause));
        }
        if !insert.withClause.is_null() {
            let own = (*rows).withClause;
            if own.is_null() {
                (*rows).withClause = insert.withClause;
            } else {
                (*own).ctes = pg_sys::list_concat((*insert.withClause).ctes, (*own).ctes);
            }
        }
        Some(rows)
    }
}

unsafe fn select(
    targets: *mut pg_sys::List,
    from: *mut pg_sys::List,
    condition: *mut pg_sys::Node,
    with: *mut pg_sys::WithClause,
) -> *mut pg_sys::SelectStmt {
    // SAFETY: a fresh node.
    unsafe {
        let select = node::<pg_sys::SelectStmt>(NodeTag::T_SelectStmt);
        (*select).targetList = targets;
        (*select).fromClause = from;
        (*select).whereClause = condition;
        (*select).withClause = with;
        select
    }
}

/// `relation.*`, for a write needs the whole old row, and those of the new values that hold a subquery.
unsafe fn whole_row_and(relation: *mut pg_sys::RangeVar, sets: *mut pg_sys::List) -> *mut pg_sys::List {
    // SAFETY: as in `reading_part`; the elements of a target list are ResTargets.
    unsafe {
        let name = match (*relation).alias.is_null() {
            true => (*relation).relname,
            false => (*(*relation).alias).aliasname,
        };
        let reference = node::<pg_sys::ColumnRef>(NodeTag::T_ColumnRef);
        let star = node::<pg_sys::A_Star>(NodeTag::T_A_Star);
        (*reference).fields = pg_sys::lcons(pg_sys::makeString(name).cast(), pg_sys::lcons(star.cast(), null_mut()));
        let mut targets = pg_sys::lcons(target(reference.cast()).cast(), null_mut());
        for set in PgList::<pg_sys::ResTarget>::from_pg(sets).iter_ptr() {
            let value = (*set).val;
            if !value.is_null() && (*value).type_ != NodeTag::T_MultiAssignRef && holds_subquery(value, null_mut()) {
                targets = pg_sys::lappend(targets, target(value).cast());
            }
        }
        targets
    }
}

/// Adds the expressions of a row of VALUES that hold a subquery.
unsafe fn with_subqueries(mut targets: *mut pg_sys::List, row: *mut pg_sys::List) -> *mut pg_sys::List {
    // SAFETY: as in `reading_part`.
    unsafe {
        for value in PgList::<pg_sys::Node>::from_pg(row).iter_ptr() {
            if holds_subquery(value, null_mut()) {
                targets = pg_sys::lappend(targets, target(value).cast());
            }
        }
        targets
    }
}

unsafe fn target(value: *mut pg_sys::Node) -> *mut pg_sys::ResTarget {
    // SAFETY: a fresh node.
    unsafe {
        let target = node::<pg_sys::ResTarget>(NodeTag::T_ResTarget);
        (*target).val = value;
        target
    }
}

/// SAFETY: called with raw parse nodes, by us and by the server's walker.
unsafe fn holds_subquery(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe {
        !node.is_null()
            && ((*node).type_ == NodeTag::T_SubLink
                || pg_sys::raw_expression_tree_walker_impl(node, Some(walk_to_subquery), context))
    }
}

/// The server's walker calls this; our own code calls `holds_subquery`, for an error must unwind through it.
///
/// SAFETY: as of `holds_subquery`.
#[pg_guard]
unsafe extern "C-unwind" fn walk_to_subquery(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { holds_subquery(node, context) }
}

/// The constant FALSE.
unsafe fn never() -> *mut pg_sys::Node {
    // SAFETY: a fresh node.
    unsafe {
        let constant = node::<pg_sys::A_Const>(NodeTag::T_A_Const);
        (*constant).val.boolval.type_ = NodeTag::T_Boolean;
        (*constant).val.boolval.boolval = false;
        constant.cast()
    }
}

unsafe fn merge_sets(merge: &pg_sys::MergeStmt) -> Vec<*mut pg_sys::List> {
    // SAFETY: the list's elements are MergeWhenClauses.
    unsafe {
        let clauses = PgList::<pg_sys::MergeWhenClause>::from_pg(merge.mergeWhenClauses);
        let updates = clauses.iter_ptr().filter(|clause| (**clause).commandType == pg_sys::CmdType::CMD_UPDATE);
        updates.map(|clause| (*clause).targetList).collect()
    }
}

/// Rows of which side MERGE needs even where the other has none.
unsafe fn merge_join(merge: &pg_sys::MergeStmt) -> pg_sys::JoinType::Type {
    // SAFETY: the list's elements are MergeWhenClauses.
    unsafe {
        let clauses = PgList::<pg_sys::MergeWhenClause>::from_pg(merge.mergeWhenClauses);
        let has = |kind| clauses.iter_ptr().any(|clause| (*clause).matchKind == kind);
        let source = has(pg_sys::MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_TARGET);
        let target = has(pg_sys::MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_SOURCE);
        match (source, target) {
            (true, true) => pg_sys::JoinType::JOIN_FULL,
            (true, false) => pg_sys::JoinType::JOIN_LEFT,
            (false, true) => pg_sys::JoinType::JOIN_RIGHT,
            (false, false) => pg_sys::JoinType::JOIN_INNER,
        }
    }
}

/// Takes FOR UPDATE and its kin off, and turns WITH queries that write into their reading part.
///
/// SAFETY: called with raw parse nodes, by us and by the server's walker.
unsafe fn read_only_below(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: as said above; nodes are cast after a look at their tags.
    unsafe {
        match (*node).type_ {
            NodeTag::T_SelectStmt => {
                let mut select = node.cast::<pg_sys::SelectStmt>();
                (*select).lockingClause = null_mut();
                // A long chain of set operations is as deep a tree: a loop takes no stack.
                while (*select).op != pg_sys::SetOperation::SETOP_NONE {
                    let parts: [*mut pg_sys::Node; 5] = [
                        (*select).withClause.cast(),
                        (*select).sortClause.cast(),
                        (*select).limitCount,
                        (*select).limitOffset,
                        (*select).rarg.cast(),
                    ];
                    for part in parts {
                        read_only_below(part, context);
                    }
                    select = (*select).larg;
                    (*select).lockingClause = null_mut();
                }
                return pg_sys::raw_expression_tree_walker_impl(select.cast(), Some(walk_read_only), context);
            }
            NodeTag::T_CurrentOfExpr => raise(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "WHERE CURRENT OF has no plan of its own",
                "The cursor finds the row: plan the cursor's query.",
            ),
            NodeTag::T_CommonTableExpr => {
                let with = &mut *node.cast::<pg_sys::CommonTableExpr>();
                if let Some(returning) = returning_list(with.ctequery) {
                    let (reading, _) = of_statement(with.ctequery, returning);
                    let nothing = || select(null_mut(), null_mut(), never(), null_mut());
                    with.ctequery = reading.unwrap_or_else(nothing).cast();
                }
            }
            _ => {}
        }
        pg_sys::raw_expression_tree_walker_impl(node, Some(walk_read_only), context)
    }
}

/// The server's walker calls this; our own code calls `read_only_below`, for an error must unwind through it.
///
/// SAFETY: as of `read_only_below`.
#[pg_guard]
unsafe extern "C-unwind" fn walk_read_only(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: as said above.
    unsafe { read_only_below(node, context) }
}

/// None: the WITH query only reads. Some(None): it returns nothing that anyone could name.
unsafe fn returning_list(query: *mut pg_sys::Node) -> Option<Option<*mut pg_sys::List>> {
    // SAFETY: as in `reading_part`.
    let list = unsafe {
        match (*query).type_ {
            NodeTag::T_InsertStmt => (*query.cast::<pg_sys::InsertStmt>()).returningList,
            NodeTag::T_UpdateStmt => (*query.cast::<pg_sys::UpdateStmt>()).returningList,
            NodeTag::T_DeleteStmt => (*query.cast::<pg_sys::DeleteStmt>()).returningList,
            NodeTag::T_MergeStmt => (*query.cast::<pg_sys::MergeStmt>()).returningList,
            _ => return None,
        }
    };
    Some((!list.is_null()).then_some(list))
}

unsafe fn node<T>(tag: NodeTag) -> *mut T {
    // SAFETY: every node begins with its tag; zeroes are what makeNode() fills it with.
    unsafe {
        let node = pg_sys::palloc0(size_of::<T>()).cast::<T>();
        (*node.cast::<pg_sys::Node>()).type_ = tag;
        node
    }
}
