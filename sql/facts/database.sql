-- The database of this session, and since when its statistics count.
select
    pg_catalog.current_database()::text,
    pg_catalog.current_setting('server_version'),
    pg_catalog.pg_is_in_recovery(),
    pg_catalog.to_char(pg_catalog.now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    pg_catalog.to_char(statistics.since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
    extract(epoch from pg_catalog.now() - statistics.since)::float8,
    pg_catalog.pg_relation_filepath('pg_catalog.pg_class'::pg_catalog.regclass)
from (
    -- A crash discards all statistics and sets the time only in the shared ones: the oldest of these is when it was.
    select greatest(
        (select stats_reset from pg_catalog.pg_stat_database where datname = pg_catalog.current_database()),
        least(
            (select stats_reset from pg_catalog.pg_stat_bgwriter),
            (select stats_reset from pg_catalog.pg_stat_checkpointer),
            (select stats_reset from pg_catalog.pg_stat_wal),
            (select stats_reset from pg_catalog.pg_stat_archiver)
        )
    ) as since
) statistics
