-- Tables for queries.sql.
create table customers (
    id int primary key,
    region text,
    active bool
);
create table orders (
    id int primary key,
    customer_id int references customers,
    status text,
    total numeric,
    at timestamp,
    note text
);
create table items (
    order_id int,
    n int,
    product int,
    qty int,
    primary key (order_id, n)
);
create table visits (id int, at date) partition by range (at);
create table visits_2020 partition of visits for values from ('2020-01-01') to ('2021-01-01');
create table visits_2021 partition of visits for values from ('2021-01-01') to ('2022-01-01');
create table "Weird Table" ("Col A" int, "b""q" text);
create table tree (id int primary key, parent int);
create table parents (id int primary key);
create table children (parent_id int references parents on delete cascade);
insert into customers select g, 'r' || g % 7, g % 3 = 0 from generate_series(1, 2000) g;
insert into orders
select g, 1 + g % 2000, (array['new', 'paid', 'sent'])[1 + g % 3], g % 1000,
    '2020-01-01'::timestamp + g * interval '5 min', repeat('x', g % 50)
from generate_series(1, 40000) g;
insert into items select g / 4, g % 4, g % 1000, g % 10 from generate_series(4, 100000) g;
insert into visits select g, '2020-01-01'::date + g % 700 from generate_series(1, 10000) g;
insert into "Weird Table" select g, 'x' || g from generate_series(1, 1000) g;
insert into tree select g, nullif(g / 3, 0) from generate_series(1, 3000) g;
insert into parents select generate_series(1, 500);
insert into children select 1 + g % 500 from generate_series(1, 2000) g;
create index on orders (customer_id);
create index on orders (at);
create index on orders (status, total);
create index on items (product);
create index on "Weird Table" ("Col A");
create function rest(i int) returns int language plpgsql stable as 'begin return i % 3; end';
vacuum (analyze) customers, orders, items, visits, "Weird Table", tree, parents, children;
