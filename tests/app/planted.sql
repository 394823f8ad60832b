-- Problems on top of the clean schema: run after data.sql and before workload.sql. psql variable: size.
-- Each block says what the team did, and records the finding that must follow.
\if :{?size}
\else
\set size small
\endif
select
    :'size' = 'large' as large,
    case :'size' when 'large' then 20 else 1 end as rows_factor
\gset

set client_min_messages = warning;
set timezone = 'UTC';

create schema planted authorization app_owner;
set role app_owner;

create table planted.expected (
    rule text not null,
    object text not null,
    severity text not null check (severity in ('critical', 'high', 'medium', 'low')),
    note text not null,
    primary key (rule, object)
);
comment on table planted.expected is 'The findings that the planted problems must cause.';

-- foreign_key_without_index -------------------------------------------------------------------------------------
-- Severities assume large_bytes as planted_options.sql sets it.

-- A feature of an afternoon: the foreign key is there, nobody thought of the index.
create table app.attachments (
    id bigint generated always as identity primary key,
    tenant_id bigint not null references app.tenants (id),
    file_name text not null,
    bytes bigint not null,
    created_at timestamptz not null default pg_catalog.now()
);
insert into app.attachments (tenant_id, file_name, bytes, created_at)
select 1 + n % 40, 'photo-' || n || '.jpg', 1000 * (n % 4000), '2026-01-01'::timestamptz + interval '1 minute' * n
from pg_catalog.generate_series(1, 2000) as n;
insert into planted.expected values
    ('foreign_key_without_index', 'app.attachments(tenant_id)', 'low', 'one column, small table');

-- "Nobody lists the answers to a comment": but the cascade does, on every delete of a comment.
drop index app.comments_tenant_id_parent_id_idx;
insert into planted.expected values
    ('foreign_key_without_index', 'app.comments(tenant_id, parent_id)', 'medium', 'self-reference, on delete cascade');

-- The index on the creator went in a clean-up; the primary key still covers tenant_id, which looked like enough.
drop index app.tasks_tenant_id_created_by_idx;
insert into planted.expected values
    ('foreign_key_without_index', 'app.tasks(tenant_id, created_by)', 'medium', 'only the leading column is covered');

-- The partitioned table lost the index on the author: deleting a user reads every month.
drop index app.telegram_messages_tenant_id_author_id_idx;
insert into planted.expected values
    ('foreign_key_without_index', 'app.telegram_messages(tenant_id, author_id)', 'high',
     'partitioned, on delete set null, users are deleted');

-- A migration rebuilt classifications and forgot two of its indexes.
drop index app.classifications_tenant_id_topic_id_idx;
insert into planted.expected values
    ('foreign_key_without_index', 'app.classifications(tenant_id, topic_id)', 'high',
     'on delete set null, topics are deleted');
drop index app.classifications_tenant_id_analysis_run_id_idx;
insert into planted.expected values
    ('foreign_key_without_index', 'app.classifications(tenant_id, analysis_run_id)', 'high',
     'on delete cascade, runs are deleted');

-- The index was made smaller for one page of the product; it can no longer serve the foreign key.
drop index app.atoms_tenant_id_analysis_run_id_idx;
create index atoms_tenant_id_analysis_run_id_idx on app.atoms (tenant_id, analysis_run_id) where status = 'approved';
insert into planted.expected values
    ('foreign_key_without_index', 'app.atoms(tenant_id, analysis_run_id)', 'high',
     'the only index is partial, on delete set null, runs are deleted');

-- foreign_key_type_mismatch -------------------------------------------------------------------------------------

-- Written by hand where everything else is bigint.
create table app.exports (
    id bigint generated always as identity primary key,
    tenant_id integer not null references app.tenants (id),
    file_url text not null,
    requested_at timestamptz not null default pg_catalog.now()
);
create index exports_tenant_id_idx on app.exports (tenant_id);
insert into app.exports (tenant_id, file_url, requested_at)
select 1 + n % 40, 'https://files.example.com/' || n, '2026-01-01'::timestamptz + interval '1 hour' * n
from pg_catalog.generate_series(1, 500) as n;
insert into planted.expected values
    ('foreign_key_type_mismatch', 'app.exports(tenant_id)', 'medium', 'integer refers to bigint');

-- duplicate_index -----------------------------------------------------------------------------------------------

-- Made by hand, then the migration added the unique constraint.
create unique index telegram_chats_uniq on app.telegram_chats (tenant_id, telegram_chat_id);
insert into planted.expected values
    ('duplicate_index', 'app.telegram_chats_uniq', 'medium', 'the constraint has the same index');

-- redundant_index -----------------------------------------------------------------------------------------------

-- Added for a counter on the dashboard, though (tenant_id, status, due_at) begins the same way.
create index tasks_tenant_id_status_idx on app.tasks (tenant_id, status);
insert into planted.expected values
    ('redundant_index', 'app.tasks_tenant_id_status_idx', 'medium', 'prefix of tasks_tenant_id_status_due_at_idx');

-- unused_index --------------------------------------------------------------------------------------------------

-- For a report that was never built.
create index analysis_runs_tenant_id_model_finished_at_idx on app.analysis_runs (tenant_id, model, finished_at);
insert into planted.expected values
    ('unused_index', 'app.analysis_runs_tenant_id_model_finished_at_idx', 'low', 'small');

-- For a search that then used LIKE '%…%'.
create index classifications_rationale_idx on app.classifications (rationale);
insert into planted.expected values
    ('unused_index', 'app.classifications_rationale_idx', 'medium', 'over 10 MiB');

-- rarely_used_index_with_many_writes ----------------------------------------------------------------------------

-- Support looks at it once a month; every change in the product writes to it.
create index events_actor_occurred_at_idx on audit.events (actor, occurred_at);
insert into planted.expected values
    ('rarely_used_index_with_many_writes', 'audit.events_actor_occurred_at_idx',
     case when :'large' then 'medium' else 'low' end, 'two scans, every audit event writes');

-- low_cardinality_index -----------------------------------------------------------------------------------------

-- Four values, of which only failed is ever looked up.
create index background_jobs_status_idx on app.background_jobs (status);
insert into planted.expected values
    ('low_cardinality_index', 'app.background_jobs_status_idx', 'low', 'a partial index on failed would do');

-- index_on_small_table ------------------------------------------------------------------------------------------

-- 40 rows on one page: never faster than reading the page.
create index tenants_plan_idx on app.tenants (plan);
insert into planted.expected values
    ('index_on_small_table', 'app.tenants_plan_idx', 'low', 'one page of rows');

-- wide_index ----------------------------------------------------------------------------------------------------

-- "Then the query never touches the table": six key columns, the title among them.
create index tasks_list_idx on app.tasks (title, tenant_id, status, priority, due_at, assignee_id);
insert into planted.expected values
    ('wide_index', 'app.tasks_list_idx', 'low', 'six key columns');

-- btree_on_json_or_array ----------------------------------------------------------------------------------------

-- Meant for payload @> '{…}', which a btree cannot serve.
create index background_jobs_payload_idx on app.background_jobs (payload);
insert into planted.expected values
    ('btree_on_json_or_array', 'app.background_jobs_payload_idx', 'medium', 'the workload asks by containment');

-- missing_primary_key -------------------------------------------------------------------------------------------

-- Imported from a CSV file, with an index that could have been the key.
create table app.import_batches (
    batch_number bigint not null,
    file_name text not null,
    imported_at timestamptz not null default pg_catalog.now()
);
create unique index import_batches_batch_number_idx on app.import_batches (batch_number);
insert into app.import_batches
select n, 'batch-' || n || '.csv', '2026-01-01'::timestamptz + interval '1 day' * n
from pg_catalog.generate_series(1, 200) as n;
insert into planted.expected values
    ('missing_primary_key', 'app.import_batches', 'low', 'small, has a unique index to build on');

-- "It is only a log": nothing tells its rows apart.
create table app.message_views (
    tenant_id bigint not null,
    user_id bigint not null,
    message_id bigint not null,
    viewed_at timestamptz not null default pg_catalog.now()
);
insert into app.message_views
select 1 + n % 40, 1 + n % 2000, 1 + n % 60000, '2026-01-01'::timestamptz + interval '1 second' * n
from pg_catalog.generate_series(1, 30000 * :rows_factor) as n;
insert into planted.expected values
    ('missing_primary_key', 'app.message_views', 'medium', 'over 1 MiB, no candidate key');

-- tables_with_many_sequential_scans -----------------------------------------------------------------------------

-- The provider's retries are looked up by external_id, which has no index.
create table app.webhook_deliveries (
    id bigint generated always as identity primary key,
    external_id text not null,
    status text not null,
    body text not null,
    received_at timestamptz not null default pg_catalog.now()
);
insert into app.webhook_deliveries (external_id, status, body, received_at)
select
    'wh_' || n,
    case when n % 50 = 0 then 'failed' else 'ok' end,
    pg_catalog.repeat(pg_catalog.md5(n::text), 10),
    '2026-01-01'::timestamptz + interval '1 second' * n
from pg_catalog.generate_series(1, 40000 * :rows_factor) as n;
insert into planted.expected values
    ('tables_with_many_sequential_scans', 'app.webhook_deliveries', 'medium', 'read by external_id');

-- bloated_index -------------------------------------------------------------------------------------------------

-- A retention job deletes nine of ten rows; the rest keeps every page of the index alive.
create table app.telegram_updates (
    id bigint generated always as identity primary key,
    update_key text not null,
    received_at timestamptz not null default pg_catalog.now()
);
create index telegram_updates_update_key_idx on app.telegram_updates (update_key);
insert into app.telegram_updates (update_key, received_at)
select pg_catalog.md5(n::text), '2026-01-01'::timestamptz + interval '1 second' * n
from pg_catalog.generate_series(1, 60000 * :rows_factor) as n;
delete from app.telegram_updates where id % 10 <> 0;
insert into planted.expected values
    ('bloated_index', 'app.telegram_updates_update_key_idx', 'medium', 'nine of ten entries are gone');
vacuum (analyze) app.telegram_updates;

-- Vectors -------------------------------------------------------------------------------------------------------

-- What dbre.vector_index_advice() must find; objects are named by how they begin.
create table planted.expected_vectors (like planted.expected);

-- A migration rebuilt the index with the operator class of an example; the application asks for the cosine distance.
drop index app.message_embeddings_embedding_idx;
create index message_embeddings_embedding_idx on app.message_embeddings using hnsw (embedding public.vector_l2_ops);
insert into planted.expected_vectors values
    ('vector_operator_not_indexed', 'app.message_embeddings(embedding) searched by embedding <=>', 'medium', 'indexed for L2'),
    ('vector_distance_wrapped', 'app.atom_embeddings(embedding) searched by query', 'medium', 'in workload.sql: 1 - distance, descending');

-- invalid_index -------------------------------------------------------------------------------------------------

\warn The next two errors are planted: index builds that fail.
\set ON_ERROR_STOP off

-- Names are not unique, and the migration went on after the error.
create unique index concurrently users_tenant_id_display_name_key on app.users (tenant_id, display_name);

-- Some priorities are words.
create index concurrently background_jobs_priority_idx on app.background_jobs (((payload ->> 'priority')::integer));

\set ON_ERROR_STOP on
insert into planted.expected values
    ('invalid_index', 'app.users_tenant_id_display_name_key', 'critical', 'unique: nothing keeps duplicates out'),
    ('invalid_index', 'app.background_jobs_priority_idx', 'medium', 'an expression that fails on some rows');

reset role;
vacuum (analyze);
