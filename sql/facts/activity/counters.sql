-- What the server has counted of sessions of these databases ($1: their OIDs; $2: when the folder of each was made, $3: when that of the
-- cluster was, in seconds since 1970), and since when, where that can be shown: functions only.
select
    d.oid,
    pg_catalog.pg_stat_get_db_sessions(d.oid),
    counted.session_seconds,
    pg_catalog.pg_stat_get_db_active_time(d.oid) / 1000,
    pg_catalog.pg_stat_get_db_idle_in_transaction_time(d.oid) / 1000,
    pg_catalog.pg_stat_get_db_sessions_abandoned(d.oid),
    pg_catalog.pg_stat_get_db_sessions_fatal(d.oid),
    pg_catalog.pg_stat_get_db_sessions_killed(d.oid),
    case when counted.can_be then began.since::text end,
    case when counted.can_be then counted.seconds end,
    counted.reset_at is not null
from unnest($1::oid[], $2::float8[]) as d (oid, made)
cross join (
    -- What a crash discards, or a start without statistics, begins at one time; pg_stat_reset_shared() gives each a time of its own.
    select
        pg_catalog.min(s.stats_reset) as earliest,
        pg_catalog.min(s.stats_reset) = pg_catalog.max(s.stats_reset) as at_once
    from (
        select pg_catalog.pg_stat_get_bgwriter_stat_reset_time()
        union all
        select pg_catalog.pg_stat_get_checkpointer_stat_reset_time()
        union all
        select a.stats_reset from pg_catalog.pg_stat_get_archiver() a
        union all
        select i.stats_reset from pg_catalog.pg_stat_get_io() i
        union all
        select w.stats_reset from pg_catalog.pg_stat_get_wal() w
    ) s (stats_reset)
) shared
cross join lateral (
    select
        pg_catalog.pg_stat_get_db_stat_reset_time(d.oid) as reset_at,
        pg_catalog.to_timestamp(d.made) as made_at,
        pg_catalog.to_timestamp($3) <= shared.earliest as times_were_kept
) known
cross join lateral (
    select case
        when known.reset_at is not null then known.reset_at
        -- Copied files have the time of the copy: then the database may be older.
        when not known.times_were_kept then null
        -- The shared statistics never begin before a discard: what is younger has lost nothing.
        when known.made_at >= shared.earliest then known.made_at
        when known.made_at is not null and shared.at_once then shared.earliest
    end as since
) began
cross join lateral (
    select
        known.reset_at,
        pg_catalog.pg_stat_get_db_session_time(d.oid) / 1000 as session_seconds,
        extract(epoch from pg_catalog.clock_timestamp() - began.since)::float8 as seconds
) spent
cross join lateral (
    select
        spent.*,
        -- More sessions at once than there may be: the counters are older. pg_stat_reset_single_table_counters() sets the time alone.
        spent.session_seconds <= spent.seconds * pg_catalog.current_setting('max_connections')::int as can_be
) counted
