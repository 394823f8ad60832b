-- Functions in PL/pgSQL that execute text. $1: names of the schemas to judge, NULL for all but the system's.
select
    n.nspname::text,
    p.proname::text,
    pg_catalog.pg_get_function_identity_arguments(p.oid),
    p.prosecdef,
    pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE'),
    -- names of the parameters through which a caller can hand over text, $1 and so on where they have none
    array(
        select coalesce(nullif(p.proargnames[a.number], ''), '$' || a.number)
        from pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality a (type, number)
        join pg_catalog.pg_type t on t.oid = a.type
        left join pg_catalog.pg_type base on base.oid = t.typbasetype
        where coalesce(base.typcategory, t.typcategory) in ('S', 'X')
            and coalesce(p.proargmodes[a.number], 'i') in ('i', 'b', 'v')
        order by a.number
    ),
    p.prosrc
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
where p.prosrc ~* '\mexecute\M'
    and p.prosrc ~ '\|\|'
    and n.nspname !~ '^pg_'
    and n.nspname <> 'information_schema'
    and coalesce(n.nspname = any ($1), true)
    and not exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
    )
order by 1, 2, 3
