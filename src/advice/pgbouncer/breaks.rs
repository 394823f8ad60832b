//! What of the clients' use of sessions pooling by transaction breaks.

use crate::advice::session_features::{SessionFeature, Used, used};
use crate::facts::activity::{Activity, Session};
use crate::facts::pgbouncer::{Pgbouncer, Pool};
use std::collections::HashSet;

/// What transaction mode breaks, or would break, of what a pool's clients use.
pub struct Breaks {
    /// Its sessions show it now.
    pub now: Vec<Used>,
    /// Its role has run it in its database, through PgBouncer or not.
    pub recorded: Vec<Used>,
}

/// What connections ran before any client had them: PgBouncer's connect_query.
pub struct ConnectQueries<'a>(HashSet<&'a str>);

impl<'a> ConnectQueries<'a> {
    pub fn of(pgbouncer: &Pgbouncer, activity: &'a Activity) -> ConnectQueries<'a> {
        let new = pgbouncer.new_sessions(&activity.sessions);
        ConnectQueries(new.filter_map(|session| session.query.as_deref()).collect())
    }
}

impl Breaks {
    pub fn of(pool: &Pool, pgbouncer: &Pgbouncer, activity: &Activity, own: &ConnectQueries) -> Breaks {
        let sessions = pgbouncer.sessions_of(&[pool], &activity.sessions, |_| true);
        let theirs = pgbouncer.sessions_of(&[pool], &activity.sessions, |connection| !connection.is_new());
        let mut now = used(theirs.iter().filter_map(|session| session.query.as_deref()).map(|text| (text, 1)));
        let keeps = |session: &&Session| activity.keeps_advisory_lock(session);
        let seen = now.iter().any(|used| used.feature == SessionFeature::AdvisoryLock);
        if let Some(keeper) = sessions.iter().copied().find(keeps).filter(|_| !seen) {
            now.push(Used {
                feature: SessionFeature::AdvisoryLock,
                statements: 1,
                calls: 1,
                example: format!("idle session {} holds an advisory lock", keeper.pid),
            });
        }
        let (database, role) = pgbouncer.on_server(pool);
        let statements = pgbouncer.statements.iter().flatten();
        let of_role = statements.filter(|statement| {
            statement.database == database && statement.role == role && !own.0.contains(statement.text.as_str())
        });
        let mut recorded = used(of_role.map(|statement| (statement.text.as_str(), statement.calls)));
        // It is recorded under the role that it switches to.
        recorded.retain(|used| used.feature != SessionFeature::Role);
        Breaks { now, recorded }
    }

    /// Each once.
    pub fn features(&self) -> Vec<SessionFeature> {
        let all = self.now.iter().chain(&self.recorded);
        SessionFeature::ALL.into_iter().filter(|feature| all.clone().any(|used| used.feature == *feature)).collect()
    }

    pub fn names(&self) -> String {
        self.features().into_iter().map(SessionFeature::name).collect::<Vec<_>>().join(", ")
    }
}
