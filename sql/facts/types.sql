-- Types, without the row types of tables and their arrays.
select
    t.oid,
    pg_catalog.format_type(t.oid, null),
    t.typbasetype,
    t.typcategory::text,
    t.typlen,
    t.typalign::text,
    -- Support function 4: equal values are alike bit by bit, so that a btree may deduplicate them.
    f.amprocfamily is not null
from pg_catalog.pg_type t
left join pg_catalog.pg_opclass o
    on o.opcmethod = (select am.oid from pg_catalog.pg_am am where am.amname = 'btree')
    and o.opcdefault
    and o.opcintype = case
        when t.typtype = 'e' then 'pg_catalog.anyenum'::pg_catalog.regtype
        when t.typname = 'varchar' then 'pg_catalog.text'::pg_catalog.regtype
        when t.typcategory = 'A' then 'pg_catalog.anyarray'::pg_catalog.regtype
        when t.typtype = 'r' then 'pg_catalog.anyrange'::pg_catalog.regtype
        else t.oid
    end
left join pg_catalog.pg_amproc f
    on f.amprocfamily = o.opcfamily and f.amproclefttype = o.opcintype and f.amprocrighttype = o.opcintype and f.amprocnum = 4
left join pg_catalog.pg_type e on e.oid = t.typelem and t.typcategory = 'A'
where t.typrelid = 0 and coalesce(e.typrelid, 0) = 0
