-- $1 text[]: words of a migration. Schemas, extensions, and functions so named.
select 'schema'::text, n.nspname::text, ''::text from pg_catalog.pg_namespace n
union all
select 'extension'::text, ''::text, e.extname::text from pg_catalog.pg_extension e
union all
select distinct 'function'::text, n.nspname::text, p.proname::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where p.proname = any ($1::pg_catalog.name[])
