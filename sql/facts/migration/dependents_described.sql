-- $1 oid[]: classes, $2 oid[]: objects, $3 int[]: parts. What each is, its own name where it is part of a relation; and that
-- relation, which is locked to drop it, with its size.
select
    a.class,
    a.object,
    a.part,
    i.type,
    i.identity,
    coalesce(t.attname, fa.attname, k.conname, g.tgname, y.polname, w.rulename)::text,
    coalesce(r.oid, 0),
    n.nspname::text,
    coalesce(r.relname::text, ''),
    coalesce(r.relkind::text, ''),
    greatest(r.reltuples, 0)::float8,
    greatest(r.relpages, 0) * pg_catalog.current_setting('block_size')::int8
from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) as a (class, object, part)
cross join lateral pg_catalog.pg_identify_object(a.class, a.object, a.part) i
left join pg_catalog.pg_class c on a.class = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = a.object
left join pg_catalog.pg_attribute t on a.part <> 0 and t.attrelid = c.oid and t.attnum = a.part
left join pg_catalog.pg_constraint k on a.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = a.object
left join pg_catalog.pg_trigger g on a.class = 'pg_catalog.pg_trigger'::pg_catalog.regclass and g.oid = a.object
left join pg_catalog.pg_policy y on a.class = 'pg_catalog.pg_policy'::pg_catalog.regclass and y.oid = a.object
left join pg_catalog.pg_rewrite w on a.class = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and w.oid = a.object
left join pg_catalog.pg_attrdef f on a.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and f.oid = a.object
left join pg_catalog.pg_attribute fa on fa.attrelid = f.adrelid and fa.attnum = f.adnum
left join pg_catalog.pg_statistic_ext s on a.class = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass and s.oid = a.object
left join pg_catalog.pg_class r
    on r.oid = coalesce(c.oid, nullif(k.conrelid, 0), g.tgrelid, y.polrelid, w.ev_class, f.adrelid, s.stxrelid)
left join pg_catalog.pg_namespace n on n.oid = r.relnamespace
where i.identity is not null and coalesce(n.nspname, '') <> 'pg_toast'
