-- Definitions of the indexes $1, and the tablespaces that a definition doesn't name.
select i.indexrelid, c.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid), c.relkind = 'I', s.spcname::text
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
where i.indexrelid = any ($1)
