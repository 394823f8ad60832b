-- How the query is written.
create table corpus.notes (id bigint primary key, tenant_id bigint not null, topic_id bigint, title text, created_at timestamptz not null);
insert into corpus.notes select id, tenant_id, topic_id, title, created_at from app.atoms;
create index on corpus.notes (created_at);
vacuum analyze corpus.notes;
-- Topic 12 was talked of in the first days and never since.
create table corpus.early (like corpus.notes including all);
insert into corpus.early
select id, tenant_id, case when id < 3000 then 12 when topic_id = 12 then 13 else topic_id end, title, created_at from corpus.notes;
vacuum analyze corpus.early;
create function corpus.my_tenant() returns bigint language plpgsql stable as $$
begin
    return nullif(current_setting('app.tenant_id', true), '')::bigint;
end $$;
create function corpus.score(title text) returns integer language plpgsql immutable cost 1000 as $$
begin
    return length(replace(title, 'a', '')) + length(upper(title)) + length(md5(title));
end $$;
create table corpus.documents (id bigint primary key, tenant_id bigint not null, body text);
insert into corpus.documents select id, tenant_id, title from app.atoms;
alter table corpus.documents enable row level security;
create policy of_tenant on corpus.documents using (tenant_id = corpus.my_tenant());
vacuum analyze corpus.documents;
grant select on all tables in schema corpus to app_api;

-- query: materialized_cte_filtered_above
-- why: The fence of MATERIALIZED computes all atoms of all tenants and keeps one: the condition could go in.
-- expects: materialized_cte
-- may: temp_io, sequential_scan_discards_rows
set local max_parallel_workers_per_gather = 0;
with a as materialized (select id, tenant_id, title, created_at from app.atoms)
select * from a where tenant_id = 7 and id = 4242;

-- query: count_per_row
-- why: A count of comments for each of thousands of tasks, where one grouped join reads them once.
-- expects: subplan_per_row
-- may: index_scan_filters_rows
set local max_parallel_workers_per_gather = 0;
select t.id, (select count(*) from app.comments c where c.tenant_id = t.tenant_id and c.task_id = t.id) as comments
from app.tasks t where t.tenant_id = 2;

-- query: latest_per_row
-- why: The latest message of each topic by a subquery for each row; a lateral or DISTINCT ON reads once.
-- expects: subplan_per_row
-- may: sort_that_an_index_could_give
set local max_parallel_workers_per_gather = 0;
select t.id, t.name, (select max(a.confidence) from app.atoms a where a.tenant_id = t.tenant_id and a.topic_id = t.id) as best
from app.topics t;

-- query: stable_function_per_row
-- why: The setting is read by PL/pgSQL for each of 400,000 rows; (select corpus.my_tenant()) reads it once.
-- expects: function_per_row
-- may: sequential_scan_discards_rows
set local max_parallel_workers_per_gather = 0;
set local app.tenant_id = '7';
select count(*) from corpus.notes where tenant_id = corpus.my_tenant() and title > 'Follow';

-- query: expensive_function_in_filter
-- why: The filter is a PL/pgSQL function of the title, called 400,000 times: it takes nearly all of the time.
-- expects: function_per_row
-- may: sequential_scan_discards_rows, expression_without_statistics
set local max_parallel_workers_per_gather = 0;
select count(*) from corpus.notes where corpus.score(title) > 150;

-- query: policy_per_row
-- why: The policy calls the function for each row; wrapped in a subselect it is called once.
-- expects: row_security_per_row
-- may: function_per_row, sequential_scan_discards_rows, parallel_unsafe_function
set local role app_api;
set local app.tenant_id = '7';
select count(*) from corpus.documents;

-- query: deep_offset
-- why: 50,000 rows are read for the ten after them: go on after the last row's key.
-- expects: offset_reads_and_discards
select id, title from corpus.notes order by id offset 50000 limit 10;

-- query: deep_offset_with_sort
-- why: Page 5,001 of a sorted list: all is sorted, and 100,000 rows are thrown away.
-- expects: offset_reads_and_discards
-- may: sort_that_an_index_could_give, sort_spilled, temp_io
select id, title from app.tasks order by title, id offset 100000 limit 20;

-- query: limit_over_wrong_index
-- why: The newest is expected soon on the walk down created_at, but topic 12 has none but early notes: nearly all are read and thrown away.
-- expects: limit_planned_wrong
-- may: index_scan_filters_rows
select id, title from corpus.early where topic_id = 12 order by created_at desc limit 10;

-- query: cast_of_the_key
-- why: The key is cast to text, so that its index cannot serve.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows
select id, title from corpus.notes where id::text = '4242';

-- query: numeric_parameter_for_bigint_key
-- why: A numeric constant makes the comparison numeric, and the index on bigint is left aside.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows
select id, title from corpus.notes where id = 4242.0;

-- query: date_of_indexed_timestamp
-- why: The index on created_at cannot serve created_at::date; a half-open range could.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows, index_scan_filters_rows, expression_without_statistics
select count(*) from corpus.notes where created_at::date = current_date - 100;
