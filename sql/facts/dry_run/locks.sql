-- Locks on relations of this database that this session holds.
select l.relation, l.mode
from pg_catalog.pg_locks as l
where l.pid = pg_catalog.pg_backend_pid()
    and l.locktype = 'relation'
    and l.granted
    and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
