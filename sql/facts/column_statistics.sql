-- Planner statistics of columns that indexes and foreign keys use; pg_stats shows those that the caller may read.
with used as materialized (
    select i.indrelid as relid, pg_catalog.unnest(i.indkey::pg_catalog.int2[]) as attnum from pg_catalog.pg_index i
    union
    select c.conrelid, pg_catalog.unnest(c.conkey) from pg_catalog.pg_constraint c where c.contype = 'f'
)
select
    a.attrelid,
    a.attnum,
    s.null_frac,
    s.avg_width,
    s.n_distinct,
    s.most_common_freqs,
    -- values only where they are few enough to be named in a finding
    case when s.n_distinct between 1 and 100 then s.most_common_vals::text::text[] end
from used u
join pg_catalog.pg_class c on c.oid = u.relid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = u.relid and a.attnum = u.attnum
join pg_catalog.pg_stats s
    on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and s.inherited = (c.relkind = 'p')
where u.attnum > 0
