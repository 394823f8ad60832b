-- $1 text[]: names of functions that stand in a plan.
select
    n.nspname::text,
    p.proname::text,
    pg_catalog.format(
        '%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)
    ),
    p.provolatile::text,
    l.lanname::text,
    p.procost::float8,
    case when p.proretset then p.prorows::float8 end,
    p.proparallel = 's',
    p.prosupport <> 0
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where p.proname = any ($1) and p.prokind = 'f'
order by p.proname, p.oid
