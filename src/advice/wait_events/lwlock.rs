//! Short locks on shared memory.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    (
        &["LockManager"],
        "waits for a partition of the table of heavyweight locks",
        "Each relation beyond the 16 that a session locks by the fast path (tables, and every index of them) is registered here. Fewer \
         partitions and indexes per query: let partitions be pruned at planning time, drop unused indexes, use prepared statements with \
         generic plans off the hot path, and run fewer sessions at once.",
    ),
    (
        &["LockFastPath"],
        "waits for the fast-path locks of a process",
        "Strong locks (DDL, LOCK TABLE) look through the fast-path locks of all sessions: fewer of them, and fewer sessions.",
    ),
    (
        &["BufferMapping"],
        "waits to find or place a page in shared_buffers",
        "Pages come and go faster than they are found: a larger shared_buffers, or queries that read fewer pages (indexes for \
         sequential scans).",
    ),
    (
        &["BufferContent"],
        "waits to read or change a page that another session changes",
        "Many sessions write the same page: the rightmost leaf of an index on a growing key, or a hot row. Use a key that spreads \
         (hash partitioning, uuid), batch inserts, spread counters over several rows, drop unused indexes, a lower fillfactor.",
    ),
    (
        &["WALInsert"],
        "waits to put WAL into the buffers",
        "Much WAL from many sessions at once: batch small commits, drop unused indexes, wal_compression, a longer checkpoint_timeout and \
         larger max_wal_size (fewer full-page images).",
    ),
    (
        &["WALWrite"],
        "waits until another session has written or flushed WAL",
        "Commits come faster than the disk flushes: commit more rows at a time, faster storage for pg_wal, commit_delay with many \
         committers, synchronous_commit = off where the last moments may be lost.",
    ),
    (
        &["WALBufMapping"],
        "waits for a free page in the WAL buffers",
        "WAL is made faster than it is written: a larger wal_buffers (at start), faster storage for pg_wal.",
    ),
    (
        &["ProcArray"],
        "waits for the list of running transactions, to take a snapshot or to end",
        "Too many sessions take snapshots and end transactions at once: a pooler before the server, fewer and longer transactions, no \
         thousands of connections.",
    ),
    (
        &["XidGen"],
        "waits for a new transaction id",
        "Very many writing transactions or savepoints: write several rows in one transaction, no savepoint per row.",
    ),
    (
        &["SubtransSLRU", "SubtransBuffer"],
        "looks up the parents of subtransactions",
        "A transaction with more than 64 savepoints (or PL/pgSQL exception blocks) beside one that runs long makes every reader look here, \
         on a standby most of all: end the long transaction, drop the savepoint per row; a larger subtransaction_buffers.",
    ),
    (
        &[
            "MultiXactGen",
            "MultiXactMemberBuffer",
            "MultiXactMemberSLRU",
            "MultiXactOffsetBuffer",
            "MultiXactOffsetSLRU",
            "MultiXactTruncation",
        ],
        "makes or looks up the list of transactions that share a row lock",
        "Many transactions lock the same rows in shared mode: foreign keys that all point to few parent rows, SELECT FOR SHARE. Shorter \
         transactions, FOR NO KEY UPDATE, keys of hot parents left alone; larger multixact_member_buffers and multixact_offset_buffers.",
    ),
    (
        &["XactBuffer", "XactSLRU", "XactTruncation"],
        "looks up whether a transaction has committed",
        "Rows of many different old transactions are read, and not hinted yet: VACUUM (FREEZE) what was loaded; a larger transaction_buffers.",
    ),
    (
        &["CommitTs", "CommitTsBuffer", "CommitTsSLRU"],
        "reads or writes the time of a commit",
        "Only with track_commit_timestamp: turn it off where nothing reads it; a larger commit_timestamp_buffers.",
    ),
    (
        &["NotifyBuffer", "NotifyQueue", "NotifyQueueTail", "NotifySLRU"],
        "sends or receives NOTIFY messages",
        "Transactions that NOTIFY commit one at a time: fewer of them, one listener that distributes, and no listener that sleeps in a \
         transaction.",
    ),
    (
        &[
            "PredicateLockManager",
            "SerializablePredicateList",
            "SerializableXactHash",
            "SerializableFinishedList",
            "SerialBuffer",
            "SerialControl",
            "SerialSLRU",
            "PerXactPredicateList",
        ],
        "keeps track of what serializable transactions have read",
        "SERIALIZABLE is costly with many sessions: READ ONLY where possible, shorter transactions, fewer at once, indexes instead of \
         sequential scans; a larger max_pred_locks_per_transaction.",
    ),
    (
        &["pg_stat_statements"],
        "waits for the table of pg_stat_statements",
        "Entries are thrown out and made anew all the time, for texts differ: parameters instead of literals, a larger \
         pg_stat_statements.max, track = top.",
    ),
    (&["BtreeVacuum"], "begins or ends the vacuuming of a B-tree", ""),
    (
        &["TwoPhaseState"],
        "reads or changes the list of prepared transactions",
        "Very many PREPARE TRANSACTION at once: fewer distributed transactions.",
    ),
    (
        &["SyncRep"],
        "joins or leaves the queue of those that wait for a synchronous standby",
        "Many small commits wait for a standby: commit more at a time.",
    ),
    (
        &["CheckpointerComm"],
        "hands a file to the checkpointer for syncing",
        "Sessions write pages themselves: a larger shared_buffers, a more active background writer (bgwriter_lru_maxpages).",
    ),
    (
        &["ControlFile"],
        "reads or writes pg_control, or makes a new WAL file",
        "WAL files are made while sessions wait for them: a larger min_wal_size keeps more for reuse.",
    ),
    (
        &["SInvalRead", "SInvalWrite"],
        "reads or sends messages about changed catalog entries",
        "Much DDL, often temporary tables made and dropped by every request, with many sessions: reuse temporary tables (ON COMMIT DELETE \
         ROWS), fewer sessions.",
    ),
    (
        &["RelCacheInit", "RelationMapping"],
        "reads or writes the files that say where the system catalogs are",
        "Connections are opened all the time while catalogs change: a pool, and no VACUUM FULL of catalogs while the system works.",
    ),
    (
        &["OidGen"],
        "waits for a new OID",
        "Very many large objects, toasted values or temporary tables are made at once.",
    ),
    (
        &[
            "ParallelAppend",
            "ParallelHashJoin",
            "ParallelQueryDSA",
            "PerSessionDSA",
            "PerSessionRecordType",
            "PerSessionRecordTypmod",
            "SharedTidBitmap",
            "SharedTupleStore",
            "ParallelVacuumDSA",
        ],
        "coordinates with the other processes of a parallel query",
        "Parallel queries under heavy load: a lower max_parallel_workers_per_gather for those that are short.",
    ),
    (
        &["PgStatsDSA", "PgStatsData", "PgStatsHash"],
        "reads or writes cumulative statistics",
        "Very many sessions end, or tables are made and dropped, at once: a pool, fewer temporary tables.",
    ),
    (
        &["BackgroundWorker", "DynamicSharedMemoryControl", "DSMRegistry", "DSMRegistryDSA", "DSMRegistryHash"],
        "starts or ends a background worker, or its shared memory",
        "Parallel workers are started for short queries: raise parallel_setup_cost or min_parallel_table_scan_size.",
    ),
    (&["Autovacuum", "AutovacuumSchedule"], "looks at what autovacuum does or will do", ""),
    (
        &[
            "ReplicationOrigin",
            "ReplicationOriginState",
            "ReplicationSlotAllocation",
            "ReplicationSlotControl",
            "ReplicationSlotIO",
        ],
        "reads or changes the state of replication slots or origins",
        "",
    ),
    (
        &["LogicalRepLauncherDSA", "LogicalRepLauncherHash", "LogicalRepWorker"],
        "reads or changes the state of logical replication",
        "",
    ),
    (&["SyncScan"], "looks where others are in the sequential scan of the same large table", ""),
    (&["WrapLimitsVacuum"], "sets the limit of transaction ids after a VACUUM", ""),
    (&["WALSummarizer"], "looks how far WAL is summarized", ""),
    (&["AutoFile"], "runs ALTER SYSTEM beside another", ""),
    (&["TablespaceCreate"], "creates or drops a tablespace", ""),
    (&["AddinShmemInit", "ShmemIndex", "InjectionPoint", "WaitEventCustom"], "sets up shared memory", ""),
];
