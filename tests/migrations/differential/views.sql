create view new_view as select a from plain
create or replace view new_view as select a from plain
create or replace view plain_view as select a, b, c from plain
create or replace view customer_names as select id, name, email, age from customers
create or replace view named_orders as select o.id, n.name, o.total from orders o join customer_names n on n.id = o.customer_id
create or replace view plain_view as select a, b from plain where a > 0
create recursive view numbers (n) as values (1) union all select n + 1 from numbers where n < 10
create view v as select 1 as one
create temp view v as select a from plain
create view v with (security_invoker) as select * from watched
create view v as select * from events
create view v as select plain_view.a from plain_view join fresh on fresh.id = plain_view.a
create view v as select * from order_totals
create materialized view m as select a from plain
create materialized view m as select a from plain with no data
create materialized view if not exists order_totals as select 1
create materialized view m as select * from plain_view
create materialized view m as select customer_id, count(*) from orders group by 1;
  create unique index on m (customer_id)
refresh materialized view order_totals
refresh materialized view concurrently order_totals
refresh materialized view item_counts
refresh materialized view unfilled
refresh materialized view order_totals with no data
alter view customer_names rename to names
alter materialized view order_totals rename to totals
create trigger t after insert on plain for each row execute function audit()
create trigger t before update of name on customers for each row when (old.name is distinct from new.name) execute function stamp()
create trigger t instead of insert on plain_view for each row execute function audit()
create trigger t after truncate on plain execute function audit()
create constraint trigger t after insert on plain deferrable initially deferred for each row execute function audit()
create constraint trigger t after insert on orders from customers for each row execute function audit()
create or replace trigger stamp_watched before insert on watched for each row execute function stamp()
create trigger t after update on plain referencing old table as o for each statement execute function audit()
alter trigger stamp_watched on watched rename to stamp
alter trigger stamp_watched on watched depends on extension citext
create rule r as on insert to plain do also nothing
create or replace rule no_delete as on delete to watched do instead nothing
create rule r as on update to plain do also insert into archive.old_orders values (1, 1)
alter rule no_delete on watched rename to never_delete
create policy p on plain using (a > 0)
create policy p on plain for insert to shop_reader with check (true)
create policy p on plain using (exists (select from customers where id = a))
alter policy readers on watched using (true)
alter policy readers on watched to shop_reader
alter policy readers on watched rename to r
create policy p on watched as restrictive using (id in (select order_id from items))
insert into plain values (1, 'x', 1)
insert into plain select a, b, c from plain
insert into plain (a) select id from orders
insert into orders (id, customer_id) values (100000, 1)
insert into items (order_id, line) values (1, 99)
insert into customers (email, name, quota, rank) values ('x', 'y', 5000, 5000)
insert into empty values (1, 'x') returning a
insert into fresh values (1, 'x') on conflict do nothing
insert into fresh values (1, 'x') on conflict (id) do update set name = 'y'
insert into watched values (100000, 'x', 'y')
insert into deferred_child values (100000, 1)
insert into categories (name) values ('x')
insert into plain_view values (1, 'x')
update plain set b = 'x'
update plain set b = 'x' where a = 5
update plain set a = fresh.amount from fresh where fresh.id = plain.a
update orders set customer_id = 1 where id = 1
update orders set state = 'x' where id = 1
update customers set name = 'x' where id = 1
update customers set note = 'x'
update fresh set name = 'x' where id = 1
update products set sku = 'zzz' where sku = 'spare'
update products set title = 'zzz' where sku = 'p1000'
update animals set legs = 3
update only animals set legs = 3
update watched set note = 'x' where id = 3
update watched_notes set note = 'x' where id = 3
update plain set b = (select max(name) from customers)
delete from plain
delete from plain where a = 5
delete from orders where id = 1999
delete from items where order_id = 5
delete from fresh where id = 5
delete from fresh using orders where orders.id = fresh.order_id and orders.total < 100
delete from watched where id = 3
delete from categories where id = 1050
delete from logins
merge into plain p using fresh f on f.id = p.a when matched then update set b = f.name when not matched then insert values (f.id, f.name, 0)
merge into fresh f using plain p on f.id = p.a when matched then delete
with gone as (delete from plain where a < 10 returning *) insert into fresh (id, name) select a + 50000, b from gone
with big as (select * from orders) select count(*) from big
select count(*) from customers
select * from customers where id = 1
select * from customers where id = 1 for update
select * from plain for share
select * from plain for no key update skip locked
select * from orders o join customers c on c.id = o.customer_id for update of o
select nextval('loose_numbers')
select setval('loose_numbers', 5)
select setval('categories_id_seq', (select max(id) from categories))
select 1
values (1)
table plain
explain select * from plain
explain analyze delete from plain
copy plain to '/dev/null'
copy plain from '/dev/null'
do $$ begin perform 1; end $$
do $$ begin alter table plain add column d int; end $$
do $$ begin if true then create index on plain (a); end if; end $$
do $$ begin update plain set b = 'x'; delete from fresh where id = 1; end $$
do $$ begin create type new_type as enum ('a'); exception when duplicate_object then null; end $$
do $$ declare n int; begin select count(*) into n from plain; if n < 0 then raise exception 'x'; end if; end $$
call touch_customers()
prepare p as select * from plain
notify channel
listen channel
declare c cursor for select * from plain
savepoint s;
  alter table plain add column d int;
  rollback to savepoint s
savepoint s;
  alter table plain add column d int;
  release savepoint s;
  alter table plain add column e int
