-- Replication slots, with how far each holds back the removal of dead rows.
select
    s.slot_name::text,
    s.slot_type,
    s.active,
    s.active_pid,
    pg_catalog.age(s.xmin)::int8,
    pg_catalog.age(s.catalog_xmin)::int8,
    extract(epoch from pg_catalog.clock_timestamp() - s.inactive_since)::float8,
    s.wal_status,
    s.invalidation_reason,
    -- A start, after a crash too, sets the time anew when it reads the slots.
    s.inactive_since < server.started + interval '1 minute'
from pg_catalog.pg_get_replication_slots() s
cross join (
    select coalesce(pg_catalog.max(a.backend_start), pg_catalog.pg_postmaster_start_time()) as started
    from pg_catalog.pg_stat_get_activity(null) a
    where a.backend_type = 'checkpointer'
) server
