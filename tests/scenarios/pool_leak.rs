//! A leak in a real SQLAlchemy pool: the application times out while the server has slots.

use crate::pool_pressure::{busy, connect, has, only, pressure, server, waiting};
use crate::server::{alone, execute, query, shown, text, value, wait_until};
use crate::workload_clients::python;
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("pool_leak::in_a_sqlalchemy_pool", leak),
        alone("pool_leak::after_generated_names", generated_names),
        alone("pool_leak::of_a_foreign_server", of_a_foreign_server),
    ]
}

fn leak() {
    let database = server(&["max_connections = 40"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table article (id int primary key, price int); create table stock (id int primary key, n int);
         insert into article values (1, 1); insert into stock values (1, 1); create role shop login;
         grant select, insert on article, stock to shop",
    );
    let mut command = python(&database, "leaking.py");
    command.env("PGUSER", "shop").env("PGAPPNAME", "shop api").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut application = command.spawn().expect("python3");
    let mut said = BufReader::new(application.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("9 leaked, 5 refused by the pool"), "{line}");

    // Nobody has been away for a minute yet.
    let (young, _) = pressure(&mut client, "");
    assert!(!has(&young, "transaction_leaked"), "{}", shown(&young));
    for rule in ["transaction_leaked", "failed_transaction_left_open"] {
        query(&mut client, &format!("select dbre.configure_rule('{rule}', options => '{{\"min_seconds\": 0}}')"));
    }
    let (findings, pools) = pressure(&mut client, "");
    let leaked = only(&findings, "transaction_leaked");
    let told = leaked.to_string();
    assert!(told.contains("select price from article where id = $1"), "the likely place: {leaked:#}");
    assert!(text(leaked, "summary").starts_with("7 sessions"), "how many: {leaked:#}");
    assert!(leaked["severity"] == "high" || leaked["severity"] == "critical", "{leaked:#}");
    assert!(text(leaked, "app_fix").contains("with Session("), "{leaked:#}");
    let failed = only(&findings, "failed_transaction_left_open");
    assert!(failed.to_string().contains("insert into article"), "{failed:#}");
    let pool = pools.iter().find(|pool| pool["application_name"] == "shop api").unwrap();
    let numbers =
        ["connections", "active", "idle", "idle_in_transaction", "aborted"].map(|column| pool[column].as_i64());
    assert_eq!(numbers, [10, 0, 1, 7, 2].map(Some), "{pool:#}");
    assert!(!has(&findings, "connection_slots_saturated"), "{}", shown(&findings));

    for finding in [leaked, failed] {
        execute(&mut client, text(finding, "fix_sql"));
    }
    let left = "select count(*) from pg_stat_get_activity(null) where application_name = 'shop api'";
    wait_until("what leaked is gone, and nothing else", || value::<i64>(&mut client, left) == 1);
    assert!(!has(&pressure(&mut client, "").0, "transaction_leaked"));
    drop(application.stdin.take());
    line.clear();
    said.read_to_string(&mut line).unwrap();
    assert_eq!(line.trim(), "3 answered", "the application works again");
    assert!(application.wait().unwrap().success());
}

/// As Django leaves them after a nested atomic(), and while it reads with .iterator(): savepoints and cursors are named by thread.
fn generated_names() {
    let database = server(&["max_connections = 60"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role django login; select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}')",
    );
    let leaking = |first: u32| -> Vec<Client> {
        let leak = |number: u32| {
            let mut nested = connect(&database, "django", "web");
            execute(&mut nested, &format!("begin; savepoint \"s{number}_x1\""));
            execute(&mut nested, &format!("RELEASE SAVEPOINT \"s{number}_x1\""));
            let cursor = format!("\"_django_curs_{number}_sync_1\"");
            let mut reads = connect(&database, "django", "web");
            execute(&mut reads, &format!("begin; declare {cursor} no scroll cursor for select 1"));
            execute(&mut reads, &format!("FETCH 2000 FROM {cursor}"));
            [nested, reads]
        };
        (first..first + 12).flat_map(leak).collect()
    };
    let mut leaks = |first| -> Vec<Value> {
        let open = leaking(first);
        let mut findings = pressure(&mut client, "").0;
        drop(open);
        wait_until("they are gone", || {
            value::<i64>(&mut client, "select count(*) from pg_stat_activity where application_name = 'web'") == 0
        });
        findings.retain(|finding| finding["rule"] == "transaction_leaked");
        findings.sort_by_key(|finding| text(finding, "object").to_string());
        findings
    };
    let (found, again) = (leaks(14_012_300), leaks(15_000_000));
    let objects: Vec<&str> = found.iter().map(|finding| text(finding, "object")).collect();
    let expected =
        ["FETCH ? FROM ?", "RELEASE SAVEPOINT ?"].map(|last| format!("\"web\" as django in pool, after {last}"));
    assert_eq!(objects, expected, "{}", shown(&found));
    for (finding, later) in found.iter().zip(&again) {
        assert_eq!(
            (&finding["severity"], &finding["evidence"]["sessions"]),
            (&"critical".into(), &12.into()),
            "{finding:#}"
        );
        assert!(text(finding, "cause").contains("not itself the place"), "{finding:#}");
        assert_eq!(finding["fingerprint"], later["fingerprint"], "{later:#}");
    }
}

/// A session of postgres_fdw is idle in a transaction while the query that owns it computes.
fn of_a_foreign_server() {
    let database = server(&[]);
    let mut client = database.connect();
    execute(
        &mut client,
        &format!(
            "create extension postgres_fdw; create table remote (id int); insert into remote values (1);
             create server there foreign data wrapper postgres_fdw options (host '{}', port '5432', dbname 'pool');
             create user mapping for postgres server there options (user 'postgres', password_required 'false');
             create foreign table foreign_one (id int) server there options (table_name 'remote');
             select dbre.configure_rule('transaction_leaked', options => '{{\"min_seconds\": 0}}')",
            database.server.folder.display()
        ),
    );
    busy(connect(&database, "postgres", "report"), "begin; select * from foreign_one; select pg_sleep(600)");
    let idle = "select count(*) from pg_stat_get_activity(null) where application_name = 'postgres_fdw'
        and state = 'idle in transaction'";
    wait_until("the query computes", || value::<i64>(&mut client, idle) == 1);
    let told = |findings: &[Value]| -> Value { only(findings, "transaction_leaked").clone() };
    let leaked = told(&pressure(&mut client, "").0);
    assert_eq!((&leaked["severity"], &leaked["fix_sql"]), (&"low".into(), &Value::Null), "{leaked:#}");
    assert!(text(&leaked, "cause").contains("on the server that connects"), "{leaked:#}");
    assert!(!text(&leaked, "app_fix").contains("idle_in_transaction_session_timeout"), "{leaked:#}");
    busy(connect(&database, "postgres", "migration"), "alter table remote add n int");
    waiting(&mut client, 1);
    let blocking = told(&pressure(&mut client, "").0);
    assert_eq!((&blocking["severity"], &blocking["fix_sql"]), (&"medium".into(), &Value::Null), "{blocking:#}");
}
