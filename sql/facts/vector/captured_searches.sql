-- Kinds of searches in dbre.vector_queries on the tables $1 (OIDs), with what the newest of each shows.
select
    q.relation::oid::bigint,
    q.key,
    q.operator,
    q.query_id,
    coalesce(r.oid, 0)::bigint,
    q.role,
    pg_catalog.count(*)::float8,
    pg_catalog.avg(q.ms),
    pg_catalog.avg(q.rows)::float8,
    case when pg_catalog.bool_and(q.k is not null) then pg_catalog.max(q.k) end,
    (pg_catalog.array_agg(q.index order by q.id desc))[1]::oid::bigint,
    (pg_catalog.array_agg(q.filter order by q.id desc))[1],
    pg_catalog.bool_or(q.filter_columns <> '{}'),
    (pg_catalog.array_agg(q.ef_search order by q.id desc) filter (where q.ef_search is not null))[1],
    (pg_catalog.array_agg(q.probes order by q.id desc) filter (where q.probes is not null))[1],
    (pg_catalog.array_agg(q.iterative_scan order by q.id desc) filter (where q.iterative_scan is not null))[1]
from dbre.vector_queries q
left join pg_catalog.pg_roles r on r.rolname = q.role
where q.relation::oid::bigint = any ($1::bigint[])
group by q.relation, q.key, q.operator, q.query_id, r.oid, q.role
order by pg_catalog.sum(q.ms) desc
