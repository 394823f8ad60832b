-- Indexes that serve less than they could.
create table corpus.bookings (
    id integer primary key,
    hotel integer not null,
    guest integer not null,
    arrives date not null,
    cancelled boolean not null,
    rate numeric not null,
    remarks text not null
) with (autovacuum_enabled = off);
insert into corpus.bookings
select n, n % 60, n::bigint * 7919 % 90000, '2026-01-01'::date + n / 2000, n % 33 = 0, n % 400, repeat('r', 80)
from generate_series(1, 600000) n;
create index bookings_hotel_idx on corpus.bookings (hotel);
create index bookings_arrives_guest_idx on corpus.bookings (arrives, guest);
vacuum analyze corpus.bookings;
create table corpus.stock (sku integer primary key, warehouse integer not null, pieces integer not null)
    with (autovacuum_enabled = off, fillfactor = 60);
insert into corpus.stock select n, n % 40, n % 100 from generate_series(1, 400000) n;
create index on corpus.stock (warehouse, sku);
vacuum analyze corpus.stock;
update corpus.stock set pieces = pieces + 1 where warehouse < 12;
create table corpus.sessions (id bigint primary key, user_id integer not null, token text not null, ended boolean not null)
    with (autovacuum_enabled = off);
insert into corpus.sessions select n, n % 1000, md5(n::text), n < 1190000 from generate_series(1, 1200000) n;
delete from corpus.sessions where ended;
analyze corpus.sessions;

-- query: cancelled_of_some_hotels
-- why: The index gives 60,000 bookings of the hotels, of which some cancelled ones at one rate are wanted.
-- expects: index_scan_filters_rows
select id, guest from corpus.bookings where hotel in (2, 17, 21, 33, 45, 58) and cancelled and rate = 33;

-- query: guest_over_a_year
-- why: The range on the leading column makes the scan walk all entries of it for one guest: (guest, arrives) finds seven rows at once.
-- expects: index_scan_filters_rows
set local enable_seqscan = off;
select id, hotel from corpus.bookings where arrives >= '2026-01-10' and guest = 4711;

-- query: comments_of_an_author_by_text
-- why: The index finds all comments of the tenant's task range, and the filter keeps what one author wrote.
-- expects: index_scan_filters_rows
set local enable_bitmapscan = off;
set local enable_seqscan = off;
drop index app.comments_tenant_id_author_id_idx;
select id, body from app.comments where tenant_id = 2 and author_id = 2 and edited_at is not null;

-- query: rejected_ideas_of_a_tenant
-- why: The tenant's 48,000 atoms come from the index; those that are ideas and rejected are one of 150.
-- expects: index_scan_filters_rows
set local enable_seqscan = off;
select id, title from app.atoms where tenant_id = 3 and kind = 'idea' and status = 'rejected';

-- query: exact_bitmap_turned_lossy
-- why: work_mem of 64 kB keeps a bitmap of pages only, so that some hundred thousand rows are checked again.
-- expects: bitmap_heap_scan_lossy
-- may: index_scan_filters_rows
set local work_mem = '64kB';
set local enable_seqscan = off;
set local enable_indexscan = off;
select avg(rate), max(remarks) from corpus.bookings where hotel in (3, 14, 15, 26);

-- query: stock_of_some_warehouses
-- why: A third of the table was changed since the last vacuum: the index-only scan goes to the heap for each row of it.
-- expects: index_only_scan_fetches_heap
-- may: dead_rows_skipped
select warehouse, count(*), min(sku) from corpus.stock where warehouse between 2 and 11 group by warehouse;

-- query: live_sessions
-- why: 99 of 100 rows of the table are dead; the scan reads their pages to find the rest.
-- expects: dead_rows_skipped
select user_id, count(*) from corpus.sessions where not ended group by user_id order by 2 desc limit 5;
