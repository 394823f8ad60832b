//! Why clients of a PgBouncer's pool wait: what keeps its server connections, or keeps it from opening more.

use crate::facts::activity::{Activity, Session, State};
use crate::facts::pgbouncer::{Key, Mode, Pgbouncer, Pool};
use crate::units::{Count, duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// PAUSE of the database.
    Paused,
    /// PAUSE or SUSPEND of all.
    AllPaused,
    /// As many connections as pool_size allows.
    PoolFull,
    /// max_db_connections, or max_connections of the database's line.
    DatabaseFull,
    /// max_user_connections
    UserFull,
    /// It may open more, and does not.
    NotOpened,
}

impl Root {
    pub fn of(pool: &Pool, pgbouncer: &Pgbouncer) -> Root {
        let database = pgbouncer.database(&pool.database);
        let of_user: u64 = pgbouncer.pools.iter().filter(|other| other.user == pool.user).map(Pool::servers).sum();
        let full = |limit: u64, connections: u64| limit > 0 && connections >= limit;
        if database.is_some_and(|database| database.paused) {
            Root::Paused
        } else if pgbouncer.paused == Some(true) {
            Root::AllPaused
        } else if pool.is_full() {
            Root::PoolFull
        } else if database.is_some_and(|database| full(database.max_connections, database.connections)) {
            Root::DatabaseFull
        } else if pgbouncer.most_of_user(&pool.user).is_some_and(|most| of_user >= most) {
            Root::UserFull
        } else if pool.is_perhaps_full() {
            Root::PoolFull
        } else {
            Root::NotOpened
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Root::Paused | Root::AllPaused => "paused",
            Root::PoolFull => "pool_full",
            Root::DatabaseFull => "database_limit",
            Root::UserFull => "user_limit",
            Root::NotOpened => "server_connections_not_opened",
        }
    }

    /// The pools that share the limit.
    pub fn pools<'a>(self, pool: &'a Pool, pgbouncer: &'a Pgbouncer) -> Vec<&'a Pool> {
        let shares = |other: &&Pool| match self {
            Root::DatabaseFull => other.database == pool.database,
            Root::UserFull => other.user == pool.user,
            _ => other.name() == pool.name(),
        };
        pgbouncer.pools.iter().filter(shares).collect()
    }
}

/// What the sessions that clients of pools hold are at.
pub struct Held<'a> {
    /// Idle in a transaction, the longest first.
    pub left_open: Vec<&'a Session>,
    pub waiting_for_locks: usize,
    pub active: Vec<&'a Session>,
    /// The client keeps it, and runs nothing.
    pub idle: Vec<&'a Session>,
    pub all: usize,
}

impl<'a> Held<'a> {
    pub fn of(pools: &[&Pool], pgbouncer: &Pgbouncer, activity: &'a Activity) -> Held<'a> {
        let sessions = pgbouncer.sessions_of(pools, &activity.sessions, |connection| connection.state == "active");
        let seconds = |session: &Session| session.state_seconds.unwrap_or_default();
        let of = |takes: &dyn Fn(&Session) -> bool| {
            let mut found: Vec<&Session> = sessions.iter().copied().filter(|session| takes(session)).collect();
            found.sort_by(|a, b| seconds(b).total_cmp(&seconds(a)));
            found
        };
        Held {
            left_open: of(&|session| session.in_transaction_and_idle()),
            waiting_for_locks: sessions.iter().filter(|session| session.waits_for_lock()).count(),
            active: of(&|session| session.state == Some(State::Active) && !session.waits_for_lock()),
            idle: of(&|session| session.state == Some(State::Idle)),
            all: sessions.len(),
        }
    }

    /// Sessions have been idle in a transaction for that long, or since before the first client began to wait; or most of them are.
    fn leaves_open(&self, pool: &Pool, seconds: f64) -> bool {
        let longest = self.left_open.first().and_then(|session| session.state_seconds);
        longest.is_some_and(|longest| longest >= pool.longest_wait_seconds.min(seconds))
            || self.left_open.len() * 2 > self.all
    }

    /// `2 are idle in a transaction (the longest for 75 s), 1 waits for a lock`
    pub fn told(&self) -> Option<String> {
        let longest = |sessions: &[&Session]| {
            let seconds = sessions.first().and_then(|session| session.state_seconds);
            let seconds = seconds.map(|seconds| format!(" (the longest for {})", duration(seconds)));
            (!sessions.is_empty()).then_some(seconds.unwrap_or_default())
        };
        let parts: Vec<String> = [
            longest(&self.left_open)
                .map(|longest| format!("{} idle in a transaction{longest}", are(self.left_open.len()))),
            (self.waiting_for_locks > 0).then(|| match self.waiting_for_locks {
                1 => "1 waits for a lock".to_string(),
                many => format!("{many} wait for locks"),
            }),
            longest(&self.active).map(|longest| match self.active.len() {
                1 => format!("1 runs a statement{longest}"),
                many => format!("{many} run statements{longest}"),
            }),
            longest(&self.idle)
                .map(|longest| format!("{} idle, kept by a client that sends nothing{longest}", are(self.idle.len()))),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

fn are(count: usize) -> String {
    if count == 1 { "1 is".to_string() } else { format!("{count} are") }
}

/// In words, from what PgBouncer and the server show.
pub fn cause(pool: &Pool, root: Root, held: &Held, pgbouncer: &Pgbouncer, activity: &Activity) -> String {
    let database = pgbouncer.database(&pool.database);
    let kept = held.told().map(|told| match root {
        Root::DatabaseFull | Root::UserFull => {
            format!("{} Of the sessions that clients hold {told}.", most(pool, root, pgbouncer))
        }
        _ => format!(" Of the sessions that its clients hold {told}."),
    });
    match root {
        Root::Paused => format!("Database {} is paused on PgBouncer's console.", pool.database),
        Root::AllPaused => "PgBouncer is paused on its console, with all its databases.".to_string(),
        Root::PoolFull => {
            let what = match pool.mode {
                Mode::Session => "in session mode each connected client keeps one until it disconnects",
                Mode::Transaction => "each is kept until its client's transaction ends",
                Mode::Statement => "each is kept until its statement ends",
            };
            let size = pool.perhaps_size.map_or("", |_| {
                " Which of the two sizes is its own cannot be told: PgBouncer before 1.26 may show with this user what another sets."
            });
            format!(
                "The pool is full: {} of {}, and {what}.{size}{}",
                Count(pool.servers()).of("server connection"),
                pool.limit(),
                kept.unwrap_or_default()
            )
        }
        Root::DatabaseFull => format!(
            "Database {} has all the server connections that max_db_connections allows it ({}), though the pool's own size is not \
             reached.{}",
            pool.database,
            database.map_or(0, |database| database.max_connections),
            kept.unwrap_or_default()
        ),
        Root::UserFull => format!(
            "User {} has all the server connections that max_user_connections allows, though the pool's own size is not reached.{}",
            pool.user,
            kept.unwrap_or_default()
        ),
        Root::NotOpened => {
            format!(
                "The pool has {} of {} and may open more, but no connection to the server comes about: PgBouncer's log says why \
                 (server login failed, too many connections, no answer).{}",
                Count(pool.servers()).of("server connection"),
                pool.limit(),
                obstacle(pool, pgbouncer, activity).map(|why| format!(" {why}")).unwrap_or_default()
            )
        }
    }
}

/// ` Pool shop/jobs has most of them: 12.`
fn most(pool: &Pool, root: Root, pgbouncer: &Pgbouncer) -> String {
    match root.pools(pool, pgbouncer).into_iter().max_by_key(|pool| pool.servers()) {
        Some(most) => format!(" Pool {} has most of them: {}.", most.name(), most.servers()),
        None => String::new(),
    }
}

/// What on this server keeps a pool of it from growing, if that can be seen.
fn obstacle(pool: &Pool, pgbouncer: &Pgbouncer, activity: &Activity) -> Option<String> {
    pgbouncer.pools_here(&activity.sessions).find(|here| here.name() == pool.name())?;
    let (database, role) = pgbouncer.on_server(pool);
    let count = |takes: &dyn Fn(&&Session) -> bool| {
        activity.sessions.iter().filter(|s| s.takes_slot()).filter(takes).count() as u64
    };
    let limit_of_role =
        activity.slots.roles.iter().flatten().find(|limited| limited.name == role).and_then(|role| role.limit);
    let limit_of_database = activity
        .slots
        .databases
        .iter()
        .flatten()
        .find(|limited| limited.name == database)
        .and_then(|database| database.limit);
    let of_role = count(&|session| session.role.as_deref() == Some(role));
    let of_database = count(&|session| session.database.as_deref() == Some(database));
    let (slots, taken) = (activity.slots.ordinary(), activity.slots_taken());
    if let Some(limit) = limit_of_role.filter(|limit| of_role >= *limit) {
        Some(format!("CONNECTION LIMIT {limit} of role {role} on this server is reached."))
    } else if let Some(limit) = limit_of_database.filter(|limit| of_database >= *limit) {
        Some(format!("CONNECTION LIMIT {limit} of database {database} on this server is reached."))
    } else if taken >= slots {
        Some(format!("All {slots} slots of this server for ordinary users are taken."))
    } else {
        Some(format!(
            "Of this server's {slots} slots for ordinary users {taken} are taken: it is not for lack of these."
        ))
    }
}

/// What the application and PgBouncer's settings can do about it. A transaction idle for `left_open_seconds` is a leak.
pub fn app_fix(pool: &Pool, root: Root, held: &Held, pgbouncer: &Pgbouncer, left_open_seconds: f64) -> String {
    let open = "SQLAlchemy: with engine.begin() as connection: … around each unit of work, nothing outside the database waited for inside it";
    match root {
        Root::Paused => format!("On the console: RESUME {};", identifier(&pool.database)),
        Root::AllPaused => "On the console: RESUME;".to_string(),
        Root::PoolFull | Root::DatabaseFull | Root::UserFull if held.leaves_open(pool, left_open_seconds) => {
            format!("{open}. A backstop in pgbouncer.ini: idle_transaction_timeout = 30.")
        }
        Root::PoolFull if pool.mode == Mode::Session && !held.idle.is_empty() => format!(
            "pgbouncer.ini: {} (what would break: pgbouncer_features_break), or smaller pools with \
             pool_recycle in the applications: in session mode PgBouncer saves no connection that they keep open.",
            pgbouncer.line(&pgbouncer.own_place(pool, Key::Mode), Key::Mode, Mode::Transaction.name())
        ),
        Root::PoolFull => format!(
            "{} Only if the server has cores and slots to spare, pgbouncer.ini: {}{}, \
             then RELOAD on the console; dbre.pool_sizing() says how much.",
            match held.waiting_for_locks * 2 > held.all {
                true => "Free the locks first that most of them wait for: dbre.lock_tree shows who holds them.",
                false => "Shorten what holds the connections first.",
            },
            pgbouncer.line(&pgbouncer.own_place(pool, Key::Size), Key::Size, "…"),
            pool.perhaps_size.map_or("", |_| " (or in the line that the user has in [users], if that sets it)")
        ),
        Root::DatabaseFull | Root::UserFull => {
            "Raise max_db_connections or max_user_connections in pgbouncer.ini, then RELOAD, or lower pool_size of the pools that share the \
             limit so that none starves another."
                .to_string()
        }
        Root::NotOpened => "Read PgBouncer's log; then RECONNECT on the console, once the server takes connections.".to_string(),
    }
}

/// As PgBouncer's console reads names.
pub fn identifier(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
