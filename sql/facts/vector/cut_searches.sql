-- Captured searches by HNSW and IVFFlat indexes in the last day, where some have got fewer rows than they asked for; of those
-- the five newest.
with recent as (
    select
        q.*,
        pg_catalog.row_number() over (
            partition by q.relation, q.index, q.k_short
            order by q.captured_at desc, q.id desc
        ) as number
    from dbre.vector_queries q
    where q.index is not null
        and q.k is not null
        and not q.joined
        and q.captured_at > pg_catalog.now() - interval '1 day'
)
select
    r.relation::oid,
    r.relation::text,
    r.index::text,
    r.key,
    r.operator,
    count(*),
    count(*) filter (where r.k_short),
    coalesce(
        pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_object(
                'k', r.k,
                'rows', r.rows,
                'filter', r.filter,
                'filtered', r.filter is not null or r.filter_columns <> '{}',
                'ef_search', r.ef_search,
                'probes', r.probes,
                'iterative_scan', r.iterative_scan,
                'role', (select o.oid::bigint from pg_catalog.pg_roles o where o.rolname = r.role)
            )
            order by r.number
        ) filter (where r.k_short and r.number <= 5),
        '[]'
    )
from recent r
join pg_catalog.pg_class c on c.oid = r.relation
join pg_catalog.pg_class i on i.oid = r.index
group by r.relation, r.index, r.key, r.operator
having pg_catalog.bool_or(r.k_short)
order by count(*) filter (where r.k_short) desc, r.index::oid
