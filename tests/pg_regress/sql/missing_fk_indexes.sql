-- One row for each foreign key without an index.
create schema shop;
set search_path = shop;
create table customers (id bigint primary key, code text unique);
create table products (id int, version int, primary key (id, version));
create table orders (
    id bigint primary key,
    customer_id bigint not null references customers on delete cascade,
    "customer code" text references customers (code) on update cascade
);
create table lines (
    order_id bigint references orders,
    position int,
    product_id int,
    product_version int,
    primary key (order_id, position),
    foreign key (product_id, product_version) references products on delete set null
);
create index lines_product on lines (product_version);
create table payments (id bigint, paid_on date, order_id bigint references orders) partition by range (paid_on);
create table payments_2025 partition of payments for values from ('2025-01-01') to ('2026-01-01');
create table payments_2026 partition of payments for values from ('2026-01-01') to ('2027-01-01');
create index on payments_2025 (order_id);
insert into customers select n, 'c' || n from generate_series(1, 100) n;
insert into orders select n, 1 + n % 100 from generate_series(1, 1000) n;
analyze;

select constraint_name, child, columns, parent, on_delete, on_update, child_bytes, child_rows, parent_rows, severity, object
from dbre.missing_fk_indexes() order by constraint_name;
\a
\t
select fix_sql from dbre.missing_fk_indexes(array['shop']) order by constraint_name;
select rollback_sql from dbre.missing_fk_indexes(array['shop']) order by constraint_name;
select summary from dbre.missing_fk_indexes(array['shop']) order by constraint_name;
select cause from dbre.missing_fk_indexes(array['shop']) order by constraint_name;
\t
\a
select count(*) from dbre.missing_fk_indexes(array['public']);

set client_min_messages = warning;
drop schema shop cascade;
