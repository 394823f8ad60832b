//! Other processes of the server.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    (
        &["SyncRep"],
        "has committed here and waits for a synchronous standby to confirm",
        "No standby named in synchronous_standby_names answers, or it is slow. See pg_stat_replication (sync_state, flush_lag). Without a \
         standby commits wait for ever: bring it back, or take it out of synchronous_standby_names and reload, which gives up that a commit \
         survives the loss of this server.",
    ),
    (
        &["BufferIo"],
        "waits until another session has read the page that it needs too",
        "Many sessions read the same cold pages: it passes when they are cached; else see IO DataFileRead.",
    ),
    (
        &["ProcarrayGroupUpdate", "XactGroupUpdate"],
        "ends its transaction together with others, and waits for the one that does it for all",
        "Very many transactions end at once: more work per transaction, fewer sessions at once (a pooler).",
    ),
    (
        &["MultixactCreation"],
        "waits until another session has written a list of transactions that share a row lock",
        "Many transactions lock the same rows in shared mode (foreign keys to few parents, FOR SHARE): shorter transactions.",
    ),
    (
        &["SafeSnapshot"],
        "waits, READ ONLY DEFERRABLE, for a snapshot that no serializable writer can spoil",
        "It waits for the serializable transactions that write: shorten those, or do without DEFERRABLE.",
    ),
    (
        &["MessageQueueReceive", "MessageQueueSend", "MessageQueuePutMessage", "MessageQueueInternal"],
        "passes rows between a parallel worker and its leader",
        "The other side is slower: a leader whose client reads slowly, or too many rows passed; aggregate before Gather.",
    ),
    (
        &[
            "ExecuteGather",
            "ParallelFinish",
            "AppendReady",
            "BtreePage",
            "ParallelBitmapScan",
            "ParallelCreateIndexScan",
        ],
        "waits for the workers of its parallel query or index build",
        "The workers do the work: look at what they wait for.",
    ),
    (
        &[
            "HashBatchAllocate",
            "HashBatchElect",
            "HashBatchLoad",
            "HashBuildAllocate",
            "HashBuildElect",
            "HashBuildHashInner",
            "HashBuildHashOuter",
            "HashGrowBatchesDecide",
            "HashGrowBatchesElect",
            "HashGrowBatchesFinish",
            "HashGrowBatchesReallocate",
            "HashGrowBatchesRepartition",
            "HashGrowBucketsElect",
            "HashGrowBucketsReallocate",
            "HashGrowBucketsReinsert",
        ],
        "waits for the other processes of a parallel hash join",
        "Skewed keys, or a hash that outgrows its memory again and again: better statistics, a larger work_mem.",
    ),
    (&["BgworkerStartup", "BgworkerShutdown"], "waits for a background worker to start or end", ""),
    (
        &["CheckpointStart", "CheckpointDone", "CheckpointDelayStart", "CheckpointDelayComplete"],
        "waits for a checkpoint that it has asked for",
        "CREATE DATABASE, DROP DATABASE, base backups and CHECKPOINT ask for one: storage that writes faster.",
    ),
    (
        &["ArchiveCommand", "ArchiveCleanupCommand", "RestoreCommand", "RecoveryEndCommand"],
        "waits for a command that archives or restores WAL",
        "See pg_stat_archiver, and whether the command's target answers.",
    ),
    (
        &["BackupWaitWalArchive"],
        "has finished a backup and waits until its WAL is archived",
        "Archiving fails or lags: see pg_stat_archiver.",
    ),
    (&["BackendTermination"], "waits until a session that it has terminated is gone", ""),
    (
        &["ProcSignalBarrier"],
        "waits until every process has taken notice of a change",
        "A process does not answer: find one that is stopped or stuck in a system call.",
    ),
    (
        &["RecoveryConflictSnapshot", "RecoveryConflictTablespace"],
        "replays WAL, and waits for queries of this standby that are in the way",
        "Shorter queries on the standby, a smaller max_standby_streaming_delay, or hot_standby_feedback on (which holds back VACUUM on the \
         primary).",
    ),
    (&["RecoveryPause"], "has paused replay", "select pg_wal_replay_resume(); continues it."),
    (
        &["ReplicationSlotDrop", "ReplicationOriginDrop"],
        "waits until the slot or origin that is to be dropped is no longer used",
        "End the process that uses it: pg_replication_slots.active_pid.",
    ),
    (
        &["LogicalApplySendData", "LogicalParallelApplyStateChange", "LogicalSyncData", "LogicalSyncStateChange"],
        "applies or copies changes of logical replication together with another process",
        "",
    ),
    (&["Promote"], "waits for the promotion of the standby", ""),
    (
        &["WalReceiverExit", "WalReceiverUpstreamCatchup", "WalReceiverWaitStart"],
        "waits for the receiver of WAL or its source",
        "",
    ),
    (&["WalSummaryReady"], "waits for a summary of WAL, for an incremental backup", ""),
];
