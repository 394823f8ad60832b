-- Joins and subqueries of all kinds.
create table corpus.tariffs (id integer primary key, zone integer not null, low integer not null, high integer not null, price numeric not null);
insert into corpus.tariffs select n, n % 50, n % 6000 * 5, n % 6000 * 5 + 4, n from generate_series(1, 6000) n;
create table corpus.letters (id integer primary key, zone integer not null, grams integer not null, sender integer, receiver integer);
insert into corpus.letters select n, n % 50, n::bigint * 7919 % 30000, n % 900, n % 1100 from generate_series(1, 20000) n;
create table corpus.clients (id integer primary key, name text not null, old_id integer);
insert into corpus.clients select n, 'client ' || n, case when n % 10 > 0 then n + 5000 end from generate_series(1, 3000) n;
create table corpus.blocked (client integer, until date);
insert into corpus.blocked select n, '2026-12-31' from generate_series(1, 25000) n;
vacuum analyze corpus.tariffs, corpus.letters, corpus.clients, corpus.blocked;

-- query: weight_between_tariff_bounds
-- why: The range join compares each of 2,000 letters with all 6,000 tariffs; an index on (zone, low), or a range type, would help.
-- expects: nested_loop_over_many_rows
-- may: sequential_scan_discards_rows, row_estimate_off, memoize_evicts
select count(*), sum(t.price) from corpus.letters l join corpus.tariffs t on l.grams between t.low and t.high where l.id <= 2000;

-- query: sender_or_receiver
-- why: An OR over both keys prevents hash and merge: each pair is compared.
-- expects: or_across_tables_in_join
-- may: nested_loop_over_many_rows, row_estimate_off
select count(*) from corpus.letters l join corpus.clients c on c.id = l.sender or c.old_id = l.receiver where l.id <= 2000;

-- query: ten_tables_by_hand
-- why: Ten relations with explicit joins, of which the last has the selective condition, beyond a join_collapse_limit of 4 that somebody set.
-- expects: join_order_not_searched
-- may: hash_spilled, temp_io, sequential_scan_discards_rows, sort_spilled, nested_loop_over_many_rows, index_scan_filters_rows, row_estimate_off, correlated_columns, memoize_evicts, sort_that_an_index_could_give
set local join_collapse_limit = 4;
set local max_parallel_workers_per_gather = 0;
select count(*), max(m.body)
from app.tasks k
join app.comments co on co.tenant_id = k.tenant_id and co.task_id = k.id
join app.users cu on cu.tenant_id = co.tenant_id and cu.id = co.author_id
join app.users ku on ku.tenant_id = k.tenant_id and ku.id = k.created_by
join app.atoms a on a.tenant_id = k.tenant_id and a.id = k.atom_id
join app.topics t on t.tenant_id = a.tenant_id and t.id = a.topic_id
join app.atom_messages am on am.tenant_id = a.tenant_id and am.atom_id = a.id
join app.telegram_messages m on m.tenant_id = am.tenant_id and m.id = am.message_id and m.sent_at = am.message_sent_at
join app.telegram_chats ch on ch.tenant_id = m.tenant_id and ch.id = m.chat_id
join app.tenants tn on tn.id = ch.tenant_id
where k.tenant_id = 2 and ch.telegram_chat_id < -1000000000000 - 2140000000;

-- query: not_in_a_list_with_nulls
-- why: NOT IN over a nullable column that fits no hash table: a walk over the list for each row, and nothing at all with one NULL.
-- expects: not_in_subplan
-- may: subplan_per_row, temp_io, sequential_scan_discards_rows, row_estimate_off
set local work_mem = '64kB';
set local max_parallel_workers_per_gather = 0;
select count(*) from corpus.clients where id not in (select client from corpus.blocked where client between 1501 and 8000);

-- query: exists_count_per_topic
-- why: For each of 24,000 topics its atoms are counted, though a grouped join reads the atoms once.
-- expects: subplan_per_row
-- may: sequential_scan_discards_rows, sort_that_an_index_could_give
set local max_parallel_workers_per_gather = 0;
select count(*) from app.topics t where (select count(*) from app.atoms a where a.tenant_id = t.tenant_id and a.topic_id = t.id) > 20;

-- query: unindexed_subquery_per_row
-- why: Each of 200 letters reads all tariffs in its subquery, 6,000 rows a time.
-- expects: subplan_per_row
-- may: sequential_scan_discards_rows, nested_loop_over_many_rows, sort_that_an_index_could_give
select l.id, (select min(t.price) from corpus.tariffs t where t.zone = l.zone and t.high > l.grams) as price
from corpus.letters l where l.id <= 500;

-- query: loop_over_events
-- why: With hash and merge joins off the events of each of 90,000 tasks are looked up one by one.
-- expects: nested_loop_over_many_rows
-- may: index_scan_filters_rows, sequential_scan_discards_rows, memoize_evicts
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local max_parallel_workers_per_gather = 0;
select count(*), max(t.title)
from audit.events e join app.tasks t on t.tenant_id = e.tenant_id and t.id = e.row_id
where e.tenant_id = 2 and e.table_name = 'tasks';
