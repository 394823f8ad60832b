//! What is pasted into the application and into PgBouncer.

use super::application::Pool;
use super::pgbouncer::{Bouncer, MAX_PREPARED_STATEMENTS};
use super::rows::{Basis, Part, Rows, number};
use super::timeouts::Timeouts;
use super::{Input, Plan, Through};

/// Seconds that a request waits for a connection: an error that the user sees soon is better than a queue that grows.
pub const POOL_TIMEOUT: f64 = 10.0;
const POOL_RECYCLE: f64 = 1800.0;
const CONNECT_TIMEOUT: u64 = 5;
/// Seconds by which the client is more patient than the server, whose error says more.
const CLIENT_MARGIN: f64 = 5.0;
/// Bytes of an application_name that the server keeps.
const MOST_NAME: usize = 63;

fn recycle(timeouts: &Timeouts) -> f64 {
    timeouts.idle_session_seconds.map_or(POOL_RECYCLE, |idle| (idle / 2.0).floor().clamp(1.0, POOL_RECYCLE))
}

pub fn tell_times(timeouts: &Timeouts, rows: &mut Rows) {
    let rests_on = match timeouts.idle_session_seconds {
        Some(idle) => format!("half of idle_session_timeout ({} s), which is set for the role", number(idle)),
        None => "below the lifetimes that PgBouncer (server_lifetime 3600 s) and most firewalls give".to_string(),
    };
    let mut default = |name: &'static str, value: f64, rests_on: &str| {
        rows.add(Part::Application, name, value, "seconds", Basis::Default, rests_on);
    };
    default(
        "pool_timeout",
        POOL_TIMEOUT,
        "an error that comes soon is better than a queue that grows; SQLAlchemy's default is 30",
    );
    default("pool_recycle", recycle(timeouts), &rests_on);
}

pub fn tell(input: &Input, plan: &Plan, timeouts: &Timeouts, rows: &mut Rows) {
    let processes = [
        ("api", plan.demand.api_processes, plan.pools.api),
        ("background", plan.demand.background_processes, plan.pools.background),
    ];
    for (process, processes, pool) in processes {
        if processes == 0 {
            continue;
        }
        let (name_async, name_sync) = match process {
            "api" => ("api_async_engine", "api_engine"),
            _ => ("background_async_engine", "background_engine"),
        };
        let whose = "one for each process, made after it has been forked";
        let engine = Engine { input, plan, timeouts, recycle: recycle(timeouts), pool, process };
        rows.paste(Part::Application, name_async, Basis::Estimated, format!("asyncpg; {whose}"), engine.asynchronous());
        rows.paste(Part::Application, name_sync, Basis::Estimated, format!("psycopg; {whose}"), engine.synchronous());
    }
    if let Some(bouncer) = &plan.bouncer {
        let (rests_on, text) = match ini(input, plan, bouncer) {
            Some(text) => (
                "lines for the sections that you have, with listening address and authentication: a second [pgbouncer] section would put the settings of the first one back to their defaults",
                text,
            ),
            None => ("the name of the database has a line break, which pgbouncer.ini cannot hold", String::new()),
        };
        match text.is_empty() {
            true => rows.say(Part::Pgbouncer, "pgbouncer_ini", Basis::Estimated, rests_on.to_string()),
            false => rows.paste(Part::Pgbouncer, "pgbouncer_ini", Basis::Estimated, rests_on.to_string(), text),
        }
    }
}

struct Engine<'a> {
    input: &'a Input<'a>,
    plan: &'a Plan,
    timeouts: &'a Timeouts,
    recycle: f64,
    pool: Pool,
    process: &'a str,
}

impl Engine<'_> {
    fn asynchronous(&self) -> String {
        let mut arguments = vec![
            format!("\"timeout\": {CONNECT_TIMEOUT},"),
            format!("\"command_timeout\": {},", number(self.timeouts.statement_seconds + CLIENT_MARGIN)),
            format!("\"server_settings\": {{\"application_name\": \"{}\"}},", self.application_name()),
        ];
        if self.plan.through == Through::TransactionPooling {
            arguments.push(format!(
                "# PgBouncer before 1.21, or max_prepared_statements = 0 instead of {MAX_PREPARED_STATEMENTS}: also"
            ));
            arguments.push("# \"statement_cache_size\": 0, \"prepared_statement_cache_size\": 0,".to_string());
        }
        let import = "from sqlalchemy.ext.asyncio import create_async_engine";
        self.text(import, "create_async_engine", "postgresql+asyncpg", &arguments)
    }

    fn synchronous(&self) -> String {
        let mut arguments = vec![
            format!("\"connect_timeout\": {CONNECT_TIMEOUT},"),
            format!("\"application_name\": \"{}\",", self.application_name()),
            "\"keepalives_idle\": 30,".to_string(),
        ];
        if self.plan.through == Through::TransactionPooling {
            arguments.push("# psycopg drops prepared statements by SQL that PgBouncer does not know.".to_string());
            arguments.push("\"prepare_threshold\": None,".to_string());
        }
        self.text("from sqlalchemy import create_engine", "create_engine", "postgresql+psycopg", &arguments)
    }

    fn text(&self, import: &str, function: &str, driver: &str, arguments: &[String]) -> String {
        let host = match self.plan.through {
            Through::Nothing => "HOST:5432",
            _ => "PGBOUNCER:6432",
        };
        let arguments: String = arguments.iter().map(|argument| format!("        {argument}\n")).collect();
        format!(
            "import os\n\n{import}\n\nengine = {function}(\n    os.environ[\"DATABASE_URL\"],  # {driver}://ROLE:PASSWORD@{host}/DATABASE\n    \
             pool_size={},\n    max_overflow={},\n    pool_timeout={},\n    pool_recycle={},\n    pool_pre_ping=True,\n    \
             pool_use_lifo=True,\n    connect_args={{\n{arguments}    }},\n)\n",
            self.pool.size,
            self.pool.overflow,
            number(POOL_TIMEOUT),
            number(self.recycle)
        )
    }

    /// By which dbre.pool_pressure() tells the pools apart. The server keeps ASCII only.
    fn application_name(&self) -> String {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let most = MOST_NAME - 1 - self.process.len();
        let database: String = self.input.role.database.chars().filter(plain).take(most).collect();
        if database.is_empty() { self.process.to_string() } else { format!("{database}-{}", self.process) }
    }
}

/// None: the file cannot hold the name.
fn ini(input: &Input, plan: &Plan, bouncer: &Bouncer) -> Option<String> {
    let name = &input.role.database;
    if name.contains(['\n', '\r']) {
        return None;
    }
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let key = if is_plain { name.clone() } else { format!("\"{}\"", name.replace('"', "\"\"")) };
    let dbname = if is_plain { name.clone() } else { format!("'{}'", name.replace('\'', "''")) };
    let (host, hint) = match &input.server.address {
        Some(address) => (address.as_str(), ""),
        None => ("127.0.0.1", "; host: of the server as PgBouncer reaches it; a folder means its Unix socket\n"),
    };
    let mode = if plan.through == Through::SessionPooling { "session" } else { "transaction" };
    let mut settings = vec![
        ("pool_mode", mode.to_string()),
        ("default_pool_size", bouncer.default_pool_size.to_string()),
        ("min_pool_size", bouncer.min_pool_size.to_string()),
        ("reserve_pool_size", bouncer.reserve_pool_size.to_string()),
        ("reserve_pool_timeout", "3".to_string()),
        ("max_db_connections", bouncer.most().to_string()),
        ("max_client_conn", bouncer.max_client_conn.to_string()),
        ("query_wait_timeout", number(POOL_TIMEOUT)),
        ("server_lifetime", "3600".to_string()),
        ("server_idle_timeout", "600".to_string()),
    ];
    if plan.through == Through::TransactionPooling {
        settings.push(("max_prepared_statements", MAX_PREPARED_STATEMENTS.to_string()));
    }
    let settings: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    let port = &input.server.port;
    Some(format!("[databases]\n{hint}{key} = host={host} port={port} dbname={dbname}\n\n[pgbouncer]\n{settings}"))
}
