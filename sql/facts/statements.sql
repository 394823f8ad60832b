-- The statements of this database that took most time, $1 at most, with the role that ran them and its search_path.
-- {schema}: where pg_stat_statements is installed.
select
    s.query,
    s.queryid,
    s.toplevel,
    s.userid,
    pg_catalog.pg_get_userbyid(s.userid)::text,
    coalesce(
        (
            select pg_catalog.substr(setting, pg_catalog.length('search_path=') + 1)
            from pg_catalog.pg_db_role_setting r
            cross join pg_catalog.unnest(r.setconfig) setting
            where r.setrole in (s.userid, 0) and r.setdatabase in (s.dbid, 0) and setting like 'search_path=%'
            order by r.setrole <> 0 and r.setdatabase <> 0 desc, r.setrole <> 0 desc, r.setdatabase <> 0 desc
            limit 1
        ),
        (select reset_val from pg_catalog.pg_settings where name = 'search_path')
    ),
    s.calls,
    s.total_exec_time,
    s.min_exec_time,
    s.max_exec_time,
    s.stddev_exec_time,
    s.rows,
    s.plans,
    s.total_plan_time,
    s.shared_blks_hit,
    s.shared_blks_read,
    s.temp_blks_read,
    s.temp_blks_written,
    s.shared_blk_read_time + s.shared_blk_write_time + s.local_blk_read_time + s.local_blk_write_time
        + s.temp_blk_read_time + s.temp_blk_write_time,
    s.wal_records,
    s.wal_bytes::float8,
    s.wal_fpi,
    -- Deforming is part of the generation.
    s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time,
    extract(epoch from pg_catalog.clock_timestamp() - s.stats_since)::float8,
    (extract(epoch from s.stats_since - '2000-01-01 00:00:00+00') * 1000000)::bigint,
    coalesce(
        (
            -- In kB where no unit is written.
            select case when value ~ '^[0-9]+$' then value::bigint * 1024 else pg_catalog.pg_size_bytes(value) end
            from pg_catalog.pg_db_role_setting r
            cross join pg_catalog.unnest(r.setconfig) setting
            cross join pg_catalog.substr(setting, pg_catalog.length('work_mem=') + 1) value
            where r.setrole in (s.userid, 0) and r.setdatabase in (s.dbid, 0) and setting like 'work\_mem=%'
            order by r.setrole <> 0 and r.setdatabase <> 0 desc, r.setrole <> 0 desc, r.setdatabase <> 0 desc
            limit 1
        ),
        (select reset_val::bigint * 1024 from pg_catalog.pg_settings where name = 'work_mem')
    ),
    exists (
        select
        from pg_catalog.pg_db_role_setting r
        cross join pg_catalog.unnest(r.setconfig) setting
        where r.setrole = s.userid and r.setdatabase = s.dbid and setting like 'work\_mem=%'
    )
from {schema}.pg_stat_statements s
where s.dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    -- those of other roles have neither, unless the caller may read all statistics
    and s.query is not null
    and s.queryid is not null
order by s.total_exec_time desc, s.queryid, s.userid
limit $1
