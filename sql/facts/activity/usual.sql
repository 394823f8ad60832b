-- What pg_stat_statements has counted of statements that run now ($1: their query ids). {schema}: where it is installed.
-- The function without texts takes no lock on a relation, and reads no file.
select
    s.queryid,
    s.userid,
    s.dbid,
    pg_catalog.sum(s.calls)::int8,
    pg_catalog.sum(s.total_exec_time),
    pg_catalog.max(s.max_exec_time)
from {schema}.pg_stat_statements(false) s
where s.queryid = any ($1) and s.calls > 0
group by s.queryid, s.userid, s.dbid
