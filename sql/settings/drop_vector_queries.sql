-- $4 of them at random, to make room.
delete from dbre.vector_queries
where id in (
    select q.id
    from dbre.vector_queries q
    where q.relation = $1 and q.key = $2 and q.operator = $3
    order by pg_catalog.random()
    limit $4
)
