-- $1: OIDs of relations that the log names; qualified and quoted, those that are still here.
select c.oid::pg_catalog.int8, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid::pg_catalog.int8 = any ($1)
