-- Functions whose effects a rolled back transaction does not take back, or that leave the server.
select p.oid, p.oid::regprocedure::text
from pg_catalog.pg_proc as p
join pg_catalog.pg_language as l on l.oid = p.prolang
left join pg_catalog.pg_depend as d
    on d.classid = 'pg_catalog.pg_proc'::regclass
    and d.objid = p.oid
    and d.deptype = 'e'
    and d.refclassid = 'pg_catalog.pg_extension'::regclass
left join pg_catalog.pg_extension as e on e.oid = d.refobjid
where (not l.lanpltrusted and l.lanname not in ('internal', 'c'))
    or e.extname in (
        'adminpack', 'aws_lambda', 'aws_s3', 'dblink', 'http', 'pg_background', 'pg_net', 'pg_surgery', 'plproxy'
    )
    or (
        p.pronamespace = 'pg_catalog'::regnamespace
        and (
            p.proname in (
                'lo_export', 'pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_advisory_unlock',
                'pg_advisory_unlock_all', 'pg_advisory_unlock_shared', 'pg_backup_start', 'pg_backup_stop',
                'pg_cancel_backend', 'pg_copy_logical_replication_slot', 'pg_copy_physical_replication_slot',
                'pg_create_logical_replication_slot', 'pg_create_physical_replication_slot',
                'pg_create_restore_point', 'pg_drop_replication_slot', 'pg_log_backend_memory_contexts',
                'pg_log_standby_snapshot', 'pg_logical_emit_message', 'pg_logical_slot_get_binary_changes',
                'pg_logical_slot_get_changes', 'pg_promote', 'pg_reload_conf', 'pg_replication_slot_advance',
                'pg_rotate_logfile', 'pg_switch_wal', 'pg_sync_replication_slots', 'pg_terminate_backend',
                'pg_try_advisory_lock', 'pg_try_advisory_lock_shared', 'setval'
            )
            or p.proname like 'pg\_stat\_reset%'
            or p.proname like 'pg\_replication\_origin\_%'
            or p.proname like 'pg\_wal\_replay\_%'
            or p.proname like 'binary\_upgrade\_%'
        )
    )
    or p.oid in (
        select f.oid
        from pg_catalog.pg_proc as f
        join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
        where f.proname = 'pg_stat_statements_reset'
            or (n.nspname = 'dbre' and f.proname in ('migration_dry_run', 'migration_round_trip'))
    )
