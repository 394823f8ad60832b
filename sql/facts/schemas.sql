-- All schemas.
select n.nspname::text from pg_catalog.pg_namespace n order by n.nspname
