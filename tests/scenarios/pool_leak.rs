//! A leak in a real SQLAlchemy pool: the application times out while the server has slots.

use crate::pool_pressure::{alone, has, only, pressure, server};
use crate::server::{execute, query, shown, text, value, wait_until};
use crate::workload_clients::python;
use libtest_mimic::Trial;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

pub fn trials() -> Vec<Trial> {
    vec![alone("pool_leak::in_a_sqlalchemy_pool", leak)]
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
    assert!(text(leaked, "summary").contains('7'), "how many: {leaked:#}");
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
