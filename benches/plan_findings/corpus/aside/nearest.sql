-- Neighbours in spaces.
create table corpus.faces (id integer primary key, person integer not null, embedding public.vector(96) not null);
insert into corpus.faces
select n, n % 400, (select array_agg(cos(k * (1 + n % 31) * 0.3 + n)::real order by k) from generate_series(1, 96) k)::real[]::public.vector(96)
from generate_series(1, 50000) n;
create table corpus.songs (like corpus.faces including all);
insert into corpus.songs select * from corpus.faces;
create index on corpus.songs using hnsw (embedding public.vector_cosine_ops) with (m = 8, ef_construction = 32);
vacuum analyze corpus.faces, corpus.songs;

-- query: similar_faces
-- why: The distance to 50,000 faces is computed and sorted; no index of vectors exists.
-- expects: distance_without_index
-- may: sort_that_an_index_could_give, row_estimate_off
select id from corpus.faces order by embedding <-> (select embedding from corpus.faces where id = 5) limit 5;

-- query: inner_product_with_cosine_index
-- why: The index is of cosine distance, and the query asks for the inner product.
-- expects: distance_without_index
-- may: sort_that_an_index_could_give, row_estimate_off
select id from corpus.songs order by embedding <#> (select embedding from corpus.songs where id = 5) limit 5;

-- query: distance_as_expression
-- why: 1 - (a <=> b) in descending order is no order that the index can give; the operator alone, ascending, is.
-- expects: distance_without_index
-- may: sort_that_an_index_could_give, row_estimate_off
select id from corpus.songs order by 1 - (embedding <=> (select embedding from corpus.songs where id = 5)) desc limit 5;

-- query: similar_songs
-- why: Operator and index agree.
-- expects: nothing
select id from corpus.songs order by embedding <=> (select embedding from corpus.songs where id = 5) limit 5;
