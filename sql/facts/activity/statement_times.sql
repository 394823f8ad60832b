-- What pg_stat_statements has counted of this database's statements that no function ran; {schema}: where it is installed.
-- $1: OID of the role; $2: of the database. SET ROLE is counted for the role that it switches to: the text of others' statements is
-- read where it may be that, by one who may switch to them.
select
    s.userid = $1,
    s.queryid,
    s.calls::float8,
    s.mean_exec_time,
    s.stddev_exec_time,
    s.max_exec_time,
    case
        when s.queryid is null then null
        when
            s.userid = $1
            or s.query ~* '\mset\M.*\m(role|authorization)\M' and pg_catalog.pg_has_role($1, s.userid, 'SET')
            then pg_catalog.left(s.query, 5000)
    end,
    s.total_exec_time,
    s.shared_blk_read_time + s.shared_blk_write_time + s.local_blk_read_time + s.local_blk_write_time
        + s.temp_blk_read_time + s.temp_blk_write_time,
    extract(epoch from pg_catalog.clock_timestamp() - s.stats_since)::float8,
    (select i.dealloc from {schema}.pg_stat_statements_info i)
from {schema}.pg_stat_statements(true) s
where s.dbid = $2 and s.toplevel
