-- The statements of this database that took most time, $1 at most, with the role that ran them and its search_path.
-- {schema}: where pg_stat_statements is installed.
select
    s.query,
    s.queryid,
    s.calls,
    s.total_exec_time,
    s.rows,
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
    )
from {schema}.pg_stat_statements s
where s.dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    -- those of other roles have neither, unless the caller may read all statistics
    and s.query is not null
    and s.queryid is not null
order by s.total_exec_time desc, s.queryid, s.userid
limit $1
