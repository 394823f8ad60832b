//! The only file that speaks SPI and transactions: reading, guarding, raising errors.

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::SpiCursor;
use std::ffi::{CStr, CString, c_char};
use std::panic::AssertUnwindSafe;

/// Begins the text of what is read, by which pg_stat_statements shows whose it is.
pub const MARK: &str = "/* pg_dbre */ ";

/// Rows fetched from a cursor at a time, so that no result is held twice.
const BATCH: std::ffi::c_long = 1000;

/// One row of a result; its columns are taken from left to right.
pub struct Row<'a> {
    types: &'a [pg_sys::Oid],
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
    next: usize,
}

impl Row<'_> {
    /// The next column, which is never NULL.
    pub fn take<T: FromDatum + IntoDatum>(&mut self) -> T {
        let column = self.next + 1;
        self.take_option().unwrap_or_else(|| panic!("column {column} of a fact query is NULL"))
    }

    /// The next column.
    pub fn take_option<T: FromDatum + IntoDatum>(&mut self) -> Option<T> {
        let column = self.next;
        self.next += 1;
        let oid = self.types[column];
        assert!(T::is_compatible_with(oid), "column {} of a fact query has type OID {}", self.next, oid.to_u32());
        // SAFETY: `read` makes rows of tuples that live until it frees them, after the row is gone; the datum's type has
        // just been looked at.
        unsafe { T::from_datum(self.values[column], self.nulls[column]) }
    }

    /// The next column: a text that may come from another database, in that one's encoding. What is no UTF-8 is replaced.
    pub fn take_foreign_text(&mut self) -> Option<String> {
        let column = self.next;
        self.next += 1;
        assert_eq!(self.types[column], pg_sys::TEXTOID, "column {} of a fact query", self.next);
        if self.nulls[column] {
            return None;
        }
        // SAFETY: as in `take_option`; the bytes are copied.
        unsafe {
            let text = pg_sys::pg_detoast_datum_packed(self.values[column].cast_mut_ptr());
            Some(String::from_utf8_lossy(pgrx::varlena::varlena_to_byte_slice(text)).into_owned())
        }
    }
}

/// Runs a read-only query and makes a value of each row. Takes no transaction id, works on a standby.
///
/// A SQL error unwinds, as everywhere in pgrx; `guarded` catches it.
pub fn read<T>(sql: &str, args: &[DatumWithOid], value: impl FnMut(&mut Row) -> T) -> Vec<T> {
    let sql = format!("{MARK}{sql}");
    Spi::connect(|client| {
        let cursor = client.try_open_cursor(sql.as_str(), args).unwrap_or_else(|error| panic!("cannot read: {error}"));
        rows(cursor, value)
    })
}

fn rows<T>(mut cursor: SpiCursor, mut value: impl FnMut(&mut Row) -> T) -> Vec<T> {
    let mut results = Vec::new();
    let (mut types, mut values, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let fetched = cursor.fetch(BATCH).unwrap_or_else(|error| panic!("cannot read: {error}")).len();
        // SAFETY: SPI_cursor_fetch has just set SPI_tuptable to a table of `fetched` tuples, ours until we free it, all of
        // one descriptor; the arrays have an element for each of its attributes.
        unsafe {
            let table = pg_sys::SPI_tuptable;
            let descriptor = (*table).tupdesc;
            if types.is_empty() {
                let attributes = (*descriptor).attrs.as_slice((*descriptor).natts as usize);
                types = attributes.iter().map(|attribute| attribute.atttypid).collect();
                values.resize(types.len(), pg_sys::Datum::null());
                nulls.resize(types.len(), true);
            }
            for position in 0..fetched {
                let tuple = *(*table).vals.add(position);
                pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
                results.push(value(&mut Row { types: &types, values: &values, nulls: &nulls, next: 0 }));
            }
            pg_sys::SPI_freetuptable(table);
        }
        if fetched < BATCH as usize {
            return results;
        }
    }
}

/// Runs a statement that writes, for the function that is named so; the number of rows it wrote.
pub fn write(function: &CStr, sql: &str, args: &[DatumWithOid]) -> usize {
    prevent_if_read_only(function);
    Spi::connect_mut(|client| client.update(sql, None, args).map(|rows| rows.len()))
        .unwrap_or_else(|error| panic!("cannot write: {error}"))
}

/// Raises an error in a read-only transaction, and so on a standby.
pub fn prevent_if_read_only(function: &CStr) {
    // SAFETY: the string is only read, for the message; the ERROR unwinds as everywhere in pgrx.
    unsafe { pg_sys::PreventCommandIfReadOnly(function.as_ptr()) }
}

/// An error that `guarded` has caught.
#[derive(Clone, Debug, Default)]
pub struct Caught {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// Runs `body` in a subtransaction of its own: whatever fails in there, SQL error or panic, is undone and returned.
/// A cancelled query and a terminated session are never caught.
pub fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, Caught> {
    tried(body, |_| true, || false)
}

/// As `guarded`, and undoes what `body` has done in any case. Where `stopped` says so, a cancel is our own, and returned.
pub fn undone<T>(body: impl FnOnce() -> T, stopped: impl FnOnce() -> bool) -> Result<T, Caught> {
    tried(body, |_| false, stopped)
}

/// As `guarded`, and undoes what `body` has done unless `keep` says otherwise. Where `stopped` says so, a cancel is our own, and
/// returned.
pub fn tried<T>(
    body: impl FnOnce() -> T,
    keep: impl FnOnce(&T) -> bool,
    stopped: impl FnOnce() -> bool,
) -> Result<T, Caught> {
    in_subtransaction(body, keep).map_err(|error| caught(error, stopped()))
}

#[allow(clippy::result_large_err, reason = "the error is pgrx's own")]
fn in_subtransaction<T>(body: impl FnOnce() -> T, keep: impl FnOnce(&T) -> bool) -> Result<T, CaughtError> {
    let body = AssertUnwindSafe(body);
    // SAFETY: the calls pair up as in PL/pgSQL's exception blocks: the subtransaction that is begun here ends on both
    // paths, and memory context and resource owner are what they were before.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let outcome = PgTryBuilder::new(|| Ok({ body }.0())).catch_others(Err).catch_rust_panic(Err).execute();
        pg_sys::MemoryContextSwitchTo(context);
        match &outcome {
            Ok(value) if keep(value) => pg_sys::ReleaseCurrentSubTransaction(),
            _ => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        outcome
    }
}

/// Runs `body` in a subtransaction of its own, and `after` in any case; an error, a cancel among them, goes on.
pub fn finally<T>(body: impl FnOnce() -> T, after: impl FnOnce()) -> T {
    let outcome = in_subtransaction(body, |_| true);
    after();
    outcome.unwrap_or_else(|error| error.rethrow())
}

/// As `guarded`, and once more if it fails: what another session dropped while `body` looked at it is gone by then.
///
/// On a standby it runs as it is: a conflict with recovery ends a session that is in a subtransaction, but only the
/// statement of one that is not.
pub fn guarded_twice<T>(body: impl Fn() -> T) -> Result<T, Caught> {
    // SAFETY: reads a flag in shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Ok(body());
    }
    guarded(&body).or_else(|_| guarded(&body))
}

/// As `guarded`, and whatever `body` runs may not write: planning an expression runs functions that it calls.
///
/// On a standby without a subtransaction, for the reason that `guarded_twice` gives: what `body` holds of the server's when it
/// fails is released with an owner of its own.
pub fn read_only<T>(body: impl FnOnce() -> T) -> Result<T, Caught> {
    // SAFETY: reads a flag in shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return without_subtransaction(body);
    }
    guarded(|| {
        // SAFETY: sets a variable of the transaction; a subtransaction that is rolled back restores it.
        unsafe {
            let read_only = pg_sys::XactReadOnly;
            pg_sys::XactReadOnly = true;
            let result = body();
            pg_sys::XactReadOnly = read_only;
            result
        }
    })
}

#[allow(clippy::result_large_err, reason = "the error is pgrx's own")]
fn without_subtransaction<T>(body: impl FnOnce() -> T) -> Result<T, Caught> {
    let body = AssertUnwindSafe(body);
    // SAFETY: the owner is current only while `body` runs, and goes with all that it still holds; settings
    // are put back.
    let outcome = unsafe {
        let (context, parent) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        let owner = pg_sys::ResourceOwnerCreate(parent, c"pg_dbre".as_ptr());
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::CurrentResourceOwner = owner;
        let outcome = PgTryBuilder::new(|| Ok({ body }.0())).catch_others(Err).catch_rust_panic(Err).execute();
        pg_sys::CurrentResourceOwner = parent;
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::AtEOXact_GUC(outcome.is_ok(), level);
        for phase in [
            pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_BEFORE_LOCKS,
            pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_LOCKS,
            pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_AFTER_LOCKS,
        ] {
            pg_sys::ResourceOwnerRelease(owner, phase, outcome.is_ok(), false);
        }
        pg_sys::ResourceOwnerDelete(owner);
        outcome
    };
    outcome.map_err(|error: CaughtError| caught(error, false))
}

/// Runs `body` so that what it reads shows what this transaction has written so far: a function's own snapshot is that of the
/// query which calls it. Errors: as for `with_search_path`.
pub fn seeing_own_writes<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the calls pair up; a subtransaction that is rolled back pops what an error leaves.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = body();
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// What others have committed by the time that it is taken; what this transaction writes shows all the same.
pub struct Picture(pg_sys::Snapshot);

impl Picture {
    pub fn take() -> Picture {
        // SAFETY: the resource owner that is current keeps it, and lets it go if an error comes between.
        Picture(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot()) })
    }

    /// As `read`, with nothing to bind.
    pub fn read<T>(&self, sql: &str, value: impl FnMut(&mut Row) -> T) -> Vec<T> {
        let sql = CString::new(format!("{MARK}{sql}")).unwrap_or_default();
        // SAFETY: the calls pair up, as in `seeing_own_writes`; the server reads with the snapshot that is active only when it
        // is told that nothing is written. The portal is open, and the cursor looks it up by its name.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::PushCopiedSnapshot(self.0);
            pg_sys::UpdateActiveSnapshotCommandId();
            let results = Spi::connect(|client| {
                let (no_types, no_values) = (std::ptr::null_mut(), std::ptr::null_mut());
                let (unnamed, no_nulls) = (std::ptr::null(), std::ptr::null());
                let portal =
                    pg_sys::SPI_cursor_open_with_args(unnamed, sql.as_ptr(), 0, no_types, no_values, no_nulls, true, 0);
                let cursor = client.find_cursor(&string((*portal).name));
                rows(cursor.unwrap_or_else(|error| panic!("cannot read: {error}")), value)
            });
            pg_sys::PopActiveSnapshot();
            results
        }
    }

    /// To be called where it was taken.
    pub fn release(self) {
        // SAFETY: registered in `take`.
        unsafe { pg_sys::UnregisterSnapshot(self.0) }
    }
}

/// Runs `body` with another search_path. An error must be caught by `guarded` or end the transaction: they restore what was.
pub fn with_search_path<T>(search_path: &CStr, body: impl FnOnce() -> T) -> T {
    with_settings(&[(c"search_path", search_path)], body)
}

/// Sets a setting as SET does, if the caller may.
pub fn set(name: &str, value: &str) {
    let (name, value) = (CString::new(name).unwrap_or_default(), CString::new(value).unwrap_or_default());
    // SAFETY: the strings outlive the call.
    unsafe {
        let context = match pg_sys::superuser() {
            true => pg_sys::GucContext::PGC_SUSET,
            false => pg_sys::GucContext::PGC_USERSET,
        };
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SET,
            true,
            0,
            false,
        );
    }
}

/// The value of a setting; None: there is none of that name.
pub fn setting(name: &str) -> Option<String> {
    let name = CString::new(name).ok()?;
    // SAFETY: the string outlives the call; what it returns is null or the server's own.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| string(value))
    }
}

/// How values printed into findings mean the same wherever they are pasted, and that large queries which are run once are not
/// compiled: what the other functions have set for them (sql/function_settings.sql).
pub const PRINTING: [(&CStr, &CStr); 4] =
    [(c"jit", c"off"), (c"datestyle", c"ISO"), (c"intervalstyle", c"postgres"), (c"extra_float_digits", c"3")];

/// How long what only reads waits for a table that another session has locked.
pub const PATIENCE: (&CStr, &CStr) = (c"lock_timeout", c"200ms");

/// The same of what is asked while the server is in trouble.
pub const LIVE_PATIENCE: (&CStr, &CStr) = (c"lock_timeout", c"100ms");

/// Runs `body` with other settings, which the caller may set. Errors: as for `with_search_path`.
pub fn with_settings<T>(settings: &[(&CStr, &CStr)], body: impl FnOnce() -> T) -> T {
    // SAFETY: the calls pair up as for a function with SET clauses.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        for (name, value) in settings {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        let result = body();
        pg_sys::AtEOXact_GUC(false, level);
        result
    }
}

/// Runs `body` with the rights of `role` and its search_path, read-only and with no way back to the caller's rights. What
/// planning runs is not only the role's own: see `measure::query::owners`. Errors: as for `with_search_path`.
pub fn as_role<T>(role: u32, search_path: &CStr, body: impl FnOnce() -> T) -> T {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: the calls pair up as in the server's own maintenance commands; a subtransaction that is rolled back undoes them.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
        pg_sys::SetUserIdAndSecContext(role.into(), context | restricted as i32);
        let read_only = pg_sys::XactReadOnly;
        pg_sys::XactReadOnly = true;
        let result = with_search_path(search_path, body);
        pg_sys::XactReadOnly = read_only;
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}

/// Whose rights are in force.
pub fn current_role() -> u32 {
    // SAFETY: reads a variable.
    unsafe { pg_sys::GetUserId() }.to_u32()
}

pub fn is_superuser(role: u32) -> bool {
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::superuser_arg(role.into()) }
}

/// The caller could say SET ROLE.
pub fn may_become(role: u32) -> bool {
    // SAFETY: catalog lookups.
    unsafe { pg_sys::member_can_set_role(pg_sys::GetUserId(), role.into()) }
}

/// A memory context that goes, with all in it, when this is dropped, be it while an error unwinds.
pub struct Arena(pg_sys::MemoryContext);

impl Arena {
    pub fn new() -> Arena {
        // SAFETY: the transaction's own context outlives every call in it.
        Arena(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopTransactionContext,
                c"pg_dbre".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }

    /// What the server allocates while `body` runs lives as long as `self`.
    pub fn enter<T>(&self, body: impl FnOnce() -> T) -> T {
        struct Back(pg_sys::MemoryContext);
        impl Drop for Back {
            fn drop(&mut self) {
                // SAFETY: the context was current, and whoever made it holds it until we return.
                unsafe { pg_sys::MemoryContextSwitchTo(self.0) };
            }
        }
        // SAFETY: the context lives as long as `self`.
        let _back = Back(unsafe { pg_sys::MemoryContextSwitchTo(self.0) });
        body()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: made in `new`, not current, for `enter` has switched back.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
    }
}

/// `stopped`: a cancel is our own.
fn caught(error: CaughtError, stopped: bool) -> Caught {
    let report = match &error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report,
    };
    let code = report.sql_error_code();
    // Anyone can RAISE with these codes; the server's own come from where it looks at interrupts.
    let ends = matches!(code, PgSqlErrorCode::ERRCODE_QUERY_CANCELED | PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN);
    if ends && report.function_name() == Some("ProcessInterrupts") && !stopped {
        error.rethrow();
    }
    let (detail, hint) = (report.detail().map(str::to_string), report.hint().map(str::to_string));
    Caught { sqlstate: sqlstate(code), message: report.message().to_string(), detail, hint }
}

/// The five characters of a SQLSTATE from its packed form (six bits each).
fn sqlstate(code: PgSqlErrorCode) -> String {
    (0..5).map(|position| (b'0' + ((code as i32 >> (6 * position)) & 0x3F) as u8) as char).collect()
}

/// Ends the call with an ERROR.
pub fn raise(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ! {
    let report = pgrx::pg_sys::panic::ErrorReport::new(code, message.into(), "pg_dbre").set_hint(hint);
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// As `raise`, with a SQLSTATE that was caught.
pub fn raise_sqlstate(sqlstate: &str, message: impl Into<String>, hint: impl Into<String>) -> ! {
    raise(code(sqlstate), message, hint)
}

/// Ends the call with the ERROR that was caught.
pub fn raise_again(caught: Caught) -> ! {
    let mut report = pgrx::pg_sys::panic::ErrorReport::new(code(&caught.sqlstate), caught.message, "pg_dbre");
    if let Some(detail) = caught.detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = caught.hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

fn code(sqlstate: &str) -> PgSqlErrorCode {
    let packed = sqlstate.bytes().rev().fold(0, |packed, byte| (packed << 6) | i32::from((byte - b'0') & 0x3F));
    PgSqlErrorCode::from(packed)
}

pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

/// A string of the server's; empty for null.
///
/// SAFETY: `text` is null or a C string.
pub unsafe fn string(text: *const c_char) -> String {
    // SAFETY: as said above.
    unsafe { if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() } }
}

/// `name` quoted where SQL needs it, by Postgres' own rule.
pub fn quote_identifier(name: &str) -> String {
    pgrx::spi::quote_identifier(name)
}

/// `text` as a SQL string literal.
pub fn quote_literal(text: &str) -> String {
    pgrx::spi::quote_literal(text)
}
