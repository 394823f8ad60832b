-- Tables whose indexes are built, measured and compared with their estimated size; benches_index_size.cases lists the indexes.
-- Per type a table of 300,000 rows with six columns:
--     a  unique    b  30,000 values    c  300 values    d  60% nulls, else 10,000 values    e  759 values, skewed: the first has 40% of the rows, number k about 0.6/k^2 of them
--     f  drawn at random from 100,000 values: about 3 rows each
-- Rows arrive in no order (193,939 and 300,000 have no common divisor), so that neither the heap nor the statistics see sorted data.
\set QUIET on
set client_min_messages = warning;
set synchronous_commit = off;
set timezone = 'UTC';

create schema benches_index_size;
set search_path = benches_index_size;

create table numbers as
select
    n as a,
    n % 30000 as b,
    n % 300 as c,
    case when n % 10 >= 6 then n / 10 % 2500 * 4 + n % 10 - 6 end as d,
    least(2000, pg_catalog.floor(300000.0 / (n + 1) * 0.6 + 1))::bigint as e,
    (pg_catalog.hashint8extended(n, 17) & 2147483647) % 100000 as f
from (select g * 193939 % 300000 as n from pg_catalog.generate_series(0, 299999::bigint) as g) as g;

create function short_text(n bigint) returns text immutable language sql as $$
    select pg_catalog.substr(pg_catalog.md5(n::text), 1, 8 + (n * 7 % 13)::int)
$$;

create function medium_text(n bigint) returns text immutable language sql as $$
    select pg_catalog.substr(pg_catalog.md5(n::text) || pg_catalog.md5((n + 1)::text) || pg_catalog.md5((n + 2)::text), 1, 45 + (n * 11 % 31)::int)
$$;

create table int_values as
select a::int, b::int, c::int, d::int, e::int, f::int from numbers;

create table bigint_values as
select a * 1000003 as a, b * 1000003 as b, c * 1000003 as c, d * 1000003 as d, e * 1000003 as e, f * 1000003 as f from numbers;

create table uuid_values as
select
    pg_catalog.md5(a::text)::uuid as a, pg_catalog.md5(b::text)::uuid as b, pg_catalog.md5(c::text)::uuid as c,
    pg_catalog.md5(d::text)::uuid as d, pg_catalog.md5(e::text)::uuid as e, pg_catalog.md5(f::text)::uuid as f
from numbers;

create table short_text_values as
select
    pg_catalog.substr(short_text(a), 1, 4 + (a % 9)::int) || '-' || a as a,
    short_text(b) as b, short_text(c) as c, short_text(d) as d, short_text(e) as e, short_text(f) as f
from numbers;

create table medium_text_values as
select medium_text(a) as a, medium_text(b) as b, medium_text(c) as c, medium_text(d) as d, medium_text(e) as e, medium_text(f) as f
from numbers;

create table timestamptz_values as
select
    '2024-01-01'::timestamptz + a * interval '1 minute' as a, '2024-01-01'::timestamptz + b * interval '1 minute' as b,
    '2024-01-01'::timestamptz + c * interval '1 day' as c, '2024-01-01'::timestamptz + d * interval '1 hour' as d,
    '2024-01-01'::timestamptz + e * interval '1 day' as e, '2024-01-01'::timestamptz + f * interval '1 hour' as f
from numbers;

-- Columns of a pair are independent of each other, as the statistics of single columns assume.
create table pairs as
select
    (a / 1000)::int as tenant,
    (a % 1000)::int as number,
    (a / 300 % 3)::int as state,
    d::int as topic,
    (b * 1000003)::bigint as account,
    '2024-01-01'::timestamptz + a * interval '1 minute' as created_at,
    '2024-01-01'::timestamptz + a / 1000 * interval '1 day' as day,
    short_text(b) as label,
    short_text(c) as kind,
    short_text(a / 1000) as grade
from numbers;

drop table numbers;

analyze int_values, bigint_values, uuid_values, short_text_values, medium_text_values, timestamptz_values, pairs;

create table cases (
    id int primary key,
    table_name text not null,
    columns text[] not null
);

insert into cases
select
    (t.n - 1) * 6 + c.n,
    t.name || '_values',
    array[c.name]
from pg_catalog.unnest(array['int', 'bigint', 'uuid', 'short_text', 'medium_text', 'timestamptz']) with ordinality as t (name, n)
cross join pg_catalog.unnest(array['a', 'b', 'c', 'd', 'e', 'f']) with ordinality as c (name, n)
union all
select
    36 + p.n,
    'pairs',
    pg_catalog.string_to_array(p.columns, ' ')
from pg_catalog.unnest(array[
    'tenant number', 'tenant state', 'state topic', 'topic tenant', 'account created_at', 'account day', 'state created_at',
    'tenant label', 'tenant kind', 'state kind', 'state label', 'topic grade'
]) with ordinality as p (columns, n);

select count(*) as cases from cases;
