-- Indexes that find far more than the query wants.
create table corpus.calls (
    id bigint generated always as identity primary key,
    tenant_id bigint not null,
    status text not null,
    assignee_id bigint,
    created_at timestamptz not null,
    note text
);
insert into corpus.calls (tenant_id, status, assignee_id, created_at, note)
select tenant_id, status::text, assignee_id, created_at, description from app.tasks;
create index on corpus.calls (status, created_at);
create index on corpus.calls (tenant_id);
create table corpus.readings (sensor integer, taken_at timestamptz, value real, unit text, note text);
insert into corpus.readings
select n % 500, now() - interval '1 second' * n, n % 1000, 'C', repeat('x', 60) from generate_series(1, 600000) n;
create index on corpus.readings (taken_at);
vacuum analyze corpus.calls, corpus.readings;
-- Written over without a vacuum since.
create table corpus.balances (id integer primary key, account integer not null, balance bigint not null)
    with (autovacuum_enabled = off, fillfactor = 70);
insert into corpus.balances select n, n % 1000, n from generate_series(1, 300000) n;
create index on corpus.balances (account, id);
vacuum analyze corpus.balances;
update corpus.balances set balance = balance + 1 where id % 3 = 0;
-- A queue from which nearly all is gone.
create table corpus.queue (id bigint primary key, done boolean not null, payload text)
    with (autovacuum_enabled = off);
insert into corpus.queue select n, false, repeat('p', 100) from generate_series(1, 1500000) n;
delete from corpus.queue where id < 1490000;
analyze corpus.queue;

-- query: status_index_assignee_filter
-- why: The index gives all calls in progress of half a year, and the filter keeps those of one assignee: (assignee_id, …) or (status, assignee_id) fits.
-- expects: index_scan_filters_rows
select id, created_at from corpus.calls
where status = 'in_progress' and created_at > now() - interval '12 months' and assignee_id = 1234;

-- query: tenant_index_residual
-- why: The index on the tenant gives some thousands of rows of which the filter keeps very few.
-- expects: index_scan_filters_rows
drop index corpus.calls_status_created_at_idx;
select id, status from corpus.calls
where tenant_id = 3 and created_at between now() - interval '100 days' and now() - interval '99 days' and status = 'blocked';

-- query: events_of_a_row_without_tenant
-- why: No condition on the tenant, which leads the index on (tenant_id, table_name, row_id): the scan walks the whole index for four rows.
-- expects: index_scan_filters_rows
select id, action, occurred_at from audit.events where table_name = 'users' and row_id = 4711 order by occurred_at;

-- query: message_by_telegram_id
-- why: One message, for which the unique index of each partition is walked to its end, since the tenant leads it.
-- expects: index_scan_filters_rows
-- may: partitions_not_pruned
select tenant_id, id, body from app.telegram_messages where telegram_message_id = 500000;

-- query: readings_of_a_sensor
-- why: The index on taken_at is read over a long time for one sensor of 500: (sensor, taken_at) fits.
-- expects: index_scan_filters_rows
set local enable_seqscan = off;
select avg(value) from corpus.readings where taken_at > now() - interval '100 hours' and sensor = 17;

-- query: events_of_an_actor
-- why: All events of a tenant on tasks come from the index; actor and action throw nearly all of them away.
-- expects: index_scan_filters_rows
select id, row_id from audit.events
where tenant_id = 9 and table_name = 'tasks' and action = 'delete' and actor = 'app_worker';

-- query: lossy_bitmap
-- why: With 64 kB the bitmap keeps pages instead of rows, so that all rows of those pages are checked again.
-- expects: bitmap_heap_scan_lossy
set local work_mem = '64kB';
set local enable_seqscan = off;
set local enable_indexscan = off;
select count(*), max(note) from corpus.calls where tenant_id in (2, 3, 4);

-- query: heap_fetches_after_update
-- why: An index-only scan that fetches the heap for nearly every row, since the visibility map is out of date: vacuum.
-- expects: index_only_scan_fetches_heap
-- may: dead_rows_skipped
select count(*) from corpus.balances where account between 100 and 400;

-- query: queue_is_dead
-- why: 10,000 rows are left in a table of 1.5 million dead ones, whose pages are all read: vacuum.
-- expects: dead_rows_skipped
select count(*) from corpus.queue where not done;
