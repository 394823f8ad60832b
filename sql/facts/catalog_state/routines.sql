select
    case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
    p.oid::pg_catalog.regprocedure::text,
    pg_catalog.concat_ws(
        E'\n',
        case
            when p.prokind = 'a' then (
                select pg_catalog.format(
                    '%s returns %s: %s on %s from %s, final %s, combine %s, order %s, %s %s',
                    pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid),
                    a.aggtransfn, a.aggtranstype::pg_catalog.regtype, a.agginitval, a.aggfinalfn, a.aggcombinefn,
                    a.aggsortop::pg_catalog.regoperator, a.aggkind, a.aggnumdirectargs
                )
                from pg_catalog.pg_aggregate as a
                where a.aggfnoid = p.oid
            )
            else pg_catalog.pg_get_functiondef(p.oid)
        end,
        'owner ' || p.proowner::pg_catalog.regrole::text,
        'grants ' || (
            select pg_catalog.string_agg(g::text, ', ' order by g::text)
            from pg_catalog.unnest(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) as g
        )
    )
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname not like 'pg\_temp\_%'
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            and e.objid = p.oid
            and e.deptype = 'e'
    )
