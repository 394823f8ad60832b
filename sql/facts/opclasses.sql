-- Operator classes of index columns.
select o.oid, o.opcname::text, o.opcfamily, o.opcdefault
from pg_catalog.pg_opclass o
