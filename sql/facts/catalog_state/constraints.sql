-- Of tables and of domains.
select
    'constraint',
    pg_catalog.format('%I on %I.%I', k.conname, coalesce(n.nspname, tn.nspname), coalesce(c.relname, t.typname)),
    pg_catalog.concat_ws(
        E'\n',
        pg_catalog.pg_get_constraintdef(k.oid),
        case when k.contype in ('p', 'u', 'x') then 'index ' || k.conindid::pg_catalog.regclass::text end,
        case when k.coninhcount > 0 then 'inherited' end,
        case when k.coninhcount > 0 and k.conislocal then 'and defined here' end,
        case when k.connoinherit and k.contype = 'c' then 'no inherit' end
    )
from pg_catalog.pg_constraint as k
left join (
    pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
) on c.oid = k.conrelid
left join (
    pg_catalog.pg_type as t
    join pg_catalog.pg_namespace as tn on tn.oid = t.typnamespace
) on t.oid = k.contypid
where k.contype in ('c', 'f', 'p', 'u', 'x', 'n')
    and coalesce(n.nspname, tn.nspname) not in ('pg_catalog', 'information_schema', 'pg_toast')
    and coalesce(n.nspname, tn.nspname) not like 'pg\_temp\_%'
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.deptype = 'e'
            and (
                (e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = k.conrelid and e.objsubid = 0)
                or (e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and e.objid = k.contypid)
            )
    )
