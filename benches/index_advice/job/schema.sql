-- The tables of the Join Order Benchmark: IMDb of May 2013 as IMDbPY stores it.
create table aka_name (
    id integer primary key, person_id integer not null, name text not null, imdb_index varchar(12), name_pcode_cf varchar(5),
    name_pcode_nf varchar(5), surname_pcode varchar(5), md5sum varchar(32)
);
create table aka_title (
    id integer primary key, movie_id integer not null, title text not null, imdb_index varchar(12), kind_id integer not null,
    production_year integer, phonetic_code varchar(5), episode_of_id integer, season_nr integer, episode_nr integer, note text,
    md5sum varchar(32)
);
create table cast_info (
    id integer primary key, person_id integer not null, movie_id integer not null, person_role_id integer, note text,
    nr_order integer, role_id integer not null
);
create table char_name (
    id integer primary key, name text not null, imdb_index varchar(12), imdb_id integer, name_pcode_nf varchar(5),
    surname_pcode varchar(5), md5sum varchar(32)
);
create table comp_cast_type (id integer primary key, kind varchar(32) not null);
create table company_name (
    id integer primary key, name text not null, country_code varchar(255), imdb_id integer, name_pcode_nf varchar(5),
    name_pcode_sf varchar(5), md5sum varchar(32)
);
create table company_type (id integer primary key, kind varchar(32) not null);
create table complete_cast (id integer primary key, movie_id integer, subject_id integer not null, status_id integer not null);
create table info_type (id integer primary key, info varchar(32) not null);
create table keyword (id integer primary key, keyword text not null, phonetic_code varchar(5));
create table kind_type (id integer primary key, kind varchar(15) not null);
create table link_type (id integer primary key, link varchar(32) not null);
create table movie_companies (
    id integer primary key, movie_id integer not null, company_id integer not null, company_type_id integer not null, note text
);
create table movie_info (
    id integer primary key, movie_id integer not null, info_type_id integer not null, info text not null, note text
);
create table movie_info_idx (
    id integer primary key, movie_id integer not null, info_type_id integer not null, info text not null, note text
);
create table movie_keyword (id integer primary key, movie_id integer not null, keyword_id integer not null);
create table movie_link (
    id integer primary key, movie_id integer not null, linked_movie_id integer not null, link_type_id integer not null
);
create table name (
    id integer primary key, name text not null, imdb_index varchar(12), imdb_id integer, gender varchar(1),
    name_pcode_cf varchar(5), name_pcode_nf varchar(5), surname_pcode varchar(5), md5sum varchar(32)
);
create table person_info (
    id integer primary key, person_id integer not null, info_type_id integer not null, info text not null, note text
);
create table role_type (id integer primary key, role varchar(32) not null);
create table title (
    id integer primary key, title text not null, imdb_index varchar(12), kind_id integer not null, production_year integer,
    imdb_id integer, phonetic_code varchar(5), episode_of_id integer, season_nr integer, episode_nr integer,
    series_years varchar(49), md5sum varchar(32)
);
