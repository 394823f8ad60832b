-- Rows made up in the proportions of IMDb's, for its own are not free: psql variable share is that of IMDb's number of rows.
-- Values that the queries look for occur; popular movies, people, companies and keywords have most of the rows.
-- Correlations between columns, the benchmark's point, are not imitated.
set client_min_messages = warning;
set synchronous_commit = off;

\set n 'select greatest(20, (rows_of_imdb * ' :share ')::bigint)'
create function pg_temp.n(rows_of_imdb bigint) returns bigint immutable language sql as :'n';
-- A number from 0 to 1, the same for the same row and column.
create function pg_temp.u(row_number bigint, col integer) returns float8 immutable language sql as $$
    select (pg_catalog.hashint8extended(row_number, col) & 1048575) / 1048576.0::float8
$$;
create function pg_temp.skewed(row_number bigint, col integer, n bigint) returns integer immutable language sql as $$
    select 1 + pg_catalog.floor(n * pg_temp.u(row_number, col) ^ 2.5)::integer
$$;
-- The first values are the most frequent ones.
create function pg_temp.one_of(row_number bigint, col integer, choices text[]) returns text immutable language sql as $$
    select choices[1 + pg_catalog.floor(pg_catalog.cardinality(choices) * pg_temp.u(row_number, col) ^ 1.6)::integer]
$$;
create function pg_temp.pcode(row_number bigint, col integer) returns text immutable language sql as $$
    select pg_catalog.chr(65 + (26 * pg_temp.u(row_number, col))::integer % 26)
        || pg_catalog.lpad((pg_catalog.hashint8extended(row_number, col + 1) & 511)::text, 3, '1')
$$;

insert into comp_cast_type values (1, 'cast'), (2, 'crew'), (3, 'complete'), (4, 'complete+verified');
insert into company_type values
    (1, 'distributors'), (2, 'production companies'), (3, 'special effects companies'), (4, 'miscellaneous companies');
insert into kind_type values
    (1, 'movie'), (2, 'tv series'), (3, 'tv movie'), (4, 'video movie'), (5, 'tv mini series'), (6, 'video game'),
    (7, 'episode');
insert into link_type
select n, link from unnest(array['follows', 'followed by', 'remake of', 'remade as', 'references', 'referenced in',
    'spoofs', 'spoofed in', 'features', 'featured in', 'spin off from', 'spin off', 'version of', 'similar to',
    'edited into', 'edited from', 'alternate language version of', 'unknown link']) with ordinality l (link, n);
insert into role_type
select n, role from unnest(array['actor', 'actress', 'producer', 'writer', 'cinematographer', 'composer',
    'costume designer', 'director', 'editor', 'miscellaneous crew', 'production designer', 'guest']) with ordinality r (role, n);
insert into info_type
select n, case when info.info is null then 'info type ' || n else info.info end
from generate_series(1, 113) n
left join unnest(array['runtimes', 'color info', 'genres', 'languages', 'certificates', 'sound mix', 'tech info',
    'countries', 'release dates', 'trivia', 'goofs', 'quotes', 'plot', 'taglines', 'budget', 'gross',
    'mini biography', 'height', 'birth notes', 'birth date', 'votes', 'rating', 'votes distribution',
    'top 250 rank', 'bottom 10 rank']) with ordinality info (info, number)
    on info.number = n;

insert into title
select
    g,
    pg_temp.one_of(g, 1, array['The Story of ', 'A Day in ', 'Episode ', 'Murder in ', 'Money for ', 'Champion ',
        'One Piece ', 'The Loser ', 'Vampire ', 'Movie ', 'Saw ', 'Kung Fu Panda ', 'Dragon Ball Z ', 'Freddy and ',
        'Shrek ', 'Birdemic '])
        || substr(md5(g::text), 1, 4 + (g % 17)::integer),
    case when g % 20 = 0 then 'II' end,
    case when u < 0.62 then 7 when u < 0.85 then 1 when u < 0.91 then 4 when u < 0.95 then 3
        when u < 0.99 then 2 else 5 + g::integer % 2 end,
    case when pg_temp.u(g, 3) < 0.97 then 2013 - floor(120 * pg_temp.u(g, 3) ^ 3)::integer end,
    null,
    pg_temp.pcode(g, 4),
    case when u < 0.62 then pg_temp.skewed(g, 5, pg_temp.n(100000)) end,
    case when u < 0.6 then 1 + (20 * pg_temp.u(g, 6) ^ 3)::integer end,
    case when u < 0.6 then 1 + (300 * pg_temp.u(g, 7) ^ 3)::integer end,
    case when u >= 0.95 and u < 0.99 then '2001-2008' end,
    md5(g::text)
from (select g, pg_temp.u(g, 2) as u from generate_series(1, pg_temp.n(2528312)) g) as g;

insert into name
select
    g,
    pg_temp.one_of(g, 8, array['Smith', 'Johnson', 'Brown', 'Mann', 'Bertrand', 'Angelis', 'Yu', 'Xu', 'Zimmer',
        'Antonelli', 'Tim', 'Downey'])
        || substr(md5(g::text), 1, 3) || ', '
        || pg_temp.one_of(g, 9, array['John', 'Maria', 'Anna', 'Robert', 'Angela', 'Bert', 'Yolanda', 'Tim']),
    case when g % 3 = 0 then 'I' end,
    null,
    case when u < 0.41 then 'm' when u < 0.64 then 'f' end,
    pg_temp.pcode(g, 10),
    pg_temp.pcode(g, 12),
    pg_temp.pcode(g, 14),
    md5(g::text)
from (select g, pg_temp.u(g, 16) as u from generate_series(1, pg_temp.n(4167491)) g) as g;

insert into char_name
select
    g,
    pg_temp.one_of(g, 17, array['Himself', 'Doctor ', 'Policeman ', 'The Man ', 'Woman ', 'Tony Stark ',
        'Iron Man ', 'Sherlock Holmes ', 'Queen'])
        || substr(md5(g::text), 1, (g % 9)::integer),
    null, null, pg_temp.pcode(g, 18), pg_temp.pcode(g, 20), md5(g::text)
from generate_series(1, pg_temp.n(3140339)) g;

insert into company_name
select
    g,
    pg_temp.one_of(g, 22, array['Studio ', 'Film House ', 'Warner Home ', 'Lionsgate ', 'Twentieth Century Fox ',
        '20th Century Fox ', 'DreamWorks Animation', 'YouTube'])
        || case when g % 50 = 0 then '' else substr(md5(g::text), 1, 6) end,
    case
        when u < 0.36 then '[us]' when u < 0.44 then '[gb]' when u < 0.51 then '[de]' when u < 0.57 then '[fr]'
        when u < 0.61 then '[jp]' when u < 0.64 then '[nl]' when u < 0.66 then '[pl]' when u < 0.68 then '[ru]'
        when u < 0.681 then '[sm]' when u < 0.93 then '[' || chr(97 + (g % 26)::integer) || 'x]'
    end,
    null, pg_temp.pcode(g, 23), pg_temp.pcode(g, 25), md5(g::text)
from (select g, pg_temp.u(g, 27) as u from generate_series(1, pg_temp.n(234997)) g) as g;

insert into keyword
select
    g,
    coalesce(known.keyword, 'keyword-' || substr(md5(g::text), 1, 10) || case when g % 900 = 0 then '-sequel' else '' end),
    pg_temp.pcode(g, 28)
from generate_series(1, pg_temp.n(134170)) g
left join unnest(array['murder', 'violence', 'blood', 'character-name-in-title', 'based-on-novel', 'sequel',
    'female-nudity', 'death', 'hospital', 'gore', 'revenge', 'superhero', 'fight', 'hero', 'martial-arts',
    'murder-in-title', 'hand-to-hand-combat', 'computer-animation', 'second-part', 'tv-special', 'marvel-comics',
    'based-on-comic', 'magnet', 'web', 'claw', 'laser', 'nerd', 'loner', 'alienation', 'dignity',
    'computer-animated-movie', 'marvel-cinematic-universe', '10,000-mile-club'])
    with ordinality known (keyword, number) on known.number = g;

insert into cast_info
select
    g,
    -- In the order of people, as imported.
    1 + (g - 1) * pg_temp.n(4167491) / pg_temp.n(36244344),
    pg_temp.skewed(g, 30, pg_temp.n(2528312)),
    case when pg_temp.u(g, 31) < 0.48 then pg_temp.skewed(g, 32, pg_temp.n(3140339)) end,
    case when pg_temp.u(g, 33) < 0.37 then pg_temp.one_of(g, 34, array['(uncredited)', '(executive producer)',
        '(voice)', '(writer)', '(producer)', '(story)', '(head writer)', '(written by)', '(story editor)',
        '(voice: Japanese version)', '(voice) (uncredited)', '(voice: English version)']) end,
    case when pg_temp.u(g, 35) < 0.36 then 1 + (50 * pg_temp.u(g, 36) ^ 2)::integer end,
    1 + floor(11 * pg_temp.u(g, 37) ^ 1.8)::integer
from generate_series(1, pg_temp.n(36244344)) g;

insert into movie_companies
select
    g, pg_temp.skewed(g, 40, pg_temp.n(2528312)), pg_temp.skewed(g, 41, pg_temp.n(234997)), 1 + (g % 2),
    case when pg_temp.u(g, 42) < 0.51 then pg_temp.one_of(g, 43, array['(200', '(201', '(199', '(2006) (USA) ',
        '(2007) (USA) ', '(1994) (USA) ', '(presents)', '(co-production)', '(as Metro-Goldwyn-Mayer Pictures)'])
        || pg_temp.one_of(g, 44, array['6) (TV)', '7) (USA) (theatrical)', ') (worldwide) (DVD)', ') (Japan) (TV)',
            ') (France) (theatrical)', ') (USA) (VHS)', ') (USA) (Blu-ray)']) end
from generate_series(1, pg_temp.n(2609129)) g;

insert into movie_info
select
    g, pg_temp.skewed(g, 45, pg_temp.n(2528312)), t.type,
    case t.type
        when 3 then pg_temp.one_of(g, 47, array['Drama', 'Comedy', 'Short', 'Documentary', 'Action', 'Thriller',
            'Horror', 'Crime', 'Family', 'Sci-Fi', 'War', 'Western'])
        when 4 then pg_temp.one_of(g, 48, array['English', 'German', 'Swedish', 'Danish', 'Norwegian', 'French',
            'Spanish'])
        when 8 then pg_temp.one_of(g, 49, array['USA', 'Germany', 'UK', 'France', 'Sweden', 'Norway', 'Denmark',
            'Bulgaria', 'Japan'])
        when 9 then pg_temp.one_of(g, 50, array['USA:', 'UK:', 'Germany:', 'France:', 'Japan:', 'Sweden:'])
            || (1 + g % 28) || ' May ' || 2013 - floor(60 * pg_temp.u(g, 51) ^ 2)
        else substr(md5((g % 300000)::text) || md5(g::text), 1, 8 + (g % 56)::integer)
    end,
    case when pg_temp.u(g, 52) < 0.1 then pg_temp.one_of(g, 53, array['(premiere)', '(internet)', '(DVD premiere)',
        'note']) end
from (select g, 1 + floor(20 * pg_temp.u(g, 46))::integer as type from generate_series(1, pg_temp.n(14835720)) g) as t;

insert into movie_info_idx
select
    g, 1 + g / 3 * pg_temp.n(2528312) / pg_temp.n(1380035), 21 + (g % 3),
    case g % 3
        when 0 then (5 + floor(100000 * pg_temp.u(g, 54) ^ 6))::text
        when 1 then round((1 + 9 * pg_temp.u(g, 55))::numeric, 1)::text
        else substr(md5((g % 5000)::text), 1, 10)
    end,
    null
from generate_series(1, pg_temp.n(1380035) - 20) g;
insert into movie_info_idx
select (select max(id) from movie_info_idx) + g, pg_temp.skewed(g, 56, pg_temp.n(2528312)), 24 + (g % 2), g::text, null
from generate_series(1, 20) g;

insert into movie_keyword
select g, pg_temp.skewed(g, 57, pg_temp.n(2528312)), pg_temp.skewed(g, 58, pg_temp.n(134170))
from generate_series(1, pg_temp.n(4523930)) g;
insert into movie_link
select g, pg_temp.skewed(g, 59, pg_temp.n(2528312)), pg_temp.skewed(g, 60, pg_temp.n(2528312)),
    1 + floor(17 * pg_temp.u(g, 61))::integer
from generate_series(1, pg_temp.n(29997)) g;
insert into complete_cast
select g, pg_temp.skewed(g, 62, pg_temp.n(2528312)), 1 + (g % 2), 3 + (g % 2)
from generate_series(1, pg_temp.n(135086)) g;
insert into person_info
select
    g, pg_temp.skewed(g, 63, pg_temp.n(4167491)), 17 + (g % 4),
    substr(md5(g::text) || md5((g + 1)::text), 1, 10 + (g % 50)::integer),
    case when pg_temp.u(g, 64) < 0.2 then pg_temp.one_of(g, 65, array['anonymous', 'A. Nonymous', 'IMDb Editor',
        'Volker Boehm']) end
from generate_series(1, pg_temp.n(2963664)) g;
insert into aka_name
select
    g, pg_temp.skewed(g, 66, pg_temp.n(4167491)), 'Aka ' || substr(md5(g::text), 1, 9), null, pg_temp.pcode(g, 67),
    pg_temp.pcode(g, 69), pg_temp.pcode(g, 71), md5(g::text)
from generate_series(1, pg_temp.n(901343)) g;
insert into aka_title
select
    g, pg_temp.skewed(g, 73, pg_temp.n(2528312)), 'Other title ' || substr(md5(g::text), 1, 9), null, 1 + (g % 7),
        2013 - floor(110 * pg_temp.u(g, 74) ^ 3)::integer,
    pg_temp.pcode(g, 75), null, null, null, case when g % 4 = 0 then '(alternative title)' end, md5(g::text)
from generate_series(1, pg_temp.n(361472)) g;
