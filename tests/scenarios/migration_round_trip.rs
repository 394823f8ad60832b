//! migration_round_trip(): every kind of difference is seen, and nothing is said of what comes back.

use crate::migration_dry_run::dump;
use crate::server::{Database, Server, execute, refused, trial};
use libtest_mimic::Trial;
use postgres::Client;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "migration_round_trip::bad_input_is_refused", bad_input),
        trial(server, "migration_round_trip::what_comes_back_is_no_difference", clean),
        trial(server, "migration_round_trip::whose_fault_it_is", faults),
        trial(server, "migration_round_trip::every_kind_of_difference_is_seen", kinds),
    ]
}

const SCHEMA: &str = "
    create table parents (id int primary key, name text);
    create table t (id serial primary key, parent int references parents, a int default 1 check (a > 0), b varchar(20), c text);
    create index t_b on t (b);
    create table ranges (id int, at date) partition by range (at);
    create table ranges_2024 partition of ranges for values from ('2024-01-01') to ('2025-01-01');
    create table ranges_2025 (id int, at date);
    create view v as select id, a from t;
    create materialized view m as select count(*) from t;
    create type e as enum ('x', 'y');
    create domain d as int;
    create type pair as (one int, two int);
    create sequence s;
    create function f(a int) returns int language sql as 'select a';
    create function fires() returns trigger language plpgsql as 'begin return new; end';
    create trigger g before insert on t for each row execute function fires();
    create policy p on t for select using (a > 0);
    create rule r as on delete to parents do also select 1;
    create statistics st on a, b from t;
    create publication pub for table t;
    create role round_trip_role;
    insert into t (a, c) values (1, 'x');
";

/// `fault kind object`, one a row.
fn round_trip(client: &mut Client, up: &str, down: &str) -> Vec<String> {
    let sql = "select concat_ws(' ', fault, kind, object, step) from dbre.migration_round_trip($1, $2, true)";
    let rows = client.query(sql, &[&up, &down]).unwrap_or_else(|error| panic!("{up}\n{down}\n-- {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Roles are the cluster's.
fn own(database: &Database, sql: &str) -> String {
    sql.replace("round_trip_role", &format!("{}_role", database.name))
}

fn filled(database: &Database) -> Client {
    let mut client = database.connect();
    execute(&mut client, &own(database, SCHEMA));
    client
}

fn gone(database: &Database, client: &mut Client) {
    execute(client, &own(database, "drop owned by round_trip_role; drop role round_trip_role"));
}

fn bad_input(database: &Database) {
    let mut client = database.connect();
    for (arguments, sqlstate) in [
        ("null, ''", "22004"),
        ("'select 1', null", "22004"),
        ("'', 'select 1'", "22023"),
        ("'select 1', '', null", "22004"),
        ("'select 1', '', time_limit => '0'", "22023"),
    ] {
        let error = refused(&mut client, &format!("select * from dbre.migration_round_trip({arguments})"));
        assert_eq!(error.code().code(), sqlstate, "{arguments}\n-- {error:?}");
        assert!(error.hint().is_some(), "{arguments}\n-- {error:?}");
    }
    let _other = database.connect();
    let error = refused(&mut client, "select * from dbre.migration_round_trip('select 1', 'select 1')");
    assert_eq!(error.code().code(), "55000", "{error:?}");
    execute(&mut client, "begin read only");
    let error = refused(&mut client, "select * from dbre.migration_round_trip('select 1', 'select 1', true)");
    assert_eq!(error.code().code(), "25006", "{error:?}");
}

fn clean(database: &Database) {
    let mut client = filled(database);
    let before = dump(database);
    for (up, down) in [
        ("select 1", ""),
        ("alter table t add x int not null default 0; create index on t (x)", "alter table t drop x"),
        // The column comes back as the last one.
        (
            "alter table t drop a cascade",
            "alter table t add a int default 1 constraint t_a_check check (a > 0); \
            create view v as select id, a from t; create policy p on t for select using (a > 0); \
            create statistics st on a, b from t",
        ),
        ("create table n (id int generated always as identity primary key, p int references parents)", "drop table n"),
        ("begin; alter table t rename b to bb; commit", "begin; alter table t rename bb to b; commit"),
        ("drop index t_b", "create index concurrently t_b on t (b)"),
        ("create index concurrently i on t (c)", "drop index concurrently i"),
        ("grant select on t to public", "revoke select on t from public"),
        ("comment on column t.a is 'x'", "comment on column t.a is null"),
        (
            "alter table ranges detach partition ranges_2024",
            "alter table ranges attach partition ranges_2024 for values from ('2024-01-01') to ('2025-01-01')",
        ),
        ("set search_path = nowhere", "drop table t cascade; rollback"),
        (
            "create schema o; create table o.t (a int); create function o.f() returns int language sql as 'select 1'",
            "drop schema o cascade",
        ),
        ("alter type e rename value 'x' to 'z'", "alter type e rename value 'z' to 'x'"),
    ] {
        let found = round_trip(&mut client, up, down);
        match down.ends_with("rollback") {
            // Each script is a session of its own, so that names are found again.
            true => assert!(found.iter().all(|row| !row.contains("fails")) || found.len() == 1, "{found:?}"),
            false => assert!(found.is_empty(), "{up}\n{down}\n{found:#?}"),
        }
    }
    assert!(before == dump(database), "something remains");
    gone(database, &mut client);
}

fn faults(database: &Database) {
    let mut client = filled(database);
    for (up, down, expected) in [
        ("create table n (i int)", "", &["down incomplete table public.n", "up fails after down 1"][..]),
        ("create table if not exists n (i int)", "", &["down incomplete table public.n"][..]),
        ("select 1; drop table nowhere", "select 1", &["up fails 2"][..]),
        ("select 1", "select 1; drop table nowhere", &["down fails 2"][..]),
        ("creat table n ()", "", &["up fails 1"][..]),
        ("create table n (i int)", "drop tabel n", &["down fails 1"][..]),
        (
            "drop table t cascade",
            "create table t (id serial primary key)",
            &[
                "down incomplete column public.t.a",
                "down incomplete column public.t.b",
                "down incomplete column public.t.c",
                "down incomplete column public.t.parent",
                "down incomplete constraint t_a_check on public.t",
                "down incomplete constraint t_parent_fkey on public.t",
                "down incomplete index public.t_b",
                "down incomplete materialized view public.m",
                "down incomplete policy p on public.t",
                "down incomplete publication pub",
                "down incomplete statistics object public.st",
                "down incomplete trigger g on public.t",
                "down incomplete view public.v",
            ][..],
        ),
        ("vacuum t; select 1", "", &["not tried 1"][..]),
        // What up makes of what it finds.
        (
            "do $$ begin if exists (select from pg_class where relname = 'flag') then create table second (); end if; end $$; \
             create table if not exists flag ()",
            "",
            &["down incomplete table public.flag", "up not repeatable table public.second"][..],
        ),
        (
            "alter table t alter a set default 2",
            "alter table t alter a set default 3",
            &["down incomplete column public.t.a"][..],
        ),
    ] {
        assert_eq!(round_trip(&mut client, up, down), expected, "{up}\n{down}");
    }
    gone(database, &mut client);
}

/// What up does, with nothing to undo it, and what must differ.
const KINDS: &[(&str, &str)] = &[
    ("create schema n", "schema n"),
    ("alter schema public owner to round_trip_role", "schema public"),
    ("grant all on schema public to public", "schema public"),
    ("create extension pg_stat_statements", "extension pg_stat_statements"),
    ("create table n (a int)", "table public.n"),
    ("create unlogged table n (a int)", "table public.n"),
    ("alter table ranges_2025 set unlogged", "table public.ranges_2025"),
    ("alter table t owner to round_trip_role", "table public.t"),
    ("alter table t set (fillfactor = 50)", "table public.t"),
    ("alter table t set (toast.autovacuum_enabled = off)", "table public.t"),
    ("alter table t enable row level security", "table public.t"),
    ("alter table t force row level security", "table public.t"),
    ("alter table t replica identity full", "table public.t"),
    ("alter table ranges detach partition ranges_2024", "table public.ranges_2024"),
    (
        "alter table ranges attach partition ranges_2025 for values from ('2025-01-01') to ('2026-01-01')",
        "table public.ranges_2025",
    ),
    ("grant insert on t to public", "table public.t"),
    ("comment on table t is 'x'", "comment table public.t"),
    ("comment on column t.a is 'x'", "comment table column public.t.a"),
    ("comment on function f(int) is 'x'", "comment function public.f(integer)"),
    ("comment on index t_b is 'x'", "comment index public.t_b"),
    ("comment on schema public is 'x'", "comment schema public"),
    ("alter table t add n int", "column public.t.n"),
    ("alter table t alter c type varchar(30)", "column public.t.c"),
    ("alter table t alter c set not null", "column public.t.c"),
    ("alter table t alter c set default 'x'", "column public.t.c"),
    ("alter table t alter c set statistics 7", "column public.t.c"),
    ("alter table t alter c set storage plain", "column public.t.c"),
    ("alter table t alter c set compression pglz", "column public.t.c"),
    ("alter table t alter c set (n_distinct = 5)", "column public.t.c"),
    ("alter table t alter c type text collate \"C\"", "column public.t.c"),
    ("grant select (c) on t to public", "column public.t.c"),
    ("alter table parents alter id add generated always as identity", "column public.parents.id"),
    ("alter table t add n int generated always as (a + 1) stored", "column public.t.n"),
    ("alter table t add constraint n check (a < 9)", "constraint n on public.t"),
    ("alter table t add constraint n check (a < 9) not valid", "constraint n on public.t"),
    ("alter table t alter constraint t_parent_fkey deferrable", "constraint t_parent_fkey on public.t"),
    ("alter table t drop constraint t_parent_fkey", "constraint t_parent_fkey on public.t"),
    ("alter domain d add constraint positive check (value > 0)", "constraint positive on public.d"),
    ("create index n on t (c)", "index public.n"),
    ("drop index t_b; create index t_b on t (b desc)", "index public.t_b"),
    ("alter table t cluster on t_b", "index public.t_b"),
    ("alter index t_b set (fillfactor = 50)", "index public.t_b"),
    ("alter table t replica identity using index t_pkey", "index public.t_pkey"),
    ("create or replace view v as select id, a + 0 as a from t", "view public.v"),
    ("alter view v set (security_barrier)", "view public.v"),
    ("create view n as select 1 as a", "view public.n"),
    ("drop materialized view m; create materialized view m as select 1 as a", "materialized view public.m"),
    ("refresh materialized view m with no data", "materialized view public.m"),
    ("create rule n as on delete to parents do instead nothing", "rule n on public.parents"),
    ("alter table parents disable rule r", "rule r on public.parents"),
    ("create or replace function f(a int) returns int language sql as 'select a + 1'", "function public.f(integer)"),
    ("alter function f(int) owner to round_trip_role", "function public.f(integer)"),
    ("alter function f(int) stable", "function public.f(integer)"),
    ("revoke execute on function f(int) from public", "function public.f(integer)"),
    ("create procedure n() language sql as 'select 1'", "procedure public.n()"),
    ("create aggregate n (int) (sfunc = int4pl, stype = int)", "aggregate public.n(integer)"),
    ("create trigger n after insert on t for each row execute function fires()", "trigger n on public.t"),
    ("alter table t disable trigger g", "trigger g on public.t"),
    ("create policy n on t using (true)", "policy n on public.t"),
    ("alter policy p on t to round_trip_role", "policy p on public.t"),
    ("alter policy p on t using (a > 1)", "policy p on public.t"),
    ("create sequence n", "sequence public.n"),
    ("alter sequence s increment 5", "sequence public.s"),
    ("alter sequence s owned by t.a", "sequence public.s"),
    ("alter type e add value 'z'", "enum public.e"),
    ("alter type e rename value 'x' to 'z'", "enum public.e"),
    ("create type n as enum ('a')", "enum public.n"),
    ("alter domain d set not null", "domain public.d"),
    ("alter domain d set default 5", "domain public.d"),
    ("create type n as range (subtype = int)", "range public.n"),
    ("alter type pair add attribute three int", "column public.pair.three"),
    ("create type n as (a int)", "composite type public.n"),
    ("alter statistics st set statistics 5", "statistics object public.st"),
    ("alter publication pub drop table t", "publication pub"),
    ("alter publication pub set (publish = 'insert')", "publication pub"),
    ("alter default privileges grant select on tables to public", "default privileges of postgres on tables"),
    ("create role round_trip_role_2", "role round_trip_role_2"),
    ("alter role round_trip_role login", "role round_trip_role"),
    ("grant pg_monitor to round_trip_role", "role round_trip_role"),
    ("alter role round_trip_role set work_mem = '5 MB'", "settings of role round_trip_role"),
    ("create collation n (locale = 'C')", "collation public.n"),
    ("create cast (text as pair) with inout", "cast (pg_catalog.text AS public.pair)"),
    ("create operator ### (leftarg = int, rightarg = int, function = int4pl)", "operator public.###(integer,integer)"),
    ("create foreign data wrapper n", "foreign-data wrapper n"),
    ("create text search configuration n (copy = simple)", "text search configuration public.n"),
];

fn kinds(database: &Database) {
    let mut client = filled(database);
    for (up, object) in KINDS {
        let found = round_trip(&mut client, &own(database, up), "");
        let expected = own(database, &format!("down incomplete {object}"));
        assert!(found.contains(&expected), "{up}\n-- {expected}\n{found:#?}");
    }
    gone(database, &mut client);
}
