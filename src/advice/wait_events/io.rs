//! Files.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    (
        &["DataFileRead"],
        "reads a page of a table or index that is not in shared_buffers",
        "What is read does not fit into memory, or too much is read: indexes for sequential scans (dbre.workload_findings() names the \
         statements), a larger shared_buffers, faster storage; after a restart it passes.",
    ),
    (
        &["DataFilePrefetch"],
        "asks the operating system to read ahead",
        "A bitmap scan reads many pages: a more selective index; effective_io_concurrency as the storage allows.",
    ),
    (
        &["DataFileWrite", "DataFileFlush"],
        "writes a page of a table or index itself, to make room for another",
        "The background writer and checkpoints do not keep up: a larger shared_buffers, bgwriter_lru_maxpages and bgwriter_delay, smoother \
         checkpoints (checkpoint_timeout, max_wal_size).",
    ),
    (
        &["DataFileExtend"],
        "makes a table or index longer",
        "Much is inserted at once: COPY or several rows per INSERT, storage with faster allocation, VACUUM so that free space is reused.",
    ),
    (
        &["DataFileSync", "DataFileImmediateSync", "DataFileTruncate"],
        "waits until a table's or index's file is on disk, or cut",
        "Slow storage, or many tables made, truncated and rewritten at once.",
    ),
    (
        &["BuffileRead", "BuffileWrite", "BuffileTruncate"],
        "reads or writes a temporary file: a sort, hash or CTE does not fit into work_mem",
        "A larger work_mem for the statement or role, an index that gives the order, fewer rows before the sort; log_temp_files and \
         temp_file_limit.",
    ),
    (
        &["WalSync", "WalSyncMethodAssign"],
        "waits until its WAL is on disk: its commit",
        "The storage of pg_wal is slow or shared: faster or separate storage, more rows per commit, commit_delay with many committers, \
         synchronous_commit = off where the last moments may be lost. Never fsync = off.",
    ),
    (
        &["WalWrite"],
        "writes WAL",
        "Much WAL: batches instead of single rows, fewer indexes, wal_compression, faster storage for pg_wal.",
    ),
    (
        &["WalInitSync", "WalInitWrite", "WalCopyRead", "WalCopySync", "WalCopyWrite"],
        "makes a new WAL file",
        "No WAL file can be reused: a larger min_wal_size, wal_init_zero = off on copy-on-write file systems.",
    ),
    (
        &["WalRead", "WalsenderTimelineHistoryRead"],
        "reads WAL back from disk, for a standby or a logical slot that lags",
        "Find what lags in pg_stat_replication and pg_replication_slots.",
    ),
    (
        &["SlruRead", "SlruWrite", "SlruSync", "SlruFlushSync"],
        "reads or writes the state of transactions, subtransactions or multixacts",
        "The buffers for them are too small (transaction_buffers, subtransaction_buffers, multixact_*_buffers), or transactions run too long \
         with too many savepoints or shared row locks.",
    ),
    (
        &[
            "ReorderBufferRead",
            "ReorderBufferWrite",
            "ReorderLogicalMappingRead",
            "SnapbuildRead",
            "SnapbuildSync",
            "SnapbuildWrite",
        ],
        "decodes large transactions for logical replication through files",
        "Smaller transactions, a larger logical_decoding_work_mem, streaming = on for the subscription.",
    ),
    (
        &["TwophaseFileRead", "TwophaseFileSync", "TwophaseFileWrite"],
        "reads or writes a prepared transaction that a checkpoint put into a file",
        "Prepared transactions stay open beyond a checkpoint: finish them sooner.",
    ),
    (
        &["CopyFileRead", "CopyFileWrite"],
        "copies a database's files",
        "CREATE DATABASE with strategy = wal_log copies small templates cheaper.",
    ),
    (&["BasebackupRead", "BasebackupSync", "BasebackupWrite"], "takes a base backup", ""),
    (
        &["DsmAllocate", "DsmFillZeroWrite"],
        "allocates shared memory for a parallel query",
        "Parallel queries ask for more than /dev/shm gives quickly: a smaller work_mem or hash_mem_multiplier, fewer workers.",
    ),
    (
        &["ControlFileRead", "ControlFileSync", "ControlFileSyncUpdate", "ControlFileWrite", "ControlFileWriteUpdate"],
        "reads or writes pg_control",
        "",
    ),
    (
        &[
            "LogicalRewriteCheckpointSync",
            "LogicalRewriteMappingSync",
            "LogicalRewriteMappingWrite",
            "LogicalRewriteSync",
            "LogicalRewriteTruncate",
            "LogicalRewriteWrite",
        ],
        "keeps for logical decoding what VACUUM FULL or CLUSTER of a catalog moves",
        "",
    ),
    (
        &["RelationMapRead", "RelationMapReplace", "RelationMapWrite"],
        "reads or writes the file that says where the catalogs are",
        "",
    ),
    (
        &["ReplicationSlotRead", "ReplicationSlotRestoreSync", "ReplicationSlotSync", "ReplicationSlotWrite"],
        "reads or writes the file of a replication slot",
        "",
    ),
    (
        &[
            "TimelineHistoryFileSync",
            "TimelineHistoryFileWrite",
            "TimelineHistoryRead",
            "TimelineHistorySync",
            "TimelineHistoryWrite",
        ],
        "reads or writes the history of timelines",
        "",
    ),
    (&["WalSummaryRead", "WalSummaryWrite"], "reads or writes the summary of WAL that incremental backups need", ""),
    (&["VersionFileSync", "VersionFileWrite"], "creates a database", ""),
    (&["WalBootstrapSync", "WalBootstrapWrite"], "sets up the cluster", ""),
    (
        &[
            "LockFileAddtodatadirRead",
            "LockFileAddtodatadirSync",
            "LockFileAddtodatadirWrite",
            "LockFileCreateRead",
            "LockFileCreateSync",
            "LockFileCreateWrite",
            "LockFileRecheckdatadirRead",
        ],
        "reads or writes postmaster.pid",
        "",
    ),
];
