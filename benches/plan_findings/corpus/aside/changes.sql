-- Writes.
create table corpus.clients (id integer primary key, region integer not null, name text not null);
create table corpus.contracts (id integer primary key, client_id integer not null references corpus.clients, signed date not null);
create table corpus.visits (id bigint primary key, client_id integer references corpus.clients on delete cascade, note text);
insert into corpus.clients select n, n % 500, 'client ' || n from generate_series(1, 20000) n;
insert into corpus.contracts select n, 1 + n % 10000, '2026-01-01' from generate_series(1, 300000) n;
insert into corpus.visits select n, 1 + n % 10000, repeat('v', 50) from generate_series(1, 300000) n;
create index on corpus.visits (client_id);
create table corpus.meters (id integer primary key, reading bigint not null, filler text not null);
insert into corpus.meters select n, n, repeat('m', 150) from generate_series(1, 200000) n;
create table corpus.history (id bigint generated always as identity, meter integer, reading bigint, at timestamptz);
create function corpus.keep_history() returns trigger language plpgsql as $$
begin
    insert into corpus.history (meter, reading, at) select old.id, old.reading, clock_timestamp()
    where not exists (select from corpus.history h where h.meter = old.id and h.reading = old.reading);
    return null;
end $$;
create trigger keep_history after update on corpus.meters for each row execute function corpus.keep_history();
insert into corpus.history (meter, reading, at) select n % 100, n, now() from generate_series(1, 3000) n;
vacuum analyze corpus.clients, corpus.contracts, corpus.visits, corpus.meters;

-- query: delete_clients_without_contracts
-- why: The check of the contracts' foreign key reads all of them for each deleted client.
-- expects: cascade_without_index
-- may: slow_trigger, sequential_scan_discards_rows
delete from corpus.clients where region = 77 and id > 10000;

-- query: history_by_trigger
-- why: The trigger looks through the whole history for each changed meter.
-- expects: slow_trigger
update corpus.meters set reading = reading + 1 where id between 500 and 1500;

-- query: first_write_after_a_checkpoint
-- why: A few rows of every page: each page goes into the WAL as a whole.
-- expects: full_page_images
-- may: slow_trigger, sequential_scan_discards_rows, cache_misses
alter table corpus.meters disable trigger keep_history;
checkpoint;
update corpus.meters set reading = reading + 1 where id % 25 = 0;

-- query: delete_one_visit_by_note
-- why: The visits are read as a whole for rows that an index would give.
-- expects: sequential_scan_discards_rows
delete from corpus.visits where note = 'cancelled by phone';
