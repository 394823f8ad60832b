-- What the text of the query costs.
create table corpus.articles (id bigint primary key, tenant_id bigint not null, code text not null, sku integer not null, words text not null, published_at timestamptz not null, category integer);
insert into corpus.articles
select id, tenant_id, 'C' || id, id, title, created_at, case when id > 390000 then 5 else 10 + topic_id % 90 end from app.atoms;
create index on corpus.articles (code);
create index on corpus.articles (sku);
create index on corpus.articles (published_at);
vacuum analyze corpus.articles;
create function corpus.current_code() returns text language plpgsql stable as $$
begin
    return current_setting('corpus.code', true);
end $$;
create function corpus.price_of(sku integer) returns numeric language plpgsql stable as $$
declare
    found numeric;
begin
    select pg_catalog.count(*) into found from app.comments where tenant_id = 1 and task_id = sku;
    return found;
end $$;
create table corpus.invoices (id bigint primary key, owner_id bigint not null, total numeric not null);
insert into corpus.invoices select n, n % 5000, n from generate_series(1, 300000) n;
alter table corpus.invoices enable row level security;
create policy own on corpus.invoices for select using (owner_id = current_setting('app.user_id')::bigint);
create table corpus.letters (id bigint primary key, org text not null, body text);
insert into corpus.letters select n, 'org ' || n % 700, md5(n::text) from generate_series(1, 300000) n;
alter table corpus.letters enable row level security;
create function corpus.org() returns text language sql stable security definer set search_path = pg_catalog as $$ select pg_catalog.current_setting('app.org', true) $$;
create policy of_org on corpus.letters using (org = corpus.org());
vacuum analyze corpus.invoices, corpus.letters;
grant select on all tables in schema corpus to app_api;

-- query: fenced_articles
-- why: MATERIALIZED keeps the two conditions out of the CTE, so that all articles are written aside for one.
-- expects: materialized_cte
-- may: temp_io, sequential_scan_discards_rows
set local max_parallel_workers_per_gather = 0;
with all_articles as materialized (select id, sku, words from corpus.articles)
select words from all_articles where sku = 77;

-- query: fenced_join
-- why: The CTE is materialized by command and used once; joined in, each row of it would have been found by the key.
-- expects: materialized_cte
-- may: temp_io, sequential_scan_discards_rows, row_estimate_off, hash_spilled
set local max_parallel_workers_per_gather = 0;
with c as materialized (select tenant_id, task_id, body from app.comments)
select c.body from c where c.tenant_id = 9 and c.task_id = 9;

-- query: function_of_the_session_per_row
-- why: A stable function without arguments in a filter over 400,000 rows is called for each; in a subselect once.
-- expects: function_per_row
-- may: sequential_scan_discards_rows, condition_disables_index
set local max_parallel_workers_per_gather = 0;
set local corpus.code = 'C5';
select count(*) from corpus.articles where words <> corpus.current_code();

-- query: query_inside_a_function_per_row
-- why: The function in the filter runs a query of its own for each of thousands of rows.
-- expects: function_per_row
-- may: sequential_scan_discards_rows, expression_without_statistics, row_estimate_off
set local max_parallel_workers_per_gather = 0;
select count(*) from corpus.articles where category = 23 and corpus.price_of(sku) > 3;

-- query: policy_reads_setting_per_row
-- why: current_setting in the policy is read for each of 300,000 rows.
-- expects: row_security_per_row
-- may: function_per_row, sequential_scan_discards_rows
set local role app_api;
set local app.user_id = '17';
select sum(total) from corpus.invoices;

-- query: policy_calls_definer_function
-- why: A SECURITY DEFINER function cannot be inlined and the policy calls it for each row.
-- expects: row_security_per_row
-- may: function_per_row, sequential_scan_discards_rows, parallel_unsafe_function
set local role app_api;
set local app.org = 'org 3';
select count(*) from corpus.letters;

-- query: page_two_thousand
-- why: The index gives the order, and 60,000 rows of it are read to be thrown away.
-- expects: offset_reads_and_discards
select id, words from corpus.articles order by published_at offset 60000 limit 30;

-- query: page_of_a_join
-- why: 120,000 joined rows are made and thrown away for a page of ten.
-- expects: offset_reads_and_discards
-- may: nested_loop_over_many_rows, sort_spilled, hash_spilled, sort_that_an_index_could_give, memoize_evicts, temp_io
select t.id, u.display_name
from app.tasks t join app.users u on u.tenant_id = t.tenant_id and u.id = t.created_by
where t.tenant_id = 1 order by t.id offset 120000 limit 10;

-- query: limit_over_published
-- why: Category 5 has only the newest articles, and the oldest are asked: the walk from the old end meets none for 390,000 rows.
-- expects: limit_planned_wrong
-- may: index_scan_filters_rows
select id, words from corpus.articles where category = 5 order by published_at limit 10;

-- query: limit_over_key
-- why: The walk down the key is expected to find a failed one soon; they are all old, so that nearly all rows are filtered.
-- expects: limit_planned_wrong
-- may: index_scan_filters_rows
select id, code from corpus.articles where category = 5 and tenant_id = 1 order by id limit 5;

-- query: code_in_upper_case
-- why: upper(code) cannot use the index on code.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows, expression_without_statistics
select id, words from corpus.articles where upper(code) = 'C777';

-- query: sku_as_text
-- why: A cast of sku to text for a comparison with a string leaves its index aside.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows, expression_without_statistics
select id, words from corpus.articles where sku::text = '777';

-- query: arithmetic_on_the_column
-- why: published_at + one day is no column of an index; moved to the other side it would be.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows, expression_without_statistics
select id, words from corpus.articles where published_at + interval '1 day' > date_trunc('month', now());

-- query: double_for_integer
-- why: The double precision constant makes the comparison one of double precision, past the index on integer.
-- expects: condition_disables_index
-- may: sequential_scan_discards_rows, expression_without_statistics
select id, words from corpus.articles where sku = 777::double precision;
