-- $1 oid[]: relations that a migration concerns. $2 oid[]: those among them that nobody else has locked.
with folder as materialized (
    select pg_catalog.regexp_replace(pg_catalog.pg_relation_filepath('pg_catalog.pg_class'), '[^/]*$', '') as path
)
select
    x.indrelid,
    c.oid,
    n.nspname::text,
    c.relname::text,
    x.indisunique,
    x.indisprimary,
    x.indisvalid,
    m.amname::text,
    (
        select pg_catalog.array_agg(a.attname::text order by k.position)
        from pg_catalog.unnest(x.indkey::pg_catalog.int2[]) with ordinality as k (number, position)
        left join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.number and k.number <> 0
        where k.position <= x.indnkeyatts
    ),
    (
        select pg_catalog.array_agg(a.attname::text order by k.position)
        from pg_catalog.unnest(x.indkey::pg_catalog.int2[]) with ordinality as k (number, position)
        join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.number
        where k.position > x.indnkeyatts
    ),
    x.indpred is not null,
    -- columns of expressions and predicate
    case when x.indpred is not null or x.indexprs is not null then (
        select pg_catalog.array_agg(distinct a.attname::text)
        from pg_catalog.pg_depend d
        join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.objid = c.oid
            and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.refobjid = x.indrelid
            and not (d.refobjsubid = any (x.indkey::pg_catalog.int2[]))
    ) end,
    x.indclass::pg_catalog.oid[],
    x.indcollation::pg_catalog.oid[],
    c.relpages,
    case when c.relfilenode = 0 then null
        when c.reltablespace <> 0 or c.relpersistence = 't' then pg_catalog.pg_relation_filepath(c.oid)
        else folder.path || c.relfilenode
    end,
    -- NULL: another session has dropped it meanwhile
    case when x.indrelid = any ($2) then coalesce(pg_catalog.pg_get_indexdef(c.oid), '') else '' end,
    (select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
    x.indisreplident
from folder
cross join pg_catalog.pg_index x
join pg_catalog.pg_class c on c.oid = x.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_am m on m.oid = c.relam
where x.indrelid = any ($1)
order by x.indrelid, c.oid
