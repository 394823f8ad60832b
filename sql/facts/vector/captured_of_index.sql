-- Query vectors captured for the key and operator of index $1, at most $2, chosen by the seed $3: the same ones each time, as
-- long as no other searches are captured.
select q.query_vector
from pg_catalog.pg_index i
join pg_catalog.pg_opclass o on o.oid = i.indclass[0]
join pg_catalog.pg_type t on t.oid = o.opcintype
join pg_catalog.pg_amop a
    on a.amopfamily = o.opcfamily
    and a.amoplefttype = o.opcintype
    and a.amoppurpose = 'o'
join pg_catalog.pg_operator op on op.oid = a.amopopr
join dbre.vector_queries q
    on q.relation = coalesce(pg_catalog.pg_partition_root(i.indrelid)::oid, i.indrelid)
    and q.operator = op.oprname
    and q.vector_type = t.typname
    -- Of an expression that is no mere call, an index's definition has parentheses around it.
    and pg_catalog.pg_get_indexdef(i.indexrelid, 1, false) in (q.key, '(' || q.key || ')')
where i.indexrelid = $1
order by pg_catalog.hashint8extended(q.id, $3), q.id
limit $2
