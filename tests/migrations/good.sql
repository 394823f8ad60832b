-- Migrations as a good engineer writes them for tables that are large and in use: nothing in them is worse than low.

-- migration: a new table
begin;
set local lock_timeout = '2s';
create table reviews (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers,
    body text not null,
    created_at timestamptz not null default now()
);
create index on reviews (customer_id);
comment on table reviews is 'What customers say';
grant select on reviews to shop_reader;
commit;

-- migration: columns that cost nothing
begin;
set local lock_timeout = '2s';
alter table orders add column channel text;
alter table orders add column priority int not null default 0;
alter table customers add column last_login timestamptz;
commit;

-- migration: an index
set lock_timeout = '2s';
set statement_timeout = 0;
create index concurrently if not exists orders_state on orders (state);

-- migration: an index less
set lock_timeout = '2s';
drop index concurrently if exists customers_lower_name;

-- migration: NOT NULL in three steps
begin;
set local lock_timeout = '2s';
alter table fresh add constraint fresh_name_known check (name is not null) not valid;
commit;
alter table fresh validate constraint fresh_name_known;
begin;
set local lock_timeout = '2s';
alter table fresh alter column name set not null;
alter table fresh drop constraint fresh_name_known;
commit;

-- migration: a foreign key in two steps
begin;
set local lock_timeout = '2s';
alter table fresh add constraint fresh_customer foreign key (customer_id) references customers not valid;
commit;
alter table fresh validate constraint fresh_customer;

-- migration: a unique constraint from an index
set lock_timeout = '2s';
create unique index concurrently accounts_owner on accounts (owner_id);
begin;
set local lock_timeout = '2s';
alter table accounts add constraint accounts_owner unique using index accounts_owner;
commit;

-- migration: a partition that is known to fit
set lock_timeout = '2s';
alter table zones_west add constraint zones_west_only check (zone = 'west') not valid;
alter table zones_west validate constraint zones_west_only;
alter table zones attach partition zones_west for values in ('west');
alter table zones_west drop constraint zones_west_only;

-- migration: rows in batches
do $$
declare
    last int := 0;
begin
    loop
        with batch as (
            select id from orders where id > last and total < 0 order by id limit 500
        )
        update orders o set state = 'void' from batch b where o.id = b.id;
        exit when not found;
        select last + 500 into last;
        commit;
    end loop;
end $$;

-- migration: a wider column, a new value, a new function
set lock_timeout = '2s';
alter table products alter column title type varchar(300);
alter type state add value if not exists 'returned';
create or replace function text_of(int) returns text language sql immutable as 'select ($1)::text';
alter table orders set (autovacuum_vacuum_scale_factor = 0.02);

-- migration: what Alembic prints
BEGIN;

-- Running upgrade 1975ea83b712 -> ae1027a6acf

SET LOCAL lock_timeout = '2s';

ALTER TABLE products ADD COLUMN barcode TEXT;

COMMENT ON COLUMN products.barcode IS 'EAN-13';

UPDATE alembic_version SET version_num='ae1027a6acf' WHERE alembic_version.version_num = '1975ea83b712';

COMMIT;

-- migration: a view and a policy
begin;
set local lock_timeout = '2s';
create view open_orders with (security_invoker) as select id, customer_id, placed from orders where state = 'new';
grant select on open_orders to shop_reader;
commit;
