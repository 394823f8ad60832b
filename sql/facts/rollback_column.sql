-- How column $2 of relation $1 is now, in the words of ALTER TABLE.
select
    a.attnum,
    pg_catalog.format_type(a.atttypid, a.atttypmod)
        || case when a.attcollation <> t.typcollation then ' COLLATE ' || a.attcollation::pg_catalog.regcollation::text else '' end,
    case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end,
    case when a.attgenerated <> '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end,
    a.attnotnull,
    case a.attidentity when 'a' then 'ALWAYS' when 'd' then 'BY DEFAULT' end,
    (
        select pg_catalog.format(
            'INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', q.seqincrement, q.seqmin, q.seqmax, q.seqstart,
            q.seqcache, case when q.seqcycle then 'CYCLE' else 'NO CYCLE' end
        )
        from pg_catalog.pg_sequence q
        where q.seqrelid = s.oid
    ),
    case when s.oid is not null then pg_catalog.format('%I.%I', sn.nspname, s.relname) end,
    -- pg_sequence_last_value() would take ROW EXCLUSIVE.
    case when s.oid is not null and pg_catalog.has_sequence_privilege(s.oid, 'SELECT')
        then (pg_catalog.xpath('/table/row/last_value/text()', pg_catalog.query_to_xml(
            pg_catalog.format('select last_value from %s where is_called', s.oid::pg_catalog.regclass), false, false, '')))[1]::text::int8 end,
    coalesce(a.attstattarget, -1)::int4,
    case a.attstorage when 'p' then 'PLAIN' when 'e' then 'EXTERNAL' when 'm' then 'MAIN' else 'EXTENDED' end,
    case a.attcompression when 'p' then 'pglz' when 'l' then 'lz4' else 'default' end,
    coalesce(a.attoptions, '{}')
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_catalog.pg_depend i
    on i.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.refobjid = a.attrelid and a.attidentity <> ''
    and i.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.refobjsubid = a.attnum and i.deptype = 'i'
left join pg_catalog.pg_class s on s.oid = i.objid and s.relkind = 'S'
left join pg_catalog.pg_namespace sn on sn.oid = s.relnamespace
where a.attrelid = $1 and a.attname = $2 and a.attnum > 0 and not a.attisdropped
