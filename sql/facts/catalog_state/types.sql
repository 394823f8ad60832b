-- Enums with their labels in order, domains, ranges, base types. Composite types are relations, arrays follow their elements.
select
    case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range' else 'type' end,
    pg_catalog.format('%I.%I', n.nspname, t.typname),
    pg_catalog.concat_ws(
        E'\n',
        (
            select pg_catalog.string_agg(pg_catalog.quote_literal(l.enumlabel), ', ' order by l.enumsortorder)
            from pg_catalog.pg_enum as l
            where l.enumtypid = t.oid
        ),
        case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end,
        case when t.typnotnull then 'not null' end,
        'default ' || t.typdefault,
        case when t.typtype = 'd' and t.typcollation <> b.typcollation then 'collation ' || t.typcollation::pg_catalog.regcollation::text end,
        (
            select pg_catalog.format(
                'of %s, multirange %s, operator class %s, collation %s, canonical %s, difference %s',
                r.rngsubtype::pg_catalog.regtype, r.rngmultitypid::pg_catalog.regtype, o.opcname,
                r.rngcollation::pg_catalog.regcollation, r.rngcanonical, r.rngsubdiff
            )
            from pg_catalog.pg_range as r
            join pg_catalog.pg_opclass as o on o.oid = r.rngsubopc
            where r.rngtypid = t.oid
        ),
        case
            when t.typtype = 'b' then pg_catalog.format(
                'input %s, output %s, length %s, alignment %s, storage %s, category %s', t.typinput, t.typoutput, t.typlen, t.typalign,
                t.typstorage, t.typcategory
            )
        end,
        'owner ' || t.typowner::pg_catalog.regrole::text,
        'grants ' || (
            select pg_catalog.string_agg(g::text, ', ' order by g::text)
            from pg_catalog.unnest(coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))) as g
        )
    )
from pg_catalog.pg_type as t
join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
left join pg_catalog.pg_type as b on b.oid = t.typbasetype
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname not like 'pg\_temp\_%'
    and t.typtype in ('b', 'd', 'e', 'r')
    and not exists (select from pg_catalog.pg_type as element where element.typarray = t.oid)
    and not exists (
        select
        from pg_catalog.pg_depend as e
        where e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
            and e.objid = t.oid
            and e.deptype = 'e'
    )
