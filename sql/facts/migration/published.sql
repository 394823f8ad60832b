-- $1: a publication. Its tables.
select
    c.oid,
    n.nspname::text,
    c.relname::text,
    greatest(c.reltuples, 0)::float8,
    greatest(c.relpages, 0) * pg_catalog.current_setting('block_size')::int8
from pg_catalog.pg_publication p
join pg_catalog.pg_publication_rel r on r.prpubid = p.oid
join pg_catalog.pg_class c on c.oid = r.prrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where p.pubname = $1
