-- Searches of $1 (null: of all tables) older than $2 (null: all); as great a share of all that were captured goes with them.
with forgotten as (
    delete from dbre.vector_queries q
    where ($1 is null or q.relation = $1) and ($2 is null or q.captured_at < pg_catalog.now() - $2)
    returning q.relation, q.key, q.operator
),
gone as (
    select f.relation, f.key, f.operator, count(*) as number
    from forgotten f
    group by f.relation, f.key, f.operator
),
counted as (
    update dbre.vector_query_counts c
    set searches = c.searches * (1 - g.number::float8 / (
        select count(*)
        from dbre.vector_queries q
        where q.relation = c.relation and q.key = c.key and q.operator = c.operator
    ))
    from gone g
    where g.relation = c.relation and g.key = c.key and g.operator = c.operator
)
select 1 from forgotten
