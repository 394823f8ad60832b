//! Vectors to search for: the caller's, captured ones, or those of sampled rows.

use super::execute::execute;
use super::{plan, sampled, target::Target};
use crate::db::{self, Arena, Caught, MARK, raise, raise_sqlstate, with_search_path};
use crate::facts::vector::{Key, captured};
use pgrx::pg_sys::{self, Datum, NodeTag};
use pgrx::{PgList, PgSqlErrorCode, itemptr, varlena};
use std::ffi::{CStr, CString};
use std::hash::{Hash, Hasher};

/// A vector of the type by which answers are ordered.
pub struct QueryVector {
    /// The value, not compressed and in one piece, in words, for its alignment.
    words: Box<[u64]>,
    /// Of the row that it was sampled from.
    pub own_row: Option<u64>,
}

impl QueryVector {
    /// SAFETY: the value is a varlena.
    unsafe fn of(value: Datum, own_row: Option<u64>) -> QueryVector {
        // SAFETY: as said above; the words have room for the bytes, the last of which may be unused.
        unsafe {
            let value = pg_sys::pg_detoast_datum(value.cast_mut_ptr());
            let bytes = varlena::varsize_any(value);
            let mut words = vec![0u64; bytes.div_ceil(8)].into_boxed_slice();
            std::ptr::copy_nonoverlapping(value.cast::<u8>(), words.as_mut_ptr().cast(), bytes);
            QueryVector { words, own_row }
        }
    }

    /// Hands the vector as the value of `$1` to `body`.
    pub(super) fn bound<T>(&self, vector_type: u32, body: impl FnOnce(pg_sys::ParamListInfo) -> T) -> T {
        let arena = Arena::new();
        // SAFETY: the list has room for one parameter; it and the value live until `body` has ended.
        let list = arena.enter(|| unsafe {
            let list = pg_sys::makeParamList(1);
            (*list).params.as_mut_slice(1)[0] = pg_sys::ParamExternData {
                value: Datum::from(self.words.as_ptr()),
                isnull: false,
                pflags: 0,
                ptype: vector_type.into(),
            };
            list
        });
        body(list)
    }
}

/// Of the vector; which row it is of does not matter.
impl Hash for QueryVector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words.hash(state);
    }
}

/// Where query vectors come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Caller,
    Captured,
    /// Rows that are in the index are found more easily than what is not.
    Sampled,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Caller => "queries",
            Source::Captured => "captured queries",
            Source::Sampled => "sampled rows (optimistic)",
        }
    }
}

pub struct QueryVectors {
    pub vectors: Vec<QueryVector>,
    pub source: Source,
    /// What was left out.
    pub notes: Vec<String>,
}

/// At most `sample` vectors: of the caller's query, if there is one, else captured ones, if there are enough, else of rows.
/// To be called within `limited`.
pub fn query_vectors(
    target: &Target,
    queries: Option<&str>,
    sample: usize,
    seed: i64,
    search_path: &CStr,
) -> QueryVectors {
    if let Some(text) = queries {
        return of_caller(target, text, sample, search_path);
    }
    of_captured(target, sample, seed, search_path).unwrap_or_else(|| QueryVectors {
        vectors: sampled::vectors(target, sample, seed, search_path),
        source: Source::Sampled,
        notes: Vec::new(),
    })
}

/// Fewer tell less than rows do.
const LEAST_CAPTURED: usize = 30;

/// None: too few are known, or to the caller; or they are not of the type by which answers are ordered.
fn of_captured(target: &Target, sample: usize, seed: i64, search_path: &CStr) -> Option<QueryVectors> {
    if matches!(target.key, Key::BinaryQuantize { .. } | Key::Subvector { .. }) {
        return None;
    }
    let texts = captured::of_index(target.index, sample, seed)?;
    if texts.len() < LEAST_CAPTURED.min(sample) {
        return None;
    }
    let texts: Vec<String> = texts.iter().map(|text| db::quote_literal(text)).collect();
    let text = format!(
        "{MARK}select v::{} from pg_catalog.unnest(array[{}]::pg_catalog.text[]) with ordinality as q(v, n) order by n",
        target.query_type_sql,
        texts.join(", ")
    );
    // Some may be of other dimensions than the key's, or the column's today.
    let vectors = db::read_only(|| select_vectors(&text, search_path)).ok()?;
    Some(QueryVectors { vectors: vectors.into_iter().flatten().collect(), source: Source::Captured, notes: Vec::new() })
}

const HINT: &str = "Pass one SELECT of one column of query vectors: 'select embedding from queries'.";

fn of_caller(target: &Target, text: &str, sample: usize, search_path: &CStr) -> QueryVectors {
    let select = only_select(text, search_path);
    let text = format!("{MARK}select (q.v)::{} from ({select}\n) as q(v) limit {}", target.query_type_sql, sample + 1);
    let mut rows = match db::read_only(|| select_vectors(&text, search_path)) {
        Ok(rows) => rows,
        Err(caught) => refuse_caught(caught),
    };
    let mut notes = Vec::new();
    if rows.len() > sample {
        rows.truncate(sample);
        notes.push(format!("the first {sample} query vectors were taken: sample limits them"));
    }
    let asked = rows.len();
    let vectors: Vec<QueryVector> = rows.into_iter().flatten().collect();
    if vectors.len() < asked {
        notes.push(format!("{} query vectors are NULL and were left out", asked - vectors.len()));
    }
    QueryVectors { vectors, source: Source::Caller, notes }
}

fn refuse_caught(caught: Caught) -> ! {
    raise_sqlstate(&caught.sqlstate, format!("argument queries: {}", caught.message), HINT)
}

fn refuse(what: &str) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("argument queries {what}"), HINT)
}

/// The text of the only statement, without what may end it, if it is a SELECT of one column.
fn only_select<'a>(given: &'a str, search_path: &CStr) -> &'a str {
    let Ok(text) = CString::new(given) else { refuse("holds a zero byte") };
    // SAFETY: the trees go with the arena; nodes are cast after a look at their tags.
    let columns = || unsafe {
        let parsed = pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = PgList::<pg_sys::RawStmt>::from_pg(parsed);
        let statement = statements.get_ptr(0).filter(|_| statements.len() == 1)?;
        let node = (*statement).stmt;
        if (*node).type_ != NodeTag::T_SelectStmt || !(*node.cast::<pg_sys::SelectStmt>()).intoClause.is_null() {
            return None;
        }
        let (start, length) = ((*statement).stmt_location as usize, (*statement).stmt_len as usize);
        let end = if length == 0 { given.len() } else { start + length };
        let query = plan::analyzed(&text, &[]);
        let columns = PgList::<pg_sys::TargetEntry>::from_pg((*query).targetList);
        Some((start..end, columns.iter_ptr().filter(|column| !(**column).resjunk).count()))
    };
    let columns = db::read_only(|| Arena::new().enter(|| with_search_path(search_path, columns)));
    match columns {
        Ok(Some((part, 1))) => &given[part],
        Ok(Some((_, columns))) => refuse(&format!("returns {columns} columns")),
        Ok(None) => refuse("is not one SELECT"),
        Err(caught) => refuse_caught(caught),
    }
}

/// What a SELECT without parameters returns: a vector, or a ctid and a vector. None: the vector is NULL.
pub(super) fn select_vectors(text: &str, search_path: &CStr) -> Vec<Option<QueryVector>> {
    let text = CString::new(text).expect("texts of the server's and ours hold no zero byte");
    let arena = Arena::new();
    let mut rows = Vec::new();
    let mut take = |values: &[Datum], nulls: &[bool]| {
        let last = values.len() - 1;
        // SAFETY: the first of two columns is a ctid, which is never NULL; the last is a vector, made in the memory of the row.
        let row = (!nulls[last]).then(|| unsafe {
            let tid =
                (last > 0).then(|| itemptr::item_pointer_to_u64(*values[0].cast_mut_ptr::<pg_sys::ItemPointerData>()));
            QueryVector::of(values[last], tid)
        });
        rows.push(row);
    };
    // SAFETY: planned as the server does it; the plan is in the arena and has no parameters.
    arena.enter(|| unsafe {
        let statement = with_search_path(search_path, || {
            let query = plan::analyzed(&text, &[]);
            let parallel = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
            pg_sys::pg_plan_query(query, text.as_ptr(), parallel, std::ptr::null_mut())
        });
        execute(statement, &text, std::ptr::null_mut(), &mut take);
    });
    rows
}
