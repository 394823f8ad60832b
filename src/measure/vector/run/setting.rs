//! With what an index is searched.

use super::target::Target;
use crate::db::{self, raise};
use pgrx::PgSqlErrorCode;
use std::ffi::{CStr, CString};

/// What is None is as the session has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setting {
    /// hnsw.ef_search
    pub ef_search: Option<u32>,
    /// ivfflat.probes
    pub probes: Option<u32>,
    pub iterative_scan: Option<IterativeScan>,
    /// hnsw.max_scan_tuples, or ivfflat.max_probes: where an iterative scan ends.
    pub most_scanned: Option<u32>,
    /// Candidates that are ordered again, for a key that is less than the column.
    pub rerank: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IterativeScan {
    Off,
    Relaxed,
    Strict,
}

impl IterativeScan {
    pub const ALL: [(&'static str, IterativeScan); 3] = [
        ("off", IterativeScan::Off),
        ("relaxed_order", IterativeScan::Relaxed),
        ("strict_order", IterativeScan::Strict),
    ];

    pub fn name(self) -> &'static str {
        IterativeScan::ALL[self as usize].0
    }

    pub fn from_name(name: &str) -> Option<IterativeScan> {
        IterativeScan::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, scan)| scan)
    }
}

/// What a caller wants to be tried; None: as the session has it.
#[derive(Default)]
pub struct Given {
    pub ef_search: Option<Vec<u32>>,
    pub probes: Option<Vec<u32>>,
    pub iterative_scan: Option<IterativeScan>,
    pub rerank: Option<u32>,
}

impl Given {
    /// One for each value of ef_search or probes. Raises an error for what the index does not have.
    pub fn settings(&self, target: &Target) -> Vec<Setting> {
        let Given { ef_search, probes, iterative_scan, rerank } = self;
        let refuse = |argument: &str, what: &str, hint: &str| -> ! {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("argument {argument}: {} {what}", target.index_name),
                hint,
            )
        };
        let of_another = format!("is an index of kind {}", target.method.name());
        if ef_search.is_some() && !target.is_hnsw() {
            refuse("ef_search", &of_another, "It is a setting of HNSW; IVFFlat has probes.")
        }
        if probes.is_some() && target.is_hnsw() {
            refuse("probes", &of_another, "It is a setting of IVFFlat; HNSW has ef_search.")
        }
        if rerank.is_some() && !target.reranked {
            const HINT: &str = "Only candidates of a halfvec, a subvector or a binary quantization are ordered again.";
            refuse("rerank", "is an index of the column's own distance", HINT)
        }
        if *iterative_scan == Some(IterativeScan::Strict) && !target.is_hnsw() {
            refuse("iterative_scan", &of_another, "It is one of: off, relaxed_order.")
        }
        if iterative_scan.is_some() && target.extension.version < [0, 8, 0] {
            refuse("iterative_scan", "is of a pgvector without it", "Iterative scans came with pgvector 0.8.0.")
        }
        let setting = Setting { iterative_scan: *iterative_scan, rerank: *rerank, ..Setting::default() };
        match (ef_search, probes) {
            (Some(all), _) => all.iter().map(|ef| Setting { ef_search: Some(*ef), ..setting.clone() }).collect(),
            (_, Some(all)) => all.iter().map(|probes| Setting { probes: Some(*probes), ..setting.clone() }).collect(),
            (None, None) => vec![setting],
        }
    }
}

/// Candidates of an IVFFlat index for each row that is wanted, unless said otherwise: probes do not limit them.
const IVFFLAT_CANDIDATES: usize = 10;
pub const MOST_EF_SEARCH: u32 = 1000;

impl Setting {
    /// What is in force for the index: nothing is None that the index has.
    pub fn in_force(&self, target: &Target, k: usize) -> Setting {
        let number = |name: &str| db::setting(name).and_then(|value| value.parse().ok());
        let hnsw = target.is_hnsw();
        let (iterative_scan, most_scanned) = match hnsw {
            true => ("hnsw.iterative_scan", "hnsw.max_scan_tuples"),
            false => ("ivfflat.iterative_scan", "ivfflat.max_probes"),
        };
        let iterative = || db::setting(iterative_scan).as_deref().and_then(IterativeScan::from_name);
        let filled = Setting {
            ef_search: self.ef_search.or_else(|| number("hnsw.ef_search")).filter(|_| hnsw),
            probes: self.probes.or_else(|| number("ivfflat.probes")).filter(|_| !hnsw),
            iterative_scan: self.iterative_scan.or_else(iterative),
            most_scanned: self.most_scanned.or_else(|| number(most_scanned)),
            rerank: None,
        };
        let rerank =
            target.reranked.then(|| Setting { rerank: self.rerank, ..filled.clone() }.candidates(target, k) as u32);
        Setting { rerank, ..filled }
    }

    /// Rows that the index is asked for, of which the `k` nearest are taken.
    pub(super) fn candidates(&self, target: &Target, k: usize) -> usize {
        let ef_search = || self.ef_search.or_else(|| db::setting("hnsw.ef_search")?.parse().ok()).unwrap_or(40);
        let candidates = match (self.rerank, target.is_hnsw()) {
            _ if !target.reranked => k,
            (Some(rerank), _) => rerank as usize,
            (None, true) => ef_search() as usize,
            (None, false) => IVFFLAT_CANDIDATES * k,
        };
        candidates.max(k)
    }

    /// With room for `more` rows.
    pub(super) fn widened(&self, target: &Target, more: u32) -> Setting {
        let session = || db::setting("hnsw.ef_search").and_then(|value| value.parse().ok());
        match target.is_hnsw() && more > 0 {
            true => {
                let ef_search = self.ef_search.or_else(session).map(|given: u32| (given + more).min(MOST_EF_SEARCH));
                Setting { ef_search, ..self.clone() }
            }
            false => self.clone(),
        }
    }

    pub(super) fn to_set(&self, target: &Target) -> Vec<(&'static CStr, CString)> {
        let number = |number: u32| CString::new(number.to_string()).expect("digits");
        let word = |scan: IterativeScan| CString::new(scan.name()).expect("a word");
        let (iterative_scan, most_scanned) = match target.is_hnsw() {
            true => (c"hnsw.iterative_scan", c"hnsw.max_scan_tuples"),
            false => (c"ivfflat.iterative_scan", c"ivfflat.max_probes"),
        };
        let settings = [
            (c"hnsw.ef_search", self.ef_search.map(number)),
            (c"ivfflat.probes", self.probes.map(number)),
            (iterative_scan, self.iterative_scan.map(word)),
            (most_scanned, self.most_scanned.map(number)),
        ];
        settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
