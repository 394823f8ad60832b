//! A condition on the table, given as SQL.

use super::{plan, target::Target, text};
use crate::db::{self, Arena, Caught, raise, raise_sqlstate, with_search_path};
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgList, PgSqlErrorCode};
use std::ffi::{CStr, CString};

const HINT: &str = "Pass one condition on columns of the index's table, as WHERE takes it: 'tenant_id = 5'.";

/// The condition, ready to stand in parentheses. Raises an error for what is no single condition, and for one that is not the
/// same each time that it is asked.
pub fn condition(given: &str, target: &Target, search_path: &CStr) -> String {
    let condition = single_expression(given).to_string();
    let conditions = text::conditions(target, Some(&condition), None);
    let text =
        CString::new(format!("select from only {}{conditions}", target.table_name)).expect("it has no zero byte");
    // SAFETY: the trees go with the arena.
    let is_volatile = || unsafe {
        let query = plan::analyzed(&text, &[]);
        let from = (*query).jointree;
        pg_sys::contain_volatile_functions((*from).quals)
    };
    let analyzed = db::read_only(|| Arena::new().enter(|| with_search_path(search_path, is_volatile)));
    match analyzed {
        Ok(false) => condition,
        Ok(true) => {
            refuse("calls a function that is not the same each time: exact and approximate answers would differ")
        }
        Err(Caught { sqlstate, message, .. }) => raise_sqlstate(&sqlstate, format!("argument filter: {message}"), HINT),
    }
}

fn refuse(what: &str) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("argument filter {what}"), HINT)
}

/// The text without what may end it, if the server's parser finds one expression in it and nothing else.
fn single_expression(given: &str) -> &str {
    const SELECT: &str = "select\n";
    let Ok(text) = CString::new(format!("{SELECT}{given}")) else { refuse("holds a zero byte") };
    // SAFETY: the trees go with the arena; nodes are cast after a look at their tags.
    let parsed = db::read_only(|| {
        Arena::new().enter(|| unsafe {
            let statements = PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
                text.as_ptr(),
                pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
            ));
            let statement = statements.get_ptr(0).filter(|_| statements.len() == 1)?;
            let end = match (*statement).stmt_len {
                0 => text.as_bytes().len(),
                length => ((*statement).stmt_location + length) as usize,
            };
            let node = (*statement).stmt;
            ((*node).type_ == NodeTag::T_SelectStmt && is_one_expression(&*node.cast())).then_some(end)
        })
    });
    match parsed {
        Ok(Some(end)) => &given[..end - SELECT.len()],
        Ok(None) => refuse("is not one condition"),
        Err(Caught { sqlstate, message, .. }) => raise_sqlstate(&sqlstate, format!("argument filter: {message}"), HINT),
    }
}

unsafe fn is_one_expression(select: &pg_sys::SelectStmt) -> bool {
    let lists = [
        select.distinctClause,
        select.fromClause,
        select.groupClause,
        select.windowClause,
        select.valuesLists,
        select.sortClause,
        select.lockingClause,
    ];
    let nodes = [select.whereClause, select.havingClause, select.limitOffset, select.limitCount];
    let nothing_else = lists.iter().all(|list| list.is_null())
        && nodes.iter().all(|node| node.is_null())
        && select.intoClause.is_null()
        && select.withClause.is_null()
        && select.op == pg_sys::SetOperation::SETOP_NONE;
    // SAFETY: the grammar makes a target list of ResTargets.
    unsafe {
        let targets = PgList::<pg_sys::ResTarget>::from_pg(select.targetList);
        nothing_else && targets.len() == 1 && targets.get_ptr(0).is_some_and(|target| (*target).name.is_null())
    }
}
