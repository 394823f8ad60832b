-- Relations of user schemas, all or those that are named or that the running (sub)transaction has written, with how often
-- this session has begun to read them as a whole and how many rows it got.
select
    c.oid,
    n.nspname::text,
    c.relname::text,
    c.relkind::text,
    c.reltuples::float8,
    c.relfilenode,
    c.reltablespace,
    pg_catalog.pg_stat_get_xact_numscans(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_returned(c.oid)
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname not like 'pg\_toast\_temp\_%'
    and ($1::oid[] is null or c.oid = any ($1) or c.xmin = $2::text::xid)
