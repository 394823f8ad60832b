//! How many transaction ids are in use, and how many may be.

use pgrx::pg_sys;

#[derive(Clone, Debug, Default)]
pub struct TransactionIds {
    /// How many transactions ago the oldest began whose id some row may still carry.
    pub oldest_age: u64,
    /// The database that holds it.
    pub oldest_database_oid: u32,
    /// From this age on autovacuum freezes tables even where it is turned off.
    pub forced_age: u64,
    /// At this age the server warns.
    pub warned_age: u64,
    /// At this age the server takes no more writes.
    pub stopped_age: u64,
}

impl TransactionIds {
    pub fn read() -> TransactionIds {
        // SAFETY: the server's own variables in shared memory, each read as one word; they change with a checkpoint's pace, and
        // by less than what is told with them.
        let (oldest, forced, warned, stopped, database) = unsafe {
            let ids = pg_sys::TransamVariables;
            let age_at = |limit: pg_sys::TransactionId| {
                u64::from(limit.into_inner().wrapping_sub((*ids).oldestXid.into_inner()))
            };
            let next = pg_sys::ReadNextFullTransactionId().value as u32;
            (
                u64::from(next.wrapping_sub((*ids).oldestXid.into_inner())),
                age_at((*ids).xidVacLimit),
                age_at((*ids).xidWarnLimit),
                age_at((*ids).xidStopLimit),
                (*ids).oldestXidDB,
            )
        };
        TransactionIds {
            oldest_age: oldest,
            oldest_database_oid: database.to_u32(),
            forced_age: forced,
            warned_age: warned,
            stopped_age: stopped,
        }
    }
}
