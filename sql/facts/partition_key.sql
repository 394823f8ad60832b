-- Attribute numbers of the partition key of table $1; 0: an expression.
select partattrs::pg_catalog.int2[]
from pg_catalog.pg_partitioned_table
where partrelid = $1
