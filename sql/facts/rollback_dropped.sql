-- What goes with the objects ($1: pg_class, $2: OID, $3: column number or 0), as DROP … CASCADE would have it, and what each of
-- them depends on.
with recursive dropped (classid, objid, objsubid) as (
    select r.* from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) as r (classid, objid, objsubid)
    union
    select n.*
    from dropped o
    cross join lateral (
        select d.classid, d.objid, d.objsubid
        from pg_catalog.pg_depend d
        where d.refclassid = o.classid and d.refobjid = o.objid and (o.objsubid = 0 or d.refobjsubid = o.objsubid)
        union all
        -- a part that takes its whole with it: the rule of a view, the sequence of an identity column
        select d.refclassid, d.refobjid, d.refobjsubid
        from pg_catalog.pg_depend d
        where d.classid = o.classid and d.objid = o.objid and d.objsubid = o.objsubid and d.deptype = 'i'
            and o.classid in ('pg_catalog.pg_rewrite'::pg_catalog.regclass)
    ) n
)
select
    o.classid,
    o.objid,
    o.objsubid,
    -- of a part: the object that it goes with
    i.refclassid,
    i.refobjid,
    i.refobjsubid,
    array(
        select n.refclassid
        from pg_catalog.pg_depend n
        where n.classid = o.classid and n.objid = o.objid and (o.objsubid = 0 or n.objsubid = o.objsubid)
        order by n.refclassid, n.refobjid, n.refobjsubid, n.objsubid, n.deptype
    ),
    array(
        select n.refobjid
        from pg_catalog.pg_depend n
        where n.classid = o.classid and n.objid = o.objid and (o.objsubid = 0 or n.objsubid = o.objsubid)
        order by n.refclassid, n.refobjid, n.refobjsubid, n.objsubid, n.deptype
    ),
    array(
        select n.refobjsubid
        from pg_catalog.pg_depend n
        where n.classid = o.classid and n.objid = o.objid and (o.objsubid = 0 or n.objsubid = o.objsubid)
        order by n.refclassid, n.refobjid, n.refobjsubid, n.objsubid, n.deptype
    ),
    array(
        select n.deptype::text
        from pg_catalog.pg_depend n
        where n.classid = o.classid and n.objid = o.objid and (o.objsubid = 0 or n.objsubid = o.objsubid)
        order by n.refclassid, n.refobjid, n.refobjsubid, n.objsubid, n.deptype
    ),
    coalesce((pg_catalog.pg_identify_object(o.classid, o.objid, o.objsubid)).type, ''),
    coalesce((pg_catalog.pg_identify_object(o.classid, o.objid, o.objsubid)).identity, ''),
    -- made by an extension: CREATE EXTENSION brings it back
    exists (
        select from pg_catalog.pg_depend e
        where e.classid = o.classid and e.objid = o.objid and e.deptype = 'e'
    ),
    case when o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass then (
        -- null: it holds something, and was never counted
        select case when t.reltuples > 0 then t.reltuples when pg_catalog.pg_relation_size(t.oid) = 0 then 0 end::float8 from pg_catalog.pg_class t where t.oid = o.objid and t.relkind in ('r', 'm')
    ) end
from dropped o
-- the internal dependency, or that of a default on its column
left join lateral (
    select d.refclassid, d.refobjid, d.refobjsubid
    from pg_catalog.pg_depend d
    where d.classid = o.classid and d.objid = o.objid and d.objsubid = o.objsubid
        and (
            d.deptype = 'i'
            or d.deptype = 'a' and d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        )
    limit 1
) i on true
where not (
    o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and exists (
        select from pg_catalog.pg_class t where t.oid = o.objid and t.relnamespace = 'pg_toast'::pg_catalog.regnamespace
    )
)
