-- Functions of the users whose bodies are text in SQL or PL/pgSQL, and hold one of the words $1.
select
    p.proname::text,
    p.oid::pg_catalog.regprocedure::text,
    l.lanname::text,
    p.prosrc
from pg_catalog.pg_proc p
join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and p.prosqlbody is null
    and exists (
        select from pg_catalog.unnest($1) word where pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(word)) > 0
    )
    and not exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
    )
order by 2
