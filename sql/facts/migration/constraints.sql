-- $1 oid[]: relations that a migration concerns. $2 oid[]: those among them that nobody else has locked.
select
    k.conrelid,
    k.conname::text,
    k.contype::text,
    (
        select pg_catalog.array_agg(a.attname::text order by c.position)
        from pg_catalog.unnest(k.conkey) with ordinality as c (number, position)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.number
    ),
    case when k.contype <> 'c' or k.conrelid = any ($2) then coalesce(pg_catalog.pg_get_constraintdef(k.oid), '') else '' end,
    case when k.contype = 'c' and k.conrelid = any ($2) then pg_catalog.pg_get_expr(k.conbin, k.conrelid) end,
    k.convalidated,
    k.connoinherit,
    nullif(k.confrelid, 0),
    (
        select pg_catalog.array_agg(a.attname::text order by c.position)
        from pg_catalog.unnest(k.confkey) with ordinality as c (number, position)
        join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.number
    ),
    k.confdeltype::text,
    k.confupdtype::text,
    (select i.relname::text from pg_catalog.pg_class i where i.oid = k.conindid),
    k.coninhcount > 0 or k.conparentid <> 0
from pg_catalog.pg_constraint k
where k.conrelid = any ($1) and k.contype in ('c', 'u', 'p', 'x', 'f')
order by k.conrelid, k.conname
