-- How relation $1 is now.
select
    coalesce(c.reloptions, '{}'),
    c.relpersistence::text,
    coalesce((select s.spcname::text from pg_catalog.pg_tablespace s where s.oid = c.reltablespace), 'pg_default'),
    (select m.amname::text from pg_catalog.pg_am m where m.oid = c.relam),
    case c.relreplident when 'f' then 'FULL' when 'n' then 'NOTHING' when 'd' then 'DEFAULT' else (
        select pg_catalog.format('USING INDEX %I', x.relname)
        from pg_catalog.pg_index i
        join pg_catalog.pg_class x on x.oid = i.indexrelid
        where i.indrelid = c.oid and i.indisreplident
    ) end,
    (
        select x.relname::text
        from pg_catalog.pg_index i
        join pg_catalog.pg_class x on x.oid = i.indexrelid
        where i.indrelid = c.oid and i.indisclustered
    ),
    c.relrowsecurity,
    c.relforcerowsecurity,
    pg_catalog.pg_get_userbyid(c.relowner)::text,
    pg_catalog.pg_get_expr(c.relpartbound, c.oid),
    (
        -- null: one of the parts holds something, and was never counted
        select case when pg_catalog.bool_and(t.reltuples > 0 or pg_catalog.pg_relation_size(t.oid) = 0)
            then pg_catalog.sum(greatest(t.reltuples, 0))::float8 end
        from pg_catalog.pg_class t
        where t.oid = c.oid and t.relkind <> 'p'
            or c.relkind = 'p' and t.relkind = 'r' and t.oid in (select p.relid from pg_catalog.pg_partition_tree(c.oid) p)
    )
from pg_catalog.pg_class c
where c.oid = $1
