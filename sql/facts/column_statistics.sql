-- Planner statistics, as far as pg_stats shows them to the caller, of the columns that rules look at: those of foreign keys
-- that no index begins with, and those of indexes of more than 64 kB (8 pages) or of partitioned tables.
with used as (
    select i.indrelid as relid, pg_catalog.unnest(i.indkey::pg_catalog.int2[]) as attnum
    from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid and (c.relpages > 8 or c.relkind = 'I')
    union
    select f.conrelid, pg_catalog.unnest(f.conkey)
    from pg_catalog.pg_constraint f
    where f.contype = 'f' and not exists (
        select from pg_catalog.pg_index i
        where i.indrelid = f.conrelid and i.indisvalid and i.indpred is null
            and i.indkey[0] = f.conkey[1] and pg_catalog.cardinality(f.conkey) = 1
    )
)
select
    u.relid,
    u.attnum,
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
-- OFFSET 0 has the view looked up by name for each column; joined, it would compute privileges for every column there is.
cross join lateral (
    select *
    from pg_catalog.pg_stats v
    where v.schemaname = n.nspname and v.tablename = c.relname and v.attname = a.attname and v.inherited = (c.relkind = 'p')
    offset 0
) s
where u.attnum > 0
