//! Asks a PgBouncer's console, by dblink: a user mapping's credentials, the checks that a caller who is no superuser needs, and
//! waiting that can be cancelled are its own.

mod refusal;

use crate::db::{self, Caught, Row};
use crate::facts::pgbouncer::layout::{Command, Shown};
use crate::facts::pgbouncer::{self, Pgbouncer, Unreadable, release};
use crate::facts::{Database, Name, SessionStatement};
use crate::measure::time_limit::TimeLimit;
use pgrx::PgSqlErrorCode;
use refusal::{lost, refuse};
use std::time::Duration;

/// In this session alone; closed before the call ends, however it ends.
const CONNECTION: &str = "dbre.pgbouncer_pressure";

/// What the argument may be.
pub const HINT: &str = "Name a foreign server whose dbname is pgbouncer and for which you have a user mapping, or a connection string \
                            such as 'host=… port=6432 dbname=pgbouncer user=… password=…', of a user in PgBouncer's admin_users or stats_users. \
                            A URI has what is special in a password percent-encoded: %40 for @, %3A for :, %2F for /.";

const DATATYPE_MISMATCH: &str = "42804";

/// `given`: a foreign server or a connection string.
pub fn ask(given: &str, limit: Duration) -> Pgbouncer {
    let dblink = Dblink::find();
    let reading = || {
        db::finally(
            || {
                let _limit = TimeLimit::start(limit);
                dblink.connect(given);
                read(&dblink)
            },
            || dblink.disconnect(),
        )
    };
    match db::tried(reading, |_| true, TimeLimit::was_reached) {
        Ok(mut pgbouncer) => {
            // Locked or failing, it is only that features in use do not show.
            pgbouncer.statements = db::guarded(|| SessionStatement::read(&Database::read())).unwrap_or_default();
            pgbouncer
        }
        Err(caught) if TimeLimit::caused(&caught) => db::raise(
            PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            format!("PgBouncer has not answered within {} s", limit.as_secs_f64()),
            "Is it there, and is its host reachable from this server? Argument time_limit gives it more time.",
        ),
        Err(caught) => db::raise_again(caught),
    }
}

fn read(dblink: &Dblink) -> Pgbouncer {
    let mut pgbouncer = Pgbouncer { version: dblink.version(), ..Pgbouncer::default() };
    let all: [(Command, &Take); 7] = [
        (Command::Config, &|pgbouncer, shown| pgbouncer.set_config(shown)),
        (Command::Lists, &|pgbouncer, shown| pgbouncer.set_lists(shown)),
        (Command::Databases, &|pgbouncer, shown| pgbouncer::databases(shown).map(|found| pgbouncer.databases = found)),
        (Command::Users, &|pgbouncer, shown| {
            pgbouncer::users(shown, pgbouncer.release()).map(|found| pgbouncer.users = found)
        }),
        (Command::Stats, &|pgbouncer, shown| pgbouncer::loads(shown).map(|found| pgbouncer.loads = found)),
        (Command::Servers, &|pgbouncer, shown| pgbouncer::connections(shown).map(|found| pgbouncer.servers = found)),
        (Command::Pools, &|pgbouncer, shown| pgbouncer::pools(shown, pgbouncer).map(|found| pgbouncer.pools = found)),
    ];
    all.into_iter().for_each(|(command, take)| read_one(dblink, command, take, &mut pgbouncer));
    // There may be tens of thousands.
    if pgbouncer.pools.iter().any(|pool| pool.clients_waiting > 0) {
        let clients: &Take = &|pgbouncer, shown| pgbouncer::clients(shown).map(|found| pgbouncer.set_clients(found));
        read_one(dblink, Command::Clients, clients, &mut pgbouncer);
    }
    if pgbouncer.release() >= (1, 19) {
        read_one(dblink, Command::State, &|pgbouncer, shown| pgbouncer.set_state(shown), &mut pgbouncer);
    }
    pgbouncer
}

type Take = dyn Fn(&mut Pgbouncer, &Shown) -> Result<(), Unreadable>;

fn read_one(dblink: &Dblink, command: Command, take: &Take, pgbouncer: &mut Pgbouncer) {
    let left_out = match dblink.show(command, release(&pgbouncer.version)) {
        Some(shown) => take(pgbouncer, &shown).err().map(|Unreadable(why)| why),
        None => Some(format!("{}: its columns are not those of any version that is known", command.sql())),
    };
    pgbouncer.left_out.extend(left_out);
}

/// The extension's functions, called where it is installed.
struct Dblink {
    schema: Name,
}

impl Dblink {
    fn find() -> Dblink {
        let sql = "select n.nspname::text from pg_catalog.pg_extension e \
                   join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'dblink'";
        match db::read(sql, &[], |row| row.take::<String>()).pop() {
            Some(schema) => Dblink { schema: schema.into() },
            None => db::raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "PgBouncer's console is asked by the extension dblink, which is not installed in this database",
                "CREATE EXTENSION dblink; (one of PostgreSQL's own, in its contrib package)",
            ),
        }
    }

    fn is_foreign_server(&self, given: &str) -> bool {
        let sql = "select true from pg_catalog.pg_foreign_server where srvname = $1";
        !db::read(sql, &[given.into()], |row| row.take::<bool>()).is_empty()
    }

    fn connect(&self, given: &str) {
        let sql = format!("select {}.dblink_connect($1, $2)", self.schema);
        let connected = db::guarded(|| db::read(&sql, &[CONNECTION.into(), given.into()], |_| ()));
        if let Err(caught) = connected {
            refuse(caught, self.is_foreign_server(given))
        }
    }

    /// There may be none.
    fn disconnect(&self) {
        let sql = format!("select {}.dblink_disconnect($1)", self.schema);
        drop(db::guarded(|| db::read(&sql, &[CONNECTION.into()], |_| ())));
    }

    fn version(&self) -> String {
        let not_a_console = |says: String| -> ! {
            let message = format!("argument pgbouncer does not lead to PgBouncer's console: {says}");
            db::raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, HINT)
        };
        match self.rows(Command::Version, 1).map(|rows| rows.into_iter().flatten().flatten().next()) {
            Ok(Some(text)) => match text.strip_prefix("PgBouncer ") {
                Some(version) => version.trim().to_string(),
                None => not_a_console(format!("SHOW VERSION says {text:?}")),
            },
            Ok(None) => not_a_console("SHOW VERSION says nothing".to_string()),
            Err(caught) if is_lost(&caught) => lost(caught),
            // What else answers may quote what it was given.
            Err(caught) => not_a_console(format!("SHOW VERSION fails there (SQLSTATE {})", caught.sqlstate)),
        }
    }

    /// None: of no layout that is known.
    fn show(&self, command: Command, version: (u32, u32)) -> Option<Shown> {
        for columns in command.candidates(version) {
            match self.rows(command, columns.len()) {
                Ok(rows) => return Some(Shown { command, columns, rows }),
                Err(caught) if caught.sqlstate == DATATYPE_MISMATCH => {}
                Err(caught) if is_lost(&caught) => lost(caught),
                Err(caught) => db::raise_again(caught),
            }
        }
        None
    }

    fn rows(&self, command: Command, columns: usize) -> Result<Vec<Vec<Option<String>>>, Caught> {
        let list: Vec<String> = (1..=columns).map(|column| format!("c{column} text")).collect();
        let sql = format!("select * from {}.dblink($1, $2) as shown ({})", self.schema, list.join(", "));
        let values = |row: &mut Row| (0..columns).map(|_| row.take_option::<String>()).collect::<Vec<_>>();
        db::guarded(|| db::read(&sql, &[CONNECTION.into(), command.sql().into()], values))
    }
}

fn is_lost(caught: &Caught) -> bool {
    caught.sqlstate.starts_with("08")
}
