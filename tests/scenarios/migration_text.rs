//! Migrations as tools and people write them: where their statements are, in which transaction, under which timeouts.

use crate::server::{Database, Server, execute, query, text, trial};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "migration_text::formats_of_tools", formats),
        trial(server, "migration_text::statements_are_where_they_say", places),
        trial(server, "migration_text::any_change_of_a_text_is_read", changed_texts),
        trial(server, "migration_text::transactions_as_the_server_has_them", transactions),
        trial(server, "migration_text::what_is_rolled_back_never_was", rolled_back),
        trial(server, "migration_text::timeouts_in_force", timeouts),
        trial(server, "migration_text::timeouts_of_role_and_database", timeouts_of_role_and_database),
        trial(server, "migration_text::bodies_of_do_blocks", do_blocks),
        trial(server, "migration_text::what_is_allowed_is_not_found", allowed),
    ]
}

fn steps(client: &mut Client, sql: &str) -> Vec<Value> {
    let rows = client.query("select to_jsonb(s) from dbre.migration_steps($1) s", &[&sql]);
    rows.unwrap_or_else(|error| panic!("{sql}\n-- {error}")).iter().map(|row| row.get(0)).collect()
}

fn findings(client: &mut Client, sql: &str) -> Vec<Value> {
    let rows = client.query("select to_jsonb(f) from dbre.migration_findings($1) f", &[&sql]);
    rows.unwrap_or_else(|error| panic!("{sql}\n-- {error}")).iter().map(|row| row.get(0)).collect()
}

fn found(client: &mut Client, sql: &str, rule: &str) -> Vec<String> {
    let of_rule = |finding: &Value| text(finding, "rule") == rule;
    findings(client, sql).iter().filter(|f| of_rule(f)).map(|f| text(f, "object").to_string()).collect()
}

/// `line kind transaction`, one a step.
fn outline(client: &mut Client, sql: &str) -> Vec<String> {
    let shown = |step: &Value| format!("{} {} {}", step["line"], text(step, "kind"), step["transaction"]);
    steps(client, sql).iter().map(shown).collect()
}

fn formats(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key); create table alembic_version (version_num text)");
    let cases: &[(&str, &[&str])] = &[
        (
            "BEGIN;\n\n-- Running upgrade 1a -> 2b\n\nALTER TABLE t ADD COLUMN c INTEGER;\n\nUPDATE alembic_version SET \
             version_num='2b' WHERE alembic_version.version_num = '1a';\n\nCOMMIT;\n\n",
            &["1 begin 1", "5 alter table add column 1", "7 update 1", "9 commit 1"],
        ),
        (
            "-- +goose Up\n-- +goose StatementBegin\nalter table t add c int;\nalter table t add d int;\n-- +goose StatementEnd\n\
             -- +goose Down\ndrop table t;\n",
            &["3 alter table add column 1", "4 alter table add column 1"],
        ),
        (
            "-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently on t (id);\n",
            &["3 create index concurrently null"],
        ),
        ("-- migrate:up\nalter table t add c int;\n-- migrate:down\ndrop table t;\n", &["2 alter table add column 1"]),
        ("-- migrate:up transaction:false\nvacuum t;\n-- migrate:down\n", &["2 vacuum null"]),
        ("-- Your SQL goes here\nalter table t add c int;\n", &["2 alter table add column 1"]),
        ("-- Add up migration script here\nalter table t add c int;", &["2 alter table add column 1"]),
        ("-- no-transaction\ncreate index concurrently i on t (id);", &["2 create index concurrently null"]),
        (
            "-- Up Migration\nalter table t add c int;\n-- Down Migration\ndrop table t;",
            &["2 alter table add column 1"],
        ),
        (
            "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', \
             false);\n\nCOPY public.t (id) FROM stdin;\n1\n2;\n\\.\n\nALTER TABLE ONLY public.t ADD CONSTRAINT u UNIQUE (id);\n",
            &["5 set null", "6 select null", "8 copy from null", "13 alter table add unique null"],
        ),
        ("\u{feff}alter table t add c int", &["1 alter table add column null"]),
        (
            "alter table t add c int;\r\nalter table t\r\n add d int;\r\n",
            &["1 alter table add column null", "2 alter table add column null"],
        ),
        ("\\set x 1\n\\i y.sql\nselect 1 \\gexec\nselect 2", &["3 select null", "4 select null"]),
    ];
    for (sql, expected) in cases {
        assert_eq!(&outline(&mut client, sql), expected, "{sql}");
    }
    let python = "\"\"\"add c\"\"\"\nfrom alembic import op\n\ndef upgrade():\n    op.add_column('t', None)\n";
    assert!(steps(&mut client, python).is_empty());
    assert_eq!(found(&mut client, python, "migration_in_python"), ["line 1"]);
}

/// All kinds of statements, with what makes finding their ends hard.
const STATEMENTS: &[&str] = &[
    "create table u (id bigserial primary key, a int not null default (1 + 2) check (a > 0), b text default 'x;y''z')",
    "alter table t add c text default E'it\\'s;', drop column if exists d",
    "create function f() returns int language plpgsql as $f$ begin return 1; -- ;\n end $f$",
    "create function g() returns int begin atomic select case when true then 1 end; select 2; end",
    "create rule r as on insert to t do also (select 1; select 2)",
    "do $$ begin perform 1; if true then raise notice 'a;b'; end if; end $$",
    "select U&\"\\0061\", $1$ from \"a;b\"",
    "comment on table t is /* a /* nested; */ comment */ 'x'",
    "insert into t values (1, $tag$a;$$;$tag$), (2, B'01'), (3, x'ff')",
    "alter table t add constraint k check (a in (1, 2) and b <> ';') not valid",
    "select 1 as \u{e9}t\u{e9}, '\u{1f600};' -- no end;",
    "select * from where",
];

fn places(database: &Database) {
    let mut client = database.connect();
    let mut sql = String::new();
    for (number, statement) in STATEMENTS.iter().enumerate() {
        let between = ["\n", " -- so; \n", "/* ; \n */ ", ";;\n\n"][number % 4];
        write!(sql, "{between}{statement}\n;").unwrap();
    }
    let read = steps(&mut client, &sql);
    let whole: Vec<&str> = read.iter().map(|step| text(step, "statement")).collect();
    // A comment at the end of a statement does not belong to it.
    let expected: Vec<&str> = STATEMENTS.iter().map(|s| s.strip_suffix(" -- no end;").unwrap_or(s)).collect();
    assert_eq!(whole, expected);
    are_in_order(&sql, &read);
}

/// Each statement stands behind the one before it, on the line that it says, with nothing but comments, semicolons and lines
/// for others between.
fn are_in_order(sql: &str, steps: &[Value]) {
    let mut from = 0;
    for step in steps {
        let statement = text(step, "statement");
        let at = sql[from..].find(statement).unwrap_or_else(|| panic!("{statement:?} is not in {:?}", &sql[from..]));
        let line = 1 + sql[..from + at].matches('\n').count();
        // The same words may stand in a comment before it.
        assert!(step["line"].as_u64() >= Some(line as u64), "{statement:?} on line {line}: {step:#}\n{sql}");
        from += at + statement.len();
    }
}

fn changed_texts(database: &Database) {
    let mut client = database.connect();
    let sql = STATEMENTS.join(";\n");
    let characters: Vec<char> = sql.chars().collect();
    // The same changes in each run.
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let odd: Vec<char> = "'\"$();\\\n-/*{}[]:,eE\u{1f600}\u{0}".chars().filter(|c| *c != '\0').collect();
    for _ in 0..300 {
        let mut text = characters.clone();
        for _ in 0..=random(4) {
            let at = random(text.len() + 1).min(text.len().saturating_sub(1));
            match random(3) {
                _ if text.is_empty() => {}
                0 => drop(text.remove(at)),
                1 => text.insert(at, odd[random(odd.len())]),
                _ => text.truncate(at.max(1)),
            }
        }
        let changed: String = text.into_iter().collect();
        are_in_order(&changed, &steps(&mut client, &changed));
        findings(&mut client, &changed);
    }
}

fn transactions(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key)");
    let sql = "alter table t add a int; begin; alter table t add b int; begin; commit and chain; alter table t add c int; rollback; \
               alter table t add d int; start transaction; end";
    let numbers = |steps: &[Value]| steps.iter().map(|step| step["transaction"].as_u64()).collect::<Vec<_>>();
    let expected = [None, Some(1), Some(1), Some(1), Some(1), Some(2), Some(2), None, Some(3), Some(3)];
    assert_eq!(numbers(&steps(&mut client, sql)), expected);
    let rows = query(
        &mut client,
        "select to_jsonb(s) from dbre.migration_steps('alter table t add a int; vacuum t', one_transaction => true) s",
    );
    let wrapped: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(numbers(&wrapped), [Some(1), Some(1)]);
    let refused = "begin; alter table t add a int; create index concurrently on t (a); commit";
    assert_eq!(found(&mut client, refused, "concurrently_in_transaction").len(), 1);
}

fn rolled_back(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key)");
    let missing = |client: &mut Client, sql: &str| found(client, sql, "migration_refers_to_missing_object").len();
    let added = "begin; alter table t add a int; ";
    assert_eq!(missing(&mut client, &format!("{added} commit; alter table t alter a set default 1")), 0);
    assert_eq!(missing(&mut client, &format!("{added} rollback; alter table t alter a set default 1")), 1);
    let saved = "begin; savepoint s; alter table t add a int; ";
    assert_eq!(missing(&mut client, &format!("{saved} rollback to s; alter table t alter a set default 1; commit")), 1);
    assert_eq!(missing(&mut client, &format!("{saved} release s; alter table t alter a set default 1; commit")), 0);
    // The lock goes with the savepoint.
    execute(&mut client, "insert into t select generate_series(1, 1000); analyze t");
    let slow = |client: &mut Client, sql: &str| found(client, sql, "strong_lock_before_slow_statement").len();
    assert_eq!(slow(&mut client, &format!("{saved} create index on t (id); commit")), 1);
    assert_eq!(slow(&mut client, &format!("{saved} rollback to s; create index on t (id); commit")), 0);
}

fn timeouts(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key)");
    let waits: &[(&str, bool)] = &[
        ("alter table t add a int", true),
        ("set lock_timeout = '2s'; alter table t add a int", false),
        ("set lock_timeout = 0; alter table t add a int", true),
        ("set lock_timeout = '2s'; reset lock_timeout; alter table t add a int", true),
        ("set local lock_timeout = '2s'; alter table t add a int", true),
        ("begin; set local lock_timeout = '2s'; alter table t add a int; commit", false),
        ("begin; set local lock_timeout = '2s'; commit; alter table t add a int", true),
        ("begin; set lock_timeout = '2s'; rollback; alter table t add a int", true),
        ("begin; set lock_timeout = '2s'; commit; alter table t add a int", false),
        ("begin; savepoint s; set lock_timeout = '2s'; rollback to s; alter table t add a int; commit", true),
        ("select set_config('lock_timeout', '2s', false); alter table t add a int", false),
        ("begin; select pg_catalog.set_config('lock_timeout', '2s', true); alter table t add a int; commit", false),
        ("lock table t nowait", false),
        ("create index concurrently on t (id)", false),
        ("create table u (id int); alter table u add a int", false),
    ];
    for (sql, expected) in waits {
        assert_eq!(!found(&mut client, sql, "migration_without_lock_timeout").is_empty(), *expected, "{sql}");
    }
}

fn timeouts_of_role_and_database(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key)");
    let waits =
        |client: &mut Client| !found(client, "alter table t add a int", "migration_without_lock_timeout").is_empty();
    assert!(waits(&mut client));
    let set = "do $$ begin execute format('alter database %I set lock_timeout = ''3s''', current_database()); end $$";
    execute(&mut client, set);
    assert!(!waits(&mut database.connect()));
    assert!(waits(&mut client));
    execute(&mut client, "set lock_timeout = '1s'");
    assert!(!waits(&mut client));
}

fn do_blocks(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table t (id int primary key); create table u (id int)");
    let locks = |client: &mut Client, sql: &str| {
        let step = steps(client, sql).remove(0);
        step["locks"].as_array().unwrap().iter().map(|lock| text(lock, "relation").to_string()).collect::<Vec<_>>()
    };
    let branches = "do $$ declare n int; begin select count(*) into n from t; if n = 0 then alter table t add a int; else drop table u; \
                    end if; exception when others then null; end $$";
    assert_eq!(locks(&mut client, branches), ["public.t", "public.u"]);
    let judged = |client: &mut Client, sql: &str| found(client, sql, "migration_statement_not_judged").is_empty();
    assert!(judged(&mut client, branches));
    assert!(judged(&mut client, "do $$ begin for i in 1 .. 3 loop insert into t values (i); end loop; end $$"));
    assert!(judged(
        &mut client,
        "do $$ declare a int := 1; b text; begin a := 2; execute 'alter table t add c int'; end $$"
    ));
    assert_eq!(locks(&mut client, "do $$ begin execute $q$alter table t add c int$q$; end $$"), ["public.t"]);
    let exists = "do $$ begin create type s as enum ('a'); exception when duplicate_object then null; end $$";
    execute(&mut client, exists);
    let wrong = findings(&mut client, exists);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!judged(&mut client, "do $$ begin execute 'drop table ' || 't'; end $$"));
    assert!(!judged(
        &mut client,
        "do $$ declare r record; begin for r in execute 'select 1' loop null; end loop; end $$"
    ));
}

fn allowed(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key); insert into t select generate_series(1, 1000); analyze t",
    );
    let sql =
        "create index on t (id);\n-- dbre: allow index_without_concurrently it is small\ncreate index on t (id);\n";
    assert_eq!(found(&mut client, sql, "index_without_concurrently").len(), 1);
    assert!(found(&mut client, sql, "suppression_allows_nothing").is_empty());
}
