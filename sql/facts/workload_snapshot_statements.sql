-- What had been counted of each statement at the snapshot with the time $1, in microseconds since 2000.
select
    s.query_id,
    s.role,
    s.top_level,
    (extract(epoch from s.since - '2000-01-01 00:00:00+00') * 1000000)::bigint,
    s.calls,
    s.total_ms,
    s.deviation_ms,
    s.rows,
    s.blocks,
    s.read_blocks,
    s.temp_blocks,
    s.wal_bytes
from dbre.workload_snapshot_statements s
where s.taken_at = '2000-01-01 00:00:00+00'::timestamptz + $1 * interval '1 microsecond'
