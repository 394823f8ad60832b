-- The clean schema. Takes a psql variable: anchor, the first day of the current month (default: from the clock).
\if :{?anchor}
\else
select pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC')::date as anchor \gset
\endif

set client_min_messages = warning;
set timezone = 'UTC';

create extension if not exists vector;
create extension if not exists pg_stat_statements;

create schema app authorization app_owner;
create schema audit authorization app_owner;

set role app_owner;

comment on schema app is 'Messages become knowledge: chats are read, classified and distilled into atoms and tasks.';
comment on schema audit is 'Who changed what.';

alter default privileges for role app_owner revoke execute on functions from public;

-- Types ---------------------------------------------------------------------------------------------------------

create type app.tenant_plan as enum ('free', 'team', 'enterprise');
create type app.user_role as enum ('owner', 'admin', 'member', 'guest');
create type app.atom_kind as enum ('fact', 'decision', 'question', 'problem', 'idea');
create type app.atom_status as enum ('draft', 'approved', 'rejected');
create type app.run_status as enum ('queued', 'running', 'succeeded', 'failed');
create type app.message_label as enum ('noise', 'signal', 'question', 'request');
create type app.task_status as enum ('open', 'in_progress', 'blocked', 'done', 'cancelled');
create type app.job_status as enum ('queued', 'running', 'succeeded', 'failed');
create type audit.action as enum ('insert', 'update', 'delete');

create domain app.email as text
    check (value ~ '^[^@[:space:]]+@[^@[:space:]]+$' and pg_catalog.char_length(value) <= 254);
create domain app.slug as text
    check (value ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and pg_catalog.char_length(value) <= 80);

-- Tenants and people --------------------------------------------------------------------------------------------

create table app.tenants (
    id bigint generated always as identity primary key,
    name text not null check (name <> ''),
    slug app.slug not null unique,
    plan app.tenant_plan not null default 'free',
    settings jsonb not null default '{}' check (pg_catalog.jsonb_typeof(settings) = 'object'),
    created_at timestamptz not null default pg_catalog.now(),
    updated_at timestamptz not null default pg_catalog.now()
);
comment on table app.tenants is 'A customer. Every other row belongs to exactly one.';

-- The tenant leads every key: rows of a tenant lie together, and a foreign key cannot point into another tenant.
create table app.users (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    email app.email not null,
    display_name text not null check (display_name <> ''),
    role app.user_role not null default 'member',
    is_active boolean not null default true,
    last_seen_at timestamptz,
    created_at timestamptz not null default pg_catalog.now(),
    updated_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id)
);
create unique index users_tenant_id_lower_idx on app.users (tenant_id, lower(email));
comment on table app.users is 'A person with a login. Deleting one keeps what they wrote.';

-- Messages ------------------------------------------------------------------------------------------------------

create table app.telegram_chats (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    telegram_chat_id bigint not null,
    title text not null,
    is_muted boolean not null default false,
    created_at timestamptz not null default pg_catalog.now(),
    updated_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    unique (tenant_id, telegram_chat_id)
);
comment on table app.telegram_chats is 'A chat that the tenant''s bot reads.';

create table app.telegram_messages (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    sent_at timestamptz not null,
    chat_id bigint not null,
    telegram_message_id bigint not null,
    author_id bigint,
    body text not null,
    body_length integer generated always as (pg_catalog.char_length(body)) stored,
    payload jsonb not null default '{}',
    edited_at timestamptz,
    ingested_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id, sent_at),
    unique (tenant_id, chat_id, sent_at, telegram_message_id),
    foreign key (tenant_id, chat_id) references app.telegram_chats (tenant_id, id) on delete cascade,
    foreign key (tenant_id, author_id) references app.users (tenant_id, id) on delete set null (author_id),
    check (edited_at is null or edited_at >= sent_at)
) partition by range (sent_at);
create index telegram_messages_tenant_id_author_id_idx on app.telegram_messages (tenant_id, author_id)
    where author_id is not null;
comment on table app.telegram_messages is 'A message as Telegram delivered it, one partition per month of sent_at (UTC).';
comment on column app.telegram_messages.author_id is 'Null: the author has no login.';

-- A partition can be named directly, so it carries the policy of its parent.
create function app.create_message_partitions(first_month date, months integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
    lower_bound date;
    partition_name text;
begin
    for month in 0 .. months - 1 loop
        lower_bound := (first_month + pg_catalog.make_interval(months => month))::date;
        partition_name := 'telegram_messages_' || pg_catalog.to_char(lower_bound, 'YYYY_MM');
        execute pg_catalog.format(
            'create table app.%I partition of app.telegram_messages for values from (%L) to (%L)',
            partition_name, lower_bound, (lower_bound + interval '1 month')::date
        );
        execute pg_catalog.format('alter table app.%I enable row level security, force row level security', partition_name);
        execute pg_catalog.format(
            'create policy tenant_isolation on app.%I using (tenant_id ='
            ' (select nullif(pg_catalog.current_setting(''app.tenant_id'', true), '''')::bigint))',
            partition_name
        );
    end loop;
end
$$;
comment on function app.create_message_partitions is 'Creates the monthly partitions of app.telegram_messages from first_month on.';

select app.create_message_partitions((:'anchor'::date - interval '12 months')::date, 16) \g /dev/null

-- Knowledge -----------------------------------------------------------------------------------------------------

create table app.topics (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    parent_id bigint,
    name text not null check (name <> ''),
    slug app.slug not null,
    description text,
    is_archived boolean not null default false,
    created_at timestamptz not null default pg_catalog.now(),
    updated_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    unique (tenant_id, slug),
    foreign key (tenant_id, parent_id) references app.topics (tenant_id, id) on delete set null (parent_id),
    check (parent_id <> id)
);
create index topics_tenant_id_parent_id_idx on app.topics (tenant_id, parent_id);
comment on table app.topics is 'What a tenant talks about; a tree.';

create table app.analysis_runs (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    topic_id bigint,
    started_by bigint,
    model text not null,
    status app.run_status not null default 'queued',
    parameters jsonb not null default '{}',
    prompt_tokens bigint not null default 0 check (prompt_tokens >= 0),
    completion_tokens bigint not null default 0 check (completion_tokens >= 0),
    cost_usd numeric(12, 6) not null default 0 check (cost_usd >= 0),
    error text,
    started_at timestamptz not null default pg_catalog.now(),
    finished_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, topic_id) references app.topics (tenant_id, id) on delete set null (topic_id),
    foreign key (tenant_id, started_by) references app.users (tenant_id, id) on delete set null (started_by),
    check (finished_at is null or finished_at >= started_at)
);
create index analysis_runs_tenant_id_topic_id_started_at_idx on app.analysis_runs (tenant_id, topic_id, started_at);
create index analysis_runs_tenant_id_started_by_idx on app.analysis_runs (tenant_id, started_by);
comment on table app.analysis_runs is 'One pass of a language model over messages.';

create table app.atoms (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    topic_id bigint not null,
    analysis_run_id bigint,
    kind app.atom_kind not null,
    status app.atom_status not null default 'draft',
    title text not null check (title <> ''),
    content text not null,
    confidence real not null check (confidence between 0 and 1),
    metadata jsonb not null default '{}' check (pg_catalog.jsonb_typeof(metadata) = 'object'),
    search tsvector generated always as (
        pg_catalog.to_tsvector('pg_catalog.simple'::pg_catalog.regconfig, title || ' ' || content)
    ) stored,
    created_at timestamptz not null default pg_catalog.now(),
    updated_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, topic_id) references app.topics (tenant_id, id) on delete cascade,
    foreign key (tenant_id, analysis_run_id) references app.analysis_runs (tenant_id, id)
        on delete set null (analysis_run_id)
);
create index atoms_tenant_id_topic_id_created_at_idx on app.atoms (tenant_id, topic_id, created_at);
create index atoms_tenant_id_analysis_run_id_idx on app.atoms (tenant_id, analysis_run_id)
    where analysis_run_id is not null;
create index atoms_search_idx on app.atoms using gin (search);
create index atoms_metadata_idx on app.atoms using gin (metadata jsonb_path_ops);
comment on table app.atoms is 'The smallest piece of knowledge that stands on its own.';

create table app.atom_messages (
    tenant_id bigint not null,
    atom_id bigint not null,
    message_id bigint not null,
    message_sent_at timestamptz not null,
    relevance real not null default 1 check (relevance between 0 and 1),
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, atom_id, message_id),
    foreign key (tenant_id, atom_id) references app.atoms (tenant_id, id) on delete cascade,
    foreign key (tenant_id, message_id, message_sent_at)
        references app.telegram_messages (tenant_id, id, sent_at) on delete cascade
);
create index atom_messages_tenant_id_message_id_message_sent_at_idx
    on app.atom_messages (tenant_id, message_id, message_sent_at);
comment on table app.atom_messages is 'The messages an atom was drawn from.';

create table app.classifications (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    message_id bigint not null,
    message_sent_at timestamptz not null,
    analysis_run_id bigint not null,
    topic_id bigint,
    label app.message_label not null,
    confidence real not null check (confidence between 0 and 1),
    rationale text not null default '',
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    unique (tenant_id, message_id, message_sent_at, analysis_run_id),
    foreign key (tenant_id, message_id, message_sent_at)
        references app.telegram_messages (tenant_id, id, sent_at) on delete cascade,
    foreign key (tenant_id, analysis_run_id) references app.analysis_runs (tenant_id, id) on delete cascade,
    foreign key (tenant_id, topic_id) references app.topics (tenant_id, id) on delete set null (topic_id)
);
create index classifications_tenant_id_analysis_run_id_idx on app.classifications (tenant_id, analysis_run_id);
create index classifications_tenant_id_topic_id_idx on app.classifications (tenant_id, topic_id)
    where topic_id is not null;
comment on table app.classifications is 'What a run thought of a message.';

-- Work ----------------------------------------------------------------------------------------------------------

create table app.tasks (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    atom_id bigint,
    assignee_id bigint,
    created_by bigint,
    title text not null check (title <> ''),
    description text,
    status app.task_status not null default 'open',
    is_closed boolean generated always as (status in ('done', 'cancelled')) stored,
    priority smallint not null default 3 check (priority between 1 and 5),
    due_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null default pg_catalog.now(),
    updated_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, atom_id) references app.atoms (tenant_id, id) on delete set null (atom_id),
    foreign key (tenant_id, assignee_id) references app.users (tenant_id, id) on delete set null (assignee_id),
    foreign key (tenant_id, created_by) references app.users (tenant_id, id) on delete set null (created_by),
    check ((status = 'done') = (completed_at is not null))
);
create index tasks_tenant_id_atom_id_idx on app.tasks (tenant_id, atom_id) where atom_id is not null;
create index tasks_tenant_id_assignee_id_status_idx on app.tasks (tenant_id, assignee_id, status);
create index tasks_tenant_id_created_by_idx on app.tasks (tenant_id, created_by);
create index tasks_tenant_id_status_due_at_idx on app.tasks (tenant_id, status, due_at);
comment on table app.tasks is 'Something to do, often because of an atom.';

create table app.comments (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    task_id bigint not null,
    author_id bigint,
    parent_id bigint,
    body text not null check (body <> ''),
    edited_at timestamptz,
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, task_id) references app.tasks (tenant_id, id) on delete cascade,
    foreign key (tenant_id, author_id) references app.users (tenant_id, id) on delete set null (author_id),
    foreign key (tenant_id, parent_id) references app.comments (tenant_id, id) on delete cascade
);
create index comments_tenant_id_task_id_created_at_idx on app.comments (tenant_id, task_id, created_at);
create index comments_tenant_id_author_id_idx on app.comments (tenant_id, author_id);
create index comments_tenant_id_parent_id_idx on app.comments (tenant_id, parent_id) where parent_id is not null;
comment on table app.comments is 'The discussion of a task; parent_id is the comment answered.';

create table app.background_jobs (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    queue text not null,
    status app.job_status not null default 'queued',
    payload jsonb not null default '{}',
    attempts smallint not null default 0 check (attempts >= 0),
    run_after timestamptz not null default pg_catalog.now(),
    locked_by text,
    locked_at timestamptz,
    finished_at timestamptz,
    last_error text,
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id),
    check ((locked_by is null) = (locked_at is null))
);
create index background_jobs_queue_run_after_idx on app.background_jobs (queue, run_after) where status = 'queued';
comment on table app.background_jobs is 'The job queue; workers take rows with for update skip locked.';

-- Embeddings ----------------------------------------------------------------------------------------------------
-- In tables of their own, so that a scan of messages or atoms never meets 6 KB vectors.
-- data.sql builds the HNSW indexes after the load. Topics are few: an exact scan is faster and finds all.

create table app.message_embeddings (
    tenant_id bigint not null,
    message_id bigint not null,
    message_sent_at timestamptz not null,
    model text not null,
    embedding public.vector(1536) not null,
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, message_id, message_sent_at),
    foreign key (tenant_id, message_id, message_sent_at)
        references app.telegram_messages (tenant_id, id, sent_at) on delete cascade
);
comment on table app.message_embeddings is 'Messages as vectors.';

create table app.topic_embeddings (
    tenant_id bigint not null,
    topic_id bigint not null,
    model text not null,
    embedding public.vector(1536) not null,
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, topic_id),
    foreign key (tenant_id, topic_id) references app.topics (tenant_id, id) on delete cascade
);
comment on table app.topic_embeddings is 'Topics as vectors.';

create table app.atom_embeddings (
    tenant_id bigint not null,
    atom_id bigint not null,
    model text not null,
    embedding public.vector(1536) not null,
    created_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, atom_id),
    foreign key (tenant_id, atom_id) references app.atoms (tenant_id, id) on delete cascade
);
comment on table app.atom_embeddings is 'Atoms as vectors.';

-- Audit ---------------------------------------------------------------------------------------------------------

create table audit.events (
    tenant_id bigint not null references app.tenants (id),
    id bigint generated always as identity,
    table_name text not null,
    row_id bigint not null,
    action audit.action not null,
    actor text not null default current_user,
    old_values jsonb,
    new_values jsonb,
    occurred_at timestamptz not null default pg_catalog.now(),
    primary key (tenant_id, id)
);
create index events_tenant_id_table_name_row_id_idx on audit.events (tenant_id, table_name, row_id);
create index events_tenant_id_occurred_at_idx on audit.events (tenant_id, occurred_at);
comment on table audit.events is 'Append-only: no role of the application may update or delete.';

-- Functions and triggers ----------------------------------------------------------------------------------------

create function app.set_updated_at()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    new.updated_at := pg_catalog.now();
    return new;
end
$$;

create function audit.record_change()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    old_values jsonb := case when tg_op <> 'INSERT' then pg_catalog.to_jsonb(old) end;
    new_values jsonb := case when tg_op <> 'DELETE' then pg_catalog.to_jsonb(new) end;
    changed jsonb := coalesce(new_values, old_values);
begin
    insert into audit.events (tenant_id, table_name, row_id, action, old_values, new_values)
    values (
        (changed ->> 'tenant_id')::bigint,
        tg_table_name,
        (changed ->> 'id')::bigint,
        pg_catalog.lower(tg_op)::audit.action,
        old_values,
        new_values
    );
    return null;
end
$$;

create trigger set_updated_at before update on app.tenants for each row execute function app.set_updated_at();
create trigger set_updated_at before update on app.users for each row execute function app.set_updated_at();
create trigger set_updated_at before update on app.telegram_chats for each row execute function app.set_updated_at();
create trigger set_updated_at before update on app.topics for each row execute function app.set_updated_at();
create trigger set_updated_at before update on app.atoms for each row execute function app.set_updated_at();
create trigger set_updated_at before update on app.tasks for each row execute function app.set_updated_at();
create trigger record_change after insert or update or delete on app.users
    for each row execute function audit.record_change();
create trigger record_change after insert or update or delete on app.tasks
    for each row execute function audit.record_change();

create function app.search_atoms(words text, max_rows integer default 20)
returns table (atom_id bigint, title text, rank real)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        atoms.id,
        atoms.title,
        pg_catalog.ts_rank(atoms.search, query.words) as rank
    from app.atoms
    cross join pg_catalog.plainto_tsquery('pg_catalog.simple'::pg_catalog.regconfig, words) as query (words)
    where atoms.search @@ query.words
    order by rank desc, atoms.id
    limit max_rows
$$;
comment on function app.search_atoms is 'Full-text search in the atoms of the current tenant.';

-- Views ---------------------------------------------------------------------------------------------------------

create view app.open_tasks with (security_invoker = true) as
select
    tasks.tenant_id,
    tasks.id,
    tasks.title,
    tasks.status,
    tasks.priority,
    tasks.due_at,
    users.display_name as assignee
from app.tasks
left join app.users on users.tenant_id = tasks.tenant_id and users.id = tasks.assignee_id
where tasks.status in ('open', 'in_progress', 'blocked');
comment on view app.open_tasks is 'Tasks that are not closed, with their assignee.';

create view app.topic_overview with (security_invoker = true) as
select
    topics.tenant_id,
    topics.id,
    topics.name,
    counted.atoms,
    counted.last_atom_at
from app.topics
cross join lateral (
    select
        pg_catalog.count(*) as atoms,
        pg_catalog.max(atoms.created_at) as last_atom_at
    from app.atoms
    where atoms.tenant_id = topics.tenant_id
        and atoms.topic_id = topics.id
) as counted
where not topics.is_archived;
comment on view app.topic_overview is 'Topics with the number of their atoms.';

-- Counts all tenants, so it belongs to a role that may read them all, and only the analyst may read it:
-- row-level security does not exist for materialized views.
create materialized view app.daily_message_counts as
select
    tenant_id,
    (sent_at at time zone 'UTC')::date as day,
    pg_catalog.count(*) as messages,
    pg_catalog.count(distinct chat_id) as chats
from app.telegram_messages
group by 1, 2
with no data;
create unique index daily_message_counts_tenant_id_day_idx on app.daily_message_counts (tenant_id, day);
comment on materialized view app.daily_message_counts is 'Messages per tenant and day (UTC), refreshed by the worker.';

-- Row-level security --------------------------------------------------------------------------------------------
-- The setting is read in a subselect, once per statement rather than once per row; unset means no rows.

alter table app.tenants enable row level security, force row level security;
create policy tenant_isolation on app.tenants
    using (id = (select nullif(pg_catalog.current_setting('app.tenant_id', true), '')::bigint));

do $$
declare
    target regclass;
begin
    foreach target in array array[
        'app.users', 'app.telegram_chats', 'app.telegram_messages', 'app.topics', 'app.analysis_runs', 'app.atoms',
        'app.atom_messages', 'app.classifications', 'app.tasks', 'app.comments', 'app.background_jobs',
        'app.message_embeddings', 'app.topic_embeddings', 'app.atom_embeddings', 'audit.events'
    ]::regclass[] loop
        execute pg_catalog.format('alter table %s enable row level security, force row level security', target);
        execute pg_catalog.format(
            'create policy tenant_isolation on %s using (tenant_id ='
            ' (select nullif(pg_catalog.current_setting(''app.tenant_id'', true), '''')::bigint))',
            target
        );
    end loop;
end
$$;

-- Grants --------------------------------------------------------------------------------------------------------

grant usage on schema app to app_api, app_worker, app_reporting, app_analyst;
grant usage on schema audit to app_api, app_worker;

grant select, insert, update, delete on
    app.users, app.telegram_chats, app.topics, app.atoms, app.atom_messages, app.tasks, app.comments
    to app_api;
grant select on
    app.tenants, app.telegram_messages, app.analysis_runs, app.classifications, app.message_embeddings,
    app.topic_embeddings, app.atom_embeddings, app.open_tasks, app.topic_overview
    to app_api;
grant insert on app.background_jobs to app_api;

grant select, insert, update, delete on
    app.telegram_messages, app.analysis_runs, app.atoms, app.atom_messages, app.classifications, app.background_jobs,
    app.message_embeddings, app.topic_embeddings, app.atom_embeddings
    to app_worker;
grant select on app.tenants, app.users, app.telegram_chats, app.topics, app.tasks to app_worker;

-- The trigger runs as the role that makes the change.
grant insert on audit.events to app_api, app_worker;
grant execute on function app.search_atoms to app_api;
grant execute on function app.set_updated_at, audit.record_change to app_api, app_worker;

create policy reporting_reads_all on app.telegram_messages for select to app_reporting using (true);
grant select on app.telegram_messages to app_reporting;

reset role;

alter materialized view app.daily_message_counts owner to app_reporting;
grant select on app.daily_message_counts to app_analyst;
