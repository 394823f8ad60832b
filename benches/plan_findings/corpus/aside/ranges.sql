-- Partitions, compilation, workers.
create table corpus.prices (symbol text not null, day date not null, price numeric not null) partition by range (day);
do $$ begin for n in 0..23 loop
    execute format('create table corpus.prices_%s partition of corpus.prices for values from (%L) to (%L)', n,
        ('2025-01-01'::date + make_interval(months => n))::date, ('2025-01-01'::date + make_interval(months => n + 1))::date);
end loop; end $$;
insert into corpus.prices select 'S' || n % 600, '2025-01-01'::date + n / 600, n from generate_series(0, 430000) n;
create table corpus.regions (region text not null, id bigint not null, text text not null) partition by list (region);
do $$ begin for n in 0..15 loop
    execute format('create table corpus.regions_%s partition of corpus.regions for values in (%L)', n, 'r' || n);
end loop; end $$;
insert into corpus.regions select 'r' || n % 16, n, md5(n::text) from generate_series(1, 400000) n;
create table corpus.many (tenant integer not null, id integer not null, primary key (tenant, id)) partition by hash (tenant);
do $$ begin for n in 0..255 loop
    execute format('create table corpus.many_%s partition of corpus.many for values with (modulus 256, remainder %s)', n, n);
end loop; end $$;
insert into corpus.many select n % 1000, n from generate_series(1, 50000) n;
vacuum analyze corpus.prices, corpus.regions, corpus.many;

-- query: month_by_extract
-- why: extract() of the partition key hides its range: all 24 partitions are read for two.
-- expects: partitions_not_pruned
-- may: condition_disables_index, sequential_scan_discards_rows, expression_without_statistics
select avg(price) from corpus.prices where extract(month from day) = 3 and extract(year from day) = 2026;

-- query: day_as_text
-- why: The key as text cannot prune.
-- expects: partitions_not_pruned
-- may: condition_disables_index, sequential_scan_discards_rows, expression_without_statistics
select symbol, price from corpus.prices where day::text = '2026-02-03';

-- query: region_in_upper_case
-- why: upper() on the list key: 16 partitions are read for one.
-- expects: partitions_not_pruned
-- may: condition_disables_index, sequential_scan_discards_rows, expression_without_statistics
select count(*) from corpus.regions where upper(region) = 'R3';

-- query: thousand_ids_in_partitions_of_tenants
-- why: 256 partitions are planned and entered for one id, as the key of the partitions is not asked.
-- expects: many_partitions_planned
-- may: partitions_not_pruned, planning_longer_than_execution, index_scan_filters_rows
select tenant, id from corpus.many where id = 777;

-- query: compiled_for_nothing
-- why: Compiling the expressions of many small scans takes several times what running them takes.
-- expects: jit_costs_more
-- may: partitions_not_pruned, sequential_scan_discards_rows, planning_longer_than_execution, many_partitions_planned, expression_without_statistics, condition_disables_index
set local jit = on;
set local jit_above_cost = 2000;
set local jit_inline_above_cost = 4000;
set local jit_optimize_above_cost = 4000;
set local max_parallel_workers_per_gather = 0;
select symbol, avg(price) from corpus.prices where price % 7 = 3 and day > '2025-03-01' group by symbol;

-- query: no_worker_free
-- why: The plan counts on two workers, and the pool has none.
-- expects: workers_not_launched
-- may: sort_spilled, temp_io
set local max_parallel_workers = 0;
select actor, action, count(*) from audit.events group by 1, 2;

-- query: join_that_plans_longer
-- why: Planning ten small tables takes many times what the execution for one row takes.
-- expects: planning_longer_than_execution
-- may: join_order_not_searched, many_partitions_planned
set local join_collapse_limit = 12;
set local from_collapse_limit = 12;
set local geqo = off;
select count(*)
from app.tasks k
join app.comments co on co.tenant_id = k.tenant_id and co.task_id = k.id
join app.users cu on cu.tenant_id = co.tenant_id and cu.id = co.author_id
join app.users ku on ku.tenant_id = k.tenant_id and ku.id = k.created_by
join app.users ka on ka.tenant_id = k.tenant_id and ka.id = k.assignee_id
join app.atoms a on a.tenant_id = k.tenant_id and a.id = k.atom_id
join app.topics t on t.tenant_id = a.tenant_id and t.id = a.topic_id
join app.analysis_runs r on r.tenant_id = a.tenant_id and r.id = a.analysis_run_id
join app.atom_messages am on am.tenant_id = a.tenant_id and am.atom_id = a.id
join app.classifications c on c.tenant_id = am.tenant_id and c.message_id = am.message_id
join app.tenants tn on tn.id = k.tenant_id
where k.tenant_id = 23 and k.id = 23;
