-- pgvector's types, by which columns and expressions are known, and one of its functions, which loads its library.
select t.oid, t.typname::text, t.typinput::pg_catalog.oid
from pg_catalog.pg_extension e
join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
    and d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.deptype = 'e'
join pg_catalog.pg_type t on t.oid = d.objid and t.typname in ('vector', 'halfvec', 'sparsevec')
where e.extname = 'vector'
