-- How far the commands are that report it. Functions only, as for sessions. Counters of a phase that has none are null.
select
    p.pid,
    p.datid,
    nullif(p.relid, 0),
    coalesce(
        case p.command
            when 'CLUSTER' then case p.param1 when 1 then 'CLUSTER' when 2 then 'VACUUM FULL' end
            when 'CREATE INDEX' then
                case p.param1
                    when 1 then 'CREATE INDEX'
                    when 2 then 'CREATE INDEX CONCURRENTLY'
                    when 3 then 'REINDEX'
                    when 4 then 'REINDEX CONCURRENTLY'
                end
            when 'COPY' then case p.param5 when 1 then 'COPY FROM' when 2 then 'COPY TO' end
            when 'BASEBACKUP' then 'base backup'
        end,
        p.command
    ),
    case p.command
        when 'VACUUM' then
            case p.param1
                when 0 then 'initializing'
                when 1 then 'scanning heap'
                when 2 then 'vacuuming indexes'
                when 3 then 'vacuuming heap'
                when 4 then 'cleaning up indexes'
                when 5 then 'truncating heap'
                when 6 then 'performing final cleanup'
            end
        when 'ANALYZE' then
            case p.param1
                when 0 then 'initializing'
                when 1 then 'acquiring sample rows'
                when 2 then 'acquiring inherited sample rows'
                when 3 then 'computing statistics'
                when 4 then 'computing extended statistics'
                when 5 then 'finalizing analyze'
            end
        when 'CLUSTER' then
            case p.param2
                when 0 then 'initializing'
                when 1 then 'seq scanning heap'
                when 2 then 'index scanning heap'
                when 3 then 'sorting tuples'
                when 4 then 'writing new heap'
                when 5 then 'swapping relation files'
                when 6 then 'rebuilding index'
                when 7 then 'performing final cleanup'
            end
        when 'CREATE INDEX' then
            case p.param10
                when 0 then 'initializing'
                when 1 then 'waiting for writers before build'
                when 2 then
                    'building index' || coalesce(': ' || pg_catalog.pg_indexam_progress_phasename(p.param9::oid, p.param11), '')
                when 3 then 'waiting for writers before validation'
                when 4 then 'index validation: scanning index'
                when 5 then 'index validation: sorting tuples'
                when 6 then 'index validation: scanning table'
                when 7 then 'waiting for old snapshots'
                when 8 then 'waiting for readers before marking dead'
                when 9 then 'waiting for readers before dropping'
            end
        when 'BASEBACKUP' then
            case p.param1
                when 0 then 'initializing'
                when 1 then 'waiting for checkpoint to finish'
                when 2 then 'estimating backup size'
                when 3 then 'streaming database files'
                when 4 then 'waiting for wal archiving to finish'
                when 5 then 'transferring wal files'
            end
        when 'COPY' then case p.param6 when 1 then 'file' when 2 then 'program' when 3 then 'client' when 4 then 'callback' end
    end,
    n.done,
    nullif(n.total, 0),
    n.unit,
    -- The session that a concurrent build waits for.
    case when p.command = 'CREATE INDEX' and p.param10 in (1, 3, 7, 8, 9) then nullif(p.param6, 0)::int end,
    -- The index that is built.
    case when p.command = 'CREATE INDEX' then nullif(p.param7, 0)::oid end
from (
    select 'VACUUM' as command, * from pg_catalog.pg_stat_get_progress_info('VACUUM')
    union all
    select 'ANALYZE', * from pg_catalog.pg_stat_get_progress_info('ANALYZE')
    union all
    select 'CLUSTER', * from pg_catalog.pg_stat_get_progress_info('CLUSTER')
    union all
    select 'CREATE INDEX', * from pg_catalog.pg_stat_get_progress_info('CREATE INDEX')
    union all
    select 'BASEBACKUP', * from pg_catalog.pg_stat_get_progress_info('BASEBACKUP')
    union all
    select 'COPY', * from pg_catalog.pg_stat_get_progress_info('COPY')
) p
left join lateral (
    values
        ('VACUUM', p.param1 = 1, p.param3, p.param2, 'blocks'),
        ('VACUUM', p.param1 in (2, 4), p.param10, p.param9, 'indexes'),
        ('VACUUM', p.param1 = 3, p.param4, p.param2, 'blocks'),
        ('ANALYZE', p.param1 in (1, 2), p.param3, p.param2, 'blocks'),
        ('ANALYZE', p.param1 = 4, p.param5, p.param4, 'extended statistics'),
        ('CLUSTER', p.param2 = 1, p.param7, p.param6, 'blocks'),
        ('CLUSTER', p.param2 = 4, p.param5, p.param4, 'rows'),
        ('CREATE INDEX', p.param10 in (1, 3, 7, 8, 9), p.param5, p.param4, 'transactions'),
        ('CREATE INDEX', p.param10 in (2, 4, 6) and p.param16 > 0 and p.param12 = 0, p.param17, p.param16, 'blocks'),
        ('CREATE INDEX', p.param10 in (2, 5) and p.param12 > 0, p.param13, p.param12, 'rows'),
        ('BASEBACKUP', p.param1 = 3, p.param3, greatest(p.param2, 0), 'bytes'),
        ('COPY', true, p.param1, p.param2, 'bytes')
) n (command, holds, done, total, unit) on n.command = p.command and n.holds
