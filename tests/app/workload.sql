-- What the application does on a day, after the load. psql variable: size (small or large).
-- Statements are sent one by one, so that pg_stat_statements has each with its calls.
\if :{?size}
\else
\set size small
\endif
select
    case :'size' when 'large' then 2500 else 200 end as calls,
    -- Without the indexes that planted.sql drops, thousands of such statements take minutes.
    case
        when :'size' <> 'large' then 200
        when pg_catalog.to_regclass('planted.expected') is null then 2500
        else 50
    end as calls_by_planted_key,
    pg_catalog.to_regclass('planted.expected') is not null as planted
\gset

set client_min_messages = warning;
set timezone = 'UTC';
set synchronous_commit = off;
-- A parallel scan counts as one scan per process.
set max_parallel_workers_per_gather = 0;
\o /dev/null

-- Arguments: rows spread over tables, tenants and months.
create temporary table messages as
select tenant_id, id, sent_at, chat_id, author_id from app.telegram_messages
where id % (select pg_catalog.max(id) / :calls from app.telegram_messages) = 3;
create temporary table atoms as
select tenant_id, id, topic_id, analysis_run_id, metadata ->> 'ticket' as ticket from app.atoms
where id % (select pg_catalog.max(id) / :calls from app.atoms) = 3;
create temporary table tasks as
select tenant_id, id, atom_id, assignee_id, created_by, status, title from app.tasks
where id % (select pg_catalog.max(id) / :calls from app.tasks) = 3;
create temporary table comments as
select tenant_id, id, task_id, author_id, parent_id from app.comments
where id % (select pg_catalog.max(id) / :calls from app.comments) = 0;
create temporary table runs as
select tenant_id, id, topic_id, started_by from app.analysis_runs
where id % (select greatest(1, pg_catalog.max(id) / :calls) from app.analysis_runs) = 0;
create temporary table users as
select tenant_id, id, email from app.users order by pg_catalog.hashint8(id) limit :calls;
create temporary table topics as
select tenant_id, id, parent_id, slug from app.topics order by pg_catalog.hashint8(id) limit :calls;
create temporary table chats as
select tenant_id, id, telegram_chat_id from app.telegram_chats order by pg_catalog.hashint8(id) limit :calls;

-- Reads by key --------------------------------------------------------------------------------------------------

select pg_catalog.format('select name, plan, settings from app.tenants where id = %s', tenant_id) from messages \gexec
select pg_catalog.format('select * from app.users where tenant_id = %s and id = %s', tenant_id, id) from users \gexec
select pg_catalog.format('select id, role from app.users where tenant_id = %s and lower(email) = %L', tenant_id, email)
from users \gexec
select pg_catalog.format('select * from app.telegram_chats where tenant_id = %s and id = %s', tenant_id, id) from chats \gexec
select pg_catalog.format(
    'select id, is_muted from app.telegram_chats where tenant_id = %s and telegram_chat_id = %s', tenant_id, telegram_chat_id
) from chats \gexec
select pg_catalog.format(
    'select body, payload from app.telegram_messages where tenant_id = %s and id = %s and sent_at = %L', tenant_id, id, sent_at
) from messages \gexec
select pg_catalog.format('select * from app.topics where tenant_id = %s and id = %s', tenant_id, id) from topics \gexec
select pg_catalog.format('select id, name from app.topics where tenant_id = %s and slug = %L', tenant_id, slug)
from topics \gexec
select pg_catalog.format('select * from app.analysis_runs where tenant_id = %s and id = %s', tenant_id, id) from runs \gexec
select pg_catalog.format('select title, content from app.atoms where tenant_id = %s and id = %s', tenant_id, id)
from atoms \gexec
select pg_catalog.format('select * from app.tasks where tenant_id = %s and id = %s', tenant_id, id) from tasks \gexec
select pg_catalog.format('select * from app.comments where tenant_id = %s and id = %s', tenant_id, id) from comments \gexec
select pg_catalog.format('select label, rationale from app.classifications where tenant_id = %s and id = %s', tenant_id, id)
from messages \gexec
select pg_catalog.format('select status, attempts from app.background_jobs where tenant_id = %s and id = %s', tenant_id, id)
from app.background_jobs order by pg_catalog.hashint8(id) limit :calls * 5 \gexec

-- Lists and joins -----------------------------------------------------------------------------------------------

select pg_catalog.format(
    'select id, sent_at, body from app.telegram_messages'
    ' where tenant_id = %s and chat_id = %s and sent_at >= %L and sent_at < %L order by sent_at limit 50',
    tenant_id, chat_id, sent_at, sent_at + interval '1 day'
) from messages \gexec
select pg_catalog.format(
    'select id, sent_at, body from app.telegram_messages where tenant_id = %s and author_id = %s and sent_at >= %L'
    ' and sent_at < %L',
    tenant_id, author_id, sent_at, sent_at + interval '1 day'
) from messages where author_id is not null limit :calls_by_planted_key \gexec
select pg_catalog.format(
    'select id, name from app.topics where tenant_id = %s and parent_id = %s order by name', tenant_id, id
) from topics \gexec
select pg_catalog.format(
    'select id, status, cost_usd from app.analysis_runs where tenant_id = %s and topic_id = %s order by started_at desc limit 10',
    tenant_id, topic_id
) from runs where topic_id is not null \gexec
select pg_catalog.format(
    'select pg_catalog.sum(cost_usd) from app.analysis_runs where tenant_id = %s and started_by = %s', tenant_id, started_by
) from runs where started_by is not null \gexec
select pg_catalog.format(
    'select id, title from app.atoms where tenant_id = %s and topic_id = %s order by created_at desc limit 20',
    tenant_id, topic_id
) from atoms \gexec
select pg_catalog.format(
    'select id, title from app.atoms where tenant_id = %s and analysis_run_id = %s', tenant_id, analysis_run_id
) from atoms where analysis_run_id is not null limit :calls_by_planted_key \gexec
select pg_catalog.format(
    'select id, title from app.atoms where search @@ pg_catalog.plainto_tsquery(''simple'', %L) and tenant_id = %s',
    'REF' || id, tenant_id
) from atoms \gexec
select pg_catalog.format(
    'select id, title from app.atoms where metadata @> %L and tenant_id = %s',
    pg_catalog.jsonb_build_object('ticket', ticket::integer), tenant_id
) from atoms \gexec
select pg_catalog.format(
    'select m.id, m.body, am.relevance from app.atom_messages as am join app.telegram_messages as m'
    ' on m.tenant_id = am.tenant_id and m.id = am.message_id and m.sent_at = am.message_sent_at'
    ' where am.tenant_id = %s and am.atom_id = %s',
    tenant_id, id
) from atoms \gexec
select pg_catalog.format(
    'select a.id, a.title from app.atom_messages as am join app.atoms as a on a.tenant_id = am.tenant_id and a.id = am.atom_id'
    ' where am.tenant_id = %s and am.message_id = %s and am.message_sent_at = %L',
    tenant_id, id, sent_at
) from messages \gexec
select pg_catalog.format(
    'select label, confidence from app.classifications where tenant_id = %s and message_id = %s and message_sent_at = %L',
    tenant_id, id, sent_at
) from messages \gexec
select pg_catalog.format(
    'select label, pg_catalog.count(*) from app.classifications where tenant_id = %s and analysis_run_id = %s group by label',
    tenant_id, id
) from runs limit :calls_by_planted_key \gexec
select pg_catalog.format(
    'select pg_catalog.count(*) from app.classifications where tenant_id = %s and topic_id = %s', tenant_id, id
) from topics limit :calls_by_planted_key \gexec
select pg_catalog.format('select id, title, status from app.tasks where tenant_id = %s and atom_id = %s', tenant_id, id)
from atoms \gexec
select pg_catalog.format(
    'select id, title from app.tasks where tenant_id = %s and assignee_id = %s and status = ''open''', tenant_id, id
) from users \gexec
select pg_catalog.format(
    'select pg_catalog.count(*) from app.tasks where tenant_id = %s and created_by = %s', tenant_id, id
) from users limit :calls_by_planted_key \gexec
select pg_catalog.format(
    'select id, title, due_at from app.tasks where tenant_id = %s and status = %L order by due_at limit 20', tenant_id, status
) from tasks \gexec
select pg_catalog.format(
    'select pg_catalog.count(*) from app.tasks where tenant_id = %s and status = ''blocked''', tenant_id
) from tasks \gexec
select pg_catalog.format(
    'select c.id, c.body, u.display_name from app.comments as c left join app.users as u'
    ' on u.tenant_id = c.tenant_id and u.id = c.author_id where c.tenant_id = %s and c.task_id = %s order by c.created_at',
    tenant_id, task_id
) from comments \gexec
select pg_catalog.format('select id, body from app.comments where tenant_id = %s and author_id = %s', tenant_id, id)
from users \gexec
select pg_catalog.format('select id, body from app.comments where tenant_id = %s and parent_id = %s', tenant_id, id - 1)
from comments limit :calls_by_planted_key \gexec
select pg_catalog.format(
    'select action, occurred_at from audit.events where tenant_id = %s and table_name = ''tasks'' and row_id = %s',
    tenant_id, id
) from tasks \gexec
select pg_catalog.format(
    'select table_name, row_id, action from audit.events where tenant_id = %s and occurred_at >= %L and occurred_at < %L',
    tenant_id, sent_at, sent_at + interval '1 hour'
) from messages \gexec
select pg_catalog.format('select action, old_values from audit.events where tenant_id = %s and id = %s', tenant_id, id)
from messages \gexec
select pg_catalog.format('select day, messages from app.daily_message_counts where tenant_id = %s and day = %L',
    tenant_id, (sent_at at time zone 'UTC')::date)
from messages \gexec

-- Now and then: support looks for failed jobs, for one kind of payload, for what was deleted of late.
select pg_catalog.format('select id, last_error from app.background_jobs where status = ''failed'' order by id limit %s', n)
from pg_catalog.generate_series(1, :calls / 10) as n \gexec
select id from app.background_jobs where payload @> '{"priority": "urgent"}';
select id from app.background_jobs where payload @> '{"priority": "urgent", "message": 17}';
select pg_catalog.max(sent_at) - interval '1 day' as yesterday from messages \gset
select pg_catalog.count(*) from audit.events where actor = 'app_worker' and occurred_at >= :'yesterday';
select action, table_name, row_id from audit.events where actor = 'app_api' and occurred_at >= :'yesterday' and action = 'delete';

-- As the roles of the application, under row-level security -----------------------------------------------------

set role app_api;
select pg_catalog.set_config('app.tenant_id', '7', false);
select * from app.open_tasks order by due_at limit 20;
select * from app.topic_overview order by atoms desc limit 20;
select * from app.search_atoms('invoice export');
select id, title from app.atoms where status = 'draft' order by created_at desc limit 20;
update app.tasks set priority = 1 where status = 'open' and due_at < pg_catalog.now() and priority > 4;
insert into app.comments (tenant_id, task_id, body)
select tenant_id, id, 'On it.' from app.tasks where status = 'in_progress' order by id limit 5;
insert into app.background_jobs (tenant_id, queue, payload) values (7, 'digest', '{"requested": true}');
reset role;
set role app_worker;
update app.atoms set confidence = 0.9 where tenant_id = 7 and confidence > 0.99;
reset role;
reset app.tenant_id;

-- The queue: a worker takes a job, a hundred times.
select 'update app.background_jobs set status = ''running'', attempts = attempts + 1, locked_by = ''worker-1'', '
    'locked_at = pg_catalog.now() where (tenant_id, id) = (select tenant_id, id from app.background_jobs '
    'where queue = ''ingest'' and status = ''queued'' order by run_after limit 1 for update skip locked)'
from pg_catalog.generate_series(1, 100) \gexec

-- Vectors, and tenants by slug ----------------------------------------------------------------------------------
-- At these sizes the planner reads the table rather than the index, which an application with millions of rows uses.
set enable_seqscan = off;
select pg_catalog.format('select id, name from app.tenants where slug = %L', 'tenant-' || tenant_id) from messages \gexec
set hnsw.iterative_scan = strict_order;
select pg_catalog.format(
    'select message_id from app.message_embeddings where tenant_id = %1$s order by embedding <=> (select embedding'
    ' from app.message_embeddings where tenant_id = %1$s and message_id = %2$s and message_sent_at = %3$L) limit 5',
    tenant_id, message_id, message_sent_at
) from (select * from app.message_embeddings order by pg_catalog.hashint8(message_id) limit 30) as e \gexec
select pg_catalog.format(
    'select message_id, message_sent_at from app.message_embeddings order by embedding <=> %L limit 5', embedding
) from app.message_embeddings where message_id % 7 = 0 limit 30 \gexec
select pg_catalog.format(
    'select atom_id from app.atom_embeddings order by embedding <=> %L limit 5', embedding
) from app.atom_embeddings where atom_id % 7 = 0 limit 30 \gexec
select pg_catalog.format(
    'select topic_id from app.topic_embeddings where tenant_id = %1$s order by embedding <=> (select embedding'
    ' from app.topic_embeddings where tenant_id = %1$s and topic_id = %2$s) limit 5',
    tenant_id, topic_id
) from app.topic_embeddings limit 30 \gexec
select pg_catalog.format('select embedding from app.atom_embeddings where tenant_id = %s and atom_id = %s', tenant_id, atom_id)
from app.atom_embeddings limit 30 \gexec
reset enable_seqscan;

-- Writes --------------------------------------------------------------------------------------------------------

select pg_catalog.format('update app.users set last_seen_at = pg_catalog.now() where tenant_id = %s and id = %s', tenant_id, id)
from users \gexec
select pg_catalog.format(
    'update app.tasks set status = ''done'', completed_at = pg_catalog.now() where tenant_id = %s and id = %s and not is_closed',
    tenant_id, id
) from tasks \gexec
select pg_catalog.format(
    'insert into app.telegram_messages (tenant_id, sent_at, chat_id, telegram_message_id, body)'
    ' values (%s, %L, %s, %s, ''One more thing.'') on conflict do nothing',
    tenant_id, sent_at + interval '1 second', chat_id, 900000000 + id
) from messages \gexec

-- Deletes on parents, in the order in which a clean-up job meets them.
select pg_catalog.format('delete from app.comments where tenant_id = %s and id = %s', tenant_id, id) from comments limit 25 \gexec
select pg_catalog.format('delete from app.tasks where tenant_id = %s and id = %s', tenant_id, id)
from tasks order by id desc limit 25 \gexec
select pg_catalog.format('delete from app.atoms where tenant_id = %s and id = %s', tenant_id, id)
from atoms order by id desc limit 25 \gexec
select pg_catalog.format('delete from app.analysis_runs where tenant_id = %s and id = %s', tenant_id, id)
from runs order by id desc limit 25 \gexec
select pg_catalog.format('delete from app.topics where tenant_id = %s and id = %s', tenant_id, id)
from topics where parent_id is not null order by id desc limit 10 \gexec
select pg_catalog.format('delete from app.telegram_messages where tenant_id = %s and id = %s and sent_at = %L',
    tenant_id, id, sent_at)
from messages order by id desc limit 25 \gexec
select pg_catalog.format('delete from app.users where tenant_id = %s and id = %s', tenant_id, id)
from users order by id desc limit 25 \gexec

\if :planted
-- Only where problems were planted: the features they belong to.
select pg_catalog.format('select status from app.webhook_deliveries where external_id = %L', 'wh_' || n * 100)
from pg_catalog.generate_series(1, 120) as n \gexec
select pg_catalog.format('select status from app.webhook_deliveries where id = %s', n * 100)
from pg_catalog.generate_series(1, 10) as n \gexec
select pg_catalog.format('select id from app.telegram_updates where update_key = %L', pg_catalog.md5((n * 10)::text))
from pg_catalog.generate_series(1, :calls) as n \gexec
select pg_catalog.format(
    'select id, title from app.atoms where tenant_id = %s and analysis_run_id = %s and status = ''approved''',
    tenant_id, analysis_run_id
) from atoms where analysis_run_id is not null \gexec
select pg_catalog.format('select id from app.tasks where title = %L and tenant_id = %s', title, tenant_id) from tasks \gexec
select pg_catalog.format('select id from app.background_jobs where payload = %L', payload)
from app.background_jobs where id % (select pg_catalog.max(id) / :calls from app.background_jobs) = 0 \gexec
-- A similarity, where an index gives distances.
select pg_catalog.format(
    'select atom_id, 1 - (embedding <=> %L) as similarity from app.atom_embeddings order by similarity desc limit 5', embedding
) from app.atom_embeddings where atom_id % 7 = 0 limit 30 \gexec
\endif

\o
drop table messages, atoms, tasks, comments, runs, users, topics, chats;
reset synchronous_commit;
reset max_parallel_workers_per_gather;

analyze;
select pg_catalog.pg_stat_force_next_flush() \g /dev/null
