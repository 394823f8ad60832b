insert into dbre.vector_query_counts (relation, key, operator, searches)
values ($1, $2, $3, $4)
on conflict (relation, key, operator) do update set searches = excluded.searches
