//! Which columns the statements in pg_stat_statements filter by.

use super::statement::{self, Filter};
use super::{Database, Table};
use crate::db::{self, guarded};
use std::collections::HashMap;
use std::ffi::CString;

#[derive(Debug, Default)]
pub struct Workload {
    /// pg_stat_statements is installed and preloaded.
    pub known: bool,
    /// Statements that could not be analyzed: utility commands, objects that are gone, names that the role's search_path
    /// did not find.
    pub not_analyzed: u64,
    filters: HashMap<u32, Vec<FilterColumn>>,
}

/// A column that statements compare with something that is not a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterColumn {
    pub column: i16,
    pub operator: String,
    pub calls: u64,
}

/// The extension is installed, but its library is not preloaded.
const NOT_PRELOADED: &str = "55000";

impl Workload {
    pub fn read(database: &Database) -> Workload {
        let Some(schema) = database.extension_schema("pg_stat_statements") else { return Workload::default() };
        let sql = include_str!("../../sql/facts/statements.sql").replace("{schema}", &schema.to_string());
        let statements = guarded(|| {
            db::read(&sql, &[], |row| (row.take::<String>(), row.take::<i64>() as u64, row.take::<String>()))
        });
        let statements = match statements {
            Ok(statements) => statements,
            Err(error) if error.sqlstate == NOT_PRELOADED => return Workload::default(),
            Err(error) => panic!("{}", error.message),
        };
        let mut workload = Workload { known: true, ..Workload::default() };
        for (text, calls, search_path) in statements {
            db::check_for_interrupts();
            match analyze(text, search_path) {
                Some(filters) => workload.add(filters, calls),
                None => workload.not_analyzed += 1,
            }
        }
        for filters in workload.filters.values_mut() {
            filters.sort_by(|a, b| (b.calls, a.column, &a.operator).cmp(&(a.calls, b.column, &b.operator)));
        }
        workload
    }

    fn add(&mut self, filters: Vec<Filter>, calls: u64) {
        for Filter { table, column, operator } in filters {
            let known = self.filters.entry(table).or_default();
            match known.iter_mut().find(|filter| filter.column == column && filter.operator == operator) {
                Some(filter) => filter.calls += calls,
                None => known.push(FilterColumn { column, operator, calls }),
            }
        }
    }

    /// The filters on the table's columns, most used first.
    pub fn filters_of(&self, table: &Table) -> impl Iterator<Item = &FilterColumn> {
        self.filters.get(&table.oid).into_iter().flatten()
    }
}

/// None: it is no statement of this database as it is now.
fn analyze(text: String, search_path: String) -> Option<Vec<Filter>> {
    let (text, search_path) = (CString::new(text).ok()?, CString::new(search_path).ok()?);
    db::discarded(|| {
        db::set_local(c"search_path", &search_path);
        // Analysis locks the tables; it shall not queue behind a migration.
        db::set_local(c"lock_timeout", c"1ms");
        // Without a query id, pg_stat_statements does not take note of the analysis.
        db::set_local(c"compute_query_id", c"off");
        statement::filters(&text)
    })
    .ok()
    .flatten()
}
