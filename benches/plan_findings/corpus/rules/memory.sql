-- Work that did not fit into work_mem, and buffers.
create table corpus.posts (id bigint primary key, author_id bigint not null);
alter table corpus.posts alter author_id set (n_distinct = 100);
insert into corpus.posts select id, coalesce(author_id, 1) from app.comments;
create table corpus.authors (id bigint primary key, name text not null);
insert into corpus.authors select id, display_name from app.users;
vacuum analyze corpus.posts, corpus.authors;

-- query: sort_spilled
-- why: 1.2 million rows are sorted on disk with 4 MB.
-- expects: sort_spilled
-- may: temp_io, sort_that_an_index_could_give
select * from (select id, label, confidence, row_number() over (order by confidence, id) as place from app.classifications) s where place % 100000 = 0;

-- query: distinct_sort_spilled
-- why: The ordered aggregate sorts 400,000 long texts on disk.
-- expects: sort_spilled
-- may: temp_io, sort_that_an_index_could_give
set local enable_hashagg = off;
select count(*) from (select distinct content from app.atoms) s;

-- query: hash_join_in_batches
-- why: The hash table of 600,000 tasks is split into batches that go to disk.
-- expects: hash_spilled
-- may: temp_io, sequential_scan_discards_rows
set local max_parallel_workers_per_gather = 0;
select count(*), max(t.title) from audit.events e join app.tasks t on t.id = e.row_id where e.table_name = 'tasks';

-- query: aggregate_spilled
-- why: 390,000 groups do not fit into the hash table that 4 MB allow.
-- expects: aggregate_spilled
-- may: temp_io
set local max_parallel_workers_per_gather = 0;
select count(*) from (
    select table_name, row_id, count(*) as changes, max(occurred_at) as last_at, min(actor) as actor from audit.events group by 1, 2
) s where changes > 8;

-- query: materialized_to_disk
-- why: The CTE, used twice, is kept on disk: 600,000 rows.
-- expects: temp_io
-- may: sort_spilled, hash_spilled, aggregate_spilled, materialized_cte, sequential_scan_discards_rows, nested_loop_over_many_rows
set local max_parallel_workers_per_gather = 0;
with t as (select tenant_id, id, title, created_at from app.tasks)
select (select count(*) from t), (select max(title) from t where title > 'Follow up on The mobile');

-- query: sort_for_top_of_a_tenant
-- why: All 30% of the tenant's tasks are sorted for twenty: an index on (tenant_id, created_at) has them in order.
-- expects: sort_that_an_index_could_give
select id, title, created_at from app.tasks where tenant_id = 1 order by created_at desc limit 20;

-- query: sort_of_all_for_newest
-- why: The newest fifty of 1.2 million events are found by reading and sorting all: an index on occurred_at has them in order.
-- expects: sort_that_an_index_could_give
-- may: sequential_scan_discards_rows
select id, tenant_id, occurred_at from audit.events order by occurred_at desc limit 50;

-- query: memoize_evicts
-- why: Somebody declared 100 authors where there are 38,000: the cache of the inner side holds a fraction and entries go before they are asked again.
-- expects: memoize_evicts
-- may: nested_loop_over_many_rows, row_estimate_off
set local work_mem = '256kB';
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local max_parallel_workers_per_gather = 0;
select count(*), max(a.name) from corpus.posts p join corpus.authors a on a.id = p.author_id;
