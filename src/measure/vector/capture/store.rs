//! Writing what was captured: what the background worker does in transactions of its own.

use super::queue::Queue;
use super::record::Record;
use super::reservoir;
use super::{KEPT, RETENTION};
use crate::db;
use pgrx::PgTryBuilder;
use pgrx::datum::JsonB;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::pg_sys::{self, Datum, Oid};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

pub enum Stored {
    Written,
    /// Somebody else has locked the table; all still waits.
    Locked,
    Failed(String),
}

/// A search, and its vector as text.
type Printed<'a> = (&'a Record, String);

const FUNCTION: &CStr = c"capturing searches";

/// SAFETY of what is inside: called by the worker, outside a transaction. An error ends the transaction of whoever catches it.
pub fn in_transaction<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the calls pair up.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = body();
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
        result
    }
}

/// Writes what waits in the queue, if the table is there; if not, nobody wants it. `expire`: what is too old goes.
#[allow(clippy::result_large_err, reason = "the error is pgrx's own")]
pub fn write_waiting(queue: Queue, database: u32, expire: bool) -> Stored {
    let taken = Cell::new(0);
    let body = AssertUnwindSafe(|| in_transaction(|| write(queue, database, expire, &taken)));
    let outcome = PgTryBuilder::new(|| Ok({ body }.0())).catch_others(Err).catch_rust_panic(Err).execute();
    outcome.unwrap_or_else(|error: CaughtError| {
        queue.count_dropped(database, taken.get());
        // SAFETY: what an error leaves, outside of any handler.
        unsafe { pg_sys::AbortOutOfAnyTransaction() };
        let report = match &error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => report,
        };
        Stored::Failed(report.message().to_string())
    })
}

/// `taken` becomes how many are lost if it fails.
fn write(queue: Queue, database: u32, expire: bool, taken: &Cell<u64>) -> Stored {
    let Some(table) = table() else {
        queue.take(database);
        return Stored::Written;
    };
    // SAFETY: the lock goes with the transaction.
    if !unsafe { pg_sys::ConditionalLockRelationOid(table, pg_sys::RowExclusiveLock as i32) } {
        return Stored::Locked;
    }
    // It may have been dropped before it could be locked, which a snapshot from before does not show.
    // SAFETY: a lookup in the catalog caches, which are up to date once the lock is there.
    if !unsafe { pg_sys::get_rel_name(table) }.is_null() {
        as_owner(table, || {
            keep(queue, database, taken);
            if expire {
                self::expire();
            }
        });
    } else {
        queue.take(database);
    }
    Stored::Written
}

fn table() -> Option<Oid> {
    let sql = include_str!("../../../../sql/facts/vector/queries_table.sql");
    db::read(sql, &[], |row| row.take::<Oid>()).pop()
}

/// With the rights of the table's owner, and no way to others.
fn as_owner<T>(table: Oid, body: impl FnOnce() -> T) -> T {
    let owner = "select relowner from pg_catalog.pg_class where oid = $1";
    let Some(owner) = db::read(owner, &[table.into()], |row| row.take::<Oid>()).pop() else { return body() };
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: the calls pair up; the end of a transaction that fails undoes them.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
        pg_sys::SetUserIdAndSecContext(owner, context | restricted as i32);
        let result = db::with_search_path(c"pg_catalog, pg_temp", body);
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}

fn keep(queue: Queue, database: u32, taken: &Cell<u64>) {
    let waited = queue.take(database);
    let arrived = waited.len();
    taken.set(arrived as u64);
    let records: Vec<Record> = waited.iter().filter_map(|bytes| Record::decode(bytes)).collect();
    let tables = roots(&records);
    let mut of_each: BTreeMap<(u32, &str, &str), Vec<Printed>> = BTreeMap::new();
    for record in &records {
        let Some(root) = tables.get(&record.relation) else { continue };
        let Some(vector) = printed(record) else { continue };
        of_each.entry((*root, &record.key, &record.operator)).or_default().push((record, vector));
    }
    let understood: usize = of_each.values().map(Vec::len).sum();
    for ((root, key, operator), batch) in of_each {
        keep_some(root, key, operator, &batch);
    }
    queue.count_dropped(database, (arrived - understood) as u64);
    taken.set(understood as u64);
}

fn expire() {
    let minutes = f64::from(RETENTION.get());
    change(include_str!("../../../../sql/settings/expire_vector_queries.sql"), &[minutes.into()]);
    change(include_str!("../../../../sql/settings/prune_vector_query_counts.sql"), &[]);
}

/// The partitioned table at the top of each table that still exists, or the table itself.
fn roots(records: &[Record]) -> BTreeMap<u32, u32> {
    let tables: Vec<Oid> = records.iter().map(|record| record.relation.into()).collect();
    let sql = "select c.oid, coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid)
               from pg_catalog.pg_class c where c.oid = any ($1)";
    db::read(sql, &[tables.into()], |row| (row.take::<Oid>().to_u32(), row.take::<Oid>().to_u32()))
        .into_iter()
        .collect()
}

/// As its type prints it. None: the type is gone.
fn printed(record: &Record) -> Option<String> {
    // SAFETY: the bytes are a value of the type as it was when they were captured, in memory aligned as its functions expect.
    let print = || unsafe {
        let (mut output, mut variable) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(record.vector_type.into(), &raw mut output, &raw mut variable);
        let value = pg_sys::palloc(record.vector.len()).cast::<u8>();
        value.copy_from_nonoverlapping(record.vector.as_ptr(), record.vector.len());
        let text = pg_sys::OidOutputFunctionCall(output, Datum::from(value));
        let shown = db::string(text);
        pg_sys::pfree(value.cast());
        pg_sys::pfree(text.cast());
        shown
    };
    db::guarded(print).ok()
}

/// A random sample of those that came and those that are there.
fn keep_some(root: u32, key: &str, operator: &str, batch: &[Printed]) {
    let named = || [Oid::from(root).into(), key.into(), operator.into()];
    let known = db::read(include_str!("../../../../sql/facts/vector/queries_kept.sql"), &named(), |row| {
        (row.take::<f64>(), row.take::<i64>() as usize)
    });
    let (seen, stored) = known.first().copied().unwrap_or_default();
    // SAFETY: the process' own generator.
    let random = || unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) };
    let chosen = reservoir::choose(stored, seen, KEPT.get() as usize, batch.len(), random);
    let [relation, key_text, operator_text] = named();
    change(
        include_str!("../../../../sql/settings/count_vector_queries.sql"),
        &[relation, key_text, operator_text, chosen.seen.into()],
    );
    if chosen.removed > 0 {
        let [relation, key_text, operator_text] = named();
        change(
            include_str!("../../../../sql/settings/drop_vector_queries.sql"),
            &[relation, key_text, operator_text, (chosen.removed as i64).into()],
        );
    }
    let rows = chosen.kept.iter().map(|number| row(root, &batch[*number])).collect();
    change(include_str!("../../../../sql/settings/keep_vector_queries.sql"), &[JsonB(Value::Array(rows)).into()]);
}

fn row(root: u32, (record, vector): &Printed) -> Value {
    json!({
        "at": record.at,
        "relation": root,
        "scanned": record.relation,
        "index": record.index,
        "key": record.key,
        "operator": record.operator,
        "vector_type": record.vector_type,
        "query_vector": vector,
        "k": record.k,
        "rows": record.rows,
        "k_short": record.k_short,
        "joined": record.joined,
        "filter": record.filter,
        "columns": record.filter_columns,
        "ef_search": record.ef_search,
        "probes": record.probes,
        "iterative_scan": record.iterative_scan,
        "ms": record.ms,
        "query_id": record.query_id,
        "role": record.role,
    })
}

fn change(sql: &str, arguments: &[pgrx::datum::DatumWithOid]) {
    db::write(FUNCTION, &format!("{}{sql}", db::MARK), arguments);
}
