-- Settings that say what is logged and where, and those that findings on the log reckon with; as SHOW prints them, and in
-- their own unit. Where a value was set is shown to those only who may read all settings.
select
    s.name,
    pg_catalog.current_setting(s.name),
    s.setting,
    s.pending_restart,
    coalesce(s.sourcefile like '%postgresql.auto.conf', false)
from pg_catalog.pg_settings s
where s.name in ('logging_collector', 'log_destination', 'log_directory', 'log_filename', 'log_timezone',
    'log_min_duration_statement', 'log_min_duration_sample', 'log_statement_sample_rate', 'log_transaction_sample_rate',
    'log_lock_waits', 'log_temp_files', 'log_checkpoints', 'log_min_messages', 'log_min_error_statement', 'lc_messages',
    'auto_explain.log_min_duration', 'max_wal_size', 'checkpoint_timeout', 'checkpoint_completion_target', 'checkpoint_warning',
    'max_connections', 'superuser_reserved_connections', 'reserved_connections', 'work_mem', 'hash_mem_multiplier',
    'deadlock_timeout', 'temp_file_limit')
