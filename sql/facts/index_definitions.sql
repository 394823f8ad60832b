-- Definitions of the indexes $1, and what a definition doesn't say: tablespace and comment.
select i.indexrelid, c.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid), c.relkind = 'I', s.spcname::text,
    n.nspname::text, pg_catalog.obj_description(i.indexrelid, 'pg_class')
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
where i.indexrelid = any ($1)
