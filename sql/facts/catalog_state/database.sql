-- Schemas, extensions, publications, event triggers, default privileges, roles and their settings.
select
    'schema',
    pg_catalog.quote_ident(n.nspname),
    pg_catalog.concat_ws(
        E'\n',
        'owner ' || n.nspowner::pg_catalog.regrole::text,
        'grants ' || (
            select pg_catalog.string_agg(g::text, ', ' order by g::text)
            from pg_catalog.unnest(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) as g
        )
    )
from pg_catalog.pg_namespace as n
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname not like 'pg\_temp\_%'
    and n.nspname not like 'pg\_toast\_temp\_%'
union all
select 'extension', pg_catalog.quote_ident(e.extname), pg_catalog.format('version %s in schema %I', e.extversion, n.nspname)
from pg_catalog.pg_extension as e
join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
union all
select
    'publication',
    pg_catalog.quote_ident(p.pubname),
    pg_catalog.concat_ws(
        E'\n',
        'owner ' || p.pubowner::pg_catalog.regrole::text,
        case when p.puballtables then 'for all tables' end,
        pg_catalog.concat_ws(
            ', ',
            case when p.pubinsert then 'insert' end,
            case when p.pubupdate then 'update' end,
            case when p.pubdelete then 'delete' end,
            case when p.pubtruncate then 'truncate' end,
            case when p.pubviaroot then 'via partition root' end
        ),
        (
            select pg_catalog.string_agg(
                pg_catalog.format(
                    'table %s%s%s', r.prrelid::pg_catalog.regclass,
                    (
                        select ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attname) || ')'
                        from pg_catalog.pg_attribute as a
                        where a.attrelid = r.prrelid and a.attnum = any (r.prattrs::int2[])
                    ),
                    ' where ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)
                ),
                E'\n' order by r.prrelid::pg_catalog.regclass::text
            )
            from pg_catalog.pg_publication_rel as r
            where r.prpubid = p.oid
        ),
        (
            select pg_catalog.string_agg('tables in schema ' || s.pnnspid::pg_catalog.regnamespace::text, E'\n' order by 1)
            from pg_catalog.pg_publication_namespace as s
            where s.pnpubid = p.oid
        )
    )
from pg_catalog.pg_publication as p
union all
select
    'event trigger',
    pg_catalog.quote_ident(t.evtname),
    pg_catalog.format('on %s execute %s tags %s enabled %s owner %s', t.evtevent, t.evtfoid::pg_catalog.regprocedure, t.evttags, t.evtenabled, t.evtowner::pg_catalog.regrole)
from pg_catalog.pg_event_trigger as t
union all
select
    'default privileges',
    pg_catalog.format(
        'of %s on %s%s', d.defaclrole::pg_catalog.regrole,
        case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' else 'schemas' end,
        ' in schema ' || nullif(d.defaclnamespace, 0)::pg_catalog.regnamespace::text
    ),
    (select pg_catalog.string_agg(g::text, ', ' order by g::text) from pg_catalog.unnest(d.defaclacl) as g)
from pg_catalog.pg_default_acl as d
union all
select
    'role',
    -- Not by regrole, for which a role that another session drops has no name any more.
    pg_catalog.quote_ident(r.rolname),
    pg_catalog.concat_ws(
        E'\n',
        pg_catalog.concat_ws(
            ' ',
            case when r.rolsuper then 'superuser' end,
            case when r.rolinherit then 'inherit' end,
            case when r.rolcreaterole then 'createrole' end,
            case when r.rolcreatedb then 'createdb' end,
            case when r.rolcanlogin then 'login' end,
            case when r.rolreplication then 'replication' end,
            case when r.rolbypassrls then 'bypassrls' end
        ),
        'connection limit ' || nullif(r.rolconnlimit, -1)::text,
        'valid until ' || r.rolvaliduntil::text,
        (
            select pg_catalog.string_agg(
                pg_catalog.format('member of %I%s', g.rolname, case when m.admin_option then ' with admin option' end),
                E'\n' order by g.rolname, m.admin_option
            )
            from pg_catalog.pg_auth_members as m
            join pg_catalog.pg_roles as g on g.oid = m.roleid
            where m.member = r.oid
        )
    )
from pg_catalog.pg_roles as r
where r.rolname not like 'pg\_%'
union all
select
    'settings',
    pg_catalog.concat_ws(
        ' ',
        'of role ' || nullif(s.setrole, 0)::pg_catalog.regrole::text,
        'in database ' || (select pg_catalog.quote_ident(d.datname) from pg_catalog.pg_database as d where d.oid = s.setdatabase)
    ),
    (select pg_catalog.string_agg(o, E'\n' order by o) from pg_catalog.unnest(s.setconfig) as o)
from pg_catalog.pg_db_role_setting as s
where s.setdatabase = 0
    or s.setdatabase = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
