-- Writes.
create table corpus.orders (id integer primary key, customer integer, placed_at timestamptz not null);
create table corpus.items (id integer primary key, order_id integer not null references corpus.orders on delete cascade, text text);
create table corpus.notes (id integer primary key, order_id integer references corpus.orders on delete set null, text text);
insert into corpus.orders select n, n % 1000, now() - interval '1 minute' * n from generate_series(1, 50000) n;
insert into corpus.items select n, 1 + n % 50000, repeat('i', 60) from generate_series(1, 200000) n;
insert into corpus.notes select n, 1 + n % 50000, repeat('n', 60) from generate_series(1, 200000) n;
create index on corpus.notes (order_id);
create index on corpus.orders (customer);
create table corpus.accounts (id integer primary key, balance integer not null, changed_at timestamptz, tag text);
insert into corpus.accounts select n, n, now(), 'tag ' || n from generate_series(1, 300000) n;
create function corpus.slow_audit() returns trigger language plpgsql as $$
begin
    perform count(*) from corpus.notes where order_id between new.id and new.id + 5;
    perform md5(repeat(new.tag, 200));
    return new;
end $$;
create trigger slow_audit after update on corpus.accounts for each row execute function corpus.slow_audit();
vacuum analyze corpus.orders, corpus.items, corpus.notes, corpus.accounts;

-- query: cascade_reads_all_items
-- why: Each deleted order scans all items, as their foreign key has no index; the plan's nodes take nothing.
-- expects: cascade_without_index
-- may: slow_trigger
delete from corpus.orders where customer = 42;

-- query: delete_old_topics
-- why: The composite foreign key of tasks on the deleted atoms has lost its index: each row's trigger reads all tasks.
-- expects: cascade_without_index
-- may: slow_trigger
drop index app.tasks_tenant_id_atom_id_idx;
alter table app.tasks disable trigger record_change;
delete from app.atoms where tenant_id = 17 and id in (select id from app.atoms where tenant_id = 17 order by id limit 20);

-- query: trigger_takes_the_time
-- why: The row trigger runs a query and a hash for each row and takes nearly all of the time.
-- expects: slow_trigger
update corpus.accounts set balance = balance + 1 where id between 1000 and 6000;

-- query: update_after_checkpoint
-- why: The first change of each page after a checkpoint writes the whole page to the WAL: far more bytes than rows.
-- expects: full_page_images
-- may: slow_trigger, sequential_scan_discards_rows, cache_misses
alter table corpus.accounts disable trigger slow_audit;
checkpoint;
update corpus.accounts set balance = balance + 1 where id % 50 = 0;

-- query: update_by_unindexed_column
-- why: 300,000 rows are read for the change of one.
-- expects: sequential_scan_discards_rows
alter table corpus.accounts disable trigger slow_audit;
update corpus.accounts set balance = 0 where tag = 'tag 777';
