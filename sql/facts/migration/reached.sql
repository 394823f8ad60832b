-- $1 text[]: words of a migration. $2 text[]: schemas whose every relation it concerns. $3 text[]: tables that
-- it truncates with CASCADE. Relations so named, and what is locked, read or lost together with them.
with recursive named (oid) as (
    select c.oid from pg_catalog.pg_class c where c.relname = any ($1::pg_catalog.name[])
    union
    select c.oid
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any ($2::pg_catalog.name[])
    union
    -- relations with columns of a type so named, or of a type made of it
    select d.objid
    from types t
    join pg_catalog.pg_depend d
        on d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
        and d.refobjid = t.oid
        and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
),
types (oid) as (
    select t.oid
    from pg_catalog.pg_type t
    where t.typname = any ($1::pg_catalog.name[]) and t.oid >= 16384
    union
    select m.oid
    from types t
    join pg_catalog.pg_depend d
        on d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
        and d.refobjid = t.oid
        and d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    join pg_catalog.pg_type m on m.oid = d.objid
),
-- what TRUNCATE … CASCADE takes along
truncated (oid) as (
    select c.oid from pg_catalog.pg_class c where c.relname = any ($3::pg_catalog.name[]) and c.oid >= 16384
    union
    select next.oid
    from truncated t
    cross join lateral (
        select k.conrelid
        from pg_catalog.pg_depend d
        join pg_catalog.pg_constraint k on k.oid = d.objid and k.contype = 'f' and k.confrelid = t.oid
        where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.refobjid = t.oid
            and d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
        union all
        select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = t.oid
    ) next (oid)
),
-- OIDs from 16384 on are the users': nothing of the system's is locked or lost.
reached (oid) as (
    select seed.oid from (select oid from named union select oid from truncated) seed
    union
    select next.oid
    from reached r
    cross join lateral (
        select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = r.oid
        union all
        select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = r.oid
        union all
        select x.indrelid from pg_catalog.pg_index x where x.indexrelid = r.oid
        union all
        -- views on it
        select w.ev_class
        from pg_catalog.pg_depend d
        join pg_catalog.pg_rewrite w on w.oid = d.objid
        where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.refobjid = r.oid
            and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        union all
        -- the table of a sequence
        select d.refobjid
        from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.objid = r.oid
            and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.deptype in ('a', 'i')
        union all
        -- its sequences
        select d.objid
        from pg_catalog.pg_depend d
        where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.refobjid = r.oid
            and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.deptype in ('a', 'i')
    ) next (oid)
    where r.oid >= '16384'::pg_catalog.oid
),
-- What the views among those so named read.
below (oid) as (
    select seed.oid from (select oid from named union select oid from truncated) seed
    union
    select d.refobjid
    from below b
    join pg_catalog.pg_rewrite w on w.ev_class = b.oid
    join pg_catalog.pg_depend d
        on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        and d.objid = w.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        and d.refobjid >= '16384'::pg_catalog.oid
),
-- Two joins that can be hashed: with OR it is a loop of all by all.
referring (oid) as (
    select k.confrelid
    from reached r
    join pg_catalog.pg_constraint k on k.contype = 'f' and k.conrelid = r.oid
    union
    select k.conrelid
    from reached r
    join pg_catalog.pg_constraint k on k.contype = 'f' and k.confrelid = r.oid
),
neighbors (oid) as (
    select f.oid from referring f
    union
    -- and their partitions
    select i.inhrelid
    from neighbors n
    join pg_catalog.pg_inherits i on i.inhparent = n.oid
)
select c.oid
from (select oid from reached union select oid from below union select oid from neighbors) r
join pg_catalog.pg_class c on c.oid = r.oid
where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S', 'c')
    -- not the temporary ones of other sessions
    and (c.relpersistence <> 't' or c.relnamespace = pg_catalog.pg_my_temp_schema())
