//! What the analyzed tree of a reading part no longer says: row locks, writes, which WITH queries write.

use crate::db::string;
use crate::facts::query::WriteKind;
use crate::facts::statement_tree::{Lock, LockStrength, LockWait, Writing};
use pgrx::pg_sys::{self, Node, NodeTag};
use pgrx::{PgList, pg_guard};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Taken from the parse tree before it becomes that of its reading part.
#[derive(Debug, Default)]
pub struct Raw {
    locks: Vec<(Place, Lock)>,
    /// Where in the text WITH queries that write begin.
    writing: Vec<i32>,
    pub writing_statement: Option<RawWriting>,
    /// The highest n of `$n`.
    pub parameters: i32,
}

/// A query, by where in the text its first output column is. There can be no two of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(i32);

#[derive(Clone, Copy, Debug)]
pub struct RawWriting {
    kind: WriteKind,
    has_condition: bool,
    on_conflict: bool,
    returning: bool,
}

impl Raw {
    /// SAFETY: `statement` is a raw parse tree.
    pub unsafe fn of(statement: *mut Node) -> Raw {
        let mut raw = Raw::default();
        // SAFETY: as said above; `visit` gets back what it is handed here.
        unsafe {
            raw.writing_statement = writing(statement);
            visit(statement, (&raw mut raw).cast());
        }
        raw
    }

    /// Those of the query whose output columns are `targets`.
    ///
    /// SAFETY: a target list of an analyzed query.
    pub unsafe fn locks(&self, targets: *mut pg_sys::List) -> Vec<Lock> {
        // SAFETY: as said above.
        let first = unsafe {
            PgList::<pg_sys::TargetEntry>::from_pg(targets).get_ptr(0).map(|target| place((*target).expr.cast()))
        };
        let here = self.locks.iter().filter(|(place, _)| Some(*place) == first && place.0 >= 0);
        here.map(|(_, lock)| lock.clone()).collect()
    }

    pub fn writes(&self, location: i32) -> bool {
        location >= 0 && self.writing.contains(&location)
    }

    unsafe fn add_locks(&mut self, select: &pg_sys::SelectStmt) {
        // SAFETY: a raw parse tree; its lists are of the nodes named here.
        unsafe {
            let Some(first) = PgList::<pg_sys::ResTarget>::from_pg(select.targetList).get_ptr(0) else { return };
            for clause in PgList::<pg_sys::LockingClause>::from_pg(select.lockingClause).iter_ptr() {
                let named = PgList::<pg_sys::RangeVar>::from_pg((*clause).lockedRels);
                let lock = Lock {
                    strength: strength((*clause).strength),
                    wait: match (*clause).waitPolicy {
                        pg_sys::LockWaitPolicy::LockWaitSkip => LockWait::SkipLocked,
                        pg_sys::LockWaitPolicy::LockWaitError => LockWait::NoWait,
                        _ => LockWait::Waits,
                    },
                    of: named.iter_ptr().map(|relation| string((*relation).relname)).collect(),
                };
                self.locks.push((place((*first).val), lock));
            }
        }
    }
}

impl RawWriting {
    /// `table` and `columns` as looked up.
    pub fn resolved(self, table: u32, columns: Vec<i16>) -> Writing {
        let RawWriting { kind, has_condition, on_conflict, returning } = self;
        Writing { kind, table, columns, has_condition, on_conflict, returning }
    }
}

unsafe fn place(node: *mut Node) -> Place {
    // SAFETY: null, or a node of a raw or an analyzed expression; the server finds the leftmost location in either.
    Place(unsafe { pg_sys::exprLocation(node) })
}

fn strength(strength: pg_sys::LockClauseStrength::Type) -> LockStrength {
    match strength {
        pg_sys::LockClauseStrength::LCS_FORKEYSHARE => LockStrength::KeyShare,
        pg_sys::LockClauseStrength::LCS_FORSHARE => LockStrength::Share,
        pg_sys::LockClauseStrength::LCS_FORNOKEYUPDATE => LockStrength::NoKeyUpdate,
        _ => LockStrength::Update,
    }
}

unsafe fn writing(statement: *mut Node) -> Option<RawWriting> {
    // SAFETY: a raw parse tree; nodes are cast after a look at their tags.
    unsafe {
        let writing = |kind, condition: *mut Node, conflict: bool, returning: *mut pg_sys::List| RawWriting {
            kind,
            has_condition: !condition.is_null(),
            on_conflict: conflict,
            returning: !returning.is_null(),
        };
        Some(match (*statement).type_ {
            NodeTag::T_InsertStmt => {
                let insert = &*statement.cast::<pg_sys::InsertStmt>();
                let conflict = !insert.onConflictClause.is_null();
                writing(WriteKind::Insert, null_mut(), conflict, insert.returningList)
            }
            NodeTag::T_UpdateStmt => {
                let update = &*statement.cast::<pg_sys::UpdateStmt>();
                writing(WriteKind::Update, update.whereClause, false, update.returningList)
            }
            NodeTag::T_DeleteStmt => {
                let delete = &*statement.cast::<pg_sys::DeleteStmt>();
                writing(WriteKind::Delete, delete.whereClause, false, delete.returningList)
            }
            NodeTag::T_MergeStmt => {
                let merge = &*statement.cast::<pg_sys::MergeStmt>();
                writing(WriteKind::Merge, merge.joinCondition, false, merge.returningList)
            }
            _ => return None,
        })
    }
}

/// SAFETY: called with raw parse nodes and a `Raw`, by us and by the server's walker.
unsafe fn visit(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: as said above; nodes are cast after a look at their tags.
    unsafe {
        if node.is_null() {
            return false;
        }
        let raw = &mut *context.cast::<Raw>();
        match (*node).type_ {
            NodeTag::T_SelectStmt => {
                let mut select = node.cast::<pg_sys::SelectStmt>();
                // A long chain of set operations is as deep a tree: a loop takes no stack.
                while (*select).op != pg_sys::SetOperation::SETOP_NONE {
                    visit((*select).withClause.cast(), context);
                    visit((*select).rarg.cast(), context);
                    select = (*select).larg;
                }
                (*context.cast::<Raw>()).add_locks(&*select);
                return pg_sys::raw_expression_tree_walker_impl(select.cast(), Some(walk), context);
            }
            NodeTag::T_ParamRef => {
                raw.parameters = raw.parameters.max((*node.cast::<pg_sys::ParamRef>()).number);
            }
            NodeTag::T_CommonTableExpr => {
                let with = &*node.cast::<pg_sys::CommonTableExpr>();
                if writing(with.ctequery).is_some() {
                    raw.writing.push(with.location);
                }
            }
            _ => {}
        }
        pg_sys::raw_expression_tree_walker_impl(node, Some(walk), context)
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
