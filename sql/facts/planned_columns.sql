-- $1 oid[]: tables of a plan, with what pg_stats shows the caller of their columns.
select
    c.oid,
    a.attname::text,
    s.n_distinct::float8,
    s.most_common_freqs,
    coalesce(pg_catalog.array_length(s.histogram_bounds, 1), 0),
    nullif(a.attstattarget, -1)::int4
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
-- OFFSET 0 has the view looked up by name for each column; joined, it would compute privileges for every column there is.
left join lateral (
    select *
    from pg_catalog.pg_stats v
    where v.schemaname = n.nspname and v.tablename = c.relname and v.attname = a.attname and v.inherited = (c.relkind = 'p')
    offset 0
) s on true
where c.oid = any ($1)
order by c.oid, a.attnum
