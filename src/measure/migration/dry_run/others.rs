//! Who would notice a dry run.

use crate::db;

/// In words; empty: nobody uses this server but the caller.
pub fn who_would_notice() -> Vec<String> {
    const OTHERS: &str = include_str!("../../../../sql/facts/dry_run/others.sql");
    let mut read = db::read(OTHERS, &[], |row| {
        let (sessions, standbys, slots): (i64, i64, i64) = (row.take(), row.take(), row.take());
        let named = |number: i64, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {many}")),
        };
        let archive = row.take::<bool>().then(|| "a WAL archive".to_string());
        [
            named(sessions, "other session", "other sessions"),
            named(standbys, "standby", "standbys"),
            named(slots, "replication slot", "replication slots"),
            archive,
        ]
    });
    read.pop().into_iter().flatten().flatten().collect()
}
