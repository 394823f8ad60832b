-- What the server has counted of sessions of these databases ($1: their OIDs) since their statistics were reset, or, where they
-- never were, since those of the server began: a crash discards all, and the oldest of the shared ones tells when.
select
    d.oid,
    pg_catalog.pg_stat_get_db_sessions(d.oid),
    pg_catalog.pg_stat_get_db_session_time(d.oid) / 1000,
    pg_catalog.pg_stat_get_db_active_time(d.oid) / 1000,
    pg_catalog.pg_stat_get_db_idle_in_transaction_time(d.oid) / 1000,
    pg_catalog.pg_stat_get_db_sessions_abandoned(d.oid),
    pg_catalog.pg_stat_get_db_sessions_fatal(d.oid),
    pg_catalog.pg_stat_get_db_sessions_killed(d.oid),
    statistics.since::text,
    extract(epoch from pg_catalog.clock_timestamp() - statistics.since)::float8
from pg_catalog.unnest($1::oid[]) as d (oid)
cross join lateral (
    select coalesce(
        pg_catalog.pg_stat_get_db_stat_reset_time(d.oid),
        least(
            pg_catalog.pg_stat_get_bgwriter_stat_reset_time(),
            pg_catalog.pg_stat_get_checkpointer_stat_reset_time(),
            (select w.stats_reset from pg_catalog.pg_stat_get_wal() w),
            (select a.stats_reset from pg_catalog.pg_stat_get_archiver() a)
        )
    ) as since
) statistics
