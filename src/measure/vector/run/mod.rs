//! Searches by a vector index, and the same searches done exactly: each by a plan that is proved to use the index, or none that
//! may miss rows. With the caller's rights and row security, read-only, on a standby too.

mod execute;
mod filter;
mod hook;
mod plan;
mod query_vector;
mod sampled;
mod scope;
mod setting;
mod target;
mod text;

pub use hook::install as install_hook;
pub use query_vector::{QueryVector, Source, query_vectors};
pub use scope::limited;
pub use setting::{Given, IterativeScan, MOST_EF_SEARCH, Setting};
pub use target::Target;

use crate::db::{self, Arena, with_search_path, with_settings};
use execute::{Cost, execute};
use pgrx::pg_sys::{self, Oid};
use pgrx::{FromDatum, itemptr};
use plan::Planned;
use std::collections::HashMap;
use std::ffi::{CStr, CString};

/// Searches one index, with one filter.
pub struct Searcher {
    pub target: Target,
    filter: Option<String>,
    /// In which the texts are analyzed.
    search_path: CString,
    plans: HashMap<Wanted, Planned>,
    /// Where the plans are.
    arena: Arena,
}

/// A plan is made anew for each setting, as the planner may look at it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    k: usize,
    /// None: exact.
    by_index: Option<(usize, Setting)>,
}

/// What a search found, nearest first, and what it cost.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub rows: Vec<Found>,
    /// From the executor's start to its end.
    pub ms: f64,
    /// Touched, in buffers or read.
    pub pages: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub tid: u64,
    /// By the column's own distance, in full precision.
    pub distance: f64,
}

impl Searcher {
    /// Raises an error for what is no valid HNSW or IVFFlat index, what the caller may not read, and a filter that is not one
    /// condition on the table. The table and its index stay locked (ACCESS SHARE) until the transaction ends.
    pub fn open(index: u32, filter: Option<&str>, search_path: &CStr) -> Searcher {
        let target = Target::read(index, search_path);
        let filter = filter.map(|text| filter::condition(text, &target, search_path));
        Searcher { target, filter, search_path: search_path.into(), plans: HashMap::new(), arena: Arena::new() }
    }

    /// The `k` nearest rows, by a plan that uses no index which may miss any.
    ///
    /// Rows without a distance are not among them: of a NULL, and by cosine of a zero vector. Neither is the row that the query
    /// vector was sampled from.
    pub fn exact(&mut self, query: &QueryVector, k: usize) -> Answer {
        let asked = k + usize::from(query.own_row.is_some());
        self.answer(query, k, Wanted { k: asked, by_index: None })
    }

    /// What a search by the index returns for `limit k`.
    ///
    /// For a sampled row's vector one row more is asked for, and one more step of `ef_search` or one more candidate: the row
    /// itself takes one of each, and is not among the answer.
    pub fn approximate(&mut self, query: &QueryVector, k: usize, setting: &Setting) -> Answer {
        let own = usize::from(query.own_row.is_some());
        let asked = k + own;
        let candidates = (setting.candidates(&self.target, k) + own).max(asked);
        let setting = setting.widened(&self.target, own as u32);
        let settings = setting.to_set(&self.target);
        let settings: Vec<(&CStr, &CStr)> = settings.iter().map(|(name, value)| (*name, value.as_c_str())).collect();
        with_settings(&settings, || self.answer(query, k, Wanted { k: asked, by_index: Some((candidates, setting)) }))
    }

    /// Forgets the plans. To be called after what was `limited` was stopped: locks that they took are gone.
    pub fn forget_plans(&mut self) {
        self.plans.clear();
        self.arena = Arena::new();
    }

    fn answer(&mut self, query: &QueryVector, k: usize, wanted: Wanted) -> Answer {
        db::check_for_interrupts();
        let (target, filter, search_path) = (&self.target, self.filter.as_deref(), &self.search_path);
        let arena = &self.arena;
        let planned = self
            .plans
            .entry(wanted.clone())
            .or_insert_with(|| arena.enter(|| with_search_path(search_path, || plan(target, filter, &wanted))));
        let mut rows = Vec::with_capacity(wanted.k);
        let mut take = |values: &[pg_sys::Datum], nulls: &[bool]| {
            // SAFETY: the texts select a ctid, which is never NULL, and a float8.
            let found = unsafe {
                let tid = itemptr::item_pointer_to_u64(*values[0].cast_mut_ptr::<pg_sys::ItemPointerData>());
                f64::from_datum(values[1], nulls[1]).map(|distance| Found { tid, distance })
            };
            rows.extend(found.filter(|found| !found.distance.is_nan() && Some(found.tid) != query.own_row));
        };
        // SAFETY: planned for one parameter of the query vector's type; tables and indexes of the plan are locked.
        let Cost { ms, pages } = query
            .bound(target.query_type, |values| unsafe { execute(planned.statement, &planned.text, values, &mut take) });
        rows.truncate(k);
        Answer { rows, ms, pages }
    }
}

fn plan(target: &Target, filter: Option<&str>, wanted: &Wanted) -> Planned {
    let (vector, table): (Oid, Oid) = (target.query_type.into(), target.table.into());
    match &wanted.by_index {
        None => plan::exact(text::exact(target, filter, wanted.k), vector, table),
        Some((candidates, _)) => {
            let text = text::approximate(target, filter, wanted.k, *candidates);
            plan::approximate(text, vector, table, target.index.into())
        }
    }
}

/// recall@k of one search: of the `k` nearest rows, the share that the index found. Rows at the same distance are equal. None:
/// there is nothing to find.
pub fn recall(exact: &[Found], approximate: &[Found], k: usize) -> Option<f64> {
    let wanted = exact.len().min(k);
    let farthest = exact[..wanted].last()?.distance;
    let found = approximate.iter().take(k).filter(|row| row.distance <= farthest).count();
    Some(found.min(wanted) as f64 / wanted as f64)
}
