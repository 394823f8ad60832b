-- What may keep the caller from reading the columns $2 of the tables $1.
select
    c.oid,
    a.attnum,
    pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') is true
        and pg_catalog.has_table_privilege(c.oid, 'SELECT') is true,
    pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') is true
        and pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') is true,
    c.relrowsecurity and pg_catalog.row_security_active(c.oid),
    -- TABLESAMPLE reads all of those
    c.relkind = 'p' and exists (
        select from pg_catalog.pg_class f
        where f.relkind = 'f' and f.relispartition
            and pg_catalog.pg_partition_root(f.oid) = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
    )
from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) asked (oid, number)
join pg_catalog.pg_class c on c.oid = asked.oid
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = asked.number and not a.attisdropped
