-- Triggers of the users on the tables $1 that fire in a session of an application; those that partitions have from their
-- parents are left out.
select
    t.tgrelid,
    t.tgname::text,
    t.tgtype::int4,
    array(
        select a.attname::text from pg_catalog.pg_attribute a
        where a.attrelid = t.tgrelid and a.attnum = any (t.tgattr::pg_catalog.int2[])
    ),
    pg_catalog.format('%I.%I()', n.nspname, p.proname)
from pg_catalog.pg_trigger t
join pg_catalog.pg_proc p on p.oid = t.tgfoid
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where t.tgrelid = any ($1) and not t.tgisinternal and t.tgparentid = 0 and t.tgenabled in ('O', 'A')
order by t.tgrelid, t.tgname
