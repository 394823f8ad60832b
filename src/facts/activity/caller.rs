//! Whose sessions the caller may cancel or end, as pg_cancel_backend and pg_terminate_backend decide it.

use super::Session;
use pgrx::pg_sys;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub struct Caller {
    pub pid: i32,
    /// Roles, of those that have sessions, whose sessions it may signal.
    signals: BTreeSet<u32>,
    superuser: bool,
}

impl Caller {
    pub fn read(sessions: &[Session]) -> Caller {
        let roles: BTreeSet<u32> = sessions.iter().filter_map(|session| session.role_oid).collect();
        // SAFETY: within a transaction, which lookups in the catalogs need; a role that is gone has no rights.
        unsafe {
            let user = pg_sys::GetUserId();
            let superuser = pg_sys::superuser();
            let all = pg_sys::has_privs_of_role(user, pg_sys::ROLE_PG_SIGNAL_BACKEND.into());
            let signals = |role: &u32| {
                superuser
                    || !pg_sys::superuser_arg((*role).into())
                        && (all || pg_sys::has_privs_of_role(user, (*role).into()))
            };
            Caller { pid: pg_sys::MyProcPid, signals: roles.into_iter().filter(signals).collect(), superuser }
        }
    }

    pub fn may_signal(&self, session: &Session) -> bool {
        session.role_oid.map_or(self.superuser, |role| self.signals.contains(&role))
    }
}
