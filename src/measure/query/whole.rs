//! A statement as it stands, with what it writes, ready to be executed.

use super::{Value, constant, only_statement};
use crate::db::raise;
use pgrx::pg_sys::{self, Oid};
use pgrx::{PgList, PgSqlErrorCode};
use std::ffi::CStr;
use std::ptr::null_mut;

/// In the memory context that was current when it was planned.
pub struct Whole {
    pub planned: *mut pg_sys::PlannedStmt,
    pub parameters: pg_sys::ParamListInfo,
}

impl Whole {
    /// Analyzes and plans the statement; takes the locks that executing it takes. Raises the server's error when the text is
    /// wrong, and ours when a parameter has no value or rules have made several statements of it.
    pub fn plan(argument: &str, text: &CStr, values: &[Value]) -> Whole {
        // SAFETY: as EXPLAIN does it; trees are the server's own, in the current memory context.
        unsafe {
            let statement = only_statement(argument, text);
            let (mut types, mut number) = (null_mut::<Oid>(), 0);
            let rewritten = pg_sys::pg_analyze_and_rewrite_varparams(
                statement,
                text.as_ptr(),
                &raw mut types,
                &raw mut number,
                null_mut(),
            );
            let rewritten = PgList::<pg_sys::Query>::from_pg(rewritten);
            let (1, Some(query)) = (rewritten.len(), rewritten.get_ptr(0)) else {
                raise(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    format!("argument {argument} is rewritten by rules to {} statements", rewritten.len()),
                    "Pass a statement on a table without such rules.",
                )
            };
            let parameters = bind(types, number as usize, values);
            let parallel = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
            let planned = pg_sys::pg_plan_query(query, text.as_ptr(), parallel, parameters);
            Whole { planned, parameters }
        }
    }
}

unsafe fn bind(types: *const Oid, number: usize, values: &[Value]) -> pg_sys::ParamListInfo {
    // SAFETY: the list has room for all parameters.
    unsafe {
        if number == 0 {
            return null_mut();
        }
        let types = std::slice::from_raw_parts(types, number);
        let list = pg_sys::makeParamList(types.len() as i32);
        for (position, (slot, oid)) in (*list).params.as_mut_slice(types.len()).iter_mut().zip(types).enumerate() {
            *slot = match values.get(position) {
                Some(Value::Text(text)) => constant(*oid, Some(text)),
                Some(Value::Null) => constant(*oid, None),
                Some(Value::Unknown) | None => raise(
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!("argument params: ${} has no value, and statistics give none", position + 1),
                    "Pass a value for each parameter: params => array['42', 'open'].",
                ),
            };
        }
        list
    }
}
