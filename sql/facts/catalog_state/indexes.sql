select
    'index',
    pg_catalog.format('%I.%I', n.nspname, c.relname),
    pg_catalog.concat_ws(
        E'\n',
        pg_catalog.pg_get_indexdef(c.oid),
        case when not i.indisvalid then 'not valid' end,
        case when not i.indisready then 'not ready' end,
        case when i.indisclustered then 'clustered' end,
        case when i.indisreplident then 'replica identity' end,
        'tablespace ' || t.spcname,
        (
            select 'attached to ' || pg_catalog.format('%I.%I', pn.nspname, p.relname)
            from pg_catalog.pg_inherits as inherits
            join pg_catalog.pg_class as p on p.oid = inherits.inhparent
            join pg_catalog.pg_namespace as pn on pn.oid = p.relnamespace
            where inherits.inhrelid = c.oid
        ),
        (
            select 'statistics ' || pg_catalog.string_agg(a.attnum || ': ' || a.attstattarget, ', ' order by a.attnum)
            from pg_catalog.pg_attribute as a
            where a.attrelid = c.oid and a.attstattarget >= 0
        )
    )
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_class as r on r.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_tablespace as t on t.oid = c.reltablespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname not like 'pg\_temp\_%'
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and e.objid = r.oid
            and e.objsubid = 0
            and e.deptype = 'e'
    )
