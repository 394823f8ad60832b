//! Clients get the same errors with the hook as without, in every field.

use crate::bursts::{Preloaded, TABLES, lookups};
use crate::server::{Database, Server, execute, refused};
use libtest_mimic::Trial;
use postgres::Client;
use postgres::error::DbError;

pub fn trials(preloaded: &Preloaded) -> Vec<Trial> {
    vec![preloaded.trial("bursts::errors_are_unchanged", errors)]
}

const CONSTRAINTS: &str = "
    create domain positive as int constraint is_positive check (value > 0);
    create table checked (id int primary key, n positive, d date not null, constraint small check (id < 1000));
    create table deferred (id int primary key, author_id int constraint of_author references author deferrable initially deferred,
        constraint once unique (author_id) deferrable initially deferred);
    create function complain() returns trigger language plpgsql as $$ begin
        perform title from post where id = 1;
        raise exception 'no %', new.id using errcode = 'P0123', detail = 'the detail', hint = 'the hint', column = 'c',
            constraint = 'k', datatype = 'd', table = 't', schema = 's';
    end $$;
    create table complained (id int);
    create constraint trigger late after insert on complained deferrable initially deferred for each row execute function complain();
    create function failing(int) returns int language plpgsql as $$ begin
        perform title from post where id = $1; return 1 / (select 0 from post where id = $1); end $$";

const FAILING: &[&[&str]] = &[
    &["insert into checked values (1, 1, '2026-01-01')", "insert into checked values (1, 1, '2026-01-01')"],
    &["insert into checked values (1, -1, '2026-01-01')"],
    &["insert into checked values (1, 1, null)"],
    &["insert into checked values (1000, 1, '2026-01-01')"],
    &["insert into post values (0, 0)"],
    &["delete from author where id = 1"],
    &["insert into deferred values (1, 0)", "commit"],
    &["insert into deferred values (1, 1), (2, 1)", "commit"],
    &["insert into complained values (1)", "commit"],
    &["insert into complained values (1)", "set constraints all immediate"],
    &["select failing(id) from post where id < 3"],
    &["select (1 / (id - 1)) from post"],
    &["select id::text::int, ('a' || id)::int from post where id = 1"],
    &["select nowhere from post"],
    &["selec 1"],
    &["do $$ begin perform title from post; raise 'x' using column = 'y'; end $$"],
    &["declare c cursor for select 1 / (id - 5) from post order by id", "fetch 3 from c", "fetch 3 from c"],
];

/// All that a client gets of an error.
fn fields(error: &DbError) -> Vec<String> {
    let optional = [
        error.detail(),
        error.hint(),
        error.where_(),
        error.schema(),
        error.table(),
        error.column(),
        error.datatype(),
        error.constraint(),
        error.file(),
        error.routine(),
    ];
    let mut fields: Vec<_> = optional.iter().map(|field| format!("{field:?}")).collect();
    fields.extend([error.severity().into(), error.code().code().into(), error.message().into()]);
    fields.extend([format!("{:?}", error.position()), format!("{:?}", error.line())]);
    fields
}

/// With a burst going on, in the simple and in the extended protocol, in a transaction and outside.
fn collect(client: &mut Client) -> Vec<Vec<String>> {
    let mut collected = Vec::new();
    for statements in FAILING {
        for extended in [false, true] {
            execute(client, "begin");
            lookups(client, 12);
            for (place, sql) in statements.iter().enumerate() {
                let outcome = if extended { client.query(*sql, &[]).map(drop) } else { client.batch_execute(sql) };
                match outcome {
                    Ok(()) if place + 1 == statements.len() => panic!("{sql}: no error"),
                    Ok(()) => {}
                    Err(error) => collected.push(fields(error.as_db_error().unwrap())),
                }
            }
            execute(client, "rollback");
        }
        if statements.len() == 1 {
            collected.push(fields(&refused(client, statements[0])));
        }
    }
    collected
}

fn errors(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, CONSTRAINTS);
    let on = collect(&mut client);
    execute(&mut client, "set dbre.n_plus_one_threshold = 0");
    let off = collect(&mut client);
    let plain = Server::start(&["autovacuum = off"]);
    let mut client = plain.connect("postgres", "postgres");
    execute(&mut client, TABLES);
    execute(&mut client, CONSTRAINTS);
    let without = collect(&mut client);
    assert_eq!(on.len(), without.len());
    for ((on, off), without) in on.iter().zip(&off).zip(&without) {
        assert_eq!((on, off), (without, without));
    }
    let all = format!("{without:?}");
    for name in ["checked_pkey", "is_positive", "small", "of_author", "once", "post_author_id_fkey", "P0123"] {
        assert!(all.contains(name), "{name} is in no error");
    }
}
