-- $1 oid[]: relations that a migration concerns. Text that the server prints of expressions is left out where another session has
-- locked the relation, for printing would wait.
with folder as materialized (
    select pg_catalog.regexp_replace(pg_catalog.pg_relation_filepath('pg_catalog.pg_class'), '[^/]*$', '') as path
),
locked as materialized (
    select distinct lock.relation
    from pg_catalog.pg_locks lock
    join pg_catalog.pg_database db on db.oid = lock.database and db.datname = pg_catalog.current_database()
    where lock.locktype = 'relation' and lock.mode = 'AccessExclusiveLock' and lock.pid is distinct from pg_catalog.pg_backend_pid()
)
select
    c.oid,
    n.nspname::text,
    c.relname::text,
    c.relkind::text,
    c.relpersistence::text,
    pg_catalog.pg_get_userbyid(c.relowner)::text,
    -- below 0: never vacuumed or analyzed
    c.reltuples::float8,
    c.relpages,
    case when c.relfilenode = 0 then null
        when c.reltablespace <> 0 or c.relpersistence = 't' then pg_catalog.pg_relation_filepath(c.oid)
        else folder.path || c.relfilenode
    end,
    case when t.relfilenode = 0 then null
        when t.reltablespace <> 0 or t.relpersistence = 't' then pg_catalog.pg_relation_filepath(t.oid)
        else folder.path || t.relfilenode
    end,
    coalesce(t.relpages, 0),
    c.relrowsecurity,
    c.relispartition,
    coalesce(s.spcname::text, ''),
    coalesce(m.amname::text, ''),
    (select pg_catalog.array_agg(i.inhparent order by i.inhseqno) from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
    (select pg_catalog.array_agg(i.inhrelid order by i.inhrelid) from pg_catalog.pg_inherits i where i.inhparent = c.oid),
    case when l.relation is null then pg_catalog.pg_get_expr(c.relpartbound, c.oid) end,
    case when l.relation is null and c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
    (
        select pg_catalog.array_agg(a.attname::text order by k.position)
        from pg_catalog.pg_partitioned_table p
        cross join pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) with ordinality as k (number, position)
        left join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = k.number and k.number <> 0
        where p.partrelid = c.oid
    ),
    (select nullif(p.partdefid, 0) from pg_catalog.pg_partitioned_table p where p.partrelid = c.oid),
    (
        select pg_catalog.array_agg(g.tgname::text order by g.tgname)
        from pg_catalog.pg_trigger g
        where g.tgrelid = c.oid and not g.tgisinternal
    ),
    (select pg_catalog.array_agg(y.polname::text order by y.polname) from pg_catalog.pg_policy y where y.polrelid = c.oid),
    l.relation is not null,
    nullif(c.reloftype, 0)
from folder
cross join pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class t on t.oid = c.reltoastrelid
left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
left join pg_catalog.pg_am m on m.oid = c.relam
left join locked l on l.relation = c.oid
where c.oid = any ($1)
order by c.oid
