-- Who would notice locks and load: clients of this database, standbys, slots, the archive.
select
    (
        select pg_catalog.count(*)
        from pg_catalog.pg_stat_activity as a
        where a.datid = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
            and a.pid <> pg_catalog.pg_backend_pid()
            and a.usesysid is not null
            -- Null to those who may not see it.
            and coalesce(a.backend_type, 'client backend') = 'client backend'
    ),
    (select pg_catalog.count(*) from pg_catalog.pg_stat_replication),
    (select pg_catalog.count(*) from pg_catalog.pg_replication_slots),
    pg_catalog.current_setting('archive_mode') <> 'off'
