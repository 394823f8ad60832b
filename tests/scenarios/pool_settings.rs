//! What the server's own settings mean for what pool_pressure() says, and how a restart is counted.

use crate::pool_pressure::{busy, connect, has, only, pressure, server};
use crate::server::{alone, cluster_command, execute, program, run, shown, text, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("pool_settings::no_parallel_worker_left", parallel_workers),
        alone("pool_settings::of_the_command_line", command_line),
        alone("pool_settings::of_the_server_and_not_of_the_caller", of_the_server),
    ]
}

/// A server as it comes: the launcher of logical replication takes one of eight worker processes.
fn parallel_workers() {
    let database = server(&[]);
    let mut client = database.connect();
    let report = |number: u32| {
        let mut session = connect(&database, "postgres", "report");
        execute(&mut session, "set debug_parallel_query = on");
        busy(session, "select pg_sleep(600)");
        let sql = "select count(*) from pg_stat_activity where backend_type = 'parallel worker'";
        wait_until("its worker runs", || value::<i64>(&mut database.connect(), sql) == i64::from(number.min(7)));
    };
    (1..=6).for_each(report);
    assert!(!has(&pressure(&mut client, "").0, "parallel_workers_exhausted"), "one is left");
    (7..=8).for_each(report);
    let findings = pressure(&mut client, "").0;
    let finding = only(&findings, "parallel_workers_exhausted");
    assert_eq!(finding["object"], "max_worker_processes", "{finding:#}");
    assert!(text(finding, "summary").starts_with("7 parallel workers of the 7 that may"), "{finding:#}");
    assert!(text(finding, "app_fix").contains("a larger max_worker_processes"), "{finding:#}");
}

/// What the postmaster is started with, as containers do, counts for whoever has nothing of its own; and how sessions that a restart
/// ends are counted.
fn command_line() {
    let database = server(&[]);
    let mut client = database.connect();
    execute(
        &mut client,
        "create role web login; create role dba superuser login; alter role dba set statement_timeout = 0;
         create role mon login in role pg_monitor; alter role mon set statement_timeout = '5s';
         select dbre.configure_rule('sessions_lost', options => '{\"min_sessions\": 1}')",
    );
    let lost: Vec<Client> = (0..5).map(|_| connect(&database, "web", "api")).collect();
    let mut restart = cluster_command();
    let data = database.server.folder.join("data");
    restart.arg("run").arg(program("pg_ctl")).args(["-w", "-s", "-m", "fast", "restart", "-D"]).arg(data);
    restart.arg("-l").arg(database.server.folder.join("server.log"));
    run(restart.args(["-o", "-c statement_timeout=60s -c deadlock_timeout=2s"]), "");
    drop((client, lost));

    let missing = |role: &str| {
        let (findings, _) = pressure(&mut connect(&database, role, "psql"), "");
        let of_web = findings.iter().find(|f| f["rule"] == "timeouts_not_set" && f["object"] == "role web");
        (of_web.map(|finding| finding["evidence"]["missing"].to_string()), findings)
    };
    let _web = connect(&database, "web", "api");
    let rest = Some(r#"["idle_in_transaction_session_timeout","lock_timeout"]"#.to_string());
    let (seen, findings) = missing("dba");
    assert_eq!(seen, rest, "its own 0 is not the server's");
    assert!(!has(&findings, "activity_not_read"), "{}", shown(&findings));
    let killed = only(&findings, "sessions_lost");
    assert!(killed["evidence"]["sessions_killed"].as_i64() >= Some(5), "{killed:#}");
    assert!(text(killed, "cause").contains("the server's shutdown"), "{killed:#}");
    let (seen, findings) = missing("mon");
    assert_eq!(seen, rest, "what is not known is not missing");
    let hidden = only(&findings, "activity_not_read");
    assert_eq!(
        (&hidden["severity"], &hidden["object"]),
        (&"low".into(), &"timeouts of the server".into()),
        "{hidden:#}"
    );
    assert_eq!(hidden["evidence"]["hidden"].to_string(), r#"["statement_timeout"]"#, "{hidden:#}");
}

/// What the caller has for itself says nothing of others; connections that are reserved for members of a role are reserved for superusers too.
fn of_the_server() {
    let database = server(&["superuser_reserved_connections = 0", "reserved_connections = 2"]);
    let mut client = database.connect();
    let mut session = connect(&database, "postgres", "report");
    execute(&mut session, "set debug_parallel_query = on");
    busy(session, "select pg_sleep(600)");
    let worker = "select count(*) from pg_stat_activity where backend_type = 'parallel worker'";
    wait_until("its worker runs", || value::<i64>(&mut client, worker) == 1);
    execute(&mut client, "set max_parallel_workers = 1");
    let findings = pressure(&mut client, "").0;
    assert!(!has(&findings, "parallel_workers_exhausted"), "{}", shown(&findings));
    execute(&mut client, "create role mon superuser login; alter role mon set max_parallel_workers = 1");
    let findings = pressure(&mut connect(&database, "mon", "looks"), "").0;
    assert!(!has(&findings, "parallel_workers_exhausted"), "{}", shown(&findings));
    assert!(!has(&findings, "no_reserved_connections"), "{}", shown(&findings));
}
