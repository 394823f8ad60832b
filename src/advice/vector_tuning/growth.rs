//! What a search of all rows costs, when an index of some of them was measured.

use crate::facts::vector::Method;

/// The number (ef_search or probes) that reaches the recall, and the pages of a search with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    pub number: f64,
    pub pages: f64,
}

/// Factors from the sample to all rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    pub number: f64,
    pub pages: f64,
    pub basis: String,
}

/// `own`: of an index with this method and with the same options, on all rows and on the sample.
pub fn growth(own: Option<(Cost, Cost)>, all: Method, sampled: Method, rows: f64, sampled_rows: f64) -> Growth {
    if let Some((all, sampled)) = own {
        let (number, pages) = ((all.number / sampled.number).max(1.0), (all.pages / sampled.pages).max(1.0));
        let basis = format!("as the existing index grows: {number:.2} times the setting, {pages:.2} times the pages");
        return Growth { number, pages, basis };
    }
    let more = (rows / sampled_rows).max(1.0);
    match (all, sampled) {
        (Method::Ivfflat { lists: all }, Method::Ivfflat { lists: sampled }) => {
            let lists = f64::from(all) / f64::from(sampled);
            let number = lists.max(1.0).sqrt();
            let basis = "assumed: probes grow with the root of the lists".to_string();
            Growth { number, pages: number * more / lists, basis }
        }
        _ => {
            let factor = (rows.max(10.0).ln() / sampled_rows.max(10.0).ln()).max(1.0);
            Growth { number: factor, pages: factor, basis: "assumed: with the logarithm of the rows".to_string() }
        }
    }
}

/// Of building: HNSW searches the graph for each row, IVFFlat compares each with all centers.
pub fn build_factor(all: Method, sampled: Method, rows: f64, sampled_rows: f64) -> f64 {
    let more = (rows / sampled_rows).max(1.0);
    match (all, sampled) {
        (Method::Ivfflat { lists: all }, Method::Ivfflat { lists: sampled }) => {
            more * (f64::from(all) / f64::from(sampled)).max(1.0)
        }
        _ => more * (rows.max(10.0).ln() / sampled_rows.max(10.0).ln()).max(1.0),
    }
}
