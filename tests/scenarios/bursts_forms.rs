//! What is told of a burst: its parameters, tags, parent, role.

use crate::bursts::{LIST, Preloaded, bursts, holds, lookups, only};
use crate::server::{Database, execute, text};
use libtest_mimic::Trial;
use serde_json::json;
use std::thread;
use std::time::Duration;

pub fn trials(preloaded: &Preloaded) -> Vec<Trial> {
    vec![
        preloaded.trial("bursts::the_same_parameters", same_parameters),
        preloaded.trial("bursts::types_of_parameters", types_of_parameters),
        preloaded.trial("bursts::tags", tags),
        preloaded.trial("bursts::parent_of_each", parent_of_each),
        preloaded.trial("bursts::apart_by_role_and_application", apart),
    ]
}

fn same_parameters(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "begin");
    for _ in 0..40 {
        execute(&mut client, "select title from post where author_id = 7 /*traceparent='00-a'*/");
        client.query("select name from author where id = $1", &[&7]).unwrap();
    }
    execute(&mut client, "commit");
    for burst in bursts(&mut client) {
        holds(&burst, json!({"distinct_parameters": 1}));
        assert!(burst["executions"].as_i64().unwrap() >= 39, "{burst:#}");
    }
    assert_eq!(bursts(&mut client).len(), 2);
}

fn types_of_parameters(database: &Database) {
    let mut client = database.connect();
    execute(
        &mut client,
        "create type mood as enum ('a', 'b'); create type pair as (a int, b text); create domain short as varchar(9);
         create table typed (i int, k text, n numeric, u uuid, t timestamptz, e mood, p pair, d short, a int[], j jsonb, c \"char\", m name);
         insert into typed default values; set dbre.n_plus_one_threshold = 20",
    );
    let sources = [
        ("i", "int", "{}"),
        ("k", "text", "'k{}'"),
        ("n", "numeric", "{}.5"),
        ("u", "uuid", "md5('{}')::uuid"),
        ("t", "timestamptz", "'2026-01-01'::timestamptz + {} * interval '1 day'"),
        ("e", "mood", "'a'"),
        ("p", "pair", "row({}, 'x')"),
        ("d", "short", "'d{}'"),
        ("a", "int[]", "array[{}]"),
        ("j", "jsonb", "to_jsonb({})"),
        ("c", "\"char\"", "'c'"),
        ("m", "name", "'m{}'"),
        ("k", "text", "null"),
        ("k", "text", "repeat('{}', 10000)"),
    ];
    for (column, of, written) in sources {
        execute(
            &mut client,
            &format!(
                "deallocate all; select dbre.reset_n_plus_one_bursts(); begin; prepare p ({of}) as select 1 from typed where {column} = $1"
            ),
        );
        for time in 0..20 {
            execute(&mut client, &format!("execute p ({})", written.replace("{}", &time.to_string())));
        }
        execute(&mut client, "commit");
        let expected = if written.contains("{}") { 20 } else { 1 };
        let burst = only(&mut client);
        let distinct = burst["distinct_parameters"].as_i64().unwrap();
        // An estimate, from hashes; those of a composite type have its OID in them, which is another in each run.
        let slack = if of == "pair" { expected * 15 / 100 + 1 } else { 1 };
        assert!((expected - slack..=expected + slack).contains(&distinct), "{of} {written}: {burst:#}");
    }
}

fn tags(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "begin");
    for id in 1..=12 {
        let route = if id < 12 { "%2Fposts%2F%3Cid%3E" } else { "%2Flast" };
        let sql = format!(
            "select title from post where id = {id} /*controller='shop''s',route='{route}',traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/"
        );
        execute(&mut client, &sql.replace("shop''s", "shop\\'s"));
    }
    execute(&mut client, "commit");
    holds(
        &only(&mut client),
        json!({"query": "select title from post where id = $1", "tags": {
            "controller": "shop's", "route": "/last", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        }}),
    );
    execute(&mut client, "select dbre.reset_n_plus_one_bursts(); begin");
    for id in 1..=12 {
        execute(&mut client, &format!("/* no tags, {id} */ select name from author where id = {id} -- {id}"));
    }
    execute(&mut client, "commit");
    holds(&only(&mut client), json!({"tags": null, "query": "select name from author where id = $1"}));
}

fn parent_of_each(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, &format!("begin; {LIST}"));
    for author in 1..=20 {
        execute(&mut client, &format!("select id, title from post where author_id = {author}"));
        execute(&mut client, &format!("select name from author where id = {author} and name > ''"));
        for post in 1..=3 {
            execute(&mut client, &format!("select title from post where id = {post}"));
        }
    }
    execute(&mut client, "commit");
    let parent = |of: &str| -> Vec<(String, i64)> {
        let bursts = bursts(&mut database.connect());
        let all = bursts.iter().filter(|burst| text(burst, "query").starts_with(of));
        all.map(|burst| (text(burst, "parent_query").to_string(), burst["executions"].as_i64().unwrap())).collect()
    };
    let (list, posts) =
        ("select id, name from author order by id limit $1", "select id, title from post where author_id = $1");
    assert_eq!(parent("select id, title"), [(list.to_string(), 20)]);
    assert_eq!(parent("select name"), [(list.to_string(), 20)]);
    assert_eq!(parent("select title"), [(posts.to_string(), 60)]);
    // A list of an hour ago, so to say, is no parent.
    execute(&mut client, "set dbre.n_plus_one_window = '20ms'");
    execute(&mut client, "select id from post limit 5");
    thread::sleep(Duration::from_millis(60));
    execute(&mut client, "begin");
    (1..=12).for_each(|id| execute(&mut client, &format!("select author_id from post where id = {id}")));
    execute(&mut client, "commit");
    assert_eq!(parent("select author_id"), [(String::new(), 12)]);
}

fn apart(database: &Database) {
    let mut client = database.connect();
    let role = format!("reader_of_{}", database.name);
    execute(&mut client, &format!("create role {role}; grant select on post to {role}"));
    for settings in ["set application_name = 'a'", "set application_name = 'b'", &format!("set role {role}")] {
        execute(&mut client, &format!("{settings}; begin"));
        lookups(&mut client, 12);
        execute(&mut client, "commit; reset role");
    }
    let of: Vec<_> =
        bursts(&mut client).iter().map(|b| format!("{} {}", text(b, "application_name"), text(b, "role"))).collect();
    assert_eq!(of.len(), 3, "{of:?}");
    assert!(of.contains(&"a postgres".to_string()) && of.contains(&format!("b {role}")), "{of:?}");
    execute(&mut client, &format!("revoke select on post from {role}; drop role {role}"));
    assert_eq!(bursts(&mut client).iter().filter(|burst| text(burst, "role").is_empty()).count(), 1);
}
