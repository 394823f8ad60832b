-- Bodies of functions and procedures of these names ($1) in SQL and PL/pgSQL.
select
    n.nspname::text,
    p.proname::text,
    coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where
    p.proname = any ($1::text[])
    and l.lanname in ('sql', 'plpgsql')
    and n.nspname not in ('pg_catalog', 'information_schema')
