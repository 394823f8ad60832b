//! Expressions over the columns of a table, as the server's own analysis makes them.

use crate::db::{self, Caught};
use crate::facts::migration::{Column, Relation};
use pgrx::PgList;
use pgrx::pg_sys::{self, NodeTag};
use std::ffi::CString;
use std::ptr::null_mut;

pub fn c_string(text: &str) -> Result<CString, Caught> {
    CString::new(text).map_err(|_| Caught {
        sqlstate: "22021".into(),
        message: "a zero byte".into(),
        ..Caught::default()
    })
}

/// Those whose types the catalogs know; of the others nothing is said.
pub fn known_columns(table: &Relation) -> Vec<&Column> {
    table.columns.iter().filter(|column| column.type_oid != 0).collect()
}

/// A query that has the expressions over columns like those of the table, as the migration has left them.
pub fn over_columns(table: &Relation, columns: &[&Column], expressions: &[&str]) -> Result<CString, Caught> {
    let null = |column: &&Column| format!("null::{} as {}", column.type_name, db::quote_identifier(&column.name));
    let columns: Vec<String> = columns.iter().map(null).collect();
    let expressions: Vec<String> = expressions.iter().map(|expression| format!("({expression})")).collect();
    c_string(&format!("select {} from (select {}) as {}", expressions.join(", "), columns.join(", "), table.name.name))
}

/// SAFETY: `text` is a SELECT of one expression.
pub unsafe fn raw_target(text: &CString) -> *mut pg_sys::Node {
    // SAFETY: as said above; nodes are cast to what the grammar makes.
    unsafe {
        let parsed = PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
            text.as_ptr(),
            pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
        ));
        let select = (*parsed.get_ptr(0).expect("a statement")).stmt.cast::<pg_sys::SelectStmt>();
        let targets = PgList::<pg_sys::ResTarget>::from_pg((*select).targetList);
        (*targets.get_ptr(0).expect("an expression")).val
    }
}

/// The analyzed expressions; unknown literals stay so.
///
/// SAFETY: `text` is a SELECT.
pub unsafe fn targets(text: &CString) -> Vec<*mut pg_sys::Node> {
    // SAFETY: as said above.
    unsafe {
        let parsed = PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
            text.as_ptr(),
            pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
        ));
        let state = pg_sys::make_parsestate(null_mut());
        (*state).p_sourcetext = text.as_ptr();
        (*state).p_resolve_unknowns = false;
        let query = pg_sys::transformTopLevelStmt(state, parsed.get_ptr(0).expect("a statement"));
        let targets = PgList::<pg_sys::TargetEntry>::from_pg((*query).targetList);
        targets.iter_ptr().map(|target| (*target).expr.cast()).collect()
    }
}

/// The old value, under another name at most.
///
/// SAFETY: `node` is a planned expression.
pub unsafe fn is_the_column(
    mut node: *mut pg_sys::Node,
    attribute: i16,
    is_constrained: &impl Fn(u32) -> bool,
) -> bool {
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        loop {
            match (*node).type_ {
                NodeTag::T_Var => return (*node.cast::<pg_sys::Var>()).varattno == attribute,
                NodeTag::T_RelabelType => node = (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
                NodeTag::T_CoerceToDomain => {
                    let coercion = &*node.cast::<pg_sys::CoerceToDomain>();
                    if is_constrained(coercion.resulttype.to_u32()) {
                        return false;
                    }
                    node = coercion.arg.cast();
                }
                NodeTag::T_FuncExpr => {
                    let call = &*node.cast::<pg_sys::FuncExpr>();
                    let function = call.funcid.to_u32();
                    let between = [pg_sys::F_TIMESTAMPTZ_TIMESTAMP, pg_sys::F_TIMESTAMP_TIMESTAMPTZ];
                    if !between.contains(&function) || pg_sys::TimestampTimestampTzRequiresRewrite() {
                        return false;
                    }
                    let arguments = PgList::<pg_sys::Node>::from_pg(call.args);
                    node = arguments.get_ptr(0).expect("a cast has an argument");
                }
                _ => return false,
            }
        }
    }
}
