-- How many searches were captured of a table, key and operator, and how many of them are kept.
select
    coalesce(
        (
            select c.searches
            from dbre.vector_query_counts c
            where c.relation = $1 and c.key = $2 and c.operator = $3
        ),
        0
    )::float8,
    (select count(*) from dbre.vector_queries q where q.relation = $1 and q.key = $2 and q.operator = $3)
