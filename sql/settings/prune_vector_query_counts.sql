delete from dbre.vector_query_counts c
where not exists (
    select
    from dbre.vector_queries q
    where q.relation = c.relation and q.key = c.key and q.operator = c.operator
)
