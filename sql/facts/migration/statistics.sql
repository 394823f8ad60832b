-- $1 text[], $2 text[]: schemas and names of relations that a migration concerns. What the caller may see.
select
    v.schemaname::text,
    v.tablename::text,
    v.attname::text,
    v.null_frac::float8,
    v.n_distinct::float8,
    v.avg_width
from pg_catalog.pg_stats v
join pg_catalog.pg_namespace n on n.nspname = v.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = v.tablename and v.inherited = (c.relkind = 'p')
where v.schemaname = any ($1::pg_catalog.name[]) and v.tablename = any ($2::pg_catalog.name[])
