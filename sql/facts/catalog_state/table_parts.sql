-- Triggers, rules, policies and extended statistics.
select
    'trigger',
    pg_catalog.format('%I on %I.%I', t.tgname, n.nspname, c.relname),
    pg_catalog.concat_ws(
        E'\n',
        pg_catalog.pg_get_triggerdef(t.oid),
        case t.tgenabled when 'D' then 'disabled' when 'R' then 'enabled replica' when 'A' then 'enabled always' end
    )
from pg_catalog.pg_trigger as t
join pg_catalog.pg_class as c on c.oid = t.tgrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where not t.tgisinternal
    and n.nspname not like 'pg\_temp\_%'
union all
select
    'rule',
    pg_catalog.format('%I on %I.%I', r.rulename, n.nspname, c.relname),
    pg_catalog.concat_ws(
        E'\n',
        pg_catalog.pg_get_ruledef(r.oid),
        case r.ev_enabled when 'D' then 'disabled' when 'R' then 'enabled replica' when 'A' then 'enabled always' end
    )
from pg_catalog.pg_rewrite as r
join pg_catalog.pg_class as c on c.oid = r.ev_class
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where r.rulename <> '_RETURN'
    and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname not like 'pg\_temp\_%'
union all
select
    'policy',
    pg_catalog.format('%I on %I.%I', p.polname, n.nspname, c.relname),
    pg_catalog.concat_ws(
        E'\n',
        case when p.polpermissive then 'permissive' else 'restrictive' end,
        'for '
            || case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        'to ' || (
            select pg_catalog.string_agg(case role when 0 then 'public' else role::pg_catalog.regrole::text end, ', ' order by 1)
            from pg_catalog.unnest(p.polroles) as role
        ),
        'using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid),
        'with check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
    )
from pg_catalog.pg_policy as p
join pg_catalog.pg_class as c on c.oid = p.polrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
union all
select
    'statistics object',
    pg_catalog.format('%I.%I', n.nspname, s.stxname),
    pg_catalog.concat_ws(
        E'\n',
        -- Its own printing has the columns in the order that they have in the table.
        'of ' || s.stxrelid::pg_catalog.regclass::text,
        'kinds ' || pg_catalog.array_to_string(s.stxkind, ', '),
        (
            select 'on ' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attname)
            from pg_catalog.pg_attribute as a
            where a.attrelid = s.stxrelid and a.attnum = any (s.stxkeys::int2[])
        ),
        pg_catalog.array_to_string(pg_catalog.pg_get_statisticsobjdef_expressions(s.oid), ', '),
        'owner ' || s.stxowner::pg_catalog.regrole::text,
        'statistics ' || s.stxstattarget::text
    )
from pg_catalog.pg_statistic_ext as s
join pg_catalog.pg_namespace as n on n.oid = s.stxnamespace
