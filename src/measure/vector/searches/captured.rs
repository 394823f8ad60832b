//! What dbre.vector_queries knows beyond pg_stat_statements: the LIMIT, the settings in force, the index that served it.

use super::selectivity;
use super::settings::Settings;
use crate::db;
use crate::facts::vector::{
    Distance, Filter, Key, Limit, Operator, Order, SearchSettings, SearchSource, VectorColumn, VectorSearch, Vectors,
};

struct Captured {
    table: u32,
    key: String,
    operator: Operator,
    query_id: Option<i64>,
    role: u32,
    role_name: String,
    searches: f64,
    ms: f64,
    rows: Option<f64>,
    limit: Option<u64>,
    index: Option<u32>,
    filter: Option<String>,
    filtered: bool,
    ef_search: Option<u32>,
    probes: Option<u32>,
    iterative_scan: Option<String>,
}

/// Adds to searches that are known by their query id, and adds others.
pub fn read(vectors: &mut Vectors, settings: &mut Settings) {
    let readable = "select pg_catalog.has_schema_privilege('dbre', 'usage')
                    and pg_catalog.has_table_privilege('dbre.vector_queries', 'select')";
    if db::read(readable, &[], |row| row.take::<bool>()) != [true] {
        return;
    }
    let tables: Vec<i64> = vectors.columns.iter().map(|column| i64::from(column.table)).collect();
    let captured =
        db::read(include_str!("../../../../sql/facts/vector/captured_searches.sql"), &[tables.into()], |row| {
            let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
            let (table, key, operator) = (row.take::<i64>() as u32, row.take(), row.take::<String>());
            let captured = Captured {
                table,
                key,
                operator: Operator::L2,
                query_id: row.take_option(),
                role: row.take::<i64>() as u32,
                role_name: row.take(),
                searches: row.take(),
                ms: row.take(),
                rows: row.take_option(),
                limit: row.take_option::<i64>().map(|rows| rows as u64),
                index: row.take_option::<i64>().map(|oid| oid as u32),
                filter: row.take_option(),
                filtered: row.take(),
                ef_search: number(row.take_option()),
                probes: number(row.take_option()),
                iterative_scan: row.take_option(),
            };
            Operator::from_sql(&operator).map(|operator| Captured { operator, ..captured })
        });
    for captured in captured.into_iter().flatten() {
        vectors.workload.captured += captured.searches as u64;
        let Some(column) = vectors.columns.iter_mut().find(|column| captured.is_of(column)) else { continue };
        let same = |search: &&mut VectorSearch| {
            search.query_id.is_some() && search.query_id == captured.query_id && search.operator == captured.operator
        };
        match column.searches.iter_mut().find(same) {
            Some(known) => captured.add_to(known, column.indexes.iter().map(|index| index.oid).collect()),
            None => {
                let own = settings.of(captured.role);
                column.searches.push(captured.search(column, own));
            }
        }
    }
}

impl Captured {
    fn is_of(&self, column: &VectorColumn) -> bool {
        column.table == self.table && (self.key_of(column) == Key::Column || self.names(column))
    }

    fn key_of(&self, column: &VectorColumn) -> Key {
        let index = column.indexes.iter().find(|index| Some(index.oid) == self.index);
        match index {
            Some(index) => index.key.clone(),
            None if self.key == column.name.to_string() => Key::Column,
            None => Key::Other(self.key.clone()),
        }
    }

    fn names(&self, column: &VectorColumn) -> bool {
        let name = column.name.to_string();
        let word = |c: char| !(c.is_alphanumeric() || c == '_' || c == '"');
        self.key.split(word).any(|part| part == name) || self.key.contains(&format!("({name})"))
    }

    fn limit(&self) -> Limit {
        self.limit.map_or(Limit::None, Limit::Rows)
    }

    fn add_to(&self, known: &mut VectorSearch, indexes: Vec<u32>) {
        if known.limit == Limit::Parameter {
            known.limit = self.limit();
        }
        self.add_settings(&mut known.settings);
        // What served it then counts for more than what would now, where it is still there.
        if let Some(index) = self.index.filter(|index| indexes.contains(index)) {
            known.planned_indexes.get_or_insert_default().push(index);
        }
    }

    /// As they were in force, however they were set.
    fn add_settings(&self, settings: &mut SearchSettings) {
        settings.ef_search = self.ef_search.unwrap_or(settings.ef_search);
        settings.probes = self.probes.unwrap_or(settings.probes);
        if let Some(iterative) = &self.iterative_scan {
            match self.probes {
                Some(_) => settings.ivfflat_iterative_scan.clone_from(iterative),
                None => settings.hnsw_iterative_scan.clone_from(iterative),
            }
        }
    }

    fn search(&self, column: &VectorColumn, mut settings: SearchSettings) -> VectorSearch {
        self.add_settings(&mut settings);
        let filters = self.filter.iter().map(|filter| Filter {
            sql: filter.clone(),
            columns: Vec::new(),
            equality: false,
            constant: false,
            distinct: None,
            indexed: false,
            selectivity: None,
        });
        let mut distance = Distance {
            table: self.table,
            column: column.number,
            key: self.key_of(column),
            key_sql: self.key.clone(),
            operator: self.operator,
            function: None,
            compared_with: "$1".to_string(),
            joined: false,
            within_condition: false,
            order: Order::Ascending,
            limit: self.limit(),
            filters: filters.collect(),
        };
        // The caller reads the table's statistics, for the role that searched is not asked.
        let selectivity = selectivity::measure(db::current_role(), &mut distance, &[]);
        VectorSearch {
            source: SearchSource::Captured,
            query_id: self.query_id,
            text: None,
            role: self.role,
            role_name: db::quote_identifier(&self.role_name),
            calls: self.searches,
            mean_ms: self.ms,
            rows_per_call: self.rows,
            counted_days: None,
            key: distance.key,
            key_sql: distance.key_sql,
            operator: distance.operator,
            function: None,
            compared_with: distance.compared_with,
            joined: false,
            within_condition: false,
            order: distance.order,
            limit: distance.limit,
            // Conditions that are not kept, for they are too long or volatile, are conditions all the same.
            selectivity: if self.filtered && self.filter.is_none() { None } else { selectivity },
            filters: distance.filters,
            planned_indexes: Some(self.index.into_iter().collect()),
            planned_sequential: false,
            settings,
            rewrite: None,
        }
    }
}
