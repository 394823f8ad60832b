-- What the statements of tests/migrations/differential/ change: one of everything that decides about locks, rewrites and scans.
create extension citext;
create extension btree_gist;
create schema shop;
create schema archive;
create schema "Größe";
do 'begin create role shop_reader; exception when duplicate_object or unique_violation then null; end';

create domain code as text;
create domain label as varchar(20);
create domain positive as integer check (value > 0);
create domain required as text not null;
create domain small_positive as positive check (value < 1000000);
create domain loose as integer;
alter domain loose add constraint loose_check check (value < 5000000) not valid;
create type state as enum ('new', 'paid', 'shipped');
create type address as (street text, zip varchar(10));
create type unused_state as enum ('on', 'off');
create collation german (provider = icu, locale = 'de');

create function volatile_number() returns int language plpgsql volatile as 'begin return 1; end';
create function stable_number() returns int language sql stable as 'select 1';
create function immutable_number() returns int language plpgsql immutable as 'begin return 1; end';
-- Declared volatile by default, and yet a constant after inlining.
create function inlined_number() returns int language sql as 'select 1';
create function inlined_random() returns float8 language sql as 'select random()';
create function text_of(int) returns text language sql immutable as 'select $1::text';
create function stamp() returns trigger language plpgsql as 'begin new.note := ''stamped''; return new; end';
create function audit() returns trigger language plpgsql as 'begin return null; end';
create sequence loose_numbers;

create table customers (
    id bigint generated always as identity primary key,
    email varchar(100) not null,
    name text not null,
    phone varchar(20),
    age int,
    score numeric(10, 2),
    created timestamptz default now(),
    seen timestamp(3),
    note text,
    nick citext,
    handle text,
    code code,
    level positive,
    state state default 'new',
    flags bit varying(8),
    mask bit(4),
    net cidr,
    host inet,
    payload json,
    tags int[],
    words varchar(10)[],
    born date,
    wait interval(3),
    fixed char(10),
    home address,
    small smallint,
    real4 real,
    token uuid,
    upper_name text generated always as (upper(name)) stored,
    quota int constraint quota_known check (quota is not null),
    rank int,
    bonus int,
    constraint customers_email_key unique (email),
    constraint age_positive check (age > 0),
    constraint bonus_positive check (bonus > 0)
);
create index customers_name on customers (name);
create index customers_lower_name on customers (lower(name));
create index customers_handle on customers (handle);
create index customers_nick on customers (nick);
create index customers_phone on customers (phone) where phone is not null;
create index customers_created on customers (created);
create index customers_seen on customers using brin (seen);
create index customers_tags on customers using gin (tags);
create index customers_note on customers using hash (note);
create unique index customers_age_rank on customers (age, rank);
create unique index customers_token on customers (token);
create unique index customers_quota on customers (quota);
create unique index customers_bonus on customers (bonus);
create statistics customers_stats on name, phone from customers;
insert into customers (email, name, phone, age, score, seen, note, nick, handle, code, level, flags, mask, net, host, payload, tags,
                       words, born, wait, fixed, home, small, real4, token, quota, rank, bonus)
select 'u' || i || '@example.org', 'name ' || i, '0' || i, i, i, now(), 'note', 'nick' || i, 'h' || i, 'c', 1, '101', '1010',
       '10.0.0.0/8', '10.0.0.1', '{}', array[i], array['w'], '2000-01-01', '1 s', 'f', '(s,1)'::address, 1, 1, gen_random_uuid(), i, i, i
from generate_series(1, 1200) i;
alter table customers add constraint rank_known check (rank is not null) not valid;
alter table customers add constraint score_sane check (score >= 0) not valid;

create table products (
    sku text primary key,
    title varchar(200),
    price numeric(12, 2) default 0,
    weight int,
    stock int not null default 0 check (stock >= 0),
    category_id int
);
create unique index products_title on products (title);
insert into products select 'p' || i, 'title ' || i, i, i, i, 1 from generate_series(1, 1100) i;
insert into products values ('spare', 'spare');

create table categories (
    id serial primary key,
    parent_id int references categories,
    name text
);
insert into categories (parent_id, name) select case when i > 1 then 1 end, 'c' || i from generate_series(1, 1050) i;

create table orders (
    id int primary key,
    customer_id bigint not null references customers on delete cascade,
    sku text references products (sku),
    placed timestamptz not null default now(),
    state text,
    total numeric(12, 2),
    payer_id bigint,
    lines int
);
create index orders_customer_id on orders (customer_id);
create index orders_placed on orders (placed);
insert into orders select i, 1 + i % 1200, 'p' || 1 + i % 1100, now(), 'new', i, 1 + i % 1200, 1 from generate_series(1, 2000) i;
alter table orders add constraint orders_payer foreign key (payer_id) references customers not valid;
alter table orders add constraint orders_lines check (lines > 0) not valid;

create table items (
    order_id int references orders on delete cascade,
    line int,
    sku text references products on update cascade,
    amount int,
    primary key (order_id, line)
);
insert into items select i, 1, 'p1', 1 from generate_series(1, 2000) i;

create table plain (a int, b text, c int);
insert into plain select i, 'b' || i, i from generate_series(1, 1500) i;
create table empty (a int, b text);
create unlogged table scratch (a int, b text);
insert into scratch select i, 'b' from generate_series(1, 1300) i;
create table fresh (id int primary key, name text, customer_id bigint, order_id int, amount int);
insert into fresh select i, 'f' || i, 1 + i % 1200, 1 + i % 2000, i from generate_series(1, 1000) i;
create unique index fresh_amount on fresh (amount);
create unique index fresh_customer_amount on fresh (customer_id, amount);

-- One trigger of each time, a rule, policies.
create table watched (id int primary key, note text, owner_name text);
insert into watched select i, 'n', 'o' from generate_series(1, 1400) i;
create trigger stamp_watched before insert on watched for each row execute function stamp();
create trigger audit_watched after update on watched for each row execute function audit();
create rule no_delete as on delete to watched where old.id = 0 do instead nothing;
alter table watched enable row level security;
create policy readers on watched for select using (id > 0);
create policy writers on watched for update using (id in (select a from plain));

-- Range, with sub-partitions by list, a default, keys in both directions.
create table events (
    id bigint not null,
    happened date not null,
    kind text not null,
    customer_id bigint references customers,
    amount int,
    primary key (id, happened, kind)
) partition by range (happened);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01') partition by list (kind);
create table events_2025_click partition of events_2025 for values in ('click');
create table events_2025_rest partition of events_2025 default;
create table events_default partition of events default;
create index events_kind on events (kind);
insert into events
select i, date '2024-01-01' + i % 1000, case i % 2 when 0 then 'click' else 'view' end, 1 + i % 1200, i from generate_series(1, 3000) i;
create table event_notes (
    id int primary key,
    event_id bigint,
    happened date,
    kind text,
    note text,
    foreign key (event_id, happened, kind) references events
);
insert into event_notes select i, 367 + 2 * (i % 180), date '2024-01-01' + 367 + 2 * (i % 180), 'view', 'n' from generate_series(1, 1010) i;

-- List, without default.
create table regions (region text, city text, people int) partition by list (region);
create table regions_north partition of regions for values in ('north');
create table regions_south partition of regions for values in ('south');
insert into regions select case i % 2 when 0 then 'north' else 'south' end, 'city ' || i, i from generate_series(1, 2200) i;
-- List, with a default that a CHECK keeps free of 'west'.
create table zones (zone text not null, city text) partition by list (zone);
create table zones_east partition of zones for values in ('east');
create table zones_rest partition of zones default;
alter table zones_rest add constraint zones_rest_no_west check (zone <> 'west');
insert into zones select case i % 2 when 0 then 'east' else 'other' end, 'city ' || i from generate_series(1, 2400) i;
create table buckets (id int primary key, load int) partition by hash (id);
create table buckets_0 partition of buckets for values with (modulus 2, remainder 0);
create table buckets_1 partition of buckets for values with (modulus 2, remainder 1);
insert into buckets select i, i from generate_series(1, 2600) i;

-- Tables that could become partitions.
create table events_2027 (like events including defaults);
insert into events_2027 select i, date '2027-01-01' + i % 300, 'click', 1, 1 from generate_series(1, 1020) i;
create table events_2028 (like events including all);
alter table events_2028 add constraint happened_2028 check (happened >= '2028-01-01' and happened < '2029-01-01');
insert into events_2028 select i, date '2028-01-01' + i % 300, 'click', 1, 1 from generate_series(1, 1030) i;
create table regions_west (region text, city text, people int);
insert into regions_west select 'west', 'city', i from generate_series(1, 1040) i;
create table regions_checked (region text not null check (region = 'checked'), city text, people int);
insert into regions_checked select 'checked', 'city', i from generate_series(1, 1045) i;
create table regions_nullable (region text check (region = 'nullable'), city text, people int);
insert into regions_nullable select 'nullable', 'city', i from generate_series(1, 1046) i;
create table zones_west (zone text not null, city text);
insert into zones_west select 'west', 'city' from generate_series(1, 1047) i;
create table zones_north (zone text not null, city text);
insert into zones_north select 'north', 'city' from generate_series(1, 1048) i;

create table animals (id int, name text, legs int check (legs >= 0));
create table dogs (breed text) inherits (animals);
create table puppies (weeks int) inherits (dogs);
insert into animals select i, 'a', 4 from generate_series(1, 1110) i;
insert into dogs select i, 'd', 4, 'b' from generate_series(1, 1120) i;
insert into puppies select i, 'p', 4, 'b', 1 from generate_series(1, 1130) i;
create table cats (id int, name text, legs int constraint animals_legs_check check (legs >= 0), purrs boolean);
insert into cats select i, 'c', 4, true from generate_series(1, 1140) i;

create table bookings (room int, during int4range, exclude using gist (room with =, during with &&));
insert into bookings select i, int4range(1, 2) from generate_series(1, 1150) i;
create table "Größe"."Bestell Ung" (id int primary key, "Straße" text, "select" int);
insert into "Größe"."Bestell Ung" select i, 's', i from generate_series(1, 1160) i;
create index "Straßen ""Index""" on "Größe"."Bestell Ung" ("Straße");
create table deferred_child (id int primary key, order_id int references orders deferrable initially deferred);
insert into deferred_child select i, i from generate_series(1, 1170) i;
create type size as (width int, height int);
create table typed of size;
create table accounts (id int primary key, email varchar(100) unique, owner_id int);
insert into accounts select i, 'a' || i, i from generate_series(1, 1220) i;
create table logins (id int primary key, account_id int references accounts, note text);
insert into logins select i, i, 'n' from generate_series(1, 1220) i;
create table loose_users (id int, l loose, p positive, s small_positive, r required default 'r');
insert into loose_users select i, 1, 1, 1, 'r' from generate_series(1, 1180) i;
create table utc (id int, at timestamp, at_zone timestamptz, day date);
insert into utc select i, now(), now(), now() from generate_series(1, 1190) i;
create index utc_at on utc (at);
create table archive.old_orders (id int, total numeric);
insert into archive.old_orders select i, i from generate_series(1, 1210) i;

create procedure touch_customers() language sql as 'update customers set note = note where id = 1';
create view customer_names as select id, name, email from customers;
create view named_orders as select o.id, n.name from orders o join customer_names n on n.id = o.customer_id;
create view plain_view as select a, b from plain;
create view watched_notes with (security_barrier) as select id, note from watched;
create materialized view order_totals as select customer_id, sum(total) as total from orders group by 1;
create unique index order_totals_customer_id on order_totals (customer_id);
create materialized view item_counts as select sku, count(*) as items from items group by 1;
create index item_counts_items on item_counts (items);
create materialized view unfilled as select a from plain with no data;
create publication orders_only for table orders;
create foreign data wrapper nothing;
create server nowhere foreign data wrapper nothing;
create foreign table outside (id int, note text) server nowhere;
analyze;
