-- Tables, views, materialized views, sequences, foreign tables, composite types: what is not said of columns, constraints and
-- indexes.
select
    case c.relkind
        when 'r' then 'table'
        when 'p' then 'table'
        when 'f' then 'foreign table'
        when 'v' then 'view'
        when 'm' then 'materialized view'
        when 'S' then 'sequence'
        else 'composite type'
    end,
    pg_catalog.format('%I.%I', n.nspname, c.relname),
    pg_catalog.concat_ws(
        E'\n',
        'owner ' || c.relowner::pg_catalog.regrole::text,
        case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary' end,
        'access method ' || nullif(a.amname, 'heap'),
        'tablespace ' || t.spcname,
        'of type ' || nullif(c.reloftype, 0)::pg_catalog.regtype::text,
        'partitioned by ' || pg_catalog.pg_get_partkeydef(c.oid),
        pg_catalog.pg_get_expr(c.relpartbound, c.oid),
        (
            select 'inherits from '
                || pg_catalog.string_agg(pg_catalog.format('%I.%I', pn.nspname, p.relname), ', ' order by i.inhseqno)
            from pg_catalog.pg_inherits as i
            join pg_catalog.pg_class as p on p.oid = i.inhparent
            join pg_catalog.pg_namespace as pn on pn.oid = p.relnamespace
            where i.inhrelid = c.oid
        ),
        (select 'options ' || pg_catalog.string_agg(o, ', ' order by o) from pg_catalog.unnest(c.reloptions) as o),
        (
            select 'toast options ' || pg_catalog.string_agg(o, ', ' order by o)
            from pg_catalog.pg_class as toast, pg_catalog.unnest(toast.reloptions) as o
            where toast.oid = c.reltoastrelid
        ),
        case when c.relrowsecurity then 'row level security' end,
        case when c.relforcerowsecurity then 'row level security forced' end,
        case
            when c.relkind not in ('r', 'p', 'm') then null
            when c.relreplident = 'f' then 'replica identity full'
            when c.relreplident = 'n' then 'replica identity nothing'
        end,
        case when c.relkind = 'm' and not c.relispopulated then 'with no data' end,
        case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end,
        (
            select 'server ' || pg_catalog.quote_ident(s.srvname) || coalesce(
                ' options ' || (select pg_catalog.string_agg(o, ', ' order by o) from pg_catalog.unnest(f.ftoptions) as o), ''
            )
            from pg_catalog.pg_foreign_table as f
            join pg_catalog.pg_foreign_server as s on s.oid = f.ftserver
            where f.ftrelid = c.oid
        ),
        (
            select pg_catalog.format(
                'as %s start %s increment %s minimum %s maximum %s cache %s%s',
                s.seqtypid::pg_catalog.regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
                case when s.seqcycle then ' cycle' end
            )
            from pg_catalog.pg_sequence as s
            where s.seqrelid = c.oid
        ),
        (
            select pg_catalog.format('owned by %I.%I.%I', tn.nspname, o.relname, col.attname)
            from pg_catalog.pg_depend as d
            join pg_catalog.pg_class as o on o.oid = d.refobjid
            join pg_catalog.pg_namespace as tn on tn.oid = o.relnamespace
            join pg_catalog.pg_attribute as col on col.attrelid = o.oid and col.attnum = d.refobjsubid
            where c.relkind = 'S'
                and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                and d.objid = c.oid
                and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                and d.deptype in ('a', 'i')
        ),
        case
            when c.relkind <> 'c' then 'grants ' || (
                select pg_catalog.string_agg(g::text, ', ' order by g::text)
                from pg_catalog.unnest(
                    coalesce(
                        c.relacl,
                        pg_catalog.acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner)
                    )
                ) as g
            )
        end
    )
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_am as a on a.oid = c.relam
left join pg_catalog.pg_tablespace as t on t.oid = c.reltablespace
where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S', 'c')
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname not like 'pg\_temp\_%'
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.deptype = 'e'
            and e.objsubid = 0
            and (
                (e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = c.oid)
                or (e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and e.objid = c.reltype)
            )
    )
