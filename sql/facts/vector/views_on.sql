-- Names of views that read one of the tables $1 (OIDs), be it by way of other views.
with recursive reading (relation) as (
    select table_oid::oid
    from pg_catalog.unnest($1::bigint[]) table_oid
    union
    select r.ev_class
    from reading
    join pg_catalog.pg_depend d
        on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        and d.refobjid = reading.relation
        and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    join pg_catalog.pg_rewrite r on r.oid = d.objid
)
select distinct c.relname::text
from reading
join pg_catalog.pg_class c on c.oid = reading.relation
where c.relkind in ('v', 'm')
order by 1
