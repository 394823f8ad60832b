-- Keeps what pg_stat_statements, in {schema}, has counted of this database at $1.
with entries as materialized (
    select s.*
    from {schema}.pg_stat_statements(false) s
    where s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
),
snapshot as (
    insert into dbre.workload_snapshots (taken_at, statements, calls, total_ms)
    select
        $1,
        count(*),
        coalesce(sum(e.calls) filter (where e.toplevel), 0),
        coalesce(sum(e.total_exec_time) filter (where e.toplevel), 0)
    from entries e
)
insert into dbre.workload_snapshot_statements (
    taken_at, query_id, role, top_level, since, calls, total_ms, deviation_ms, rows, blocks, read_blocks, temp_blocks, wal_bytes
)
select
    $1,
    e.queryid,
    pg_catalog.pg_get_userbyid(e.userid),
    e.toplevel,
    e.stats_since,
    e.calls,
    e.total_exec_time,
    e.stddev_exec_time,
    e.rows,
    e.shared_blks_hit + e.shared_blks_read,
    e.shared_blks_read,
    e.temp_blks_written,
    e.wal_bytes::float8
from entries e
where e.queryid is not null
