-- $1 text[]: names in DROP statements. What goes by one of them: class and OID, kind, schema, name, and the part's name or the
-- arguments.
select
    'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, c.oid, 'relation'::text, n.nspname::text, c.relname::text, ''::text
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname = any ($1::pg_catalog.name[]) and c.relkind <> 't'
union all
select 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 'type', n.nspname, t.typname, ''
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_class c on c.oid = t.typrelid
where t.typname = any ($1::pg_catalog.name[]) and (t.typrelid = 0 or c.relkind = 'c')
union all
select
    'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'function', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where p.proname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, 'schema', '', n.nspname, ''
from pg_catalog.pg_namespace n
where n.nspname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_extension'::pg_catalog.regclass, e.oid, 'extension', '', e.extname, ''
from pg_catalog.pg_extension e
where e.extname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_publication'::pg_catalog.regclass, p.oid, 'publication', '', p.pubname, ''
from pg_catalog.pg_publication p
where p.pubname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 'statistics', n.nspname, s.stxname, ''
from pg_catalog.pg_statistic_ext s
join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
where s.stxname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, s.oid, 'other', '', s.srvname, ''
from pg_catalog.pg_foreign_server s
where s.srvname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, f.oid, 'other', '', f.fdwname, ''
from pg_catalog.pg_foreign_data_wrapper f
where f.fdwname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_collation'::pg_catalog.regclass, l.oid, 'other', n.nspname, l.collname, ''
from pg_catalog.pg_collation l
join pg_catalog.pg_namespace n on n.oid = l.collnamespace
where l.collname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid, 'trigger', n.nspname, c.relname, g.tgname
from pg_catalog.pg_trigger g
join pg_catalog.pg_class c on c.oid = g.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where g.tgname = any ($1::pg_catalog.name[]) and not g.tgisinternal
union all
select 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid, 'policy', n.nspname, c.relname, y.polname
from pg_catalog.pg_policy y
join pg_catalog.pg_class c on c.oid = y.polrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where y.polname = any ($1::pg_catalog.name[])
union all
select 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, 'rule', n.nspname, c.relname, w.rulename
from pg_catalog.pg_rewrite w
join pg_catalog.pg_class c on c.oid = w.ev_class
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where w.rulename = any ($1::pg_catalog.name[])
