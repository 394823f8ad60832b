-- $1 oid[]: relations that a migration concerns. What would keep them, or columns of theirs, from being dropped.
with used as (
    -- the relation or a column of it; or its row type, which is the whole
    select d.refobjid as relation, d.refobjsubid as number, d.classid, d.objid, d.objsubid
    from pg_catalog.pg_depend d
    where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = any ($1) and d.deptype = 'n'
    union all
    select c.oid, 0, d.classid, d.objid, d.objsubid
    from pg_catalog.pg_class c
    join pg_catalog.pg_type t on t.oid = c.reltype
    join pg_catalog.pg_depend d
        on d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid in (t.oid, t.typarray) and d.deptype = 'n'
    where c.oid = any ($1)
),
owners as (
    -- a view in the place of its rule
    select
        u.relation,
        u.number,
        case when w.oid is not null then 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid else u.classid end as classid,
        coalesce(w.ev_class, u.objid) as objid,
        case when w.oid is not null then 0 else u.objsubid end as objsubid
    from used u
    left join pg_catalog.pg_rewrite w on u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and w.oid = u.objid
    left join pg_catalog.pg_constraint k on u.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = u.objid
    where coalesce(w.ev_class, 0) <> u.relation
        -- its own constraints, and partitions' copies
        and (k.oid is null or (k.conrelid <> u.relation and k.conparentid = 0))
        -- children and partitions are known as such
        and not (
            u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and exists (select from pg_catalog.pg_inherits i where i.inhrelid = u.objid and i.inhparent = u.relation)
        )
)
select
    o.relation,
    i.type,
    i.identity,
    o.objid,
    o.objsubid,
    pg_catalog.array_agg(distinct a.attname::text) filter (where a.attname is not null)
from owners o
cross join lateral pg_catalog.pg_identify_object(o.classid, o.objid, o.objsubid) i
left join pg_catalog.pg_attribute a on a.attrelid = o.relation and a.attnum = o.number and o.number > 0
where i.identity is not null
group by o.relation, i.type, i.identity, o.objid, o.objsubid
order by o.relation, i.identity
