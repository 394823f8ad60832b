-- $1 text[]: words of a migration. $2 oid[]: types of the columns it concerns. Types that users made, with domains' bases.
with recursive reached (oid) as (
    select t.oid from pg_catalog.pg_type t where t.typname = any ($1::pg_catalog.name[])
    union
    select t.oid from pg_catalog.pg_type t where t.oid = any ($2)
    union
    select next.oid
    from reached r
    join pg_catalog.pg_type t on t.oid = r.oid
    cross join lateral (values (t.typbasetype), (case when t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc then t.typelem else 0 end)) next (oid)
    where next.oid <> 0
)
select
    t.oid,
    n.nspname::text,
    t.typname::text,
    t.typtype::text,
    nullif(t.typbasetype, 0),
    t.typnotnull,
    t.typdefault is not null,
    (select pg_catalog.array_agg(e.enumlabel::text order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = t.oid),
    k.names,
    k.validated
from reached r
join pg_catalog.pg_type t on t.oid = r.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join lateral (
    select
        pg_catalog.array_agg(k.conname::text order by k.conname) as names,
        pg_catalog.array_agg(k.convalidated order by k.conname) as validated
    from pg_catalog.pg_constraint k
    where k.contypid = t.oid and k.contype = 'c'
) k on true
where (t.oid >= 16384 and t.typtype in ('b', 'c', 'd', 'e', 'r')) and (t.typtype <> 'b' or t.typelem = 0)
order by t.oid
