-- How sequence $1 is now, as ALTER SEQUENCE has it, its last value, and the column that owns it.
select
    pg_catalog.format(
        'AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', pg_catalog.format_type(q.seqtypid, null),
        q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, case when q.seqcycle then 'CYCLE' else 'NO CYCLE' end
    ),
    -- pg_sequence_last_value() would take ROW EXCLUSIVE.
    case when pg_catalog.has_sequence_privilege(q.seqrelid, 'SELECT') then (pg_catalog.xpath('/table/row/last_value/text()', pg_catalog.query_to_xml(
            pg_catalog.format('select last_value from %s where is_called', q.seqrelid::pg_catalog.regclass), false, false, '')))[1]::text::int8 end,
    (
        select pg_catalog.format('%s.%I', d.refobjid::pg_catalog.regclass, a.attname)
        from pg_catalog.pg_depend d
        join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = q.seqrelid and d.deptype = 'a'
            and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    )
from pg_catalog.pg_sequence q
where q.seqrelid = $1
