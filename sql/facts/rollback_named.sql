-- Relations, types, functions and so on that are called $2, in one of the schemas $1 where they are in schemas; $3: of which kind.
select 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid, n.nspname::text, c.relkind::text
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where $3 = 'relation' and c.relname = $2 and n.nspname = any ($1) and c.relkind <> 'c'
union all
select 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, n.nspname, t.typtype::text
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where $3 = 'type' and t.typname = $2 and n.nspname = any ($1)
union all
select 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, n.nspname, p.prokind::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where $3 = 'function' and p.proname = $2 and n.nspname = any ($1)
union all
select 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, n.nspname, ''
from pg_catalog.pg_statistic_ext s
join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
where $3 = 'statistics' and s.stxname = $2 and n.nspname = any ($1)
union all
select 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, '', '' from pg_catalog.pg_namespace n where $3 = 'schema' and n.nspname = $2
union all
select 'pg_catalog.pg_extension'::pg_catalog.regclass, e.oid, '', e.extversion
from pg_catalog.pg_extension e
where $3 = 'extension' and e.extname = $2
union all
select 'pg_catalog.pg_publication'::pg_catalog.regclass, p.oid, '', '' from pg_catalog.pg_publication p where $3 = 'publication' and p.pubname = $2
