-- Tables and indexes of every kind that `dbre.what_if()` takes; benches_index_size.definitions lists the indexes.
-- Frequencies fall with the rank where they would in life: tags, words, kinds of documents.
\set QUIET on
set client_min_messages = warning;
set synchronous_commit = off;
set timezone = 'UTC';

create extension if not exists vector;
create extension if not exists pg_trgm;
create extension if not exists btree_gist;
create extension if not exists pageinspect;

set search_path = benches_index_size, public;

-- From 0 to 1, the same each time.
create function chance(seed bigint) returns float8 immutable language sql as $$
    select (pg_catalog.hashint8extended(seed, 42) & 2147483647) / 2147483648.0::float8
$$;

create function ranked(values_in_all int, seed bigint) returns int immutable language sql as $$
    select pg_catalog.exp(chance(seed) * pg_catalog.ln(values_in_all::float8))::int
$$;

create function words(number int, seed bigint) returns text immutable language sql as $$
    select pg_catalog.string_agg(pg_catalog.substr(pg_catalog.md5(w::text), 1, 3 + w * 7 % 8), ' ')
    from (select ranked(20000, seed * 32 + n) as w from pg_catalog.generate_series(1, number) as n) as drawn
$$;

create table kinds as
select
    n as id,
    n / 50 as batch,
    (chance(n) * 20000)::int as customer,
    'user' || (chance(n + 1000000) * 40000)::int || '@' || (array['example.com', 'example.org', 'mail.example'])[1 + n % 3] as email,
    (array['new', 'paid', 'shipped', 'cancelled'])[ranked(4, n + 2000000)] as status,
    (chance(n + 3000000) * 100000)::numeric(12, 2) as amount,
    chance(n + 4000000) < 0.1 as flagged,
    case when n % 5 <> 0 then n % 700 end as category,
    '2024-01-01'::timestamptz + n * interval '37 s' as created_at,
    ('2024-01-01'::timestamptz + n * interval '37 s')::date as day,
    pg_catalog.md5(n::text)::uuid as uid,
    (select pg_catalog.array_agg(ranked(5000, n * 16 + t)) from pg_catalog.generate_series(1, 1 + n % 9) as t) as tags,
    (select pg_catalog.array_agg('tag' || ranked(300, n * 16 + 7 * t)) from pg_catalog.generate_series(1, 1 + n % 5) as t) as labels,
    words(2 + (n % 3)::int, -n) as title,
    pg_catalog.to_tsvector('simple', words(4 + (n % 20)::int, n)) as body,
    pg_catalog.jsonb_build_object(
        'customer', (chance(n) * 2000)::int, 'status', (array['a', 'b', 'c'])[1 + n % 3], 'price', ranked(1000, n + 5000000),
        'tags', pg_catalog.jsonb_build_array('t' || n % 10, 't' || n % 7)) as document,
    pg_catalog.int4range((chance(n + 6000000) * 1000000)::int, 1000000 + (n % 1000)::int) as span,
    pg_catalog.tstzrange('2024-01-01'::timestamptz + n * interval '1 min', '2024-01-01'::timestamptz + (n + n % 500) * interval '1 min') as period,
    ('10.' || n % 200 || '.' || (chance(n + 7000000) * 255)::int || '.' || (chance(n + 8000000) * 255)::int)::inet as address,
    pg_catalog.point(chance(n + 9000000) * 1000, chance(n + 10000000) * 1000) as place
from pg_catalog.generate_series(1, 100000::bigint) as n;

create table vectors as
select
    n % 20 as category,
    (select pg_catalog.array_agg(chance(n * 1024 + d)) from pg_catalog.generate_series(1, 384) as d)::vector(384) as embedding
from pg_catalog.generate_series(1, 5000::bigint) as n;
alter table vectors
    add column half halfvec(384) generated always as (embedding::halfvec(384)) stored,
    add column short vector(100) generated always as (subvector(embedding, 1, 100)) stored,
    add column bits bit(384) generated always as (binary_quantize(embedding - pg_catalog.array_fill(0.5, array[384])::vector)::bit(384)) stored;

vacuum analyze kinds, vectors;

create table definitions (
    id int generated always as identity,
    method text not null,
    body text not null
);

insert into definitions (method, body)
select k.method, k.body
from (values
    ('btree', 'kinds (id)'),
    ('btree', 'kinds (customer)'),
    ('btree', 'kinds (email)'),
    ('btree', 'kinds (amount)'),
    ('btree', 'kinds (status, created_at)'),
    ('btree', 'kinds (customer, status, day)'),
    ('btree', 'kinds (day, batch)'),
    ('btree', 'kinds (category, flagged, uid)'),
    ('btree', 'kinds (customer) include (amount)'),
    ('btree', 'kinds (customer, created_at) include (status, amount, category)'),
    ('btree', 'kinds (uid) include (email, flagged, day, batch)'),
    ('btree', 'kinds (customer) where flagged'),
    ('btree', 'kinds (created_at) where status = ''paid'''),
    ('btree', 'kinds (customer, amount) where category = 7'),
    ('btree', 'kinds (customer) with (fillfactor = 70)'),
    ('btree of an expression', 'kinds (lower(email))'),
    ('hash', 'kinds using hash (id)'),
    ('hash', 'kinds using hash (batch)'),
    ('hash', 'kinds using hash (status)'),
    ('hash', 'kinds using hash (email) where flagged'),
    ('gin', 'kinds using gin (tags)'),
    ('gin', 'kinds using gin (labels)'),
    ('gin', 'kinds using gin (body)'),
    ('gin', 'kinds using gin (title gin_trgm_ops)'),
    ('gin', 'kinds using gin (email gin_trgm_ops)'),
    ('gin', 'kinds using gin (document)'),
    ('gin', 'kinds using gin (document jsonb_path_ops)'),
    ('gin', 'kinds using gin (tags) where status = ''paid'''),
    ('gist', 'kinds using gist (span)'),
    ('gist', 'kinds using gist (period)'),
    ('gist', 'kinds using gist (customer, period)'),
    ('gist', 'kinds using gist (address inet_ops)'),
    ('gist', 'kinds using gist (place)'),
    ('gist', 'kinds using gist (body)'),
    ('gist', 'kinds using gist (title gist_trgm_ops)'),
    ('gist', 'kinds using gist (created_at)'),
    ('spgist', 'kinds using spgist (email)'),
    ('spgist', 'kinds using spgist (place)'),
    ('spgist', 'kinds using spgist (address)'),
    ('brin', 'kinds using brin (created_at) with (pages_per_range = 1)'),
    ('brin', 'kinds using brin (email) with (pages_per_range = 2)'),
    ('brin', 'kinds using brin (customer int4_bloom_ops) with (pages_per_range = 16)'),
    ('hnsw', 'vectors using hnsw (embedding vector_cosine_ops)'),
    ('hnsw', 'vectors using hnsw (short vector_l2_ops) with (m = 8)'),
    ('hnsw', 'vectors using hnsw (half halfvec_ip_ops) with (m = 24)'),
    ('hnsw', 'vectors using hnsw (bits bit_hamming_ops)'),
    ('hnsw', 'vectors using hnsw (short vector_l2_ops) where category < 5'),
    ('ivfflat', 'vectors using ivfflat (embedding vector_cosine_ops) with (lists = 20)'),
    ('ivfflat', 'vectors using ivfflat (short vector_l2_ops) with (lists = 50)'),
    ('ivfflat', 'vectors using ivfflat (half halfvec_l2_ops) with (lists = 10)')
) as k (method, body);

select count(*) as definitions from definitions;
