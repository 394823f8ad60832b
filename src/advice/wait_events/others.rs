//! Locks, clients, times, idle processes of the server.

use super::Entry;

pub(super) const LOCK: &[Entry] = &[
    (
        &["transactionid"],
        "waits for a transaction that has changed or locked the same row",
        "dbre.lock_tree names the one that holds all others up. Shorter transactions, rows locked in the same order, FOR UPDATE SKIP LOCKED for \
         queues.",
    ),
    (
        &["tuple"],
        "stands in the queue for a row behind another that waits for it",
        "A hot row: shorter transactions, spread counters over several rows, SKIP LOCKED for queues.",
    ),
    (
        &["relation"],
        "waits for a lock on a table or index",
        "Mostly DDL, or statements queued behind it: dbre.lock_tree names the root; run DDL with lock_timeout and retry.",
    ),
    (
        &["virtualxid"],
        "waits until older transactions have ended, as CREATE INDEX CONCURRENTLY does",
        "End or await the oldest transaction: dbre.long_running.",
    ),
    (
        &["extend"],
        "waits to make a table or index longer, which another session does",
        "Many sessions insert into one table: COPY or several rows per INSERT, partitions, VACUUM so that free space is reused.",
    ),
    (&["page"], "waits for a page of an index or table", ""),
    (
        &["object"],
        "waits for a lock on a database, schema, type or another object that is no table",
        "DDL, CREATE or DROP DATABASE, or NOTIFY commits (one at a time): dbre.lock_tree.",
    ),
    (
        &["spectoken"],
        "waits for an INSERT … ON CONFLICT of the same key",
        "Several sessions insert the same key at once.",
    ),
    (
        &["advisory", "userlock"],
        "waits for a lock that the application defines",
        "dbre.lock_tree names the holder; pg_try_advisory_lock or lock_timeout where waiting is pointless.",
    ),
    (&["frozenid"], "waits for another VACUUM to note how far its database is frozen", ""),
    (&["applytransaction"], "waits for a transaction that logical replication applies", ""),
];

pub(super) const CLIENT: &[Entry] = &[
    (
        &["ClientRead"],
        "waits for its client to send something",
        "Idle, this is normal. In a transaction the application is busy with something else: end the transaction first.",
    ),
    (
        &["ClientWrite"],
        "waits for its client to take the rows it sends",
        "The client reads slower than the server sends, or the network is slow: LIMIT, fewer columns, a cursor, no debugger at a breakpoint.",
    ),
    (
        &["GssOpenServer", "SslOpenServer"],
        "waits for its client to set up encryption",
        "Connections are opened all the time: a pool.",
    ),
    (&["LibpqwalreceiverConnect", "LibpqwalreceiverReceive"], "waits for the server that it replicates from", ""),
    (
        &["WaitForStandbyConfirmation"],
        "sends nothing more to a logical subscriber until the standbys of synchronized_standby_slots have it",
        "A standby of synchronized_standby_slots lags or is gone.",
    ),
    (&["WalSenderWaitForWal", "WalSenderWriteData"], "sends WAL, and waits for more of it or for its receiver", ""),
];

pub(super) const TIMEOUT: &[Entry] = &[
    (
        &["PgSleep"],
        "sleeps, for it has called pg_sleep",
        "Waiting belongs into the application, outside of a transaction.",
    ),
    (
        &["SpinDelay"],
        "waits for a lock that is held for moments only",
        "More sessions run than there are cores: fewer at once, by a pooler.",
    ),
    (
        &["VacuumDelay"],
        "vacuums, and pauses so as not to disturb",
        "Where VACUUM does not keep up: a larger autovacuum_vacuum_cost_limit or a smaller autovacuum_vacuum_cost_delay.",
    ),
    (&["VacuumTruncate"], "vacuums, and waits for a lock to give the empty end of a table back", ""),
    (
        &["RegisterSyncRequest"],
        "waits, for the checkpointer's queue is full",
        "Storage is slow, or very many tables are written: spread checkpoints, larger shared_buffers.",
    ),
    (&["BaseBackupThrottle"], "takes a base backup at a limited rate", ""),
    (&["CheckpointWriteDelay"], "writes a checkpoint, spread over time", ""),
    (&["RecoveryApplyDelay"], "replays WAL with recovery_min_apply_delay", ""),
    (
        &["RecoveryRetrieveRetryInterval"],
        "replays WAL, and finds no more of it",
        "See whether the source of WAL is reachable: pg_stat_wal_receiver.",
    ),
    (&["WalSummarizerError"], "summarizes WAL, and has failed", "See the server's log."),
];

pub(super) const ACTIVITY: &[Entry] = &[(
    &[
        "ArchiverMain",
        "AutovacuumMain",
        "BgwriterHibernate",
        "BgwriterMain",
        "CheckpointerMain",
        "LogicalApplyMain",
        "LogicalLauncherMain",
        "LogicalParallelApplyMain",
        "RecoveryWalStream",
        "ReplicationSlotsyncMain",
        "ReplicationSlotsyncShutdown",
        "SysloggerMain",
        "WalReceiverMain",
        "WalSenderMain",
        "WalSummarizerWal",
        "WalWriterMain",
    ],
    "is a process of the server that has nothing to do",
    "",
)];

pub(super) const BUFFER_PIN: &[Entry] = &[(
    &["BufferPin"],
    "vacuums or freezes, and waits until no session looks at a page any more",
    "A cursor stays on that page: close it, or end its session.",
)];

pub(super) const EXTENSION: &[Entry] = &[(&["Extension"], "waits in an extension", "Its documentation says for what.")];
