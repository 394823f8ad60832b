-- What pg_stat_statements holds: entries of all databases, and sums over this one. {schema}: where it is installed.
-- A statement that a function runs is counted in the function's caller, too: sums are over the others.
with entries as materialized (
    select
        s.*,
        s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()) as is_ours
    from {schema}.pg_stat_statements(false) s
)
select
    count(*),
    count(*) filter (where e.calls = 1),
    (select i.dealloc from {schema}.pg_stat_statements_info i),
    (select extract(epoch from pg_catalog.clock_timestamp() - i.stats_reset) from {schema}.pg_stat_statements_info i)::float8,
    count(*) filter (where e.is_ours),
    extract(epoch from pg_catalog.clock_timestamp() - min(e.stats_since) filter (where e.is_ours))::float8,
    coalesce(sum(e.calls) filter (where e.is_ours and e.toplevel), 0)::float8,
    coalesce(sum(e.total_exec_time) filter (where e.is_ours and e.toplevel), 0)::float8,
    coalesce(sum(e.total_plan_time) filter (where e.is_ours and e.toplevel), 0)::float8,
    coalesce(sum(e.shared_blks_read) filter (where e.is_ours and e.toplevel), 0)::float8,
    coalesce(sum(e.temp_blks_written) filter (where e.is_ours and e.toplevel), 0)::float8,
    coalesce(sum(e.wal_bytes) filter (where e.is_ours and e.toplevel), 0)::float8,
    count(*) filter (where e.is_ours and not e.toplevel),
    -- Whose identity and text the caller may not see.
    count(*) filter (where e.is_ours and e.queryid is null),
    coalesce(sum(e.total_exec_time) filter (where e.is_ours and e.toplevel and e.queryid is null), 0)::float8
from entries e
