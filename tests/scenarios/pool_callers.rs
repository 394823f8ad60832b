//! The live server as different callers see it, where nothing is wrong, and on a standby.

use crate::pool_faults::CALLS;
use crate::pool_pressure::{busy, connect, has, only, pressure, server, try_connect, waiting};
use crate::server::{Database, Server, alone, execute, query, refused, run, shown, text, value, wait_until};
use crate::standby::standby_of;
use libtest_mimic::Trial;
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("pool_callers::a_healthy_server", healthy),
        alone("pool_callers::roles_without_rights", without_rights),
        alone("pool_callers::on_a_standby", on_a_standby),
        alone("pool_callers::a_database_in_latin1", in_latin1),
        alone("pool_callers::clients_that_log_in", logging_in),
        alone("pool_callers::hidden_workers", hidden_workers),
    ]
}

/// Half of its slots in use by an application that does what it should.
fn healthy() {
    let database = server(&["max_connections = 40", "max_wal_size = '1GB'"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create extension pg_stat_statements; create role api login;
         alter role api set statement_timeout = '30s'; alter role api set lock_timeout = '5s';
         alter role api set idle_in_transaction_session_timeout = '60s'; alter role api set transaction_timeout = '5min';
         grant create on schema public to api",
    );
    let bench = |arguments: &[&str]| {
        let mut command = database.server.client("pgbench");
        command.args(arguments).args(["-n", "-U", "api"]).arg(&database.name).env("PGAPPNAME", "api");
        command
    };
    run(&mut bench(&["-i", "-q", "-s", "2"]), "");
    // Without the updates for which they would queue behind one that the machine keeps waiting.
    let mut load = bench(&["-c", "16", "-R", "150", "-T", "120", "-M", "prepared", "-N"]).spawn().expect("pgbench");
    let connected = "select count(*) from pg_stat_activity where application_name = 'api'";
    wait_until("all are connected", || value::<i64>(&mut client, connected) == 16);
    thread::sleep(Duration::from_millis(500));
    for _ in 0..10 {
        let (findings, pools) = pressure(&mut client, "");
        let urgent: Vec<Value> = findings.into_iter().filter(|finding| finding["severity"] != "low").collect();
        assert!(urgent.is_empty(), "{}", shown(&urgent));
        assert!(
            pools.iter().any(|pool| pool["application_name"] == "api" && pool["connections"] == 16),
            "{}",
            shown(&pools)
        );
        thread::sleep(Duration::from_millis(200));
    }
    load.kill().unwrap();
    load.wait().unwrap();
}

fn without_rights() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table t (id int primary key, secret text); insert into t values (1, 'x');
         create role app login; grant all on t to app;
         create role watch login in role pg_monitor; create role nobody login; grant usage on schema dbre to nobody;
         grant execute on all functions in schema dbre to nobody; grant select on all tables in schema dbre to nobody;
         select dbre.configure_rule('sessions_blocked', options => '{\"min_seconds\": 0}')",
    );
    let mut holder = connect(&database, "app", "api");
    execute(&mut holder, "begin; update t set secret = 'hunter2'");
    busy(connect(&database, "app", "api"), "update t set secret = 'hunter3'");
    waiting(&mut client, 1);
    for role in ["watch", "nobody"] {
        let mut caller = connect(&database, role, "looks");
        for call in CALLS {
            let rows: Vec<Value> =
                query(&mut caller, &format!("select to_jsonb(c) from {call} c")).iter().map(|row| row.get(0)).collect();
            if role == "nobody" {
                assert!(!shown(&rows).contains("hunter"), "{call} shows a statement of another role: {}", shown(&rows));
            }
        }
        let (findings, pools) = pressure(&mut caller, "");
        let app = pools.iter().find(|pool| pool["user_name"] == "app").unwrap_or_else(|| panic!("{}", shown(&pools)));
        assert_eq!(app["connections"], 2, "{app:#}");
        if role == "nobody" {
            // Their state is hidden: unknown is not idle, and not none.
            for column in ["active", "idle", "idle_in_transaction", "aborted", "waiting", "wait_events"] {
                assert!(app[column].is_null(), "{column} of {app:#}");
            }
            assert_eq!(app["evidence"]["unknown"], 2, "{app:#}");
        } else {
            let blocked = only(&findings, "sessions_blocked");
            assert!(blocked.to_string().contains("hunter2"), "{blocked:#}");
        }
    }
    let mut stranger = connect(&database, "app", "looks");
    for call in CALLS {
        assert_eq!(refused(&mut stranger, &format!("select * from {call}")).code().code(), "42501", "{call}");
    }
}

fn on_a_standby() {
    let primary = Server::start(&[]);
    execute(
        &mut primary.connect("postgres", "postgres"),
        "create extension pg_dbre; create table t (id int); create role app login; grant select on t to app",
    );
    let standby = standby_of(&primary);
    let mut client = standby.connect("postgres", "postgres");
    let mut reader = standby.connect("postgres", "app");
    execute(&mut reader, "begin; select * from t");
    for begin in ["begin", "begin isolation level repeatable read read only"] {
        execute(&mut client, begin);
        CALLS.iter().for_each(|call| drop(query(&mut client, &format!("select * from {call}"))));
        execute(&mut client, "commit");
    }
    let pools = pressure(&mut client, "").1;
    assert!(
        pools.iter().any(|pool| pool["user_name"] == "app" && pool["idle_in_transaction"] == 1),
        "{}",
        shown(&pools)
    );
}

/// Its texts are in its own encoding.
fn in_latin1() {
    let database = server(&[]);
    let mut client = database.connect();
    execute(&mut client, "create database latin1 encoding latin1 template template0 locale 'C'");
    execute(&mut client, "select dbre.configure_rule('transaction_leaked', options => '{\"min_seconds\": 0}')");
    let mut there = database.server.connect("latin1", "postgres");
    execute(&mut there, "begin; select 'café'");
    let (findings, _) = pressure(&mut client, "");
    let leaked = only(&findings, "transaction_leaked");
    assert!(text(&leaked["evidence"], "last_query").contains("'caf\u{fffd}'"), "{leaked:#}");
    for call in CALLS {
        query(&mut client, &format!("select to_jsonb(c) from {call} c"));
    }
}

/// Clients that have connected and say nothing more hold a connection each, which pg_stat_activity does not show.
fn logging_in() {
    let database = server(&["max_connections = 30", "authentication_timeout = '10min'"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role web login; create role plain login; grant usage on schema dbre to plain;
         grant execute on all functions in schema dbre to plain; grant select on all tables in schema dbre to plain",
    );
    let file = database.server.folder.join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("local all slow scram-sha-256\n{rules}")).unwrap();
    execute(&mut client, "select pg_reload_conf()");
    let mut plain = connect(&database, "plain", "looks");
    let loaded = "select count(*) from pg_hba_file_rules where user_name = '{slow}' and error is null";
    assert_eq!(value::<i64>(&mut client, loaded), 1);
    let hanging: Vec<UnixStream> = (0..25).map(|_| asked_for_password(&database)).collect();
    // Three are reserved, two are the callers'.
    wait_until("no connection is left", || {
        let refused = try_connect(&database, "web", "api").err().and_then(|error| error.code().cloned());
        refused.is_some_and(|code| code.code() == "53300")
    });
    for caller in [&mut client, &mut plain] {
        let full = wait_for(caller, |finding| finding["evidence"]["taken"] == 27);
        assert_eq!((&full["severity"], &full["evidence"]["limit"]), (&"critical".into(), &27.into()), "{full:#}");
        assert_eq!(full["evidence"]["logging_in"], 25, "{full:#}");
        assert!(text(&full, "cause").contains("25 connections are still logging in"), "{full:#}");
        let verify = text(&full, "verify_sql");
        assert!(!value::<bool>(caller, verify.trim_end_matches(';')), "{full:#}");
    }
    drop(hanging);
    wait_until("they are gone", || !has(&pressure(&mut client, "").0, "connection_slots_saturated"));
}

/// A session that has ended may hold its slot for a moment.
fn wait_for(client: &mut postgres::Client, holds: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    wait_until("the slots are counted", || {
        let (findings, _) = pressure(client, "");
        let full = findings.into_iter().find(|finding| finding["rule"] == "connection_slots_saturated");
        found = full.unwrap_or_default();
        holds(&found)
    });
    found
}

/// A client that the server has asked for its password.
fn asked_for_password(database: &Database) -> UnixStream {
    let mut socket = UnixStream::connect(database.server.folder.join(".s.PGSQL.5432")).unwrap();
    let parameters = format!("user\0slow\0database\0{}\0\0", database.name);
    let length = (8 + parameters.len()) as i32;
    let version: i32 = 3 << 16;
    socket.write_all(&[&length.to_be_bytes(), &version.to_be_bytes(), parameters.as_bytes()].concat()).unwrap();
    let mut asked = [0];
    socket.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"R");
    socket
}

/// Workers of a query whose state is hidden are no connections.
fn hidden_workers() {
    let database = server(&["max_connections = 30"]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role app login; create role nobody login; grant usage on schema dbre to nobody;
         grant execute on all functions in schema dbre to nobody; grant select on all tables in schema dbre to nobody",
    );
    let mut report = connect(&database, "app", "report");
    execute(&mut report, "set debug_parallel_query = on");
    busy(report, "select pg_sleep(600)");
    let worker = "select count(*) from pg_stat_activity where backend_type = 'parallel worker'";
    wait_until("its worker runs", || value::<i64>(&mut client, worker) == 1);
    let mut nobody = connect(&database, "nobody", "looks");
    let pools = pressure(&mut nobody, "").1;
    let app = pools.iter().find(|pool| pool["user_name"] == "app").unwrap_or_else(|| panic!("{}", shown(&pools)));
    assert_eq!(app["connections"], 1, "{app:#}");
}
