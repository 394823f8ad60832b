-- Of the extension: anybody may give a table its name.
select c.oid
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_depend d
    on d.classid = 'pg_catalog.pg_class'::regclass
    and d.objid = c.oid
    and d.objsubid = 0
    and d.refclassid = 'pg_catalog.pg_extension'::regclass
    and d.deptype = 'e'
join pg_catalog.pg_extension e on e.oid = d.refobjid
where n.nspname = 'dbre' and c.relname = 'vector_queries' and c.relkind = 'r' and e.extname = 'pg_dbre'
