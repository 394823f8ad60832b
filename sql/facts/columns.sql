-- Columns of tables, partitioned tables and materialized views.
select
    a.attrelid,
    a.attnum,
    a.attname::text,
    a.atttypid,
    -- without a modifier, the type's own name says it all
    case when a.atttypmod >= 0 then pg_catalog.format_type(a.atttypid, a.atttypmod) end,
    a.attcollation,
    a.attnotnull
from pg_catalog.pg_class c
join pg_catalog.pg_attribute a on a.attrelid = c.oid
where c.relkind in ('r', 'p', 'm') and a.attnum > 0 and not a.attisdropped
