-- The database of this session ($1: its OID), and since when its statistics count. Functions only: another session may have a view
-- or a catalog locked.
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
        pg_catalog.pg_stat_get_db_stat_reset_time($1),
        least(
            pg_catalog.pg_stat_get_bgwriter_stat_reset_time(),
            pg_catalog.pg_stat_get_checkpointer_stat_reset_time(),
            (select stats_reset from pg_catalog.pg_stat_get_wal()),
            (select stats_reset from pg_catalog.pg_stat_get_archiver())
        )
    ) as since
) statistics
