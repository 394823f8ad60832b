-- Owners, privileges and comments of objects ($1: the catalog, $2: OID, $3: column number or 0), with those of their columns, as
-- statements that set them again. $4: those to say even where there are none.
with named as (
    select
        d.*,
        i.type,
        i.identity,
        case
            when i.type in ('composite type column', 'foreign table column', 'materialized view column', 'view column', 'table column')
                then 'COLUMN ' || i.identity
            when i.type = 'table constraint' then 'CONSTRAINT ' || i.identity
            when i.type = 'domain constraint' then 'CONSTRAINT ' || pg_catalog.regexp_replace(i.identity, ' on (\S+)$', ' on domain \1')
            when i.type = 'statistics object' then 'STATISTICS ' || i.identity
            when i.type = 'composite type' then 'TYPE ' || i.identity
            else pg_catalog.upper(i.type) || ' ' || i.identity
        end as target
    from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) as d (classid, objid, objsubid)
    cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
    where i.identity is not null
),
owned as (
    select n.*, c.relowner as owner, c.relacl as acl,
        case c.relkind when 'S' then 'SEQUENCE' else 'TABLE' end as granted,
        case c.relkind when 'S' then 's' else 'r' end as "default",
        case when c.relkind = 'S' and exists (
            select from pg_catalog.pg_depend o
            where o.classid = n.classid and o.objid = n.objid and o.deptype in ('a', 'i')
                and o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and o.refobjsubid > 0
        ) then null else c.relowner end as settable
    from named n
    join pg_catalog.pg_class c on c.oid = n.objid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    where n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and n.objsubid = 0
    union all
    select n.*, p.proowner, p.proacl, case p.prokind when 'p' then 'PROCEDURE' else 'FUNCTION' end, 'f', p.proowner
    from named n
    join pg_catalog.pg_proc p on p.oid = n.objid
    where n.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    union all
    select n.*, t.typowner, t.typacl, 'TYPE', 'T', t.typowner
    from named n
    join pg_catalog.pg_type t on t.oid = n.objid
    where n.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and t.typtype in ('e', 'c', 'd', 'r')
        and (t.typtype <> 'c' or (select r.relkind from pg_catalog.pg_class r where r.oid = t.typrelid) = 'c')
    union all
    select n.*, s.nspowner, s.nspacl, 'SCHEMA', 'n', s.nspowner
    from named n
    join pg_catalog.pg_namespace s on s.oid = n.objid
    where n.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
    union all
    select n.*, b.pubowner, null, null, null, b.pubowner
    from named n
    join pg_catalog.pg_publication b on b.oid = n.objid
    where n.classid = 'pg_catalog.pg_publication'::pg_catalog.regclass
    union all
    select n.*, s.stxowner, null, null, null, s.stxowner
    from named n
    join pg_catalog.pg_statistic_ext s on s.oid = n.objid
    where n.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
)
select classid, objid, objsubid, pg_catalog.format('ALTER %s OWNER TO %I;', target, pg_catalog.pg_get_userbyid(settable))
from owned
where $4 or settable <> (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
union all
(
    select o.classid, o.objid, o.objsubid,
        case
            when g.grantee is null then pg_catalog.format('REVOKE ALL ON %s %s FROM PUBLIC, %I;', o.granted, o.identity, pg_catalog.pg_get_userbyid(o.owner))
            else pg_catalog.format(
                'GRANT %s ON %s %s TO %s%s;', g.privileges, o.granted, o.identity,
                case when g.grantee = 0 then 'PUBLIC' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end,
                case when g.is_grantable then ' WITH GRANT OPTION' end
            )
        end
    from owned o
    cross join lateral (
        select null::oid as grantee, false as is_grantable, null::text as privileges
        union all
        select a.grantee, a.is_grantable, pg_catalog.string_agg(a.privilege_type, ', ' order by a.privilege_type)
        from pg_catalog.aclexplode(coalesce(o.acl, pg_catalog.acldefault(o."default"::"char", o.owner))) a
        group by a.grantee, a.is_grantable
    ) g
    where o.granted is not null and (o.acl is not null or $4)
    order by o.classid, o.objid, g.grantee nulls first, g.is_grantable
)
union all
select n.classid, n.objid, n.objsubid,
    pg_catalog.format(
        'GRANT %s ON %s TO %s%s;',
        pg_catalog.string_agg(pg_catalog.format('%s (%I)', x.privilege_type, a.attname), ', ' order by x.privilege_type),
        n.objid::pg_catalog.regclass,
        case when x.grantee = 0 then 'PUBLIC' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) end,
        case when x.is_grantable then ' WITH GRANT OPTION' end
    )
from named n
join pg_catalog.pg_attribute a on a.attrelid = n.objid and a.attnum > 0 and not a.attisdropped
    and (n.objsubid = 0 or n.objsubid = a.attnum)
cross join lateral pg_catalog.aclexplode(a.attacl) x
where n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
group by n.classid, n.objid, n.objsubid, a.attnum, x.grantee, x.is_grantable
union all
select n.classid, n.objid, n.objsubid, pg_catalog.format('COMMENT ON %s IS %L;', n.target, d.description)
from named n
left join pg_catalog.pg_description d on d.classoid = n.classid and d.objoid = n.objid and d.objsubid = n.objsubid
where d.description is not null or $4
union all
select n.classid, n.objid, n.objsubid,
    pg_catalog.format('COMMENT ON COLUMN %s IS %L;', (pg_catalog.pg_identify_object(n.classid, n.objid, d.objsubid)).identity, d.description)
from named n
join pg_catalog.pg_description d on d.classoid = n.classid and d.objoid = n.objid and d.objsubid > 0
where n.objsubid = 0 and n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
