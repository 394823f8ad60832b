-- The newest snapshot of the workload taken at or before $1 (null: at any time), and how long ago it was taken.
select
    (extract(epoch from s.taken_at - '2000-01-01 00:00:00+00') * 1000000)::bigint,
    pg_catalog.to_char(s.taken_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    extract(epoch from pg_catalog.clock_timestamp() - s.taken_at)::float8
from dbre.workload_snapshots s
where s.taken_at <= $1 or $1 is null
order by s.taken_at desc
limit 1
