//! What CREATE INDEX refuses, refused alike: no plan is shown with an index that could not be built.

use super::definition::plain_column;
use super::is_partitioned;
use crate::db::{self, raise};
use crate::facts::QualifiedName;
use pgrx::pg_sys::{self, NodeTag, Oid};
use pgrx::{PgList, PgSqlErrorCode};
use std::ffi::CStr;
use std::ptr::null_mut;

pub unsafe fn create_index(argument: &str, text: &CStr) -> *mut pg_sys::IndexStmt {
    let refuse = |what: String| -> ! {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument}: {what}: {}", text.to_string_lossy()),
            "Write CREATE INDEX ON table (columns), with any of its clauses.",
        )
    };
    // SAFETY: as in `read`.
    unsafe {
        let statements = pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = PgList::<pg_sys::RawStmt>::from_pg(statements);
        let Some(statement) = statements.get_ptr(0).filter(|_| statements.len() == 1) else {
            refuse(format!("{} statements instead of one CREATE INDEX", statements.len()))
        };
        match (*(*statement).stmt).type_ {
            NodeTag::T_IndexStmt => (*statement).stmt.cast(),
            _ => refuse("not a CREATE INDEX statement".to_string()),
        }
    }
}

pub unsafe fn refuse_kind(argument: &str, table: Oid, name: &QualifiedName) {
    // SAFETY: catalog lookups.
    let kind = unsafe { pg_sys::get_rel_relkind(table) } as u8;
    let refused = match kind {
        pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW | pg_sys::RELKIND_PARTITIONED_TABLE => None,
        pg_sys::RELKIND_VIEW => Some("a view"),
        pg_sys::RELKIND_FOREIGN_TABLE => Some("a foreign table"),
        pg_sys::RELKIND_INDEX | pg_sys::RELKIND_PARTITIONED_INDEX => Some("an index"),
        pg_sys::RELKIND_SEQUENCE => Some("a sequence"),
        _ => Some("no table"),
    };
    // SAFETY: a catalog lookup.
    let system = unsafe { pg_sys::IsCatalogRelationOid(table) }.then_some("a system catalog");
    if let Some(what) = refused.or(system) {
        raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("argument {argument}: {name} is {what}"),
            "Indexes can be created on tables, partitioned tables and materialized views.",
        )
    }
}

/// On a partitioned table: ONLY makes an index that is of no use yet; a unique one needs the partition key among its own.
pub unsafe fn refuse_on_partitioned(argument: &str, statement: &pg_sys::IndexStmt, table: Oid, name: &QualifiedName) {
    // SAFETY: catalog lookups; the elements are those of the parse tree.
    unsafe {
        if !is_partitioned(table) {
            return;
        }
        let refuse = |what: &str, hint: &str| -> ! {
            raise(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, format!("argument {argument}: {what} {name}"), hint)
        };
        if statement.concurrent {
            refuse("no index is created CONCURRENTLY on partitioned table", "Leave CONCURRENTLY out.")
        }
        if !(*statement.relation).inh {
            refuse("the planner takes no index ON ONLY", "Leave ONLY out: the index is then one on all partitions.")
        }
        if statement.unique {
            let elements = PgList::<pg_sys::IndexElem>::from_pg(statement.indexParams);
            let keys: Vec<i16> = elements.iter_ptr().filter_map(|element| plain_column(&*element, table)).collect();
            let needed = db::read(include_str!("../../../sql/facts/partition_key.sql"), &[table.into()], |row| {
                row.take::<Vec<i16>>()
            });
            if !needed.iter().flatten().all(|attribute| keys.contains(attribute)) {
                refuse("no unique index without the partition key on", "Add the columns of the partition key.")
            }
        }
    }
}

pub fn refuse_what_the_method_cannot(
    statement: &pg_sys::IndexStmt,
    routine: &pg_sys::IndexAmRoutine,
    method: &str,
    columns: usize,
) {
    let lacks = [
        (statement.unique && !routine.amcanunique, "unique indexes"),
        (!statement.indexIncludingParams.is_null() && !routine.amcaninclude, "included columns"),
        (!routine.amcanmulticol && unsafe { (*statement.indexParams).length } > 1, "multicolumn indexes"),
    ];
    if let Some((_, what)) = lacks.into_iter().find(|(lacks, _)| *lacks) {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("access method {method} does not support {what}"),
            "Leave them out, or use btree.",
        )
    }
    if columns > pg_sys::INDEX_MAX_KEYS as usize {
        raise(
            PgSqlErrorCode::ERRCODE_TOO_MANY_COLUMNS,
            format!("an index has at most {} columns, not {columns}", pg_sys::INDEX_MAX_KEYS),
            "Leave columns out.",
        )
    }
}

pub unsafe fn immutable(expression: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: an analyzed expression.
    if unsafe { pg_sys::contain_mutable_functions_after_planning(expression.cast()) } {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            "functions in index expression and predicate must be marked IMMUTABLE",
            "What the expression gives may not depend on time, settings or other rows.",
        )
    }
    expression
}

/// Raises what CREATE INDEX raises of unknown storage parameters and of values out of range.
pub unsafe fn refuse_parameters(statement: &pg_sys::IndexStmt, routine: &pg_sys::IndexAmRoutine) {
    // SAFETY: the options are of the parse tree; the access method's own function checks them.
    unsafe {
        let none = pg_sys::Datum::null();
        let options = pg_sys::transformRelOptions(none, statement.options, std::ptr::null(), null_mut(), false, false);
        pg_sys::index_reloptions(routine.amoptions, options, true);
    }
}

/// `given`: by the statement, not by the column.
pub fn refuse_collation(type_oid: Oid, collation: Oid, given: bool) {
    // SAFETY: a catalog lookup.
    let collatable = unsafe { pg_sys::type_is_collatable(type_oid) };
    if given && !collatable {
        raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "collations are not supported by the type of the column",
            "Leave COLLATE out.",
        )
    }
    if collatable && collation == pg_sys::InvalidOid {
        raise(
            PgSqlErrorCode::ERRCODE_INDETERMINATE_COLLATION,
            "could not determine which collation to use for index expression",
            "Use the COLLATE clause to set the collation explicitly.",
        )
    }
}

/// `family`, `class_type`: of the operator class.
pub fn refuse_class_options(
    element: &pg_sys::IndexElem,
    routine: &pg_sys::IndexAmRoutine,
    (family, class_type): (Oid, Oid),
) {
    let number = routine.amoptsprocnum as i16;
    // SAFETY: a catalog lookup.
    let takes = number != 0
        && unsafe { pg_sys::get_opfamily_proc(family, class_type, class_type, number) } != pg_sys::InvalidOid;
    if !element.opclassopts.is_null() && !takes {
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "operator class has no options", "Leave them out.")
    }
}

/// SAFETY: a list of analyzed expressions over range table entry 1, or null.
pub unsafe fn refuse_system_columns(expressions: *mut pg_sys::List) {
    let mut attributes = null_mut();
    // SAFETY: as said above; the set holds attribute numbers, shifted so that they are not negative.
    let first = unsafe {
        pg_sys::pull_varattnos(expressions.cast(), 1, &raw mut attributes);
        pg_sys::bms_next_member(attributes, -1)
    };
    if first >= 0 && first + pg_sys::FirstLowInvalidHeapAttributeNumber < 0 {
        raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "index creation on system columns is not supported",
            "Use columns of the table.",
        )
    }
}
