-- $1 oid: a table. $2 int2[]: columns. How it and they are written today, where the caller may read all their rows.
select
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
    (
        select pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) order by k.position)
        from pg_catalog.unnest($2) with ordinality as k (number, position)
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
    )
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = $1
    and c.relkind in ('r', 'p', 'm')
    and pg_catalog.has_schema_privilege(n.oid, 'usage')
    and not pg_catalog.row_security_active(c.oid)
    and (
        select pg_catalog.bool_and(pg_catalog.has_column_privilege(c.oid, k.number, 'select'))
        from pg_catalog.unnest($2) as k (number)
    )
