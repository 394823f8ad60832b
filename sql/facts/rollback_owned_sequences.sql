-- Which columns own the sequences $1.
select
    c.oid,
    pg_catalog.format(
        'ALTER SEQUENCE %s OWNED BY %s.%I;', c.oid::pg_catalog.regclass, d.refobjid::pg_catalog.regclass, a.attname
    )
from pg_catalog.pg_class c
join pg_catalog.pg_depend d
    on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'a'
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0
join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where c.oid = any ($1) and c.relkind = 'S'
