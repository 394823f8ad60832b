-- $1 oid[]: tables that a migration concerns, with the sequences that their columns own.
select
    d.refobjid,
    d.objid
from pg_catalog.pg_depend d
join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.refobjid = any ($1)
    and d.deptype in ('a', 'i')
    and d.refobjsubid > 0
order by d.refobjid, d.objid
