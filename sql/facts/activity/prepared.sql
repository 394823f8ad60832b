-- Functions only: the view pg_prepared_xacts joins catalogs that another session may have locked.
select
    p.transaction::text,
    p.gid,
    p.prepared::text,
    extract(epoch from pg_catalog.clock_timestamp() - p.prepared)::float8,
    pg_catalog.pg_get_userbyid(p.ownerid)::text,
    p.dbid,
    pg_catalog.age(p.transaction)::int8
from pg_catalog.pg_prepared_xact() p
order by p.prepared
