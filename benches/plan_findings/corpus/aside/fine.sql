-- Nothing to find.
create table corpus.codes (code text primary key, meaning text not null);
insert into corpus.codes select 'c' || n, 'meaning ' || n from generate_series(1, 600) n;
vacuum analyze corpus.codes;

-- query: user_by_email
-- why: The unique index on the expression finds one row.
-- expects: nothing
select id, role from app.users where tenant_id = 5 and lower(email) = 'person5@example.com';

-- query: code_by_meaning
-- why: Six hundred rows: a scan of five pages.
-- expects: nothing
select code from corpus.codes where meaning = 'meaning 321';

-- query: chats_of_a_tenant
-- why: Some hundred rows of a small table, by the key's first column or by a scan: both take no time.
-- expects: nothing
select id, title from app.telegram_chats where tenant_id = 1 and is_muted order by title;

-- query: message_by_full_key
-- why: One partition, one row.
-- expects: nothing
select body from app.telegram_messages where tenant_id = 1 and id = 1 and sent_at >= date_trunc('month', now()) - interval '12 months' and sent_at < date_trunc('month', now()) - interval '11 months 15 days';

-- query: messages_per_month
-- why: All messages are counted: twelve partitions are read because all are wanted.
-- expects: nothing
-- may: query_above_target, cache_misses, expression_without_statistics
select date_trunc('month', sent_at) as month, count(*) from app.telegram_messages group by 1;

-- query: total_cost_per_model
-- why: A sum over all runs of a table of 14 MB.
-- expects: nothing
select model, status, sum(cost_usd), avg(prompt_tokens) from app.analysis_runs group by 1, 2;

-- query: all_comments_per_task_histogram
-- why: The index gives groups in order, all of them are wanted.
-- expects: nothing
-- may: query_above_target, cache_misses
select n, count(*) from (select count(*) as n from app.comments group by tenant_id, task_id) s group by n order by n;

-- query: open_tasks_with_assignee
-- why: Some hundred rows by an index, each with its user by the key.
-- expects: nothing
select t.id, t.title, u.display_name
from app.tasks t left join app.users u on u.tenant_id = t.tenant_id and u.id = t.assignee_id
where t.tenant_id = 11 and t.status = 'blocked';

-- query: next_jobs
-- why: The partial index holds just the queue, in its order; the first ones are free.
-- expects: nothing
select tenant_id, id from app.background_jobs where queue = 'ingest' and status = 'queued' order by run_after limit 5 for update skip locked;

-- query: second_page
-- why: An offset of 20 costs nothing.
-- expects: nothing
select id, title, created_at from app.atoms where tenant_id = 1 and topic_id = 2 order by created_at desc limit 20 offset 20;

-- query: tree_of_topics
-- why: A recursive CTE down an indexed tree.
-- expects: nothing
with recursive tree as (
    select tenant_id, id, name, 1 as depth from app.topics where tenant_id = 1 and id = 1
    union all
    select t.tenant_id, t.id, t.name, tree.depth + 1 from tree join app.topics t on t.tenant_id = tree.tenant_id and t.parent_id = tree.id)
select count(*), max(depth) from tree;

-- query: shared_cte
-- why: The aggregate is used twice and computed once: that is what the CTE is for.
-- expects: nothing
-- may: query_above_target, cache_misses
with per_tenant as (select tenant_id, count(*) as n from app.tasks group by tenant_id)
select tenant_id, n from per_tenant where n > (select avg(n) from per_tenant);

-- query: anti_join
-- why: NOT EXISTS is an anti-join by the key.
-- expects: nothing
select t.id from app.topics t
where t.tenant_id = 9 and not exists (select from app.atoms a where a.tenant_id = t.tenant_id and a.topic_id = t.id);

-- query: three_tables_by_hash
-- why: A report over all runs, topics and users with enough work_mem: three scans, all rows wanted.
-- expects: nothing
-- may: query_above_target, cache_misses
set local work_mem = '64MB';
select u.role, t.is_archived, count(*), sum(r.cost_usd)
from app.analysis_runs r
join app.topics t on t.tenant_id = r.tenant_id and t.id = r.topic_id
join app.users u on u.tenant_id = r.tenant_id and u.id = r.started_by
group by 1, 2;

-- query: large_sort_in_memory
-- why: A sort of 600,000 dates that fits into the memory it was given, for a median that no index has.
-- expects: nothing
-- may: query_above_target, cache_misses
set local work_mem = '256MB';
select percentile_cont(0.5) within group (order by completed_at - created_at) from app.tasks where status = 'done';

-- query: tenant_policy_once
-- why: The policy's setting is read once, and the index gives the tenant's rows.
-- expects: nothing
set local role app_api;
set local app.tenant_id = '23';
select count(*) from app.topics where parent_id is null;

-- query: upsert_of_a_link
-- why: One row with its conflict checked by the key.
-- expects: nothing
insert into app.atom_messages (tenant_id, atom_id, message_id, message_sent_at, relevance)
select tenant_id, atom_id, message_id, message_sent_at, 0.5 from app.atom_messages where tenant_id = 1 limit 1
on conflict (tenant_id, atom_id, message_id) do update set relevance = excluded.relevance;

-- query: planned_key_lookup
-- why: Only planned: a lookup by key.
-- expects: nothing
-- analyze: no
select * from app.classifications where tenant_id = 3 and id = 3;
