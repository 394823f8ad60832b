//! What is pasted into the application and into PgBouncer.

use super::application::Pool;
use super::ini::{NameInFile, ini, is_plain};
use super::pgbouncer::MAX_PREPARED_STATEMENTS;
use super::rows::{Basis, Part, Rows, number};
use super::timeouts::Timeouts;
use super::{Input, Plan, Through};

/// Seconds that a request waits for a connection: an error that the user sees soon is better than a queue that grows.
pub const POOL_TIMEOUT: f64 = 10.0;
const POOL_RECYCLE: f64 = 1800.0;
const CONNECT_TIMEOUT: f64 = 5.0;
const KEEPALIVES_IDLE: f64 = 30.0;
/// Seconds by which the client is more patient than the server, whose error says more.
const CLIENT_MARGIN: f64 = 5.0;
/// Bytes of a name that the server and PgBouncer keep.
const MOST_NAME: usize = 63;

/// A connection that is idle for longer may have been ended by the server.
pub fn half(idle: f64, most: f64) -> f64 {
    (idle / 2.0).floor().clamp(1.0, most)
}

/// What idle_session_timeout ends of the application's pools.
fn idle_seconds(plan: &Plan, timeouts: &Timeouts) -> Option<f64> {
    // There it is PgBouncer's connections that are sessions.
    timeouts.idle_session_seconds.filter(|_| plan.through != Through::TransactionPooling)
}

fn recycle(plan: &Plan, timeouts: &Timeouts) -> f64 {
    idle_seconds(plan, timeouts).map_or(POOL_RECYCLE, |idle| half(idle, POOL_RECYCLE))
}

/// Of asyncpg. None: the server cancels nothing by itself, nor would it for a superuser, for whom no timeout is set.
fn command_timeout(input: &Input, timeouts: &Timeouts) -> Option<f64> {
    let statement = timeouts.statement.seconds().filter(|_| !input.role.is_superuser)?;
    Some(statement + CLIENT_MARGIN)
}

pub fn tell_times(input: &Input, plan: &Plan, timeouts: &Timeouts, rows: &mut Rows) {
    let rests_on = match idle_seconds(plan, timeouts) {
        Some(idle) => format!("half of idle_session_timeout ({} s), which new sessions of the role get", number(idle)),
        None => "an age, after which a connection is opened anew: by then all have followed a failover, and what a session has gathered in \
                 memory is freed. What a firewall has ended as idle before, pool_pre_ping finds"
            .to_string(),
    };
    let mut default = |name: &'static str, value: f64, rests_on: &str| {
        rows.add(Part::Application, name, value, "seconds", Basis::Default, rests_on);
    };
    default(
        "pool_timeout",
        POOL_TIMEOUT,
        "an error that comes soon is better than a queue that grows; SQLAlchemy's default is 30",
    );
    default("pool_recycle", recycle(plan, timeouts), &rests_on);
    default(
        "connect_timeout",
        CONNECT_TIMEOUT,
        "a server that has not answered by then is down or full: a request does not wait longer for it than pool_timeout; asyncpg calls it \
         timeout, and waits 60 s by default",
    );
    default(
        "keepalives_idle",
        KEEPALIVES_IDLE,
        "psycopg alone: below the minutes after which firewalls and load balancers drop what is idle; Linux by itself asks after 7200 s",
    );
    if let Some(seconds) = command_timeout(input, timeouts) {
        let rests_on = format!(
            "asyncpg alone: statement_timeout and {} s more, so that the server's own error, which says more, comes first",
            number(CLIENT_MARGIN)
        );
        default("command_timeout", seconds, &rests_on);
    }
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
        let engine = Engine { input, plan, timeouts, recycle: recycle(plan, timeouts), pool, process };
        rows.paste(Part::Application, name_async, Basis::Estimated, format!("asyncpg; {whose}"), engine.asynchronous());
        rows.paste(Part::Application, name_sync, Basis::Estimated, format!("psycopg; {whose}"), engine.synchronous());
    }
    if let Some(bouncer) = &plan.bouncer {
        let rests_on = "lines for the sections that you have, with listening address and authentication: a second [pgbouncer] section would put \
                        the settings of the first one back to their defaults. The sizes are the database's own; what holds for all databases is \
                        commented out";
        let text = ini(input, plan, bouncer, timeouts);
        rows.paste(Part::Pgbouncer, "pgbouncer_ini", Basis::Estimated, rests_on.to_string(), text);
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
            format!("\"timeout\": {},", number(CONNECT_TIMEOUT)),
            format!("\"server_settings\": {{\"application_name\": \"{}\"}},", self.application_name()),
        ];
        if let Some(seconds) = command_timeout(self.input, self.timeouts) {
            arguments.insert(1, format!("\"command_timeout\": {},", number(seconds)));
        }
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
            format!("\"connect_timeout\": {},", number(CONNECT_TIMEOUT)),
            format!("\"application_name\": \"{}\",", self.application_name()),
            format!("\"keepalives_idle\": {},", number(KEEPALIVES_IDLE)),
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
        let database = match NameInFile::of(&self.input.role.database) {
            NameInFile::Alias(alias) if self.plan.through != Through::Nothing => alias,
            _ => "DATABASE".to_string(),
        };
        let arguments: String = arguments.iter().map(|argument| format!("        {argument}\n")).collect();
        format!(
            "import os\n\n{import}\n\nengine = {function}(\n    os.environ[\"DATABASE_URL\"],  # {driver}://ROLE:PASSWORD@{host}/{database}\n    \
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
        suffixed(&self.input.role.database, self.process)
    }
}

/// `shop-api`: what is plain of the database's name, as long as a name may be.
pub fn suffixed(database: &str, suffix: &str) -> String {
    let most = MOST_NAME - 1 - suffix.len();
    let plain: String = database.chars().filter(|c| is_plain(*c)).take(most).collect();
    if plain.is_empty() { suffix.to_string() } else { format!("{plain}-{suffix}") }
}
