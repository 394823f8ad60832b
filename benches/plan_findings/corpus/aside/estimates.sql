-- What the planner does not know.
create table corpus.cars (id integer primary key, make text not null, model text not null, year integer not null, color text not null, price integer not null);
-- A model is of one make and one decade.
insert into corpus.cars
select n, 'make ' || n % 120 / 6, 'model ' || n % 120, 1990 + n % 120 / 6, 'c' || n % 9, n::bigint * 7919 % 50000 from generate_series(1, 480000) n;
create index on corpus.cars (make);
create table corpus.services (car_id integer not null, done_on date not null, text text not null);
insert into corpus.services select n, '2026-01-01'::date + n % 300, repeat('s', 50) from generate_series(1, 480000) n;
create index on corpus.services (car_id);
vacuum analyze corpus.cars, corpus.services;
-- The state moved on after ANALYZE.
create table corpus.parcels (id integer primary key, state text not null, zip integer not null) with (autovacuum_enabled = off);
insert into corpus.parcels select n, case when n <= 400000 then 'done' else 'new' end, n % 5000 from generate_series(1, 400010) n;
create index on corpus.parcels (state);
vacuum analyze corpus.parcels;
update corpus.parcels set state = 'new' where id % 4 = 0;
select pg_stat_force_next_flush();
-- Rows of days that the histogram has never seen.
create table corpus.logs (id integer primary key, day date not null, car_id integer not null) with (autovacuum_enabled = off);
insert into corpus.logs select n, '2026-01-01'::date + n / 5000, n from generate_series(1, 200000) n;
create index on corpus.logs (day);
vacuum analyze corpus.logs;
insert into corpus.logs select n, '2026-06-01'::date + n / 50000, n from generate_series(200001, 400000) n;
select pg_stat_force_next_flush();
create table corpus.loaded as select n as id, 't' || n % 3 as kind from generate_series(1, 250000) n;
alter table corpus.loaded set (autovacuum_enabled = off);
select pg_stat_force_next_flush();
-- A long tail, and customers of middle size that the list of common values has no room for.
create table corpus.bills (id integer primary key, customer integer not null, amount integer not null);
alter table corpus.bills alter customer set statistics 5;
insert into corpus.bills
select n, case when n % 100 < 15 then n % 5 when n % 100 < 40 then 5 + n % 20 else 1000 + n::bigint * 7919 % 200000 end, n % 1000
from generate_series(1, 800000) n;
create index on corpus.bills (customer);
vacuum analyze corpus.bills;
create function corpus.recent(days integer) returns table (bill integer) language plpgsql stable as $$
begin
    return query select id from corpus.bills where id <= days * 1000;
end $$;
create function corpus.words(of text) returns setof text language plpgsql immutable rows 10000 as $$
begin
    return query select unnest(string_to_array(of, ' '));
end $$;

-- query: model_and_make
-- why: The model implies the make, and the planner multiplies: 200 expected, 4,000 come, and the services are looked up one by one.
-- expects: correlated_columns
-- may: nested_loop_over_many_rows, index_scan_filters_rows, sequential_scan_discards_rows
select count(*), max(s.text) from corpus.cars c join corpus.services s on s.car_id = c.id where c.make = 'make 7' and c.model = 'model 43';

-- query: make_model_and_year
-- why: Three columns of which one implies the others; the estimate is off by 400 times.
-- expects: correlated_columns
-- may: nested_loop_over_many_rows, index_scan_filters_rows, sequential_scan_discards_rows
select count(*), max(s.text)
from corpus.cars c join corpus.services s on s.car_id = c.id
where c.make = 'make 3' and c.model = 'model 20' and c.year = 1993;

-- query: state_after_mass_update
-- why: A quarter of the rows became new since ANALYZE, which saw ten of them.
-- expects: stale_planner_statistics
-- may: nested_loop_over_many_rows, index_scan_filters_rows, dead_rows_skipped
select count(*), max(s.text) from corpus.parcels p join corpus.services s on s.car_id = p.id where p.state = 'new';

-- query: days_beyond_the_histogram
-- why: All rows of June came after ANALYZE: one is expected, 150,000 come, each with a lookup.
-- expects: stale_planner_statistics
-- may: nested_loop_over_many_rows
select count(*), max(s.text) from corpus.logs l join corpus.services s on s.car_id = l.car_id where l.day >= '2026-06-01' and l.day < '2026-06-09';

-- query: table_just_created
-- why: The table was filled and never analyzed, so the planner guesses how many rows are of the kind.
-- expects: stale_planner_statistics
-- may: nested_loop_over_many_rows
select count(*), max(s.text) from corpus.loaded l join corpus.services s on s.car_id = l.id where l.kind = 't1';

-- query: middling_customer
-- why: 10,000 bills of a customer whom the five most common values leave out; some dozens are expected.
-- expects: skewed_column
-- may: nested_loop_over_many_rows
select count(*), max(s.text) from corpus.bills b join corpus.services s on s.car_id = b.id where b.customer = 17;

-- query: expression_of_price
-- why: Nothing is known of price / 10000: half a percent is guessed where a fifth comes.
-- expects: expression_without_statistics
-- may: nested_loop_over_many_rows, sequential_scan_discards_rows
select count(*), max(s.text) from corpus.cars c join corpus.services s on s.car_id = c.id where c.price / 10000 = 2 and c.id > 0;

-- query: lowercase_of_color
-- why: lower(color) has no statistics; a ninth of the cars come where 2,400 are expected.
-- expects: expression_without_statistics
-- may: nested_loop_over_many_rows, sequential_scan_discards_rows
select count(*), max(s.text) from corpus.cars c join corpus.services s on s.car_id = c.id where lower(c.color) = 'c3';

-- query: function_returns_many
-- why: 90,000 rows of a function for which 1,000 are expected.
-- expects: function_without_row_estimate
-- may: nested_loop_over_many_rows, row_estimate_off
select count(*), max(s.text) from corpus.recent(90) r (id) join corpus.services s on s.car_id = r.id;

-- query: function_returns_few
-- why: Declared with 10,000 rows a call, and two come: the join of 600 rows is planned for three million, so that all bills are read and hashed.
-- expects: function_without_row_estimate
-- may: row_estimate_off, nested_loop_over_many_rows, sequential_scan_discards_rows, sort_that_an_index_could_give, hash_spilled
select count(*), max(b.amount)
from (select c.id, w.word from corpus.cars c, corpus.words(c.model) w (word) where c.id <= 300) x
join corpus.bills b on b.id = x.id + length(x.word);
