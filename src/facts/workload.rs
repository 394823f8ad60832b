//! Which columns the statements in pg_stat_statements filter by.

use super::statement::{self, Filter, TableNames};
use super::statements::{MeasuredStatement, statements};
use super::{Catalog, Database, Table};
use crate::db::{self, Arena, guarded};
use std::collections::HashMap;
use std::ffi::CString;

#[derive(Debug, Default)]
pub struct Workload {
    /// pg_stat_statements is installed and preloaded.
    pub known: bool,
    /// Statements that are not one query, or not readable.
    pub not_parsed: u64,
    filters: HashMap<u32, Vec<FilterColumn>>,
}

/// A column that statements compare with something that is not a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterColumn {
    pub column: i16,
    pub operator: String,
    pub calls: u64,
}

/// Statements that are looked at.
const STATEMENTS: u32 = 1000;

impl Workload {
    pub fn read(database: &Database, catalog: &Catalog) -> Workload {
        let Some(statements) = statements(database, STATEMENTS) else { return Workload::default() };
        let mut workload = Workload { known: true, ..Workload::default() };
        let names = TableNames::of(catalog);
        for MeasuredStatement { text, calls, search_path, role_name, .. } in statements {
            db::check_for_interrupts();
            match parse(text, &names, &schemas(&search_path, &role_name)) {
                Some(filters) => workload.add(filters, calls),
                None => workload.not_parsed += 1,
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

/// None: it is not one query, or the server's parser rejects it.
fn parse(text: String, names: &TableNames, search_path: &[String]) -> Option<Vec<Filter>> {
    let text = CString::new(text).ok()?;
    guarded(|| Arena::new().enter(|| statement::filters(&text, names, search_path))).ok().flatten()
}

/// The schemas of a search_path, as the setting is written: identifiers, quoted or not, with commas between.
fn schemas(search_path: &str, role: &str) -> Vec<String> {
    let mut schemas = vec![String::new()];
    let mut quoted = false;
    for character in search_path.chars() {
        let last = schemas.last_mut().expect("there is one from the beginning");
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => schemas.push(String::new()),
            character if quoted => last.push(character),
            character if character.is_whitespace() => {}
            character => last.extend(character.to_lowercase()),
        }
    }
    schemas.into_iter().map(|schema| if schema == "$user" { role.to_string() } else { schema }).collect()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_search_path_is_read_as_written() {
        assert_eq!(schemas("\"$user\", public", "anna"), ["anna", "public"]);
        assert_eq!(schemas("App,\"Two words, one comma\"", "anna"), ["app", "Two words, one comma"]);
        assert_eq!(schemas("", "anna"), [""]);
    }
}
