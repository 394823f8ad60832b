-- Statements that bring objects ($1: the catalog, $2: OID) back that are no tables nor parts of them: schemas, extensions, types,
-- functions, sequences, views and publications.
with dropped as (
    select d.* from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) as d (classid, objid)
)
select d.classid, d.objid, array[pg_catalog.format('CREATE SCHEMA %I;', n.nspname)]
from dropped d
join pg_catalog.pg_namespace n on n.oid = d.objid
where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
union all
select d.classid, d.objid, array[pg_catalog.format('CREATE EXTENSION %I SCHEMA %I VERSION %L;', e.extname, n.nspname, e.extversion)]
from dropped d
join pg_catalog.pg_extension e on e.oid = d.objid
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where d.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    case
        when t.typtype = 'e' then array[pg_catalog.format('CREATE TYPE %I.%I AS ENUM (%s);', n.nspname, t.typname, (
            select pg_catalog.string_agg(pg_catalog.quote_literal(l.enumlabel), ', ' order by l.enumsortorder)
            from pg_catalog.pg_enum l
            where l.enumtypid = t.oid
        ))]
        when t.typtype = 'c' then array[pg_catalog.format('CREATE TYPE %I.%I AS (%s);', n.nspname, t.typname, (
            select pg_catalog.string_agg(
                pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod))
                || case when a.attcollation <> y.typcollation then ' COLLATE ' || a.attcollation::pg_catalog.regcollation::text else '' end,
                ', ' order by a.attnum
            )
            from pg_catalog.pg_attribute a
            join pg_catalog.pg_type y on y.oid = a.atttypid
            where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        ))]
        when t.typtype = 'd' then array[pg_catalog.format('CREATE DOMAIN %I.%I AS %s%s%s%s;', n.nspname, t.typname,
            pg_catalog.format_type(t.typbasetype, t.typtypmod),
            case when t.typcollation <> b.typcollation then ' COLLATE ' || t.typcollation::pg_catalog.regcollation::text end,
            ' DEFAULT ' || t.typdefault,
            case when t.typnotnull then ' NOT NULL' end
        )]
        when t.typtype = 'r' then array[pg_catalog.format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s%s%s%s, MULTIRANGE_TYPE_NAME = %s);',
            n.nspname, t.typname, pg_catalog.format_type(r.rngsubtype, null),
            (
                select pg_catalog.format(', SUBTYPE_OPCLASS = %I.%I', os.nspname, o.opcname)
                from pg_catalog.pg_opclass o
                join pg_catalog.pg_namespace os on os.oid = o.opcnamespace
                where o.oid = r.rngsubopc and not o.opcdefault
            ),
            case when r.rngcollation <> st.typcollation then ', COLLATION = ' || r.rngcollation::pg_catalog.regcollation::text end,
            case when r.rngsubdiff::pg_catalog.oid <> 0 then ', SUBTYPE_DIFF = ' || r.rngsubdiff::text end,
            pg_catalog.format_type(r.rngmultitypid, null)
        )]
    end
from dropped d
join pg_catalog.pg_type t on t.oid = d.objid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_type b on b.oid = t.typbasetype
left join pg_catalog.pg_range r on r.rngtypid = t.oid
left join pg_catalog.pg_type st on st.oid = r.rngsubtype
where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and t.typtype in ('e', 'c', 'd', 'r')
union all
select d.classid, d.objid, array[pg_catalog.rtrim(pg_catalog.pg_get_functiondef(p.oid), E'\n') || ';']
from dropped d
join pg_catalog.pg_proc p on p.oid = d.objid and p.prokind <> 'a'
where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[
        pg_catalog.format(
            'CREATE %sSEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s;',
            case c.relpersistence when 'u' then 'UNLOGGED ' end, n.nspname, c.relname, pg_catalog.format_type(q.seqtypid, null),
            q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, case when q.seqcycle then ' CYCLE' end
        )
    ]
    || array(
        select pg_catalog.format('SELECT pg_catalog.setval(%L, %s, true);', pg_catalog.format('%I.%I', n.nspname, c.relname), v.value)
        from (
            -- pg_sequence_last_value() would take ROW EXCLUSIVE.
            select (pg_catalog.xpath('/table/row/last_value/text()', pg_catalog.query_to_xml(
            pg_catalog.format('select last_value from %s where is_called', c.oid::pg_catalog.regclass), false, false, '')))[1]::text::int8 as value
            where pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
        ) v
        where v.value is not null
    )
from dropped d
join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_sequence q on q.seqrelid = c.oid
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.format(
        'CREATE %sVIEW %I.%I%s%s%s AS%s%s;',
        case c.relkind when 'm' then 'MATERIALIZED ' end,
        n.nspname,
        c.relname,
        (select ' USING ' || pg_catalog.quote_ident(m.amname) from pg_catalog.pg_am m where m.oid = c.relam and m.amname <> 'heap'),
        ' WITH (' || pg_catalog.array_to_string(c.reloptions, ', ') || ')',
        (select pg_catalog.format(' TABLESPACE %I', s.spcname) from pg_catalog.pg_tablespace s where s.oid = c.reltablespace),
        E'\n' || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'),
        case when c.relkind = 'm' and not c.relispopulated then E'\nWITH NO DATA' end
    )]
    || array(
        select pg_catalog.format('ALTER VIEW %I.%I ALTER COLUMN %I SET DEFAULT %s;', n.nspname, c.relname, a.attname,
            pg_catalog.pg_get_expr(f.adbin, f.adrelid))
        from pg_catalog.pg_attrdef f
        join pg_catalog.pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
        where f.adrelid = c.oid
        order by a.attnum
    )
from dropped d
join pg_catalog.pg_class c on c.oid = d.objid and c.relkind in ('v', 'm')
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.format(
        'CREATE PUBLICATION %I%s WITH (publish = %L%s);',
        b.pubname,
        case when b.puballtables then ' FOR ALL TABLES' end,
        pg_catalog.array_to_string(array_remove(array[
            case when b.pubinsert then 'insert' end, case when b.pubupdate then 'update' end,
            case when b.pubdelete then 'delete' end, case when b.pubtruncate then 'truncate' end
        ], null), ', '),
        case when b.pubviaroot then ', publish_via_partition_root = true' end
    )]
    || array(
        select pg_catalog.format('ALTER PUBLICATION %I ADD TABLES IN SCHEMA %I;', b.pubname, n.nspname)
        from pg_catalog.pg_publication_namespace pn
        join pg_catalog.pg_namespace n on n.oid = pn.pnnspid
        where pn.pnpubid = b.oid
    )
from dropped d
join pg_catalog.pg_publication b on b.oid = d.objid
where d.classid = 'pg_catalog.pg_publication'::pg_catalog.regclass
