-- Of columns $2 of table $1: how many values the caller's statistics know (less than 0: a share of the rows), and whether a
-- valid index that is not one of vectors begins with the column.
select
    a.attnum,
    (
        select s.n_distinct::float8
        from pg_catalog.pg_stats s
        where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
        order by s.inherited desc
        limit 1
    ),
    exists (
        select
        from pg_catalog.pg_index i
        join pg_catalog.pg_class ic on ic.oid = i.indexrelid
        join pg_catalog.pg_am am on am.oid = ic.relam
        where i.indrelid = c.oid
            and i.indisvalid
            and i.indpred is null
            and i.indkey[0] = a.attnum
            and am.amname not in ('hnsw', 'ivfflat')
    )
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid
where c.oid = $1 and a.attnum = any ($2::smallint[])
