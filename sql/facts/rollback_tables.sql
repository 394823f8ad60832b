-- Statements that bring tables ($1) and columns ($2: table, $3: number) back, without data, constraints, indexes and triggers.
with columns as (
    select
        a.attrelid,
        a.attnum,
        a.attname,
        a.attislocal,
        a.attnotnull,
        pg_catalog.format('%I.%I', n.nspname, c.relname) as relation,
        d.adbin is null and a.attidentity = '' as without_value,
        pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod))
            || case when a.attcollation <> t.typcollation then (
                select pg_catalog.format(' COLLATE %I.%I', s.nspname, l.collname)
                from pg_catalog.pg_collation l
                join pg_catalog.pg_namespace s on s.oid = l.collnamespace
                where l.oid = a.attcollation
            ) else '' end
            || case a.attcompression when 'p' then ' COMPRESSION pglz' when 'l' then ' COMPRESSION lz4' else '' end
            || case
                when a.attidentity <> '' then (
                    select pg_catalog.format(
                        ' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s)',
                        case a.attidentity when 'a' then 'ALWAYS' else 'BY DEFAULT' end,
                        sn.nspname, sc.relname, q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache,
                        case when q.seqcycle then ' CYCLE' else '' end
                    )
                    from pg_catalog.pg_depend i
                    join pg_catalog.pg_sequence q on q.seqrelid = i.objid
                    join pg_catalog.pg_class sc on sc.oid = q.seqrelid
                    join pg_catalog.pg_namespace sn on sn.oid = sc.relnamespace
                    where i.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.refobjid = a.attrelid
                        and i.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.refobjsubid = a.attnum and i.deptype = 'i'
                )
                when a.attgenerated = 's' then ' GENERATED ALWAYS AS (' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ') STORED'
                when d.adbin is not null then ' DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                else ''
            end as definition,
        -- what goes with it
        array_remove(array[
            case when a.attstorage <> t.typstorage then pg_catalog.format(
                'ALTER TABLE %I.%I ALTER COLUMN %I SET STORAGE %s;', n.nspname, c.relname, a.attname,
                case a.attstorage when 'p' then 'PLAIN' when 'e' then 'EXTERNAL' when 'm' then 'MAIN' else 'EXTENDED' end
            ) end,
            case when a.attstattarget >= 0 then pg_catalog.format(
                'ALTER TABLE %I.%I ALTER COLUMN %I SET STATISTICS %s;', n.nspname, c.relname, a.attname, a.attstattarget
            ) end,
            case when a.attoptions is not null then pg_catalog.format(
                'ALTER TABLE %I.%I ALTER COLUMN %I SET (%s);', n.nspname, c.relname, a.attname,
                pg_catalog.array_to_string(a.attoptions, ', ')
            ) end
        ], null)
        || array(
            select pg_catalog.format('SELECT pg_catalog.setval(%L, %s, true);', pg_catalog.format('%I.%I', sn.nspname, sc.relname), v.value)
            from pg_catalog.pg_depend i
            join pg_catalog.pg_class sc on sc.oid = i.objid and sc.relkind = 'S'
            join pg_catalog.pg_namespace sn on sn.oid = sc.relnamespace
            cross join lateral (
                -- pg_sequence_last_value() would take ROW EXCLUSIVE.
                select (pg_catalog.xpath('/table/row/last_value/text()', pg_catalog.query_to_xml(
            pg_catalog.format('select last_value from %s where is_called', sc.oid::pg_catalog.regclass), false, false, '')))[1]::text::int8 as value
                where pg_catalog.has_sequence_privilege(sc.oid, 'SELECT')
            ) v
            where i.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.refobjid = a.attrelid
                and i.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.refobjsubid = a.attnum and i.deptype = 'i'
                and v.value is not null
        ) as settings
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_type t on t.oid = a.atttypid
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.oid = any ($1)
        or (a.attrelid, a.attnum) in (
            select p.* from rows from (pg_catalog.unnest($2), pg_catalog.unnest($3)) as p (attrelid, attnum)
        )
)
select
    c.oid,
    0::int2,
    array[
        pg_catalog.format(
            'CREATE %sTABLE %I.%I (%s)%s%s%s%s%s%s;',
            case c.relpersistence when 'u' then 'UNLOGGED ' else '' end || case c.relkind when 'f' then 'FOREIGN ' else '' end,
            n.nspname,
            c.relname,
            (
                select pg_catalog.string_agg(
                    E'\n    ' || k.definition || case when k.attnotnull then ' NOT NULL' else '' end, ',' order by k.attnum
                )
                from columns k
                -- columns that come from a parent only; a partition is attached when it is there
                where k.attrelid = c.oid and (k.attislocal or c.relispartition)
            ) || E'\n',
            case when not c.relispartition then (
                select ' INHERITS (' || pg_catalog.string_agg(h.inhparent::pg_catalog.regclass::text, ', ' order by h.inhseqno) || ')'
                from pg_catalog.pg_inherits h
                where h.inhrelid = c.oid
            ) end,
            case when c.relkind = 'p' then ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(c.oid) end,
            (select ' USING ' || pg_catalog.quote_ident(m.amname) from pg_catalog.pg_am m where m.oid = c.relam and m.amname <> 'heap'),
            (
                select ' WITH (' || pg_catalog.string_agg(o, ', ') || ')'
                from pg_catalog.unnest(
                    coalesce(c.reloptions, '{}') || array(select 'toast.' || x from pg_catalog.unnest(tt.reloptions) x)
                ) o
            ),
            (select pg_catalog.format(' TABLESPACE %I', s.spcname) from pg_catalog.pg_tablespace s where s.oid = c.reltablespace),
            (
                select pg_catalog.format(' SERVER %I%s', s.srvname, (
                    select ' OPTIONS (' || pg_catalog.string_agg(pg_catalog.format('%I %L', o.option_name, o.option_value), ', ') || ')'
                    from pg_catalog.pg_options_to_table(f.ftoptions) o
                ))
                from pg_catalog.pg_foreign_table f
                join pg_catalog.pg_foreign_server s on s.oid = f.ftserver
                where f.ftrelid = c.oid
            )
        )
    ]
    || array(
        select s from columns k cross join pg_catalog.unnest(k.settings) s where k.attrelid = c.oid order by k.attnum
    )
    || case when c.relrowsecurity then array[pg_catalog.format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY;', n.nspname, c.relname)] end
    || case when c.relforcerowsecurity then array[pg_catalog.format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY;', n.nspname, c.relname)] end
    || case when c.relreplident in ('f', 'n') then array[pg_catalog.format(
        'ALTER TABLE %I.%I REPLICA IDENTITY %s;', n.nspname, c.relname, case c.relreplident when 'f' then 'FULL' else 'NOTHING' end
    )] end,
    null::text,
    case when c.relispartition then (
        select pg_catalog.format(
            'ALTER TABLE ONLY %s ATTACH PARTITION %I.%I %s;', h.inhparent::pg_catalog.regclass, n.nspname, c.relname,
            pg_catalog.pg_get_expr(c.relpartbound, c.oid)
        )
        from pg_catalog.pg_inherits h
        where h.inhrelid = c.oid
    ) end
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class tt on tt.oid = c.reltoastrelid
where c.oid = any ($1)
union all
select
    k.attrelid,
    k.attnum,
    pg_catalog.format('ALTER TABLE %s ADD COLUMN %s%s;', k.relation, k.definition,
        case when k.attnotnull and not k.without_value then ' NOT NULL' else '' end
    ) || k.settings,
    -- rows have nothing to put there
    case when k.attnotnull and k.without_value then pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', k.relation, k.attname) end,
    null
from columns k
where not coalesce(k.attrelid = any ($1), false)
