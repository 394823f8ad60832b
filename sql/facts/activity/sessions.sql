-- Every process that the statistics system knows but this one. Functions only: no relation that another session may have locked.
select
    a.pid,
    a.backend_type,
    a.datid,
    a.usesysid,
    a.application_name,
    a.client_addr::text,
    a.state,
    a.wait_event_type,
    a.wait_event,
    a.backend_start::text,
    extract(epoch from c.now - a.backend_start)::float8,
    extract(epoch from c.now - a.xact_start)::float8,
    a.xact_start::text,
    a.query_start::text,
    extract(epoch from c.now - a.query_start)::float8,
    extract(epoch from c.now - a.state_change)::float8,
    a.state_change::text,
    a.backend_xid::text,
    pg_catalog.age(a.backend_xid)::int8,
    pg_catalog.age(a.backend_xmin)::int8,
    a.leader_pid,
    a.query_id,
    a.query,
    a.client_port,
    extract(epoch from a.backend_start)::float8
from pg_catalog.pg_stat_get_activity(null) a, (select pg_catalog.clock_timestamp() as now) c
where a.pid <> pg_catalog.pg_backend_pid()
order by a.pid
