-- What does not fit into memory, and what is sorted for nothing.
create table corpus.tags (id bigint primary key, tag integer not null);
alter table corpus.tags alter tag set (n_distinct = 50);
insert into corpus.tags select n, n::bigint * 7919 % 60000 from generate_series(1, 600000) n;
create table corpus.tag_names (tag integer primary key, name text not null);
insert into corpus.tag_names select n, md5(n::text) from generate_series(0, 59999) n;
vacuum analyze corpus.tags, corpus.tag_names;

-- query: rank_of_comments
-- why: A window over all comments sorts 800,000 rows on disk.
-- expects: sort_spilled
-- may: temp_io, sort_that_an_index_could_give
select * from (select id, tenant_id, rank() over (partition by tenant_id order by body, created_at) as place from app.comments) r where place = 3;

-- query: ordered_export
-- why: 1.2 million messages are sorted on disk for an export in the order of the text.
-- expects: sort_spilled
-- may: temp_io, sort_that_an_index_could_give, query_above_target
select id, body from app.telegram_messages order by body, id;

-- query: big_hash_of_messages
-- why: The build side, 800,000 comments with their text, is split into many batches on disk.
-- expects: hash_spilled
-- may: temp_io, sort_spilled, sequential_scan_discards_rows
set local max_parallel_workers_per_gather = 0;
select count(*), max(c.body), max(e.actor) from app.comments c join audit.events e on e.id = c.id;

-- query: distinct_rationales
-- why: 1.2 million different texts are hashed in 4 MB: nearly all goes through disk.
-- expects: aggregate_spilled
-- may: temp_io, sort_spilled
set local max_parallel_workers_per_gather = 0;
set local enable_sort = off;
select count(*) from (select rationale, count(*) from app.classifications group by rationale) s;

-- query: cte_kept_on_disk
-- why: The CTE is asked twice and has 800,000 rows with text, which go to disk and are read again.
-- expects: temp_io
-- may: materialized_cte, sequential_scan_discards_rows, hash_spilled, aggregate_spilled, sort_spilled, nested_loop_over_many_rows, query_above_target, row_estimate_off
set local max_parallel_workers_per_gather = 0;
with c as (select id, tenant_id, task_id, body from app.comments)
select (select count(*) from c where body < 'B'), (select max(id) from c where body like '%tax%');

-- query: newest_classifications
-- why: All of a million classifications are read and sorted for twenty: an index on created_at gives them.
-- expects: sort_that_an_index_could_give
select id, tenant_id, label from app.classifications order by created_at desc limit 20;

-- query: highest_priority_of_tenant
-- why: 180,000 tasks of the tenant are sorted for the ten of highest priority; (tenant_id, priority, created_at) has them in order.
-- expects: sort_that_an_index_could_give
-- may: index_scan_filters_rows, sequential_scan_discards_rows
select id, title from app.tasks where tenant_id = 1 order by priority, created_at limit 10;

-- query: cache_of_tag_names_evicts
-- why: The cache holds a fraction of 60,000 tags, because 50 were declared.
-- expects: memoize_evicts
-- may: nested_loop_over_many_rows, row_estimate_off
set local work_mem = '128kB';
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local max_parallel_workers_per_gather = 0;
select count(*), max(n.name) from corpus.tags t join corpus.tag_names n on n.tag = t.tag;
