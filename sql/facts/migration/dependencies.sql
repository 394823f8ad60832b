-- $1 oid[]: classes, $2 oid[]: objects that a migration drops. All that depends on them, however far, and what owns that: edges
-- from the dependent to what it depends on.
with recursive node (class, object, part) as (
    select start.class, start.object, 0
    from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) as start (class, object)
    union
    select next.class, next.object, next.part
    from node n
    cross join lateral (
        select d.classid, d.objid, d.objsubid
        from pg_catalog.pg_depend d
        where d.refclassid = n.class and d.refobjid = n.object and (n.part = 0 or d.refobjsubid = n.part)
        union all
        -- what is internal to another goes with that, and never alone
        select d.refclassid, d.refobjid, d.refobjsubid
        from pg_catalog.pg_depend d
        where d.classid = n.class and d.objid = n.object and d.objsubid = n.part and d.deptype = 'i'
    ) next (class, object, part)
)
select d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid, d.deptype::text
from node n
join pg_catalog.pg_depend d on d.refclassid = n.class and d.refobjid = n.object and (n.part = 0 or d.refobjsubid = n.part)
union
select d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid, d.deptype::text
from node n
join pg_catalog.pg_depend d
    on d.classid = n.class and d.objid = n.object and d.objsubid = n.part and d.deptype in ('i', 'e', 'P', 'S')
