-- Foreign keys as they were declared, that reference the tables $1, with the names of their children.
select
    c.conname::text,
    c.conrelid,
    c.confrelid,
    pg_catalog.format('%I.%I', n.nspname, t.relname),
    c.confdeltype::text,
    c.confupdtype::text
from pg_catalog.pg_constraint c
join pg_catalog.pg_class t on t.oid = c.conrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
where c.contype = 'f' and c.conparentid = 0 and c.confrelid = any ($1)
order by c.conrelid, c.conname
