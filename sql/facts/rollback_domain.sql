-- Default and NOT NULL of domain $1, and its constraint $2: its OID, its definition and whether it is valid.
select t.typdefault, t.typnotnull, c.oid, pg_catalog.pg_get_constraintdef(c.oid), coalesce(c.convalidated, true)
from pg_catalog.pg_type t
left join pg_catalog.pg_constraint c on c.contypid = t.oid and c.conname = $2
where t.oid = $1
