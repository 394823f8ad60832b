//! `dbre.log_findings()`.

use super::advice::advice;
use super::arguments::{TextArray, elements, required};
use crate::db::{self, raise};
use crate::engine::{self, Run};
use crate::facts::{Facts, server_log};
use crate::finding::severity;
use crate::rule::Need;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};

advice! {
    /// What the server's log tells of this database since then, from csvlog or jsonlog: slow statements, lock waits, deadlocks,
    /// temporary files, errors; and of the cluster: checkpoints too frequent, connections refused, crashes. Most urgent first.
    ///
    /// `files` are absolute, or relative to the data directory; null: those of the log directory that were written to since
    /// then. The caller must have the rights of pg_read_server_files.
    sql: r#"
create function log_findings(
    since timestamptz default pg_catalog.now() - interval '1 day',
    files text[] default null
)
returns setof advice
volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@'
set search_path = pg_catalog, dbre, pg_temp;
"#,
    fn log_findings(since: Option<TimestampWithTimeZone>, files: Option<TextArray>) {
        let since = required("since", since, "Pass a time; '-infinity' for all that is there.");
        judge(milliseconds(since), files.map(self::files))
    }
}

fn judge(since: i64, files: Option<Vec<String>>) -> Run {
    refuse_without_privilege();
    let needs = engine::needs_of_judges(Need::ServerLog);
    let mut facts = Facts::read(&needs, None);
    super::check::refuse_unread(&facts, &needs);
    let log = server_log::read(&facts.database, since, files).unwrap_or_else(|unreadable| {
        let code = match unreadable.error.kind() {
            std::io::ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        };
        raise(
            code,
            format!("argument files: {:?} cannot be read: {}", unreadable.path, unreadable.error),
            "Paths are absolute, or relative to the data directory; pg_ls_logdir() lists the files of the log directory.",
        )
    });
    facts.set_server_log(log);
    let mut run = engine::judge(Need::ServerLog, facts);
    super::check::refuse_total_failure(&run);
    run.sort_by_urgency();
    run
}

fn refuse_without_privilege() {
    let sql = "select pg_catalog.pg_has_role('pg_read_server_files', 'USAGE')";
    if db::read(sql, &[], |row| row.take::<bool>()) != [true] {
        raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied to read the server's log",
            "It needs the rights of the role pg_read_server_files: a superuser can grant them.",
        )
    }
}

fn files(given: TextArray) -> Vec<String> {
    const HINT: &str = "Pass paths of log files; leave it out for those of the log directory.";
    let files = elements("files", given);
    if files.is_empty() || files.iter().any(String::is_empty) {
        raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "argument files names no file", HINT)
    }
    files
}

/// Since 1970.
fn milliseconds(time: TimestampWithTimeZone) -> i64 {
    const FROM_1970_TO_2000: i64 = 946_684_800_000;
    let microseconds: i64 = time.into();
    (microseconds.div_euclid(1000)).saturating_add(FROM_1970_TO_2000)
}
