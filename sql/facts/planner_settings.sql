-- Settings that bear on plans, as SHOW prints them.
select s.name, pg_catalog.current_setting(s.name)
from pg_catalog.pg_settings s
where s.category like 'Query Tuning%' or s.category like 'Resource Usage%'
    or s.name in ('max_worker_processes', 'track_io_timing', 'checkpoint_timeout', 'max_wal_size', 'full_page_writes',
        'wal_compression', 'default_statistics_target', 'max_connections')
