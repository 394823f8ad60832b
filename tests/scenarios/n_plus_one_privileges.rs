//! Whose rights the analysis of recorded texts has, and who sees what.

use crate::index_advice_privileges::{HOSTILE, role, sprung, traps};
use crate::n_plus_one::{found, of_rule, send};
use crate::server::{Database, Server, execute, query, shown, text, trial};
use libtest_mimic::Trial;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "n_plus_one::texts_of_others_run_with_their_rights", rights_of_the_author),
        trial(server, "n_plus_one::pg_monitor", monitor),
        trial(server, "n_plus_one::without_pg_read_all_stats", without_read_all_stats),
        trial(server, "n_plus_one::search_path_of_the_role", search_path),
    ]
}

const SCHEMA: &str = "create extension pg_stat_statements;
    create table authors (id int primary key, name text);
    create table books (id int primary key, author_id int not null references authors);
    insert into authors select g, 'a' from generate_series(1, 400) g;
    insert into books select g, g from generate_series(1, 400) g; create index on books (author_id); analyze";
const LIST: &str = "select id, author_id from books where id > %s limit 40";
const LOOKUP: &str = "select id, name from authors where id = %s";

fn rights_of_the_author(database: &Database) {
    let mut client = database.connect();
    let author = role(&mut client, database, "author", "");
    execute(&mut client, &traps(&author));
    for sql in HOSTILE {
        query(&mut client, sql);
    }
    query(&mut client, "select a::text::evil.d from evil.t where b::text::evil.d = '5'::text::evil.d limit 1");
    execute(&mut client, "reset role");
    let before = sprung(database, &author).len();
    assert!(before > 5, "the traps do not work");
    let all = found(&mut client, "");
    let called = sprung(database, &author);
    assert!(called[before..].iter().all(|role| *role == author), "called as {:?}", &called[before..]);
    let refused = of_rule(&all, "n_plus_one_not_judged");
    assert!(!refused.iter().any(|finding| text(finding, "object") == "SQLSTATE 42501"), "{}", shown(&all));
}

/// It sees all texts, and may become none of the roles.
fn monitor(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    let watcher = role(&mut client, database, "watcher", "in role pg_monitor");
    let app = role(&mut client, database, "app", "");
    execute(&mut client, &format!("grant select on authors, books to {app}"));
    let mut session = database.connect_as(&app);
    send(&mut session, (LIST, 10));
    send(&mut session, (LOOKUP, 390));
    let mut theirs = database.connect_as(&watcher);
    let all = found(&mut theirs, "");
    assert!(
        of_rule(&all, "n_plus_one_query").is_empty(),
        "analyzed with rights that the caller does not have: {}",
        shown(&all)
    );
    let refused = of_rule(&all, "n_plus_one_not_judged");
    assert!(refused.iter().any(|finding| text(finding, "object") == "SQLSTATE 42501"), "{}", shown(&all));
    execute(&mut client, &format!("grant {app} to {watcher}"));
    let all = found(&mut theirs, "");
    assert_eq!(of_rule(&all, "n_plus_one_query").len(), 1, "{}", shown(&all));
}

fn without_read_all_stats(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, SCHEMA);
    let caller = role(&mut client, database, "caller", "");
    execute(
        &mut client,
        &format!(
            "grant usage on schema dbre to {caller}; grant usage on type dbre.severity, dbre.advice to {caller};
             grant execute on all functions in schema dbre to {caller}; grant select on all tables in schema dbre to {caller};
             grant select on authors, books to {caller}"
        ),
    );
    send(&mut client, (LIST, 10));
    send(&mut client, (LOOKUP, 390));
    let mut theirs = database.connect_as(&caller);
    let all = found(&mut theirs, "");
    assert!(!shown(&all).contains("from authors"), "a text of another role: {}", shown(&all));
    send(&mut theirs, (LIST, 10));
    send(&mut theirs, (LOOKUP, 390));
    let all = found(&mut theirs, "");
    let told = of_rule(&all, "n_plus_one_query");
    assert_eq!(told.len(), 1, "{}", shown(&all));
    assert!(text(&told[0], "object").ends_with(&caller), "{}", shown(&told));
}

fn search_path(database: &Database) {
    let mut client = database.connect();
    let app = role(&mut client, database, "app", "");
    execute(
        &mut client,
        &format!(
            "create schema library; {}; alter role {app} set search_path = library;
             grant usage on schema library to {app}; grant select on all tables in schema library to {app}",
            SCHEMA
                .replace("create table ", "create table library.")
                .replace("references ", "references library.")
                .replace("insert into ", "insert into library.")
                .replace("on books", "on library.books")
        ),
    );
    let mut session = database.connect_as(&app);
    send(&mut session, (LIST, 10));
    send(&mut session, (LOOKUP, 390));
    let told = of_rule(&found(&mut client, ""), "n_plus_one_query");
    assert_eq!(told.len(), 1, "{}", shown(&told));
    assert_eq!(text(&told[0]["evidence"], "foreign_key"), "library.books(author_id) → library.authors(id)");
}
