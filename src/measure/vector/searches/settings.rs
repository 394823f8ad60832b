//! pgvector's settings, as the sessions of a role begin with in this database.

use crate::db;
use crate::facts::vector::SearchSettings;
use crate::facts::{MeasuredStatement, Name};
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub struct Settings {
    /// By role and name; of role 0 what is set for all roles.
    known: BTreeMap<(u32, String), String>,
    of_roles: BTreeMap<u32, SearchSettings>,
}

impl Settings {
    pub fn read(schema: Option<&Name>) -> Settings {
        // They exist once the library is loaded, which the first call does.
        if let Some(schema) = schema {
            let _ =
                db::guarded(|| db::read(&format!("select {schema}.vector_dims('[1]'::{schema}.vector)"), &[], |_| ()));
        }
        let rows = db::read(include_str!("../../../../sql/facts/vector/search_settings.sql"), &[], |row| {
            let role = row.take::<i64>() as u32;
            ((role, row.take::<String>()), row.take::<String>())
        });
        Settings { known: rows.into_iter().collect(), of_roles: BTreeMap::new() }
    }

    pub fn of(&mut self, role: u32) -> SearchSettings {
        let known = &self.known;
        let settings = self.of_roles.entry(role).or_insert_with(|| {
            let value = |name: &str| {
                let of = |role: u32| known.get(&(role, name.to_string()));
                of(role).or_else(|| of(0)).cloned().unwrap_or_default()
            };
            let off = |name: &str| Some(value(name)).filter(|value| !value.is_empty()).unwrap_or("off".to_string());
            SearchSettings {
                ef_search: value("hnsw.ef_search").parse().unwrap_or(40),
                probes: value("ivfflat.probes").parse().unwrap_or(1),
                hnsw_iterative_scan: off("hnsw.iterative_scan"),
                ivfflat_iterative_scan: off("ivfflat.iterative_scan"),
            }
        });
        settings.clone()
    }
}

/// `SET hnsw.ef_search = 100` among the statements: role, name and value, which pg_stat_statements may have replaced.
pub fn set_by_sessions(statements: &[MeasuredStatement]) -> Vec<(u32, String, Option<String>)> {
    static SET: LazyLock<Regex> = LazyLock::new(|| {
        let set =
            r#"(?i)^\s*set\s+(?:session\s+|local\s+)?((?:hnsw|ivfflat)\.[a-z_]+)\s*(?:=|\sto\s)\s*'?([a-z0-9_$]+)"#;
        Regex::new(set).expect("a constant")
    });
    let found = statements.iter().filter_map(|statement| {
        let captures = SET.captures(&statement.text)?;
        let value = captures[2].to_ascii_lowercase();
        Some((statement.role, captures[1].to_ascii_lowercase(), (!value.starts_with('$')).then_some(value)))
    });
    found.collect()
}
