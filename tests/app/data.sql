-- Fills the schema. psql variables: size (small or large), anchor (as in schema.sql).
-- Nothing is random: every value is a hash of a row number, so two loads differ in nothing but the dates' anchor.
\if :{?size}
\else
\set size small
\endif
\if :{?anchor}
\else
select pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC')::date as anchor \gset
\endif
select
    :'size' = 'large' as large,
    case :'size' when 'large' then 20 else 1 end as rows_factor,
    case :'size' when 'large' then 5 else 1 end as vectors_factor
\gset

set client_min_messages = warning;
set timezone = 'UTC';
set work_mem = '128MB';
set maintenance_work_mem = '256MB';
set synchronous_commit = off;
-- Triggers and foreign key checks are off: the rows are right by construction.
set session_replication_role = replica;

create function pg_temp.h(i bigint, salt integer) returns bigint
language sql immutable
return pg_catalog.hashint8extended(i, salt) & 2147483647;

-- 40 tenants: the first has 30 % of everything, the next three 35 %, the other 36 share the rest.
create function pg_temp.tenant(i bigint) returns bigint
language sql immutable
return case
    when i <= 40 then i
    when pg_temp.h(i, 1) % 100 < 30 then 1
    when pg_temp.h(i, 1) % 100 < 45 then 2
    when pg_temp.h(i, 1) % 100 < 57 then 3
    when pg_temp.h(i, 1) % 100 < 65 then 4
    else 5 + pg_temp.h(i, 2) % 36
end;

-- Evenly over the twelve months before the anchor, in the order of i.
create function pg_temp.moment(i bigint, total bigint, anchor date) returns timestamptz
language sql immutable
return (anchor - interval '12 months') at time zone 'UTC'
    + (anchor - (anchor - interval '12 months')) * ((i - 1)::float8 / total)
    + interval '1 second' * (pg_temp.h(i, 3) % 20);

create temporary table phrases as
select
    n,
    (array['The deploy', 'A customer', 'The invoice export', 'Our login page', 'The nightly import', 'The billing team',
           'A new supplier', 'The mobile client', 'The search index', 'The staging server'])[1 + n % 10]
    || ' ' ||
    (array['needs a decision on', 'was delayed by', 'cannot be merged without', 'still waits for', 'was fixed after',
           'depends on', 'should not block', 'raises a question about'])[1 + n / 10 % 8]
    || ' ' ||
    (array['the tax rules', 'a failed payment', 'the second review', 'missing translations', 'an expired certificate',
           'the quarterly report'])[1 + n / 80 % 6]
    as text
from pg_catalog.generate_series(0, 479) as n;
analyze phrases;

-- Tenants and people --------------------------------------------------------------------------------------------

insert into app.tenants (id, name, slug, plan, settings, created_at, updated_at)
overriding system value
select
    i,
    'Tenant ' || i,
    'tenant-' || i,
    (case when i <= 4 then 'enterprise' when i % 3 = 0 then 'team' else 'free' end)::app.tenant_plan,
    case when i % 4 = 0 then '{}' else pg_catalog.jsonb_build_object('language', (array['en', 'de', 'uk'])[1 + i % 3],
        'digest_hour', i % 24) end,
    pg_temp.moment(i, 400, :'anchor'),
    pg_temp.moment(i, 400, :'anchor')
from pg_catalog.generate_series(1, 40) as i;

insert into app.users (tenant_id, id, email, display_name, role, is_active, last_seen_at, created_at, updated_at)
overriding system value
select
    pg_temp.tenant(i),
    i,
    'person' || i || '@example.com',
    (array['Alex', 'Bo', 'Chris', 'Dana', 'Eli', 'Finn', 'Gray', 'Harper', 'Iris', 'Jo'])[1 + pg_temp.h(i, 10) % 10]
        || ' ' || pg_temp.h(i, 11) % 200,
    (case when i <= 40 then 'owner' when pg_temp.h(i, 12) % 20 = 0 then 'admin' when pg_temp.h(i, 12) % 20 = 1 then 'guest'
        else 'member' end)::app.user_role,
    pg_temp.h(i, 13) % 25 > 0,
    case when pg_temp.h(i, 14) % 3 > 0 then :'anchor'::timestamptz - interval '1 minute' * (pg_temp.h(i, 15) % 90000) end,
    pg_temp.moment(i, 2000 * :rows_factor, :'anchor'),
    pg_temp.moment(i, 2000 * :rows_factor, :'anchor')
from pg_catalog.generate_series(1, 2000 * :rows_factor) as i;

insert into app.telegram_chats (tenant_id, id, telegram_chat_id, title, is_muted, created_at, updated_at)
overriding system value
select
    pg_temp.tenant(i),
    i,
    -1000000000000 - pg_temp.h(i, 20),
    'Chat ' || i,
    pg_temp.h(i, 21) % 30 = 0,
    pg_temp.moment(i, 300 * :rows_factor, :'anchor'),
    pg_temp.moment(i, 300 * :rows_factor, :'anchor')
from pg_catalog.generate_series(1, 300 * :rows_factor) as i;

insert into app.topics (tenant_id, id, name, slug, description, is_archived, created_at, updated_at)
overriding system value
select
    pg_temp.tenant(i),
    i,
    'Topic ' || i,
    'topic-' || i,
    case when pg_temp.h(i, 30) % 3 = 0 then phrases.text end,
    i > 40 and pg_temp.h(i, 31) % 12 = 0,
    pg_temp.moment(i, 1200 * :rows_factor, :'anchor'),
    pg_temp.moment(i, 1200 * :rows_factor, :'anchor')
from pg_catalog.generate_series(1, 1200 * :rows_factor) as i
join phrases on phrases.n = pg_temp.h(i, 32) % 480;

-- Numbered per tenant, so that a row can pick "the n-th user of its tenant".
create temporary table tenant_users as
select tenant_id, id, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n from app.users;
create temporary table tenant_chats as
select tenant_id, id, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n from app.telegram_chats;
create temporary table tenant_topics as
select tenant_id, id, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n from app.topics;
create temporary table tenant_sizes as
select
    tenant_id,
    (select pg_catalog.count(*) from tenant_users as u where u.tenant_id = t.tenant_id) as users,
    (select pg_catalog.count(*) from tenant_chats as c where c.tenant_id = t.tenant_id) as chats,
    (select pg_catalog.count(*) from tenant_topics as p where p.tenant_id = t.tenant_id) as topics
from (select id as tenant_id from app.tenants) as t;
analyze tenant_users, tenant_chats, tenant_topics, tenant_sizes;

-- Two of three topics have a parent: one of their tenant's first topics.
update app.topics
set parent_id = parent.id
from tenant_topics as own
join tenant_sizes as size on size.tenant_id = own.tenant_id
join tenant_topics as parent on parent.tenant_id = own.tenant_id
where topics.tenant_id = own.tenant_id
    and topics.id = own.id
    and parent.n = pg_temp.h(own.id, 33) % (1 + size.topics / 10)
    and own.n > size.topics / 10
    and own.n % 3 > 0;

-- Messages ------------------------------------------------------------------------------------------------------

insert into app.telegram_messages
    (tenant_id, id, sent_at, chat_id, telegram_message_id, author_id, body, payload, edited_at, ingested_at)
overriding system value
select
    g.tenant_id,
    g.i,
    g.sent_at,
    chats.id,
    g.i + 1000,
    users.id,
    first_phrase.text || case when pg_temp.h(g.i, 45) % 2 = 0 then '. ' || second_phrase.text else '' end,
    case pg_temp.h(g.i, 46) % 10
        when 0 then pg_catalog.jsonb_build_object('reply_to', g.i - 1)
        when 1 then pg_catalog.jsonb_build_object('media', 'photo')
        else '{}'
    end,
    case when pg_temp.h(g.i, 47) % 25 = 0 then g.sent_at + interval '5 minutes' end,
    g.sent_at + interval '2 seconds'
from (
    select i, pg_temp.tenant(i) as tenant_id, pg_temp.moment(i, 60000 * :rows_factor, :'anchor') as sent_at
    from pg_catalog.generate_series(1, 60000 * :rows_factor) as i
) as g
join tenant_sizes as size on size.tenant_id = g.tenant_id
join tenant_chats as chats on chats.tenant_id = g.tenant_id and chats.n = pg_temp.h(g.i, 41) % size.chats
join phrases as first_phrase on first_phrase.n = pg_temp.h(g.i, 43) % 480
join phrases as second_phrase on second_phrase.n = pg_temp.h(g.i, 44) % 480
left join tenant_users as users
    on users.tenant_id = g.tenant_id
    and users.n = pg_temp.h(g.i, 42) % size.users
    and pg_temp.h(g.i, 48) % 5 < 3
order by g.i;

create temporary table tenant_messages as
select tenant_id, id, sent_at, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n
from app.telegram_messages;

-- Knowledge -----------------------------------------------------------------------------------------------------

insert into app.analysis_runs
    (tenant_id, id, topic_id, started_by, model, status, parameters, prompt_tokens, completion_tokens, cost_usd, error,
     started_at, finished_at)
overriding system value
select
    g.tenant_id,
    g.i,
    topics.id,
    users.id,
    (array['small-2', 'small-2', 'small-2', 'large-1'])[1 + pg_temp.h(g.i, 50) % 4],
    g.status::app.run_status,
    pg_catalog.jsonb_build_object('temperature', 0.2, 'batch', pg_temp.h(g.i, 51) % 500),
    pg_temp.h(g.i, 52) % 20000,
    pg_temp.h(g.i, 53) % 4000,
    (pg_temp.h(g.i, 52) % 20000) * 0.000002,
    case when g.status = 'failed' then 'The model did not answer within 60 s.' end,
    g.started_at,
    case when g.status in ('succeeded', 'failed') then g.started_at + interval '1 second' * (1 + pg_temp.h(g.i, 54) % 90) end
from (
    select
        i,
        pg_temp.tenant(i) as tenant_id,
        pg_temp.moment(i, 4000 * :rows_factor, :'anchor') as started_at,
        case when pg_temp.h(i, 55) % 30 = 0 then 'failed' when i > 3990 * :rows_factor then 'queued' else 'succeeded' end
            as status
    from pg_catalog.generate_series(1, 4000 * :rows_factor) as i
) as g
join tenant_sizes as size on size.tenant_id = g.tenant_id
left join tenant_topics as topics
    on topics.tenant_id = g.tenant_id
    and topics.n = pg_temp.h(g.i, 56) % size.topics
    and pg_temp.h(g.i, 57) % 4 > 0
left join tenant_users as users
    on users.tenant_id = g.tenant_id
    and users.n = pg_temp.h(g.i, 58) % size.users
    and pg_temp.h(g.i, 59) % 2 = 0
order by g.i;

create temporary table tenant_runs as
select tenant_id, id, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n from app.analysis_runs;
alter table tenant_sizes add column runs bigint, add column messages bigint, add column atoms bigint, add column tasks bigint;
update tenant_sizes set
    runs = (select pg_catalog.count(*) from tenant_runs as r where r.tenant_id = tenant_sizes.tenant_id),
    messages = (select pg_catalog.count(*) from tenant_messages as m where m.tenant_id = tenant_sizes.tenant_id);
analyze tenant_messages, tenant_runs, tenant_sizes;

insert into app.atoms
    (tenant_id, id, topic_id, analysis_run_id, kind, status, title, content, confidence, metadata, created_at, updated_at)
overriding system value
select
    g.tenant_id,
    g.i,
    topics.id,
    runs.id,
    (array['fact', 'fact', 'fact', 'decision', 'question', 'problem', 'idea'])[1 + pg_temp.h(g.i, 60) % 7]::app.atom_kind,
    (case when pg_temp.h(g.i, 61) % 20 < 14 then 'approved' when pg_temp.h(g.i, 61) % 20 < 19 then 'draft' else 'rejected' end)
        ::app.atom_status,
    first_phrase.text || ' REF' || g.i,
    second_phrase.text || '. ' || third_phrase.text || '.',
    0.5 + (pg_temp.h(g.i, 62) % 500) / 1000.0,
    pg_catalog.jsonb_build_object('language', 'en', 'ticket', pg_temp.h(g.i, 63) % 5000),
    g.created_at,
    g.created_at
from (
    select i, pg_temp.tenant(i) as tenant_id, pg_temp.moment(i, 20000 * :rows_factor, :'anchor') as created_at
    from pg_catalog.generate_series(1, 20000 * :rows_factor) as i
) as g
join tenant_sizes as size on size.tenant_id = g.tenant_id
join tenant_topics as topics on topics.tenant_id = g.tenant_id and topics.n = pg_temp.h(g.i, 64) % size.topics
join phrases as first_phrase on first_phrase.n = pg_temp.h(g.i, 66) % 480
join phrases as second_phrase on second_phrase.n = pg_temp.h(g.i, 67) % 480
join phrases as third_phrase on third_phrase.n = pg_temp.h(g.i, 68) % 480
left join tenant_runs as runs
    on runs.tenant_id = g.tenant_id
    and runs.n = pg_temp.h(g.i, 65) % size.runs
    and pg_temp.h(g.i, 69) % 10 > 0
order by g.i;

create temporary table tenant_atoms as
select tenant_id, id, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n from app.atoms;
update tenant_sizes set
    atoms = (select pg_catalog.count(*) from tenant_atoms as a where a.tenant_id = tenant_sizes.tenant_id);
analyze tenant_atoms, tenant_sizes;

insert into app.atom_messages (tenant_id, atom_id, message_id, message_sent_at, relevance, created_at)
select
    atoms.tenant_id,
    atoms.id,
    messages.id,
    messages.sent_at,
    0.3 + (pg_temp.h(atoms.id, 70 + k) % 700) / 1000.0,
    messages.sent_at + interval '1 minute'
from tenant_atoms as atoms
join tenant_sizes as size on size.tenant_id = atoms.tenant_id
cross join pg_catalog.generate_series(0, 1) as k
join tenant_messages as messages
    on messages.tenant_id = atoms.tenant_id
    and messages.n = (pg_temp.h(atoms.id, 72) + k) % size.messages
order by atoms.id, k;

-- Each message is classified by one run; which one follows from the message.
insert into app.classifications
    (tenant_id, id, message_id, message_sent_at, analysis_run_id, topic_id, label, confidence, rationale, created_at)
overriding system value
select
    messages.tenant_id,
    messages.id,
    messages.id,
    messages.sent_at,
    runs.id,
    topics.id,
    (array['noise', 'noise', 'noise', 'noise', 'noise', 'noise', 'signal', 'signal', 'question', 'request'])
        [1 + pg_temp.h(messages.id, 80) % 10]::app.message_label,
    0.4 + (pg_temp.h(messages.id, 81) % 600) / 1000.0,
    'The author writes: ' || phrases.text || '. Weights '
        || pg_catalog.md5(messages.id::text) || ' ' || pg_catalog.md5((-messages.id)::text),
    messages.sent_at + interval '3 minutes'
from tenant_messages as messages
join tenant_sizes as size on size.tenant_id = messages.tenant_id
join tenant_runs as runs on runs.tenant_id = messages.tenant_id and runs.n = pg_temp.h(messages.id, 82) % size.runs
join phrases on phrases.n = pg_temp.h(messages.id, 83) % 480
left join tenant_topics as topics
    on topics.tenant_id = messages.tenant_id
    and topics.n = pg_temp.h(messages.id, 84) % size.topics
    and pg_temp.h(messages.id, 80) % 10 >= 6
order by messages.id;

-- Work ----------------------------------------------------------------------------------------------------------

insert into app.tasks
    (tenant_id, id, atom_id, assignee_id, created_by, title, description, status, priority, due_at, completed_at,
     created_at, updated_at)
overriding system value
select
    g.tenant_id,
    g.i,
    atoms.id,
    assignees.id,
    creators.id,
    'Follow up on ' || phrases.text || ' #' || g.i,
    case when pg_temp.h(g.i, 90) % 4 = 0 then phrases.text || '. Please look at it before the next release.' end,
    g.status::app.task_status,
    1 + pg_temp.h(g.i, 91) % 5,
    case when pg_temp.h(g.i, 92) % 3 > 0 then g.created_at + interval '1 hour' * (pg_temp.h(g.i, 93) % 1000) end,
    case when g.status = 'done' then g.created_at + interval '1 minute' * (pg_temp.h(g.i, 94) % 20000) end,
    g.created_at,
    g.created_at
from (
    select
        i,
        pg_temp.tenant(i) as tenant_id,
        pg_temp.moment(i, 30000 * :rows_factor, :'anchor') as created_at,
        case
            when pg_temp.h(i, 95) % 100 < 72 then 'done'
            when pg_temp.h(i, 95) % 100 < 82 then 'cancelled'
            when pg_temp.h(i, 95) % 100 < 93 then 'open'
            when pg_temp.h(i, 95) % 100 < 98 then 'in_progress'
            else 'blocked'
        end as status
    from pg_catalog.generate_series(1, 30000 * :rows_factor) as i
) as g
join tenant_sizes as size on size.tenant_id = g.tenant_id
join phrases on phrases.n = pg_temp.h(g.i, 96) % 480
left join tenant_atoms as atoms
    on atoms.tenant_id = g.tenant_id
    and atoms.n = pg_temp.h(g.i, 97) % size.atoms
    and pg_temp.h(g.i, 98) % 3 = 0
left join tenant_users as assignees
    on assignees.tenant_id = g.tenant_id
    and assignees.n = pg_temp.h(g.i, 99) % size.users
    and pg_temp.h(g.i, 100) % 6 > 0
left join tenant_users as creators
    on creators.tenant_id = g.tenant_id
    and creators.n = pg_temp.h(g.i, 101) % size.users
order by g.i;

create temporary table tenant_tasks as
select tenant_id, id, created_at, pg_catalog.row_number() over (partition by tenant_id order by id) - 1 as n from app.tasks;
update tenant_sizes set
    tasks = (select pg_catalog.count(*) from tenant_tasks as k where k.tenant_id = tenant_sizes.tenant_id);
analyze tenant_tasks, tenant_sizes;

insert into app.comments (tenant_id, id, task_id, author_id, body, edited_at, created_at)
overriding system value
select
    g.tenant_id,
    g.i,
    tasks.id,
    users.id,
    phrases.text || '.',
    case when pg_temp.h(g.i, 110) % 20 = 0 then tasks.created_at + interval '1 day' end,
    tasks.created_at + interval '1 minute' * (pg_temp.h(g.i, 111) % 1400)
from (
    -- Three in a row are about the same task.
    select i, pg_temp.tenant(i / 3 + 1) as tenant_id from pg_catalog.generate_series(1, 40000 * :rows_factor) as i
) as g
join tenant_sizes as size on size.tenant_id = g.tenant_id
join tenant_tasks as tasks on tasks.tenant_id = g.tenant_id and tasks.n = pg_temp.h(g.i / 3, 112) % size.tasks
join tenant_users as users on users.tenant_id = g.tenant_id and users.n = pg_temp.h(g.i, 113) % size.users
join phrases on phrases.n = pg_temp.h(g.i, 114) % 480
order by g.i;

-- Every fourth comment answers the one before it on the same task, where there is one.
update app.comments
set parent_id = answered.id
from app.comments as answered
where comments.id % 4 = 0
    and answered.tenant_id = comments.tenant_id
    and answered.id = comments.id - 1
    and answered.task_id = comments.task_id;

insert into app.background_jobs
    (tenant_id, id, queue, status, payload, attempts, run_after, finished_at, last_error, created_at)
overriding system value
select
    pg_temp.tenant(i),
    i,
    (array['ingest', 'ingest', 'classify', 'classify', 'embed', 'digest'])[1 + pg_temp.h(i, 120) % 6],
    status::app.job_status,
    pg_catalog.jsonb_build_object('message', i, 'priority',
        case when pg_temp.h(i, 121) % 50 = 0 then 'urgent' else (pg_temp.h(i, 121) % 5)::text end),
    case status when 'queued' then 0 when 'failed' then 5 else 1 end,
    created_at,
    case when status in ('succeeded', 'failed') then created_at + interval '8 seconds' end,
    case when status = 'failed' then 'connection reset by peer' end,
    created_at
from (
    select
        i,
        pg_temp.moment(i, 12000 * :rows_factor, :'anchor') as created_at,
        case when i > 11800 * :rows_factor then 'queued' when pg_temp.h(i, 122) % 100 < 3 then 'failed' else 'succeeded' end
            as status
    from pg_catalog.generate_series(1, 12000 * :rows_factor) as i
) as g;

insert into audit.events (tenant_id, id, table_name, row_id, action, actor, old_values, new_values, occurred_at)
overriding system value
select
    pg_temp.tenant(i),
    i,
    case when pg_temp.h(i, 130) % 10 = 0 then 'users' else 'tasks' end,
    1 + pg_temp.h(i, 131) % (case when pg_temp.h(i, 130) % 10 = 0 then 2000 else 30000 end * :rows_factor),
    action::audit.action,
    case when pg_temp.h(i, 132) % 3 = 0 then 'app_worker' else 'app_api' end,
    case when action <> 'insert' then pg_catalog.jsonb_build_object('status', 'open', 'priority', pg_temp.h(i, 133) % 5) end,
    case when action <> 'delete' then pg_catalog.jsonb_build_object('status', 'done', 'priority', pg_temp.h(i, 134) % 5) end,
    pg_temp.moment(i, 60000 * :rows_factor, :'anchor')
from (
    select
        i,
        case when pg_temp.h(i, 135) % 10 < 4 then 'insert' when pg_temp.h(i, 135) % 100 < 99 then 'update' else 'delete' end
            as action
    from pg_catalog.generate_series(1, 60000 * :rows_factor) as i
) as g;

-- Embeddings ----------------------------------------------------------------------------------------------------

-- 24 directions with noise: neighbours exist, as they do among real embeddings.
create function pg_temp.embedding(i bigint) returns public.vector(1536)
language sql immutable
return (
    select pg_catalog.array_agg(
        pg_catalog.sin(k * (1 + i % 24) * 0.731)::real + 0.6 * pg_catalog.sin(k * 0.017 * (i % 9973) + i)::real
        order by k
    )::real[]::public.vector(1536)
    from pg_catalog.generate_series(1, 1536) as k
);

insert into app.message_embeddings (tenant_id, message_id, message_sent_at, model, embedding, created_at)
select tenant_id, id, sent_at, 'embed-3-small', pg_temp.embedding(id), sent_at + interval '4 minutes'
from tenant_messages
where id % (60 * :rows_factor / :vectors_factor) = 0;

insert into app.topic_embeddings (tenant_id, topic_id, model, embedding, created_at)
select tenant_id, id, 'embed-3-small', pg_temp.embedding(id), :'anchor'
from tenant_topics
where id % (6 * :rows_factor / :vectors_factor) = 0;

insert into app.atom_embeddings (tenant_id, atom_id, model, embedding, created_at)
select tenant_id, id, 'embed-3-small', pg_temp.embedding(id), :'anchor'
from tenant_atoms
where id % (25 * :rows_factor / :vectors_factor) = 0;

-- Built after the load: many times faster than row by row.
set role app_owner;
create index message_embeddings_embedding_idx on app.message_embeddings using hnsw (embedding public.vector_cosine_ops);
create index atom_embeddings_embedding_idx on app.atom_embeddings using hnsw (embedding public.vector_cosine_ops);
reset role;

-- The identity columns go on after the highest id.
do $$
declare
    target record;
begin
    for target in
        select
            attrelid::regclass as relation,
            pg_catalog.pg_get_serial_sequence(attrelid::regclass::text, attname) as sequence
        from pg_catalog.pg_attribute
        join pg_catalog.pg_class on pg_class.oid = attrelid
        where attidentity <> ''
            and not relispartition
            and relnamespace in ('app'::regnamespace, 'audit'::regnamespace)
    loop
        execute pg_catalog.format(
            'select pg_catalog.setval(%L, (select pg_catalog.max(id) from %s))', target.sequence, target.relation
        );
    end loop;
end
$$;

refresh materialized view app.daily_message_counts;

drop table phrases, tenant_users, tenant_chats, tenant_topics, tenant_runs, tenant_messages, tenant_atoms, tenant_tasks,
    tenant_sizes;
reset session_replication_role;
reset work_mem;
reset maintenance_work_mem;
reset synchronous_commit;

vacuum (analyze);
