-- The newest snapshot of the workload: the time of all statements at it, and how long ago it was taken.
select
    pg_catalog.to_char(s.taken_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
    s.total_ms,
    extract(epoch from pg_catalog.clock_timestamp() - s.taken_at)::float8
from dbre.workload_snapshots s
order by s.taken_at desc
limit 1
