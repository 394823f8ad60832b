//! dbre.migration_rollback(): the migration and then its reverse leave the catalogs as they were, as pg_dump shows them.

use crate::server::{Database, Server, execute, query, refused, run, trial, value};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;

/// What the migrations below find.
const SCHEMA: &str = r#"
create schema app;
create role rollback_reader;
create extension citext schema public;
create type mood as enum ('good', 'bad');
create type pair as (a int, b text);
create domain positive as int default 1 not null constraint positive_check check (value > 0);
create sequence numbers increment 5 start 10;
create function twice(n int) returns int language sql immutable as 'select 2 * n';
create function twice(n bigint) returns bigint language sql immutable as 'select 2 * n';
create function touch() returns trigger language plpgsql as 'begin return new; end';
create procedure nothing() language sql as 'select 1';
create table customers (
    id bigserial primary key,
    email citext not null unique,
    name text collate "C" default 'nobody' check (name <> ''),
    "Mood" mood default 'good',
    age positive,
    twofold int generated always as (twice(7)) stored,
    at timestamptz not null default now()
);
comment on table customers is 'who buys';
comment on column customers.name is 'as they say';
comment on constraint customers_pkey on customers is 'the key';
grant select on customers to rollback_reader;
grant update (name) on customers to rollback_reader;
alter table customers alter column name set statistics 500, alter column name set storage external;
alter table customers enable row level security;
create policy own on customers for select to rollback_reader using (name = current_user);
create index customers_name_idx on customers (lower(name)) where name is not null;
comment on index customers_name_idx is 'for the search';
create statistics customers_stats (ndistinct) on name, "Mood" from customers;
create trigger touch before update of name on customers for each row execute function touch();
alter table customers disable trigger touch;
create table orders (
    id int generated always as identity (start 100 increment 2) primary key,
    customer_id bigint not null references customers on delete cascade,
    total numeric(10, 2) not null default 0,
    note varchar(20) default 'none'::varchar
) with (fillfactor = 80);
create index on orders (customer_id);
alter table orders replica identity full;
alter table orders add constraint total_positive check (total >= 0) not valid;
create table lines (order_id int references orders, n int, primary key (order_id, n));
cluster lines using lines_pkey;
create view active as select id, name, "Mood" from customers where age > 0;
create view named as select name from active;
comment on view active is 'those that live';
grant select on active to rollback_reader;
create materialized view totals as select customer_id, sum(total) as total from orders group by 1;
create unique index totals_idx on totals (customer_id);
create rule no_delete as on delete to lines do instead nothing;
create function best() returns bigint language sql stable begin atomic select count(*) from customers where name <> ''; end;
create table events (id int, at date not null, what text, primary key (id, at)) partition by range (at);
create table events_1 partition of events for values from ('2025-01-01') to ('2026-01-01');
create table events_2 partition of events for values from ('2026-01-01') to ('2027-01-01');
create table events_rest partition of events default;
create index events_what_idx on events (what);
create trigger touch after insert on events for each row execute function touch();
create table animals (name text not null);
create table cats (claws int) inherits (animals);
create table kittens (name text not null, age int);
create unlogged table app.cache (key text primary key, value jsonb);
create table app."Odd name" ("a ""quoted"" column" int, "order" text default 'it''s');
create publication changes for table customers (id), orders where (total > 0);
insert into customers (email) values ('a@b'), ('c@d');
insert into orders (customer_id, total) values (1, 5), (2, 6);
insert into lines values (100, 1);
select nextval('numbers'), nextval('numbers');
analyze;
"#;

/// Each is undone, in a database of its own.
const MIGRATIONS: &[(&str, &str)] = &[
    ("add_columns", "alter table orders add column a int, add b text default 'x' not null, add column if not exists note text"),
    ("drop_column", "alter table orders drop column note; alter table orders drop column total cascade"),
    ("drop_column_with_all", "alter table customers drop column \"Mood\" cascade; alter table customers drop column name cascade"),
    ("lost_serial_column", "alter table customers drop column id cascade"),
    ("lost_identity_column", "alter table orders drop column id cascade"),
    ("drop_tables", "drop table lines; drop table orders cascade; drop table customers cascade"),
    ("drop_partitioned", "drop table events"),
    ("drop_partition", "drop table events_1"),
    ("detach_partition", "alter table events detach partition events_2; alter table events detach partition events_rest"),
    ("attach_partition", "create table events_3 (like events including all); alter table events attach partition events_3 for values \
                          from ('2027-01-01') to ('2028-01-01')"),
    ("drop_partitioned_index", "drop index events_what_idx; alter table events drop constraint events_pkey"),
    ("drop_inherited", "drop table animals cascade"),
    ("inherit", "create table dogs (name text not null); alter table dogs inherit animals; alter table kittens inherit animals"),
    ("drop_views", "drop view named; drop view active; drop materialized view totals"),
    ("drop_view_cascade", "drop view active cascade"),
    ("replace_view", "create or replace view active as select id, name, \"Mood\", at from customers"),
    ("drop_functions", "drop function twice(bigint); drop function best(); drop procedure nothing"),
    ("drop_function_cascade", "drop function touch() cascade"),
    ("replace_function", "create or replace function twice(n int) returns int language sql immutable as 'select n + n';
                          create or replace function twice(n smallint default 3) returns int language sql as 'select 6'"),
    ("drop_type_cascade", "drop type mood cascade; drop type pair; drop domain positive cascade"),
    ("lost_column_not_null", "drop extension citext cascade"),
    ("drop_schema", "drop schema app cascade"),
    ("drop_sequence", "drop sequence numbers"),
    ("drop_parts", "drop policy own on customers; drop trigger touch on customers; drop rule no_delete on lines;
                    drop statistics customers_stats; drop index customers_name_idx; drop publication changes"),
    ("drop_constraints", "alter table orders drop constraint total_positive; alter table lines drop constraint lines_pkey;
                          alter table customers drop constraint customers_pkey cascade, drop constraint customers_email_key"),
    ("add_constraints", "alter table orders add check (total < 1000000), add unique (customer_id, total), add foreign key (id) references
                         orders (id); alter table customers add constraint old check (age < 200) not valid; alter table customers
                         validate constraint old; alter table animals add primary key (name); alter table cats add unique (name)"),
    ("validate", "alter table orders validate constraint total_positive"),
    ("using_index", "create unique index concurrently totals_key on orders (customer_id, note);
                     alter table orders add constraint c_note unique using index totals_key"),
    ("using_old_index", "drop index customers_name_idx; create unique index i on customers (at, id); alter table customers add unique using \
                         index i"),
    ("set_not_null", "alter table orders add constraint nn check (note is not null) not valid; alter table orders validate constraint nn;
                      alter table orders alter column note set not null; alter table orders drop constraint nn"),
    ("change_columns", "alter table orders alter note type text using note || '!', alter note set default 'many', alter total drop default;
                        alter table orders alter total drop not null; alter table customers alter name set statistics 10, alter name \
                        set storage main, alter email set (n_distinct = 5)"),
    ("identity", "alter table orders alter id drop identity; alter table lines alter n add generated by default as identity;
                  alter table orders alter id add generated by default as identity"),
    ("settings", "alter table orders set (fillfactor = 50, autovacuum_enabled = off); alter table orders reset (fillfactor);
                  alter table orders replica identity default; alter table app.cache set logged; alter table customers disable row level \
                  security, force row level security, enable trigger touch; alter table lines set without cluster"),
    ("rename", "alter table orders rename to purchases; alter table purchases rename column note to remark; alter table purchases \
                rename constraint total_positive to tp; alter index customers_name_idx rename to other_idx; alter table purchases \
                drop column remark; alter trigger touch on customers rename to touched; alter policy own on customers rename to mine; \
                alter type mood rename to temper; alter view named rename to names; alter sequence numbers rename to digits; \
                alter table customers set schema app"),
    ("lost_renamed_table", "alter table customers rename column email to mail; alter table customers rename to people; drop table people \
                         cascade; create table customers (id int)"),
    ("swap_tables", "create table lines_new (order_id int, n bigint); insert into lines_new select * from lines; drop table lines; \
                     alter table lines_new rename to lines; alter table lines add primary key (order_id, n)"),
    ("create_things", "create table t (id serial primary key, v int); create index on t (v); create table t2 as table t; create view \
                       v as table t; create materialized view m as table t; create sequence s; create type k as enum ('x'); create domain \
                       d as text; create function f(a int default 1, out b int) language sql as 'select 1'; create schema extra create \
                       table inner_one (i int); create index on orders (note, total); create unique index if not exists totals_idx \
                       on totals (customer_id); create statistics st on customer_id, total from orders; create trigger tr before insert \
                       on orders for each row execute function touch(); create policy p on orders; create rule r as on insert to lines \
                       do also nothing; create publication all_of_it for all tables; create temp table x (i int)"),
    ("create_and_drop", "create table t (id int); create index on t (id); drop table t; create view v as select 1; drop view v; create index \
                         gone on orders (note); drop index gone; alter table orders add column c int; alter table orders drop column c;
                         create trigger tr before insert on orders for each row execute function touch(); drop trigger tr on orders"),
    ("comments_and_grants", "comment on table customers is 'changed'; comment on column customers.at is 'new'; comment on view active is \
                             null; comment on constraint customers_pkey on customers is null; grant insert on customers, orders to \
                             rollback_reader with grant option; revoke select on customers from rollback_reader; grant execute on function \
                             best() to rollback_reader; alter table orders owner to rollback_reader; grant usage on schema app to \
                             rollback_reader"),
    ("rolled_back", "begin; drop table lines; savepoint a; drop view named; rollback to a; drop view named; rollback; begin; alter table \
                     lines add x int; commit"),
        (
        "renamed_parts_and_dropped_columns",
        "alter table orders rename note to remark; create index on orders (remark); alter table orders add constraint long check \
         (length(remark) < 99), add column extra int; create index on orders (extra); alter table orders rename extra to more; alter \
         table orders drop column more, drop column remark; alter table orders rename constraint total_positive to tp; alter table \
         orders drop constraint tp; alter table lines add constraint c check (n > 0); alter table lines rename constraint c to d; alter \
         table lines drop constraint d; alter trigger touch on customers rename to t2; drop trigger t2 on customers",
    ),
    (
        "lost_key_swapped",
        "alter table animals add column id int; update animals set id = 1; alter table lines drop constraint lines_order_id_fkey; alter \
         table orders drop constraint orders_pkey; alter table orders alter id drop identity; alter table orders drop column id",
    ),
("types", "alter type mood rename value 'good' to 'fine'; alter domain positive drop default, alter domain positive drop not null; \
               alter domain positive add constraint small check (value < 1000); alter domain positive drop constraint positive_check"),
    ("sequences", "alter sequence numbers increment 7 restart; alter sequence numbers owned by lines.n"),
    ("search_path", "set search_path to app, public; create table t (i int); drop table cache; alter table \"Odd name\" drop column \"a \
                     \"\"quoted\"\" column\""),
];

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, migration) in MIGRATIONS {
        let server = server.clone();
        trials.push(Trial::test(format!("migration_rollback::{name}"), move || {
            leaves_the_same_catalogs(
                &server,
                name.starts_with("lost_"),
                &migration.replace("drop default, alter domain", "drop default; alter domain"),
            );
            Ok(())
        }));
    }
    trials.push(trial(server, "migration_rollback::lost_data_is_said", lost_data_is_said));
    trials.push(trial(server, "migration_rollback::arguments", arguments));
    trials
}

fn prepared(server: &Arc<Server>) -> Database {
    let database = Database::create(server);
    let role = "do $$ begin create role rollback_reader; exception when others then null; end $$;";
    database.psql(&SCHEMA.replace("create role rollback_reader;", role));
    database
}

fn dumped(database: &Database) -> Vec<String> {
    let mut command = database.server.client("pg_dump");
    let dump = run(command.args(["--schema-only", "--no-sync", "--exclude-schema=dbre", &database.name]), "");
    // The order of columns may differ.
    let mut lines: Vec<String> = dump
        .lines()
        .filter(|line| !line.starts_with("--") && !line.starts_with('\\'))
        .map(|line| line.trim().trim_end_matches([',', ';']).to_string())
        .collect();
    lines.sort();
    lines
}

/// `lost`: rows are gone that a constraint asks for, which is left to the user.
fn leaves_the_same_catalogs(server: &Arc<Server>, lost: bool, migration: &str) {
    let database = prepared(server);
    let before = dumped(&database);
    let rows = query_text(&database, migration);
    let reverse: Vec<String> = rows.iter().filter_map(|row| row["rollback_sql"].as_str()).map(str::to_string).collect();
    let reverse = reverse.join("\n");
    assert_eq!(before, dumped(&database), "asking has changed the catalogs");
    database.psql(&format!("set client_min_messages = error; {migration}"));
    if let Err(failure) = database
        .psql_with(&["-v", "ON_ERROR_STOP=1", "-f", "-"], &format!("set client_min_messages = error;\n{reverse}"))
    {
        panic!("{migration}\n-- reverse:\n{reverse}\n{failure}");
    }
    let comparable = |lines: Vec<String>| -> Vec<String> {
        let without = |line: &String| line.replace(" NOT VALID", "").replace(" NOT NULL", "");
        let mut lines: Vec<String> = if lost { lines.iter().map(without).collect() } else { lines };
        lines.sort();
        lines
    };
    let (before, after) = (comparable(before), comparable(dumped(&database)));
    assert!(!lost || reverse.contains("NOT VALID;") || reverse.contains("-- ALTER"), "{reverse}");
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(before == after, "{migration}\n-- reverse:\n{reverse}\n-- missing: {gone:#?}\n-- new: {new:#?}");
}

fn query_text(database: &Database, migration: &str) -> Vec<Value> {
    let rows =
        database.connect().query("select to_jsonb(r) from dbre.migration_rollback($1) r", &[&migration]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn lost_data_is_said(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, v text, w int); insert into t select g, 'x', g from generate_series(1, 1000) g; \
                          create table empty (a int); analyze",
    );
    let rows = query_text(
        database,
        "alter table t drop column v;\nupdate t set w = 0;\ndelete from t where id = 1;\ninsert into t values (1), (2);\n\
         truncate t;\ndrop table empty;\ncreate table new (a int);\ninsert into new values (1);\ndrop table t;\ndo $$ begin end $$;\nselec",
    );
    let said: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {} {} {}", row["step"], row["loses_data"], row["rows_at_stake"], row["rollback_sql"].is_null())
        })
        .collect();
    assert_eq!(
        said,
        [
            "11 false null true",
            "10 false null true",
            "9 true 1000 false",
            "9 false null false",
            "7 false null false",
            "6 false null false",
            "5 true 1000 true",
            "4 true 2 true",
            "3 true 1000 true",
            "2 true 1000 true",
        ],
        "{rows:#?}"
    );
    assert!(
        rows[2]["note"].as_str().unwrap().contains("CREATE TABLE public.t_saved AS TABLE public.t;"),
        "{:#}",
        rows[2]
    );
    assert_eq!(rows[9]["line"], 2);
}

fn arguments(database: &Database) {
    let mut client = database.connect();
    assert_eq!(refused(&mut client, "select * from dbre.migration_rollback(null)").code().code(), "22004");
    for nothing in ["", "-- only a comment", "select 1", "set lock_timeout = '1s'; begin; commit"] {
        assert_eq!(query_text(database, nothing).len(), 0, "{nothing}");
    }
    let unknown =
        "alter table nowhere add x int; drop table nowhere; drop function nowhere(); comment on table nowhere is 'x'";
    assert_eq!(
        value::<i64>(&mut client, &format!("select count(rollback_sql) from dbre.migration_rollback($x${unknown}$x$)")),
        0
    );
    assert_eq!(query(&mut client, "select 1").len(), 1);
}
