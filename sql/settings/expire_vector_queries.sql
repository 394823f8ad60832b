-- Searches older than $1 minutes (0: none are too old), and those of tables that are gone. What is kept is a sample: as great a
-- share of all that were captured has gone as of it.
with expired as (
    delete from dbre.vector_queries q
    where ($1 > 0 and q.captured_at < pg_catalog.now() - $1 * interval '1 minute')
        or not exists (select from pg_catalog.pg_class c where c.oid = q.relation)
    returning q.relation, q.key, q.operator
),
gone as (
    select e.relation, e.key, e.operator, count(*) as number
    from expired e
    group by e.relation, e.key, e.operator
)
update dbre.vector_query_counts c
set searches = c.searches * (1 - g.number::float8 / (
    select count(*)
    from dbre.vector_queries q
    where q.relation = c.relation and q.key = c.key and q.operator = c.operator
))
from gone g
where g.relation = c.relation and g.key = c.key and g.operator = c.operator
