//! Whose rights planning has: never more than those of the role whose text it is.

use crate::index_advice::{advice, array, created, filled, of_rule};
use crate::server::{Database, Server, execute, query, refused, shown, text, trial, value};
use libtest_mimic::Trial;
use postgres::Client;
use std::fs;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "index_advice::texts_of_others_run_with_their_rights", rights_of_the_author),
        trial(server, "index_advice::statements_of_superusers", statements_of_superusers),
        trial(server, "index_advice::others_cannot_make_it_fail", others_cannot_fail_it),
        trial(server, "index_advice::pg_monitor", monitor),
        trial(server, "index_advice::without_pg_read_all_stats", without_read_all_stats),
        trial(server, "index_advice::tables_that_the_caller_may_not_read", unreadable_tables),
        trial(server, "index_advice::row_level_security", row_level_security),
        trial(server, "index_advice::search_path_of_the_role", search_path_of_the_role),
    ]
}

pub fn role(client: &mut Client, database: &Database, purpose: &str, attributes: &str) -> String {
    let name = format!("{purpose}_of_{}", database.name);
    execute(client, &format!("create role {name} login {attributes}"));
    name
}

/// Everything that planning calls tells the server's log as whom it runs.
pub fn traps(author: &str) -> String {
    format!(
        "create extension pg_stat_statements; create schema evil authorization {author}; grant usage on schema evil to public;
         set role {author};
         create function evil.note(what text) returns void language plpgsql as $$ begin
             raise log 'trap of {author}: % called as %', what, current_user;
         end $$;
         create function evil.zero() returns int language plpgsql immutable as $$ begin perform evil.note('zero'); return 1; end $$;
         create function evil.same(int) returns int language plpgsql immutable as $$ begin perform evil.note('same'); return $1; end $$;
         create function evil.checked(int) returns boolean language plpgsql immutable as $$ begin
             perform evil.note('checked'); return true; end $$;
         create domain evil.d as int check (value > 0 and value < 0 or evil.checked(value));
         create table evil.t (id int, a int, b int, c int);
         insert into evil.t select g, g % 1000, g % 500, g % 700 from generate_series(1, 20000) g;
         create table evil.small (c evil.d); insert into evil.small select g % 20 from generate_series(1, 100) g;
         create view evil.seen as select * from evil.t where a = evil.zero();
         analyze evil.t, evil.small"
    )
}

/// The roles as whom the traps were called.
pub fn sprung(database: &Database, author: &str) -> Vec<String> {
    let log = fs::read_to_string(database.server.folder.join("server.log")).unwrap();
    let of_author = log.lines().filter(|line| line.contains(&format!("LOG:  trap of {author}: ")));
    let called_as =
        |line: &str| line.split("called as ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_string);
    of_author.filter_map(called_as).collect()
}

pub const HOSTILE: &[&str] = &[
    "select count(*) from evil.t where a = evil.zero()",
    "select count(*) from evil.t where a = any ('{1,2}'::evil.d[])",
    "select count(*) from evil.small where c = 5",
    "select count(*) from evil.small where c = any ('{1,2}'::evil.d[])",
    "select * from evil.t where evil.same(a) = 5",
    "select * from evil.t where b = 7 and evil.same(a) = evil.zero() order by evil.same(b) limit 3",
    "select * from evil.t where a::evil.d = 7 and evil.zero() = 1",
    "select * from evil.seen where b = 7",
    "update evil.t set b = 7 where a = evil.zero() and b = 8",
    "with recursive n (n) as (select 1 union all select n + 1 from n where n < 3) cycle n set m to evil._d '{1}' default evil._d '{0}' using path
     select count(*) from n join evil.t on a = n",
];

fn rights_of_the_author(database: &Database) {
    let mut client = database.connect();
    let author = role(&mut client, database, "author", "");
    execute(&mut client, &traps(&author));
    for sql in HOSTILE {
        for _ in 0..3 {
            query(&mut client, sql);
        }
    }
    execute(&mut client, "reset role; select pg_stat_reset()");
    // Queries of the superuser's own on the same table, which indexes on the author's expressions would serve.
    for sql in ["select count(*) from evil.t where b = 9", "select id from evil.t where a = 5 and b = 3"] {
        query(&mut client, sql);
    }
    let mut before = sprung(database, &author).len();
    assert!(before > 10, "the traps do not work");
    execute(&mut client, "create index t_b on evil.t (b)");
    for call in [
        "index_advice()",
        "index_advice(min_benefit_percent => 0)",
        "index_advice(parameters => 'generic')",
        "index_advice(weigh_by => 'calls', budget => '1 MB')",
        "snapshot_index_advice(min_benefit_percent => 0)",
        "validate_index('evil.t_b')",
        "workload_findings(max_queries => 1000)",
    ] {
        query(&mut client, &format!("select * from dbre.{call}"));
        let called = sprung(database, &author);
        assert!(called.len() > before, "{call}: no trap was sprung, nothing was planned");
        let other = called.iter().find(|role| **role != author);
        assert!(other.is_none(), "{call}: called as {other:?}");
        before = called.len();
    }
    query(&mut client, "select * from dbre.n_plus_one()");
    assert!(sprung(database, &author).iter().all(|role| *role == author), "analyzed with other rights");
    let me: String = value(&mut client, "select current_user || ' ' || session_user");
    assert_eq!(me, "postgres postgres");
}

/// A function that was harmless when it was recorded.
fn others_cannot_fail_it(database: &Database) {
    let mut client = filled(database);
    let author = role(&mut client, database, "author", "");
    execute(&mut client, &traps(&author));
    query(&mut client, HOSTILE[0]);
    execute(&mut client, "reset role");
    query(&mut client, "select b from t where a = 7");
    let settings = "select string_agg(name || setting, ',') from pg_settings where source = 'session'";
    let before: Option<String> = value(&mut client, settings);
    for body in [
        "raise exception 'no' using errcode = '57014'",
        "raise exception 'no' using errcode = '57P01'",
        "raise exception 'no' using errcode = '0A000'",
        "raise exception 'no' using errcode = 'XX000'",
        "perform set_config('work_mem', '77kB', false); perform set_config('search_path', 'evil', false)",
        "perform set_config('role', 'postgres', false)",
        "perform set_config('session_authorization', 'postgres', false)",
        "create temp table pg_class_of_evil (a int)",
        "declare n int := 1 / 0",
    ] {
        let body = if let Some(declared) = body.strip_prefix("declare ") {
            format!("declare {declared}; begin return 1; end")
        } else {
            format!("begin {body}; return 1; end")
        };
        execute(
            &mut client,
            &format!(
                "set role {author}; create or replace function evil.zero() returns int language plpgsql immutable as $f$ {body} $f$; reset role"
            ),
        );
        let rows = advice(&mut client, "");
        assert!(created(&rows).iter().any(|index| index.contains("(a)")), "{body}\n{}", shown(&rows));
        let about_t = "select count(*) from dbre.workload_findings() f where f.evidence ->> 'relation' = 'public.t'";
        assert_ne!(value::<i64>(&mut client, about_t), 0, "{body}");
        let user: String = value(&mut client, "select current_user || ' ' || session_user");
        assert_eq!(user, "postgres postgres", "{body}");
        assert_eq!(value::<Option<String>>(&mut client, settings), before, "{body}");
        execute(&mut client, "create table usable (a int); drop table usable");
    }
}

fn monitor(database: &Database) {
    let mut client = filled(database);
    let role = role(&mut client, database, "watcher", "in role pg_monitor");
    execute(&mut client, "create extension pg_stat_statements");
    query(&mut client, "select b from t where a = 7");
    let mut theirs = database.connect_as(&role);
    let rows = advice(&mut theirs, "");
    let not_planned = of_rule(&rows, "query_not_planned");
    assert!(!not_planned.is_empty(), "{}", shown(&rows));
    assert!(created(&rows).is_empty(), "planned with rights that the caller does not have: {}", shown(&rows));
    // Who may become the role may plan its texts.
    execute(
        &mut client,
        &format!("create role owner_of_{0}; grant select on t to owner_of_{0}; set role owner_of_{0}", database.name),
    );
    query(&mut client, "select b from t where a = 8 and e > 0");
    execute(&mut client, &format!("reset role; grant owner_of_{} to {role}", database.name));
    let rows = advice(&mut theirs, "");
    assert!(!created(&rows).is_empty(), "{}", shown(&rows));
    query(&mut theirs, "select * from dbre.validate_index('t_pkey')");
    query(&mut theirs, "select * from dbre.last_index_advice");
    assert_eq!(refused(&mut theirs, "select dbre.snapshot_index_advice()").code().code(), "42501");
}

/// pg_stat_statements hides from it what others run.
fn without_read_all_stats(database: &Database) {
    let mut client = filled(database);
    let role = role(&mut client, database, "caller", "");
    execute(
        &mut client,
        &format!(
            "create extension pg_stat_statements; grant usage on schema dbre to {role};
             grant usage on type dbre.severity, dbre.advice to {role}; grant select on t to {role};
             grant execute on all functions in schema dbre to {role}; grant select on all tables in schema dbre to {role}"
        ),
    );
    query(&mut client, "select b from t where a = 7");
    let mut theirs = database.connect_as(&role);
    query(&mut theirs, "select b, e from t where a = 9");
    let rows = advice(&mut theirs, "");
    assert_eq!(created(&rows).len(), 1, "{}", shown(&rows));
    assert!(!shown(&rows).contains("select b from t where"), "a text of another role: {}", shown(&rows));
    query(&mut theirs, "select * from dbre.validate_index('t_pkey')");
}

fn unreadable_tables(database: &Database) {
    let mut client = filled(database);
    let role = role(&mut client, database, "watcher", "in role pg_monitor");
    execute(&mut client, &format!("grant select on u to {role}"));
    let mut theirs = database.connect_as(&role);
    for call in [
        "index_advice('select b from t where a = 7')",
        "index_advice('select 1 from u join t on t.id = u.t_id where t.e = 7')",
        "index_advice('update t set b = 1 where a = 7')",
        "suggest_index('t', '{a}')",
    ] {
        let error = refused(&mut theirs, &format!("select * from dbre.{call}"));
        assert_eq!(error.code().code(), "42501", "{call}\n-- {}", error.message());
    }
    let texts = array(&["select b from t where a = 7", "select * from u where k = 3"]);
    let rows = advice(&mut theirs, &format!("queries => {texts}"));
    assert_eq!(created(&rows).len(), 1, "{}", shown(&rows));
    let not_planned = of_rule(&rows, "query_not_planned");
    assert!(not_planned.len() == 1 && not_planned[0].to_string().contains("permission denied"), "{}", shown(&rows));
}

/// A value that only rows behind the policy have appears nowhere.
fn row_level_security(database: &Database) {
    let mut client = filled(database);
    let role = role(&mut client, database, "tenant", "in role pg_monitor");
    execute(
        &mut client,
        &format!(
            "create table secrets (id int, tenant name, word text);
             insert into secrets select g, case when g % 10 = 0 then '{role}' else 'other' end,
                 case when g % 10 = 0 then 'mine' || g % 50 else 'hidden' || g % 50 end from generate_series(1, 20000) g;
             alter table secrets enable row level security; create policy own on secrets using (tenant = current_user);
             create view seen with (security_barrier) as select id, word from secrets where id > 5;
             grant select on secrets, seen to {role}; analyze secrets"
        ),
    );
    let mut theirs = database.connect_as(&role);
    let texts = array(&[
        "select * from secrets where word = $1",
        "select * from seen where word = $1",
        "select * from secrets where word like 'h%'",
    ]);
    for sql in [
        format!("select * from dbre.index_advice(queries => {texts})"),
        "select * from dbre.what_if('select * from secrets where word = $1', parameter_sets => 10)".to_string(),
        "select * from dbre.what_if('select * from seen where word = $1', '{create index on secrets (word)}')"
            .to_string(),
        "select * from dbre.suggest_index('secrets', '{word}')".to_string(),
    ] {
        let all: String = value(&mut theirs, &format!("select coalesce(string_agg(x::text, ' '), '') from ({sql}) x"));
        assert!(!all.contains("hidden"), "{sql}\n-- {all}");
    }
    let rows = advice(&mut client, "'select * from seen where word = $1'");
    assert!(!created(&rows).is_empty(), "{}", shown(&rows));
}

fn search_path_of_the_role(database: &Database) {
    let mut client = database.connect();
    let role = role(&mut client, database, "tenant", "");
    for schema in ["tenant", "other"] {
        execute(
            &mut client,
            &format!(
                "create schema {schema}; create table {schema}.things as
                 select g as id, g % 2000 as a, md5(g::text) as b from generate_series(1, 20000) g; analyze {schema}.things"
            ),
        );
    }
    execute(
        &mut client,
        &format!(
            "create extension pg_stat_statements; grant usage on schema tenant, other to {role}; grant select on tenant.things, other.things to {role};
             alter role {role} set search_path = tenant, public; alter role {role} in database {} set search_path = other, public",
            database.name
        ),
    );
    for _ in 0..5 {
        query(&mut database.connect_as(&role), "select b from things where a = 7");
    }
    let tables = |client: &mut Client| -> Vec<String> {
        of_rule(&advice(client, ""), "missing_index")
            .iter()
            .map(|row| text(&row["evidence"], "table").to_string())
            .collect()
    };
    assert_eq!(tables(&mut client), ["other.things"], "what is set for the role in the database comes first");
    execute(&mut client, &format!("alter role {role} in database {} reset search_path", database.name));
    assert_eq!(tables(&mut client), ["tenant.things"]);
}

/// A superuser has queried a table; its owner then puts code in its place, which tells as whom it runs.
fn statements_of_superusers(database: &Database) {
    let mut client = database.connect();
    let owner = role(&mut client, database, "owner", "");
    execute(
        &mut client,
        &format!(
            "create extension pg_stat_statements; create schema evil authorization {owner}; set role {owner};
             create table evil.t (a int); create table evil.u (a int); insert into evil.u select generate_series(1, 1000);
             reset role"
        ),
    );
    query(
        &mut client,
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database())) is not null",
    );
    query(&mut client, "select count(*) from evil.t where a = 5");
    query(&mut client, "select count(*) from evil.u where a = 5");
    execute(
        &mut client,
        &format!(
            "set role {owner}; drop table evil.t; create table evil.base (a int);
             create function evil.f() returns int language plpgsql immutable as $$ begin
                 raise exception 'ran as %', current_user; end $$;
             create view evil.t as select a from evil.base where a = evil.f();
             create function evil.g() returns int language plpgsql immutable as $$ begin return 1; end $$;
             create index on evil.u ((a + evil.g()));
             create or replace function evil.g() returns int language plpgsql immutable as $$ begin
                 raise exception 'ran as %', current_user; end $$;
             reset role"
        ),
    );
    let mut fresh = database.connect();
    let findings = advice(&mut fresh, "");
    let told = of_rule(&findings, "query_not_planned");
    let messages: String = told.iter().map(|finding| finding["evidence"]["messages"].to_string()).collect();
    assert!(messages.contains(&format!("ran as {owner}")), "{}", shown(&findings));
    assert!(!messages.contains("ran as postgres"), "{}", shown(&findings));
    let error = refused(&mut fresh, "select * from dbre.suggest_index('evil.u', '{a}')");
    assert_eq!(error.message(), format!("ran as {owner}"));
}
