create table new_one (id int primary key, name text)
create table if not exists plain (a int)
create table if not exists new_one (a int)
create table new_one (id int primary key, customer_id bigint references customers)
create table new_one (id int primary key, customer_id bigint references customers, order_id int references orders on delete cascade)
create table new_one (id int primary key, parent_id int references new_one)
create table new_one (id int references buckets)
create table new_one (event_id bigint, happened date, kind text, foreign key (event_id, happened, kind) references events)
create table new_one (like customers)
create table new_one (like customers including all)
create table new_one (like orders including constraints including indexes)
create table new_one () inherits (plain)
create table new_one (extra int) inherits (animals)
create table new_one (id serial primary key, at timestamptz default now(), s state, p positive)
create table new_one (id int generated always as identity, g int generated always as (id * 2) stored)
create table new_one (a int) with (fillfactor = 50)
create table new_one (a int, exclude using gist (a with =))
create unlogged table new_one (a int)
create temporary table new_one (a int)
create temp table new_one on commit drop as select * from plain
create table new_one of size
create table new_one (a int) partition by range (a)
create table new_one (a int) partition by hash (a);
  create table new_one_0 partition of new_one for values with (modulus 2, remainder 0)
create table new_one as select * from plain
create table new_one as select * from plain where a < 0
create table new_one as select * from customers with no data
create table new_one as table orders
create table new_one as values (1), (2)
create table if not exists plain as select 1 as a
create table new_one as select o.id, c.name from orders o join customers c on c.id = o.customer_id
select a into new_one from plain
create table archive.new_one (id int primary key)
create table "Größe"."Neu" (id int)
create foreign table new_one (a int) server nowhere
create table a (id int primary key);
  create table b (id int references a);
  create index on b (id);
  alter table b add constraint c check (id > 0)
create sequence new_numbers
create sequence if not exists loose_numbers
create sequence new_numbers owned by plain.a
create schema warehouse
create schema if not exists shop
create schema warehouse create table boxes (id int) create view box_ids as select id from boxes
create type mood as enum ('sad', 'happy')
create type pair as (a int, b text)
create type span as range (subtype = numeric)
create domain new_domain as text check (value <> '')
create extension if not exists citext
create extension pg_trgm
create function f(a int) returns int language sql as 'select a'
create or replace function volatile_number() returns int language plpgsql volatile as 'begin return 2; end'
create or replace function stamp() returns trigger language plpgsql as 'begin return new; end'
create procedure p() language plpgsql as 'begin null; end'
create function reads() returns bigint language sql begin atomic select count(*) from plain; end
create aggregate total_of(int) (sfunc = int4pl, stype = int, initcond = '0')
create role new_role
create collation nordic (provider = icu, locale = 'no')
create publication all_of_it for table customers, orders
create publication in_archive for tables in schema archive
alter publication orders_only add table customers
alter publication orders_only drop table orders
alter publication orders_only set table customers, items
alter publication orders_only set (publish = 'insert')
alter publication orders_only owner to postgres
drop publication orders_only
alter type state add value 'lost'
alter type state add value if not exists 'new'
alter type state add value 'lost' before 'paid'
alter type state rename value 'new' to 'fresh'
alter type state rename to order_state
alter type state owner to shop_reader
alter type state set schema archive
alter type address rename to postal_address
alter function volatile_number() stable
alter function volatile_number() rename to vn
alter function stamp() owner to shop_reader
alter function stamp() set search_path = public
comment on table plain is 'plain'
comment on table customers is null
comment on column customers.name is 'name'
comment on index customers_name is 'index'
comment on view plain_view is 'view'
comment on materialized view order_totals is 'm'
comment on constraint age_positive on customers is 'c'
comment on trigger stamp_watched on watched is 't'
comment on policy readers on watched is 'p'
comment on rule no_delete on watched is 'r'
comment on sequence loose_numbers is 's'
comment on type state is 't'
comment on function stamp() is 'f'
comment on schema shop is 's'
comment on domain positive is 'd'
comment on statistics customers_stats is 's'
grant select on plain to shop_reader
grant all on all tables in schema public to shop_reader
grant select (name) on customers to shop_reader
revoke all on customers from public
grant usage on schema shop to shop_reader
grant usage on sequence loose_numbers to shop_reader
grant execute on function stamp() to shop_reader
alter default privileges in schema shop grant select on tables to shop_reader
reassign owned by shop_reader to postgres
lock table plain
lock table plain in share mode
lock table customers, orders in row exclusive mode
lock table events in exclusive mode
lock table only events in share row exclusive mode
lock table plain_view in access share mode
lock table named_orders in access exclusive mode
lock table animals in access exclusive mode nowait
truncate plain
truncate plain, empty
truncate items restart identity
truncate orders cascade
truncate customers cascade
truncate events cascade
truncate regions
truncate only animals
truncate animals
truncate event_notes, events
truncate categories
truncate categories restart identity
set lock_timeout = '3s'
set local statement_timeout = 0
set search_path = archive, public;
  alter table old_orders add column d int
set search_path to "Größe";
  drop table "Bestell Ung"
reset all
set session authorization default
set constraints all deferred
set constraints deferred_child_order_id_fkey immediate
discard plans
select set_config('search_path', 'archive', false);
  alter table old_orders drop column total
