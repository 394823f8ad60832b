//! `dbre.query_findings()`.

use super::advice::advice;
use super::arguments::{self, required};
use crate::db::with_search_path;
use crate::engine::{self, Run};
use crate::facts::Facts;
use crate::finding::severity;
use crate::measure::query::statement;
use crate::rule::Need;
use pgrx::JsonB;
use pgrx::prelude::*;
use std::ffi::CStr;

advice! {
    /// What is wrong with a query, from its text and the catalogs; nothing is planned or executed.
    ///
    /// One SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES, with parameters `$1` and so on where it has some; unqualified names
    /// are looked up in `search_path`. When its tables are not here the text alone is judged, and one finding says so. Most
    /// urgent first. A safe rewrite is `rewritten_query` in `evidence`.
    sql: r#"
create function query_findings(
    query text,
    search_path text default pg_catalog.current_setting('search_path')
)
returns setof advice
stable language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn query_findings(query: Option<&str>, search_path: Option<&str>) {
        let query = required("query", query, "Pass the text of one statement.");
        judge(query, &arguments::search_path(search_path))
    }
}

fn judge(query: &str, search_path: &CStr) -> Run {
    let statement = with_search_path(search_path, || statement("query", query));
    let needs = engine::needs_of_judges(Need::Statement);
    let mut facts = Facts::read(&needs, None);
    super::check::refuse_unread(&facts, &needs);
    facts.set_statement(statement);
    let mut run = engine::judge(Need::Statement, facts);
    super::check::refuse_total_failure(&run);
    run.sort_by_urgency();
    run
}
