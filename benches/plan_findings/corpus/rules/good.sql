-- Plans that are as they should be.
create table corpus.flags (id integer primary key, name text not null, active boolean not null);
insert into corpus.flags select n, 'flag ' || n, n % 2 = 0 from generate_series(1, 200) n;
vacuum analyze corpus.flags;

-- query: task_by_key
-- why: One row by the primary key.
-- expects: nothing
select * from app.tasks where tenant_id = 3 and id = 3;

-- query: small_table_by_name
-- why: 200 rows in two pages: nothing is faster than reading them.
-- expects: nothing
select id from corpus.flags where name = 'flag 77';

-- query: all_tenants
-- why: Forty rows, all wanted.
-- expects: nothing
select id, name, plan from app.tenants order by name;

-- query: newest_atoms_of_a_topic
-- why: The index gives the rows in order and the limit ends it.
-- expects: nothing
select id, title from app.atoms where tenant_id = 1 and topic_id = 1 order by created_at desc limit 20;

-- query: due_tasks_of_a_tenant
-- why: Top-N from an index that has the order.
-- expects: nothing
select id, title, due_at from app.tasks where tenant_id = 5 and status = 'open' order by due_at limit 20;

-- query: comments_of_a_task
-- why: A handful of rows by the index and their authors by the key.
-- expects: nothing
select c.id, c.body, u.display_name
from app.comments c left join app.users u on u.tenant_id = c.tenant_id and u.id = c.author_id
where c.tenant_id = 2 and c.task_id = 2 order by c.created_at;

-- query: count_by_index_only
-- why: The rows are counted in the index, and the visibility map spares the heap.
-- expects: nothing
select count(*) from audit.events where tenant_id = 12 and occurred_at >= now() - interval '40 days';

-- query: monthly_report
-- why: A report over all events must read all of them, and does so in parallel into few groups.
-- expects: nothing
-- may: query_above_target, cache_misses
select tenant_id, table_name, action, count(*) from audit.events group by 1, 2, 3 order by 1, 2, 3;

-- query: label_shares
-- why: An average over all classifications: one pass, four groups.
-- expects: nothing
-- may: query_above_target, cache_misses
select label, count(*), avg(confidence) from app.classifications group by label;

-- query: messages_of_a_day
-- why: One partition is left, and the index of the chat gives the day.
-- expects: nothing
select id, sent_at, body from app.telegram_messages
where tenant_id = 1 and chat_id = 1 and sent_at >= date_trunc('month', now()) - interval '40 days' and sent_at < date_trunc('month', now()) - interval '39 days'
order by sent_at limit 50;

-- query: hashed_subplan
-- why: The subquery is read once into a hash table of some tenants.
-- expects: nothing
select id, name from app.tenants where id not in (select tenant_id from app.users where role = 'guest' and id < 500 and tenant_id is not null);

-- query: wanted_cte_twice
-- why: The CTE is small, used twice and rightly kept.
-- expects: nothing
with mine as (select id, atom_id, status from app.tasks where tenant_id = 20 and assignee_id = 20)
select (select count(*) from mine where status = 'open'), (select count(*) from mine where status = 'done');

-- query: semi_join_of_atoms
-- why: EXISTS becomes a semi-join by the key.
-- expects: nothing
select a.id from app.atoms a where a.tenant_id = 30 and a.topic_id = 30 and exists (
    select from app.atom_messages am where am.tenant_id = a.tenant_id and am.atom_id = a.id);

-- query: policy_read_once
-- why: The policy reads its setting in an initplan, and the key serves it.
-- expects: nothing
set local role app_api;
set local app.tenant_id = '7';
select id, title from app.atoms where id = 7;

-- query: full_text
-- why: The GIN index finds the one atom.
-- expects: nothing
select id, title from app.atoms where search @@ plainto_tsquery('simple', 'REF4242');

-- query: most_of_a_table
-- why: 72 of 100 tasks are done: reading the table is the best there is.
-- expects: nothing
-- may: query_above_target, cache_misses
select tenant_id, count(*), max(completed_at) from app.tasks where status = 'done' group by tenant_id;

-- query: report_with_a_join
-- why: All runs are joined with all topics for a cost per topic; the hash tables fit and no condition could leave anything out.
-- expects: nothing
-- may: query_above_target, cache_misses
set local work_mem = '64MB';
select t.tenant_id, t.name, sum(r.cost_usd) as cost
from app.analysis_runs r join app.topics t on t.tenant_id = r.tenant_id and t.id = r.topic_id
group by t.tenant_id, t.name order by cost desc limit 20;

-- query: top_of_computed
-- why: The order is that of a count, which no index has; the sort keeps ten rows.
-- expects: nothing
-- may: query_above_target, cache_misses
set local work_mem = '64MB';
select assignee_id, count(*) from app.tasks where assignee_id is not null group by assignee_id order by count(*) desc limit 10;

-- query: insert_of_a_comment
-- why: One row, its foreign keys by index.
-- expects: nothing
insert into app.comments (tenant_id, task_id, body) values (1, 1, 'fine');

-- query: update_by_key
-- why: One row by its key; its triggers take a fraction of a millisecond.
-- expects: nothing
update app.tasks set priority = 2 where tenant_id = 1 and id = 1;
