//! A search with a filter as the choice of its best way takes it, and what that way needs.

use super::vector_filter::{Alternative, Filtered, Way, choose};
use super::vector_index::{Design, operator_text};
use super::vector_search::{RoleSetting, is_set_by_sessions};
use crate::facts::vector::{Filter, Limit, Method, VectorColumn, VectorIndex, VectorSearch, Vectors};
use crate::facts::{Facts, Namer};
use crate::finding::Rollback;

pub struct Filtering {
    pub search: Filtered,
    /// As it is served now.
    pub current: Way,
    pub condition: String,
    /// Of the selectivity.
    pub basis: &'static str,
    pub k_basis: &'static str,
}

/// What a way needs.
pub struct Advised {
    pub fix_sql: Option<String>,
    pub app_fix: String,
    pub risk: String,
    pub rollback: Rollback,
    pub verify_sql: Option<String>,
}

impl Filtering {
    /// None: there is no filter beside the index's predicate, or its share is not known.
    pub fn of(
        vectors: &Vectors,
        column: &VectorColumn,
        search: &VectorSearch,
        index: &VectorIndex,
    ) -> Option<Filtering> {
        let bare = |sql: &str| sql.replace(['(', ')', ' '], "").to_lowercase();
        let predicate = index.predicate.as_deref().map(bare);
        let rest: Vec<&Filter> = search.filters.iter().filter(|filter| Some(bare(&filter.sql)) != predicate).collect();
        if rest.is_empty() {
            return None;
        }
        let (share, basis) = if rest.len() == search.filters.len() {
            let selectivity = search.selectivity?;
            (selectivity.share, selectivity.basis)
        } else {
            let shares = rest.iter().map(|filter| filter.selectivity.map(|selectivity| selectivity.share));
            (shares.product::<Option<f64>>()?, "estimated")
        };
        let rows = vectors.rows(column) * if predicate.is_some() { index.rows? / column.rows.max(1.0) } else { 1.0 };
        let (k, k_basis) = match search.limit {
            Limit::Rows(rows) => (rows as f64, "the search's LIMIT"),
            _ => (f64::from(vectors.goal.k), "argument k: the LIMIT is not known"),
        };
        let settings = &search.settings;
        let (visited, iterative) = match index.method {
            Method::Hnsw { .. } => (f64::from(settings.ef_search), settings.hnsw_iterative_scan != "off"),
            Method::Ivfflat { lists } => (
                rows * f64::from(settings.probes.min(lists)) / f64::from(lists),
                settings.ivfflat_iterative_scan != "off",
            ),
        };
        // Each partition's index is scanned.
        let parts = search.planned_indexes.as_ref().map_or(1, |used| used.len().max(2) - 1);
        let visited = if index.partitioned { visited * parts as f64 } else { visited };
        let sample = column.sample.as_ref();
        let toasted = sample.filter(|sample| sample.toasted_fraction > 0.5).map(|sample| sample.average_bytes);
        let conditions: Vec<&str> = rest.iter().map(|filter| filter.sql.as_str()).collect();
        Some(Filtering {
            search: Filtered {
                rows,
                selectivity: share,
                k,
                dimensions: f64::from(column.known_dimensions()?),
                ef_search: visited.max(1.0),
                constant: rest.iter().all(|filter| filter.constant),
                equality: matches!(rest[..], [filter] if filter.equality),
                distinct: if let [filter] = rest[..] { filter.distinct } else { None },
                filter_indexed: rest.iter().any(|filter| filter.indexed),
                toasted_bytes: toasted,
                iterative_scan: vectors.extension.as_ref().is_some_and(|extension| extension.version >= [0, 8, 0]),
            },
            current: if iterative { Way::IterativeScan } else { Way::AsIs },
            condition: conditions.join(" AND "),
            basis,
            k_basis,
        })
    }

    /// Best first.
    pub fn ranked(&self, index: &VectorIndex) -> Vec<Alternative> {
        let of_hnsw = matches!(index.method, Method::Hnsw { .. });
        let ranked = choose(&self.search).into_iter();
        ranked.filter(|alternative| of_hnsw || !matches!(alternative.way, Way::LargerEfSearch { .. })).collect()
    }

    /// Of k, as many as match at all.
    pub fn wanted(&self) -> f64 {
        self.search.k.min(self.search.rows * self.search.selectivity)
    }

    pub fn visited(&self) -> u64 {
        self.search.ef_search as u64
    }

    pub fn is_set_by_sessions(&self, vectors: &Vectors, search: &VectorSearch) -> bool {
        let settings = ["hnsw.iterative_scan", "hnsw.ef_search", "ivfflat.iterative_scan", "ivfflat.probes"];
        settings.iter().any(|name| is_set_by_sessions(vectors, search, name))
    }

    pub fn fix(
        &self,
        facts: &Facts,
        namer: &mut Namer,
        column: &VectorColumn,
        search: &VectorSearch,
        index: &VectorIndex,
        way: &Way,
    ) -> Advised {
        let method = index.method.name();
        match way {
            Way::AsIs => said("Nothing is to be changed.".to_string()),
            Way::IterativeScan => {
                let name = format!("{method}.iterative_scan");
                by_setting(
                    RoleSetting::new(facts, search, &name, "off", "relaxed_order"),
                    format!("In the transaction of the search: SET LOCAL {name} = 'relaxed_order';"),
                )
            }
            Way::LargerEfSearch { ef_search } => {
                let before = search.settings.ef_search.to_string();
                by_setting(
                    RoleSetting::new(facts, search, "hnsw.ef_search", &before, &ef_search.to_string()),
                    format!("In the transaction of the search: SET LOCAL hnsw.ef_search = {ef_search};"),
                )
            }
            Way::Exact => said(self.exact(facts.vectors(), column, search)),
            Way::PartialIndex { .. } if self.search.constant => {
                let matching = self.search.rows * self.search.selectivity;
                let design = Design::of(column, index).map(|design| design.partial(self.condition.clone(), matching));
                match design.and_then(|design| design.creation(facts, namer, column)) {
                    Some(creation) => Advised {
                        fix_sql: Some(creation.fix_sql),
                        app_fix: "The search stays as it is: its condition is the index's.".to_string(),
                        risk: creation.risk,
                        rollback: Rollback::Sql(creation.rollback_sql),
                        verify_sql: Some(creation.verify_sql),
                    },
                    None => said("A partial index with the search's condition as its predicate.".to_string()),
                }
            }
            Way::PartialIndex { indexes } => said(format!(
                "{indexes} partial indexes, one for each value: CREATE INDEX CONCURRENTLY ON {} USING {method} (…) WHERE {}, with \
                 a value in the place of the parameter. The query must have the value as a constant, for a prepared statement's \
                 generic plan cannot use them.",
                column.table_name, self.condition
            )),
            Way::Partitions { partitions } => said(format!(
                "Partition {} by list of the column in {}, or by hash of it into fewer than {partitions} partitions, each with \
                 its own {method} index: a search then reads one. The table is rebuilt for it.",
                column.table_name, self.condition
            )),
        }
    }

    fn exact(&self, vectors: &Vectors, column: &VectorColumn, search: &VectorSearch) -> String {
        let Some(extension) = &vectors.extension else { return String::new() };
        let operator = operator_text(extension, search.operator);
        let index = if self.search.filter_indexed { "" } else { " An index on the filter's columns finds them." };
        format!(
            "Take the rows that match first: WITH matching AS MATERIALIZED (SELECT * FROM {} WHERE {}) SELECT * FROM matching \
             ORDER BY {} {operator} {} LIMIT {};{index}",
            column.table_name, self.condition, search.key_sql, search.compared_with, self.search.k,
        )
    }
}

fn by_setting(setting: RoleSetting, app_fix: String) -> Advised {
    Advised {
        fix_sql: Some(setting.fix_sql),
        app_fix,
        risk: setting.risk,
        rollback: setting.rollback,
        verify_sql: Some(setting.verify_sql),
    }
}

fn said(app_fix: String) -> Advised {
    Advised {
        fix_sql: None,
        app_fix,
        risk: "None: nothing is changed in the database.".to_string(),
        rollback: Rollback::None,
        verify_sql: None,
    }
}

pub fn name(way: &Way) -> String {
    match way {
        Way::AsIs => "as it is".to_string(),
        Way::IterativeScan => "iterative scan".to_string(),
        Way::LargerEfSearch { ef_search } => format!("hnsw.ef_search = {ef_search}"),
        Way::Exact => "exact search of the rows that match".to_string(),
        Way::PartialIndex { indexes: 1 } => "a partial index".to_string(),
        Way::PartialIndex { indexes } => format!("{indexes} partial indexes"),
        Way::Partitions { partitions } => format!("partitions by the filter's {partitions} values"),
    }
}

/// Shares are small numbers.
pub fn rounded_share(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}
