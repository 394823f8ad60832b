-- Settings by which indexes are built and read, in bytes.
select
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')),
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')),
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('effective_cache_size')),
    pg_catalog.pg_is_in_recovery()
