-- Joins.
create table corpus.prices (item integer not null, valid_from date not null, price numeric not null);
insert into corpus.prices select n % 2000, '2026-01-01'::date + n / 2000, n from generate_series(1, 20000) n;
create table corpus.sold (id integer primary key, item integer not null, sold_on date not null, partner integer, contact integer);
insert into corpus.sold select n, n % 2000, '2026-01-01'::date + n % 10, n % 50, n % 70 from generate_series(1, 3000) n;
create table corpus.people (id integer primary key, partner integer, contact integer, name text);
insert into corpus.people select n, n % 3000, n % 2500, 'person ' || n from generate_series(1, 20000) n;
vacuum analyze corpus.prices, corpus.sold, corpus.people;

-- query: loop_without_inner_index
-- why: For each of 3,000 sales 20,000 prices are read, since the range condition leaves no hash: an index on (item, valid_from) would serve.
-- expects: sequential_scan_discards_rows
-- may: nested_loop_over_many_rows, subplan_per_row, materialized_cte, row_estimate_off, sort_that_an_index_could_give
select s.id, p.price
from corpus.sold s
join lateral (
    select price from corpus.prices p where p.item = s.item and p.valid_from <= s.sold_on order by p.valid_from desc limit 1
) p on true;

-- query: or_of_two_keys
-- why: An OR across both keys leaves only the comparison of each pair: a UNION of two joins could hash each.
-- expects: or_across_tables_in_join
-- may: nested_loop_over_many_rows, row_estimate_off
select count(*) from corpus.sold s join corpus.people p on p.partner = s.partner or p.contact = s.contact
where p.id <= 4000;

-- query: twelve_tables_in_syntactic_order
-- why: Twelve relations and a join_collapse_limit of 8: they are joined as written, the selective one last.
-- expects: join_order_not_searched
-- may: row_estimate_off, hash_spilled, temp_io, sequential_scan_discards_rows, sort_spilled, nested_loop_over_many_rows, index_scan_filters_rows
select count(*)
from app.atoms a
join app.topics t on t.tenant_id = a.tenant_id and t.id = a.topic_id
join app.tenants tn on tn.id = a.tenant_id
join app.atom_messages am on am.tenant_id = a.tenant_id and am.atom_id = a.id
join app.classifications c on c.tenant_id = am.tenant_id and c.message_id = am.message_id and c.message_sent_at = am.message_sent_at
join app.analysis_runs r on r.tenant_id = c.tenant_id and r.id = c.analysis_run_id
join app.tasks k on k.tenant_id = a.tenant_id and k.atom_id = a.id
join app.users cu on cu.tenant_id = k.tenant_id and cu.id = k.created_by
join app.users au on au.tenant_id = k.tenant_id and au.id = k.assignee_id
join app.comments co on co.tenant_id = k.tenant_id and co.task_id = k.id
join app.users cw on cw.tenant_id = co.tenant_id and cw.id = co.author_id
join audit.events e on e.tenant_id = k.tenant_id and e.table_name = 'tasks' and e.row_id = k.id
where e.tenant_id = 17 and e.id % 1000 = 17 and e.occurred_at > now() - interval '50 days';

-- query: not_in_unhashed
-- why: The 20,000 items fit no hash table of 64 kB: each row walks the materialized list, and one NULL would empty the result.
-- expects: not_in_subplan
-- may: subplan_per_row, temp_io, sequential_scan_discards_rows, row_estimate_off
set local work_mem = '64kB';
set local max_parallel_workers_per_gather = 0;
select count(*) from corpus.sold where id not in (select item from corpus.prices);

-- query: nested_loop_without_alternatives
-- why: Hash and merge joins are switched off, so that 130,000 messages look up their classification one by one.
-- expects: nested_loop_over_many_rows
-- may: index_scan_filters_rows, sequential_scan_discards_rows, cache_misses
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local max_parallel_workers_per_gather = 0;
select count(*), max(c.rationale)
from app.telegram_messages m
join app.classifications c on c.tenant_id = m.tenant_id and c.message_id = m.id and c.message_sent_at = m.sent_at
where m.sent_at >= now() - interval '60 days' and m.body_length > 10;
