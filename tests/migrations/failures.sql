-- SQLSTATE and a migration whose last statement fails with it, over schema.sql. The review must say so.
42P01 alter table nothing_there add column a int
42P01 create index on nothing_there (a)
42P01 drop table nothing_there
42P01 update nothing_there set a = 1
42P01 create view v as select * from nothing_there
42P01 alter table fresh add foreign key (customer_id) references nothing_there
42P01 drop sequence nothing_there
42704 drop index nothing_there
42P01 drop view nothing_there
42704 drop type nothing_there
42704 alter table plain add column d nothing_there
3F000 drop schema nothing_there
3F000 create table nothing_there.t (a int)
42703 alter table plain drop column nothing_there
42703 alter table plain alter column nothing_there set not null
42703 alter table plain rename column nothing_there to x
42703 create index on plain (nothing_there)
42703 alter table plain add check (nothing_there > 0)
42703 insert into plain (nothing_there) values (1)
42703 comment on column plain.nothing_there is 'x'
42704 alter table plain drop constraint nothing_there
42704 alter table plain validate constraint nothing_there
42704 drop trigger nothing_there on plain
42704 drop policy nothing_there on plain
22023 alter type state rename value 'gone' to 'x'
42883 create trigger t before insert on plain for each row execute function nothing_there()
42P07 create table plain (a int)
42P07 create index customers_name on plain (a)
42P07 create view plain_view_x as select 1;
  create view plain_view_x as select 1
42701 alter table plain add column a int
42701 alter table plain rename column a to b
42710 alter table customers add constraint age_positive check (age > 0)
42710 create type state as enum ('a')
42P06 create schema shop
42710 alter type state add value 'new'
42P07 alter table plain rename to fresh
42P16 alter table customers add primary key (age)
2BP01 drop table orders
2BP01 drop table customers
2BP01 drop view customer_names
2BP01 alter table plain drop column a
2BP01 alter table customers drop column email
2BP01 drop type state
2BP01 drop function stamp()
2BP01 drop schema archive
2BP01 alter table customers drop constraint customers_pkey
0A000 alter table customers alter column email type text
0A000 truncate customers
42809 alter table regions add foreign key (people) references fresh not valid
0A000 create unique index on events (id)
42P16 create or replace view customer_names as select id from customers
55000 refresh materialized view concurrently item_counts
25001 create index concurrently on plain (a)
25001 drop index concurrently customers_name
25001 vacuum plain
25001 reindex table concurrently plain
25001 alter table regions detach partition regions_north concurrently
25001 create database other
25001 alter system set work_mem = '4MB'
23502 alter table plain add column d int not null
23502 alter table customers alter column home set not null, add column d int not null
23505 alter table plain add column d int default 1 unique
23505 create unique index on customers (note)
23505 alter table customers add unique (note)
23505 create unique index on categories (parent_id)
55P04 alter type state add value 'lost';
  update customers set state = 'lost' where id = 1
42804 alter table orders alter column payer_id type text
42804 alter table products alter column title type int
22001 alter table customers alter column handle type varchar(2)
42601 alter table plain add colum d int
42601 selec 1
42601 alter table plain drop column if not exists a
42804 alter table plain add column d int default 'x'::text
42830 alter table fresh add foreign key (order_id) references plain (a)
42809 alter table plain_view add column d int
42809 drop table plain_view
0A000 alter table plain add column d int default (select 1)
42P16 alter table only events add column d int
42P16 alter table events_2024 drop column amount
42P16 alter table puppies alter column legs type bigint
42P17 create table regions_dup partition of regions for values in ('north')
