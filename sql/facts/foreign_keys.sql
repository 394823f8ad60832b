-- Foreign keys as they were declared: the copies that partitions have are left out.
select
    c.conname::text,
    c.conrelid,
    c.confrelid,
    c.conkey,
    c.confkey,
    c.conpfeqop,
    c.confdeltype::text,
    c.confupdtype::text,
    c.confdelsetcols,
    c.condeferred,
    -- ALTER COLUMN TYPE refuses columns that these use; it rebuilds indexes and constraints itself.
    exists (
        select from pg_catalog.pg_depend d
        where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.refobjid = c.conrelid
            and d.refobjsubid = any (c.conkey)
            and (
                d.classid in (
                    'pg_catalog.pg_rewrite'::pg_catalog.regclass,
                    'pg_catalog.pg_policy'::pg_catalog.regclass,
                    'pg_catalog.pg_trigger'::pg_catalog.regclass,
                    'pg_catalog.pg_proc'::pg_catalog.regclass,
                    'pg_catalog.pg_publication_rel'::pg_catalog.regclass
                )
                -- a generated column
                or (
                    d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                    and not exists (
                        select from pg_catalog.pg_attrdef f where f.oid = d.objid and f.adnum = d.refobjsubid
                    )
                )
            )
    )
    or exists (
        select from pg_catalog.pg_partitioned_table p
        where p.partrelid = c.conrelid and (p.partattrs::pg_catalog.int2[] && c.conkey or p.partexprs is not null)
    )
    or exists (
        select from pg_catalog.pg_inherits h where h.inhrelid = c.conrelid
    )
    -- a typed table, or one whose row type another column has
    or exists (
        select
        from pg_catalog.pg_class t
        left join pg_catalog.pg_type y on y.oid = t.reltype
        where t.oid = c.conrelid and (
            t.reloftype <> 0
            or exists (
                select from pg_catalog.pg_depend d
                where d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
                    and d.refobjid in (y.oid, y.typarray)
                    and d.deptype = 'n'
            )
        )
    )
from pg_catalog.pg_constraint c
where c.contype = 'f' and c.conparentid = 0
order by c.conrelid, c.conname
