-- Estimates that are off, for a reason each.
create table corpus.visits (id integer primary key, city text not null, country text not null, browser text, seen_at timestamptz, score integer)
    with (autovacuum_enabled = off);
-- A city is in one country.
insert into corpus.visits
select n, 'city ' || n % 80, 'country ' || n % 80 / 4, 'b' || n % 7, now() - interval '1 minute' * n, n::bigint * 7919 % 100000
from generate_series(1, 400000) n;
create index on corpus.visits (country);
vacuum analyze corpus.visits;
create table corpus.details (visit_id integer not null, position integer not null, text text, primary key (visit_id, position));
insert into corpus.details select n, p, repeat('d', 40) from generate_series(1, 400000) n, generate_series(1, 2) p;
vacuum analyze corpus.details;
-- Analyzed when it was nearly empty, then loaded.
create table corpus.imports (id integer primary key, batch integer not null, state text not null)
    with (autovacuum_enabled = off);
create index on corpus.imports (state);
insert into corpus.imports select n, 1, 'old' from generate_series(1, 1000) n;
analyze corpus.imports;
insert into corpus.imports select n, n / 10000, 'new' from generate_series(1001, 300000) n;
select pg_stat_force_next_flush();
-- Never analyzed.
create table corpus.fresh (id integer, kind text, value integer) with (autovacuum_enabled = off);
insert into corpus.fresh select n, 'k' || n % 5, n from generate_series(1, 300000) n;
select pg_stat_force_next_flush();
-- Forty senders have 40% of the mails, and the statistics have room for ten of them.
create table corpus.mails (id integer primary key, sender integer not null, subject text) with (autovacuum_enabled = off);
alter table corpus.mails alter sender set statistics 10;
insert into corpus.mails
select n, case when n % 1000 < 180 then n % 10 when n % 1000 < 420 then 10 + n % 30 else 1000 + n::bigint * 7919 % 150000 end, repeat('s', 60)
from generate_series(1, 800000) n;
create index on corpus.mails (sender);
vacuum analyze corpus.mails;
create function corpus.due_ids(of_tenant bigint) returns setof bigint language plpgsql stable as $$
begin
    return query select id from app.tasks where tenant_id = of_tenant and due_at < now();
end $$;
create function corpus.one_setting() returns table (name text, value bigint) language plpgsql stable as $$
begin
    return query values ('a', 1::bigint);
end $$;

-- query: city_and_country
-- why: Country follows from city; the planner multiplies the selectivities and expects 250 rows where 5,000 come, then loops over the details.
-- expects: correlated_columns
-- may: nested_loop_over_many_rows, sequential_scan_discards_rows, index_scan_filters_rows
select count(d.text)
from corpus.visits v join corpus.details d on d.visit_id = v.id
where v.city = 'city 43' and v.country = 'country 10';

-- query: loaded_after_analyze
-- why: The table was analyzed with 1,000 rows of another state and has 300,000: the planner expects next to none.
-- expects: stale_planner_statistics
-- may: nested_loop_over_many_rows, index_scan_filters_rows
select count(*) from corpus.imports i join app.atoms a on a.id = i.id and a.tenant_id = 1 where i.state = 'new';

-- query: never_analyzed
-- why: No statistics at all, so a default guess for the filter that is off by far.
-- expects: stale_planner_statistics
-- may: nested_loop_over_many_rows
select f.kind, count(*) from corpus.fresh f join corpus.visits v on v.id = f.value where f.kind in ('k0', 'k1', 'k2', 'k3') and f.value > 10 group by 1;

-- query: sender_beyond_statistics
-- why: 6,400 mails of one sender, where the planner expects a dozen: a target of 10 keeps ten of forty common values.
-- expects: skewed_column
-- may: nested_loop_over_many_rows
select count(*), max(d.text) from corpus.mails m join corpus.details d on d.visit_id = m.id where m.sender = 33;

-- query: expression_estimate
-- why: Nothing is known of the month of a time, so half a percent is guessed where a twelfth comes: statistics on the expression.
-- expects: expression_without_statistics
-- may: sequential_scan_discards_rows, nested_loop_over_many_rows
select count(*), min(d.text)
from corpus.visits v join corpus.details d on d.visit_id = v.id
where extract(dow from v.seen_at) = 3;

-- query: function_of_thousands
-- why: The planner expects 1,000 rows of a function that returns 80,000 and plans the join after it by that.
-- expects: function_without_row_estimate
-- may: nested_loop_over_many_rows, row_estimate_off
select count(*), max(t.title) from corpus.due_ids(1) as d (id) join app.tasks t on t.tenant_id = 1 and t.id = d.id;
