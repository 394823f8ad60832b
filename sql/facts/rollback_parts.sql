-- Statements that bring back what tables have ($1: the catalog, $2: OID): constraints, indexes, triggers, rules, policies, extended
-- statistics, defaults.
with dropped as (
    select d.* from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) as d (classid, objid)
)
select
    d.classid,
    d.objid,
    array[pg_catalog.format(
        case when c.contypid <> 0 then 'ALTER DOMAIN %s ADD CONSTRAINT %I %s;' else 'ALTER TABLE %s ADD CONSTRAINT %I %s;' end,
        case
            when c.contypid <> 0 then c.contypid::pg_catalog.regtype::text
            else c.conrelid::pg_catalog.regclass::text
        end,
        c.conname,
        pg_catalog.pg_get_constraintdef(c.oid)
    )]
    || case when i.indisclustered then array[pg_catalog.format('ALTER TABLE %s CLUSTER ON %I;', c.conrelid::pg_catalog.regclass, x.relname)] end
    || case when i.indisreplident then array[pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I;', c.conrelid::pg_catalog.regclass, x.relname)] end
from dropped d
join pg_catalog.pg_constraint c on c.oid = d.objid
left join pg_catalog.pg_index i on i.indexrelid = c.conindid and c.contype in ('p', 'u', 'x')
left join pg_catalog.pg_class x on x.oid = i.indexrelid
where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
    -- what a parent has, its children get from it; a partition's key comes with its index
    and (c.conislocal or c.contypid <> 0 or c.contype in ('p', 'u', 'x'))
    and not (c.contype = 'f' and c.conparentid <> 0)
    and c.contype in ('c', 'f', 'p', 'u', 'x')
union all
select
    d.classid,
    d.objid,
    array[
        -- on the parent alone it would stay invalid
        case when x.relkind = 'I' then pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
        else pg_catalog.pg_get_indexdef(i.indexrelid) end || ';'
    ]
    || case when i.indisclustered then array[pg_catalog.format('ALTER TABLE %s CLUSTER ON %I;', i.indrelid::pg_catalog.regclass, x.relname)] end
    || case when i.indisreplident then array[pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I;', i.indrelid::pg_catalog.regclass, x.relname)] end
    || array(
        select pg_catalog.format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s;', x.oid::pg_catalog.regclass, a.attnum, a.attstattarget)
        from pg_catalog.pg_attribute a
        where a.attrelid = x.oid and a.attstattarget >= 0
        order by a.attnum
    )
from dropped d
join pg_catalog.pg_index i on i.indexrelid = d.objid
join pg_catalog.pg_class x on x.oid = i.indexrelid
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.pg_get_triggerdef(t.oid) || ';']
    || case when t.tgenabled <> 'O' then array[pg_catalog.format(
        'ALTER TABLE %s %s TRIGGER %I;', t.tgrelid::pg_catalog.regclass,
        case t.tgenabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end, t.tgname
    )] end
from dropped d
join pg_catalog.pg_trigger t on t.oid = d.objid
where d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass and not t.tgisinternal and t.tgparentid = 0
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.pg_get_ruledef(r.oid)]
    || case when r.ev_enabled <> 'O' then array[pg_catalog.format(
        'ALTER TABLE %s %s RULE %I;', r.ev_class::pg_catalog.regclass,
        case r.ev_enabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end, r.rulename
    )] end
from dropped d
join pg_catalog.pg_rewrite r on r.oid = d.objid and r.rulename <> '_RETURN'
where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.format(
        'CREATE POLICY %I ON %s%s FOR %s TO %s%s%s;',
        p.polname,
        p.polrelid::pg_catalog.regclass,
        case when p.polpermissive then '' else ' AS RESTRICTIVE' end,
        case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE' else 'ALL' end,
        (
            select pg_catalog.string_agg(case when o = 0 then 'PUBLIC' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o)) end, ', ')
            from pg_catalog.unnest(p.polroles) o
        ),
        ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
        ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'
    )]
from dropped d
join pg_catalog.pg_policy p on p.oid = d.objid
where d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.pg_get_statisticsobjdef(s.oid) || ';']
    || case when s.stxstattarget >= 0 then array[pg_catalog.format(
        'ALTER STATISTICS %I.%I SET STATISTICS %s;', n.nspname, s.stxname, s.stxstattarget
    )] end
from dropped d
join pg_catalog.pg_statistic_ext s on s.oid = d.objid
join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
where d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.format(
        'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s;', f.adrelid::pg_catalog.regclass, a.attname, pg_catalog.pg_get_expr(f.adbin, f.adrelid)
    )]
from dropped d
join pg_catalog.pg_attrdef f on f.oid = d.objid
join pg_catalog.pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum and a.attgenerated = ''
where d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
union all
select
    d.classid,
    d.objid,
    array[pg_catalog.format('ALTER PUBLICATION %I ADD TABLE %s%s%s;', b.pubname, r.prrelid::pg_catalog.regclass,
        (
            select ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum) || ')'
            from pg_catalog.pg_attribute a
            where a.attrelid = r.prrelid and a.attnum = any (r.prattrs::pg_catalog.int2[])
        ),
        ' WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)
    )]
from dropped d
join pg_catalog.pg_publication_rel r on r.oid = d.objid
join pg_catalog.pg_publication b on b.oid = r.prpubid
where d.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass
