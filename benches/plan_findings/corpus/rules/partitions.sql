-- Partitions, JIT, parallel plans, planning.
create table corpus.metrics (id bigint not null, measured_at timestamp not null, value integer) partition by range (measured_at);
do $$ begin for n in 0..29 loop
    execute format('create table corpus.metrics_%s partition of corpus.metrics for values from (%L) to (%L)', n, '2026-01-01'::date + n * 10, '2026-01-01'::date + n * 10 + 10);
end loop; end $$;
insert into corpus.metrics select n, '2026-01-01'::timestamp + interval '1 minute' * n, n from generate_series(0, 431999) n;
create index on corpus.metrics (id);
create table corpus.shards (key integer not null, at date not null, text text) partition by list (key);
do $$ begin for n in 0..399 loop
    execute format('create table corpus.shards_%s partition of corpus.shards for values in (%s)', n, n);
end loop; end $$;
insert into corpus.shards select n % 400, '2026-01-01'::date + n % 365, 'x' from generate_series(1, 40000) n;
create index on corpus.shards (at);
vacuum analyze corpus.metrics, corpus.shards;

-- query: day_of_partition_key
-- why: A function on the partition key: all 30 partitions are read for the rows of one day in one of them.
-- expects: partitions_not_pruned
-- may: condition_disables_index, sequential_scan_discards_rows, expression_without_statistics
select count(*), max(value) from corpus.metrics where date_trunc('day', measured_at) = '2026-03-05';

-- query: month_of_messages
-- why: to_char on the partition key hides the month from the planner: twelve partitions are read for one.
-- expects: partitions_not_pruned
-- may: condition_disables_index, sequential_scan_discards_rows, expression_without_statistics
select count(*) from app.telegram_messages where to_char(sent_at, 'YYYY-MM') = to_char(now() - interval '3 months', 'YYYY-MM');

-- query: cast_of_partition_key
-- why: The cast of the key to date prevents pruning; a range of timestamps would leave one partition.
-- expects: partitions_not_pruned
-- may: condition_disables_index, sequential_scan_discards_rows, expression_without_statistics
select count(*) from corpus.metrics where measured_at::date = date '2026-03-05';

-- query: four_hundred_partitions_planned
-- why: Planning 400 partitions takes longer than reading them: the list key is not in the query.
-- expects: many_partitions_planned
-- may: partitions_not_pruned, planning_longer_than_execution
select key, text from corpus.shards where at = '2026-05-06';

-- query: jit_on_a_short_query
-- why: Compilation takes longer than the query without it, whose cost is just above the limit.
-- expects: jit_costs_more
-- may: partitions_not_pruned, sequential_scan_discards_rows, planning_longer_than_execution, many_partitions_planned, expression_without_statistics
set local jit = on;
set local jit_above_cost = 3000;
set local jit_inline_above_cost = 3000;
set local jit_optimize_above_cost = 3000;
set local max_parallel_workers_per_gather = 0;
select value % 7, count(*), sum(value), avg(value), max(id) from corpus.metrics where value % 3 = 1 and id between 1000 and 150000 group by 1;

-- query: workers_not_to_be_had
-- why: Two workers were planned and none could be launched.
-- expects: workers_not_launched
set local max_parallel_workers = 0;
select label, count(*), avg(confidence) from app.classifications group by label;

-- query: parallel_unsafe_function
-- why: A function that nobody marked parallel safe keeps a scan of 1.2 million rows in one process.
-- expects: parallel_unsafe_function
-- may: function_per_row, row_estimate_off
create function corpus.weight(confidence real) returns real language plpgsql immutable as $$ begin return confidence * 2; end $$;
select sum(corpus.weight(confidence)) from app.classifications;
