-- Planner statistics, as far as pg_stats shows them to the caller, of the columns $2 of the tables $1, pair by pair.
select
    k.relid,
    k.attnum,
    s.null_frac,
    s.most_common_freqs[1]
from rows from (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::int2[])) as k (relid, attnum)
join pg_catalog.pg_class c on c.oid = k.relid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = k.relid and a.attnum = k.attnum
-- OFFSET 0 has the view looked up by name for each column; joined, it would compute privileges for every column there is.
cross join lateral (
    select *
    from pg_catalog.pg_stats v
    where v.schemaname = n.nspname and v.tablename = c.relname and v.attname = a.attname and v.inherited = (c.relkind = 'p')
    offset 0
) s
