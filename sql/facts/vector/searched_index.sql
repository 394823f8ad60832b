-- One index, with what a search by it needs to know; no row: there is no such relation. Of what is no index, most is null.
select c.relkind::text,
       cn.nspname::text,
       c.relname::text,
       am.amname::text,
       i.indisvalid and i.indisready,
       t.oid,
       tn.nspname::text,
       t.relname::text,
       -- 0: an expression
       i.indkey[0],
       i.indexprs::text,
       ia.atttypid,
       pg_catalog.format_type(ia.atttypid, ia.atttypmod),
       operators.oprname::text,
       operators.nspname::text,
       c.reloptions,
       pg_catalog.has_table_privilege(t.oid, 'select')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
left join pg_catalog.pg_am am on am.oid = c.relam
left join pg_catalog.pg_index i on i.indexrelid = c.oid
left join pg_catalog.pg_class t on t.oid = i.indrelid
left join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
left join pg_catalog.pg_attribute ia on ia.attrelid = c.oid and ia.attnum = 1
left join lateral (
    select o.oprname, n.nspname
    from pg_catalog.pg_opclass oc
    join pg_catalog.pg_amop ao
        on ao.amopfamily = oc.opcfamily and ao.amoplefttype = oc.opcintype and ao.amoppurpose = 'o'
    join pg_catalog.pg_operator o on o.oid = ao.amopopr
    join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
    where oc.oid = i.indclass[0]
    limit 1
) operators on true
where c.oid = $1
