-- Columns of pgvector's types, and of bit strings that one of its access methods indexes. $1: a table, with its partitions; NULL:
-- all but the system's and those of extensions.
with recursive folder as materialized (
    select pg_catalog.regexp_replace(pg_catalog.pg_relation_filepath('pg_catalog.pg_class'), '[^/]*$', '') as path
),
members as materialized (
    select d.classid, d.objid
    from pg_catalog.pg_depend d
    join pg_catalog.pg_extension e on e.oid = d.refobjid and e.extname = 'vector'
    where d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
),
types as (
    select t.oid, t.typname::text as element, -1 as modifier
    from pg_catalog.pg_type t
    join members m on m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and m.objid = t.oid
    where t.typname in ('vector', 'halfvec', 'sparsevec')
    union all
    values ('pg_catalog.bit'::pg_catalog.regtype::pg_catalog.oid, 'bit', -1)
    union all
    -- domains
    select t.oid, b.element, case when t.typtypmod >= 0 then t.typtypmod else b.modifier end
    from types b
    join pg_catalog.pg_type t on t.typbasetype = b.oid and t.typtype = 'd'
),
asked as (
    select $1 as oid
    union
    select i.inhrelid from asked a join pg_catalog.pg_inherits i on i.inhparent = a.oid
),
-- columns that these indexes depend on, be it in an expression
indexed as materialized (
    select distinct d.refobjid as oid, d.refobjsubid as number
    from pg_catalog.pg_class i
    join members m on m.classid = 'pg_catalog.pg_am'::pg_catalog.regclass and m.objid = i.relam
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0
    where i.relkind in ('i', 'I')
)
select
    c.oid,
    a.attnum,
    n.nspname::text,
    c.relname::text,
    a.attname::text,
    t.element,
    case when a.atttypmod >= 0 then a.atttypmod else t.modifier end,
    y.typtype = 'd',
    c.relkind = 'p',
    i.inhparent,
    case when c.relispartition then pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid end,
    -- -1: never vacuumed or analyzed
    c.reltuples::float8,
    c.relpages,
    case when c.relfilenode = 0 or c.reltablespace <> 0 or c.relpersistence = 't'
        then pg_catalog.pg_relation_filepath(c.oid)
        else folder.path || c.relfilenode
    end,
    o.relpages,
    case when o.relfilenode = 0 or o.reltablespace <> 0 or o.relpersistence = 't'
        then pg_catalog.pg_relation_filepath(o.oid)
        else folder.path || o.relfilenode
    end,
    a.attstorage::text,
    a.attnotnull,
    pg_catalog.pg_stat_get_live_tuples(c.oid),
    pg_catalog.pg_stat_get_dead_tuples(c.oid),
    pg_catalog.pg_stat_get_tuples_inserted(c.oid),
    pg_catalog.pg_stat_get_tuples_updated(c.oid),
    pg_catalog.pg_stat_get_tuples_deleted(c.oid),
    -- of indexed columns: rows that are not in the index
    case when x.oid is not null then (
        select s.null_frac::float8
        from pg_catalog.pg_stats s
        where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
    ) end,
    l.relation is not null
from folder
cross join pg_catalog.pg_attribute a
join types t on t.oid = a.atttypid
join pg_catalog.pg_type y on y.oid = a.atttypid
join pg_catalog.pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'm')
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_inherits i on c.relispartition and i.inhrelid = c.oid
left join pg_catalog.pg_class o on o.oid = c.reltoastrelid
left join indexed x on x.oid = a.attrelid and x.number = a.attnum
left join pg_catalog.pg_depend e
    on e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = c.oid and e.objsubid = 0 and e.deptype = 'e'
-- Printing a definition would wait for these locks.
left join (
    select distinct lock.relation
    from pg_catalog.pg_locks lock
    join pg_catalog.pg_database db on db.oid = lock.database and db.datname = pg_catalog.current_database()
    where lock.locktype = 'relation' and lock.mode = 'AccessExclusiveLock' and lock.pid is distinct from pg_catalog.pg_backend_pid()
) l on l.relation = c.oid
where a.attnum > 0 and not a.attisdropped
    and (t.element <> 'bit' or x.oid is not null or $1 is not null)
    and case when $1 is null
        then ((n.nspname !~ '^pg_' and n.nspname <> 'information_schema') or n.oid = pg_catalog.pg_my_temp_schema()) and e.objid is null
        else c.oid in (select oid from asked)
    end
order by c.oid, a.attnum
