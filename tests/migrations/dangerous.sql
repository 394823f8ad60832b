-- Migrations that hurt, and what an engineer who knows PostgreSQL and these tables says first.

-- migration: a random default
-- expects: column_with_volatile_default, migration_without_lock_timeout
alter table orders add column token uuid not null default gen_random_uuid();

-- migration: an index while nobody may write
-- expects: index_without_concurrently
create index orders_state on orders (state);

-- migration: validated under the lock that NOT VALID was to avoid
-- expects: constraint_validated_in_same_transaction
begin;
set local lock_timeout = '2s';
alter table fresh add constraint fresh_customer foreign key (customer_id) references customers not valid;
alter table fresh validate constraint fresh_customer;
commit;

-- migration: NOT NULL at once
-- expects: set_not_null_scans
set lock_timeout = '2s';
alter table orders alter column lines set not null;

-- migration: a key grows
-- expects: column_type_change_rewrites
set lock_timeout = '2s';
alter table accounts alter column id type bigint;

-- migration: every row
-- expects: every_row_written
update orders set state = 'old';

-- migration: a table with everything that hangs on it
-- expects: table_with_rows_dropped, drop_cascades
set lock_timeout = '2s';
drop table customers cascade;

-- migration: another name while it is used
-- expects: renamed_while_used
set lock_timeout = '2s';
alter table customers rename column name to full_name;

-- migration: concurrently, and yet not
-- expects: concurrently_in_transaction
begin;
create index concurrently orders_state on orders (state);
commit;

-- migration: a lock, then work
-- expects: strong_lock_before_slow_statement, every_row_written, index_without_concurrently
begin;
set local lock_timeout = '2s';
alter table orders add column channel text;
update orders set channel = 'web';
create index on orders (channel);
commit;

-- migration: parent, then child
-- expects: locks_in_deadlock_order
begin;
set local lock_timeout = '2s';
alter table customers add column channel text;
alter table orders add column channel text;
commit;

-- migration: a foreign key without all that it needs
-- expects: foreign_key_without_not_valid, new_foreign_key_without_index
set lock_timeout = '2s';
alter table event_notes add constraint event_notes_order foreign key (id) references orders;
alter table plain add constraint plain_order foreign key (c) references orders;

-- migration: rows of other tables go, too
-- expects: delete_reaches_other_tables
delete from orders where total < 100;

-- migration: a value that is not there yet
-- expects: enum_value_used_before_commit
begin;
alter type state add value 'lost';
update customers set state = 'lost' where id = 1;
commit;

-- migration: a column that views show
-- expects: column_with_data_dropped, drop_cascades
set lock_timeout = '2s';
alter table customers drop column email cascade;

-- migration: readers wait
-- expects: refresh_without_concurrently, cluster_or_vacuum_full, truncate_in_migration
set lock_timeout = '2s';
refresh materialized view order_totals;
cluster customers using customers_name;
truncate logins;

-- migration: a partition that is read to the end
-- expects: attached_partition_scanned
set lock_timeout = '2s';
alter table events attach partition events_2027 for values from ('2027-01-01') to ('2028-01-01');

-- migration: duplicates
-- expects: unique_where_duplicates_exist
set lock_timeout = '2s';
create unique index concurrently customers_note_once on customers (note);

-- migration: types of yesterday
-- expects: integer_primary_key, timestamp_without_time_zone, char_n_column, json_column
create table old_style (id serial primary key, at timestamp, code char(5), payload json);

-- migration: what is not there
-- expects: migration_refers_to_missing_object
alter table nowhere_to_be_found add column a int;
