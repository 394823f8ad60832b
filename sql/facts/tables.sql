-- Tables, partitioned tables and materialized views. $1: names of the schemas to judge, NULL for all but the system's.
-- pg_relation_filepath() reads the catalogs for each relation: it is left to those that are not in the usual folder.
with folder as materialized (
    select pg_catalog.regexp_replace(pg_catalog.pg_relation_filepath('pg_catalog.pg_class'), '[^/]*$', '') as path
)
select
    c.oid,
    n.nspname::text,
    c.relname::text,
    c.relkind::text,
    c.relpersistence::text,
    c.relreplident::text,
    -- -1: never vacuumed or analyzed
    case when c.reltuples >= 0 then c.reltuples::float8 end,
    c.relpages,
    case when c.relfilenode = 0 or c.reltablespace <> 0 or c.relpersistence = 't'
        then pg_catalog.pg_relation_filepath(c.oid)
        else folder.path || c.relfilenode
    end,
    i.inhparent,
    -- 0: an expression
    k.partattrs::pg_catalog.int2[],
    p.oid is not null,
    c.relkind = 'p' and exists (
        select from pg_catalog.pg_inherits part
        join pg_catalog.pg_class f on f.oid = part.inhrelid and f.relkind = 'f'
        where part.inhparent = c.oid
    ),
    coalesce(n.nspname = any ($1), true) and d.objid is null,
    case when (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user)
        then true
        else pg_catalog.has_table_privilege(c.oid, 'SELECT') is true
            and not (c.relrowsecurity and pg_catalog.row_security_active(c.oid))
    end,
    l.relation is not null,
    c.relrowsecurity,
    pg_catalog.pg_stat_get_numscans(c.oid),
    pg_catalog.pg_stat_get_tuples_returned(c.oid),
    pg_catalog.pg_stat_get_tuples_inserted(c.oid),
    pg_catalog.pg_stat_get_tuples_updated(c.oid),
    pg_catalog.pg_stat_get_tuples_hot_updated(c.oid),
    pg_catalog.pg_stat_get_tuples_deleted(c.oid)
from folder
cross join pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_inherits i on c.relispartition and i.inhrelid = c.oid
left join pg_catalog.pg_partitioned_table k on k.partrelid = c.oid
-- published, so that updates and deletes need a replica identity
left join (
    select pr.prrelid as oid
    from pg_catalog.pg_publication_rel pr
    join pg_catalog.pg_publication pub on pub.oid = pr.prpubid and (pub.pubupdate or pub.pubdelete)
    union
    select t.oid
    from pg_catalog.pg_publication pub
    left join pg_catalog.pg_publication_namespace pn on pn.pnpubid = pub.oid
    join pg_catalog.pg_class t on t.relkind in ('r', 'p') and t.relpersistence = 'p'
        and (pub.puballtables or t.relnamespace = pn.pnnspid)
    where pub.pubupdate or pub.pubdelete
) p on p.oid = c.oid
left join pg_catalog.pg_depend d
    on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.objsubid = 0 and d.deptype = 'e'
-- Printing a definition would wait for these locks.
left join (
    select distinct lock.relation
    from pg_catalog.pg_locks lock
    join pg_catalog.pg_database db on db.oid = lock.database and db.datname = pg_catalog.current_database()
    where lock.locktype = 'relation' and lock.mode = 'AccessExclusiveLock' and lock.pid is distinct from pg_catalog.pg_backend_pid()
) l on l.relation = c.oid
where c.relkind in ('r', 'p', 'm')
    and (
        (n.nspname !~ '^pg_' and n.nspname <> 'information_schema')
        or n.oid = pg_catalog.pg_my_temp_schema()
        or n.nspname = any ($1)
    )
