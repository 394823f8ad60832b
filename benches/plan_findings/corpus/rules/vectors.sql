-- Searches of vectors.
create table corpus.chunks (id integer primary key, kind integer not null, embedding public.vector(64) not null);
insert into corpus.chunks
select n, n % 10, (select array_agg(sin(k * (1 + n % 24) * 0.7 + n)::real order by k) from generate_series(1, 64) k)::real[]::public.vector(64)
from generate_series(1, 60000) n;
vacuum analyze corpus.chunks;
create table corpus.l2 (like corpus.chunks including all);
insert into corpus.l2 select * from corpus.chunks;
create index on corpus.l2 using hnsw (embedding public.vector_l2_ops) with (m = 8, ef_construction = 32);
vacuum analyze corpus.l2;

-- query: nearest_without_index
-- why: All 60,000 vectors are compared and sorted for ten: no index on the column.
-- expects: distance_without_index
-- may: sort_that_an_index_could_give, row_estimate_off
select id from corpus.chunks order by embedding <=> (select embedding from corpus.chunks where id = 77) limit 10;

-- query: cosine_with_l2_index
-- why: The index is of vector_l2_ops, the query orders by cosine distance: it cannot serve.
-- expects: distance_without_index
-- may: sort_that_an_index_could_give, row_estimate_off
select id from corpus.l2 order by embedding <=> (select embedding from corpus.l2 where id = 77) limit 10;

-- query: atoms_by_l2
-- why: Atoms have an index for cosine distance, and this asks for <->.
-- expects: distance_without_index
-- may: sort_that_an_index_could_give, row_estimate_off, cache_misses
select atom_id from app.atom_embeddings order by embedding <-> (select embedding from app.atom_embeddings limit 1) limit 10;

-- query: nearest_with_index
-- why: The HNSW index answers.
-- expects: nothing
select atom_id from app.atom_embeddings order by embedding <=> (select embedding from app.atom_embeddings limit 1) limit 10;
