//! pg_stat_statements on servers that have it not, or too small.

use crate::server::{Database, Server, cluster_command, execute, program, query, refused, run, shown, text, value};
use crate::statement_statistics::{findings, noted, only, rules, times};
use libtest_mimic::Trial;
use std::sync::Arc;

pub fn trials() -> Vec<Trial> {
    let trial = |name: &str, body: fn()| {
        Trial::test(format!("statement_servers::{name}"), move || {
            body();
            Ok(())
        })
    };
    vec![trial("not_preloaded", not_preloaded), trial("at_the_entry_limit", at_the_limit)]
}

/// A server's own, with what it must not have.
fn server_of_its_own(settings: &[&str]) -> (Arc<Server>, Database) {
    let server = Arc::new(Server::start(settings));
    let database = Database::create(&server);
    (server, database)
}

fn restart(server: &Server, options: &str) {
    let data = server.folder.join("data");
    let mut command = cluster_command();
    command.args(["run", program("pg_ctl").to_str().unwrap(), "-D"]).arg(&data);
    command.arg("-l").arg(server.folder.join("server.log")).args(["-w", "-s", "-m", "fast", "-o", options, "restart"]);
    run(&mut command, "");
}

fn not_preloaded() {
    let (server, database) = server_of_its_own(&["shared_preload_libraries = 'auto_explain'"]);
    let mut client = database.connect();
    let found = findings(&mut client, "");
    let finding = only(&found, "statements_not_tracked");
    let fix = text(finding, "fix_sql").to_string();
    assert!(fix.contains("'auto_explain', 'pg_stat_statements'") && fix.contains("create extension"), "{fix}");
    execute(&mut client, "create extension pg_stat_statements");
    assert!(noted(&mut client).0.is_some_and(|note| note.contains("shared_preload_libraries")));
    assert_eq!(refused(&mut client, "select dbre.snapshot_workload()").code().code(), "55000");
    // A role that may not read the settings gets no statement that would drop what is preloaded.
    execute(
        &mut client,
        "create role weak login; grant usage on schema dbre to weak; grant select on all tables in schema dbre to weak;
        grant execute on all functions in schema dbre to weak; grant usage on type dbre.severity, dbre.advice to weak",
    );
    let found = findings(&mut database.connect_as("weak"), "");
    let of_weak = only(&found, "statements_not_tracked");
    assert!(of_weak["fix_sql"].is_null() && text(of_weak, "cause").contains("hidden from you"), "{of_weak:#}");
    execute(&mut client, "drop extension pg_stat_statements");
    database.psql(&fix);
    let again = findings(&mut client, "");
    assert!(text(only(&again, "statements_not_tracked"), "cause").contains("not restarted since"), "{}", shown(&again));
    drop(client);
    // A setting of the command line is not changed by a file.
    restart(&server, "-c shared_preload_libraries=auto_explain");
    let found = findings(&mut database.connect(), "");
    let given = only(&found, "statements_not_tracked");
    assert!(given["fix_sql"].is_null() && text(given, "cause").contains("command line"), "{given:#}");
    restart(&server, "");
    let mut client = database.connect();
    assert_eq!(value::<String>(&mut client, "show shared_preload_libraries"), "auto_explain, pg_stat_statements");
    query(&mut client, "select 1");
    let found = findings(&mut client, "");
    assert!(!rules(&found).contains(&"statements_not_tracked"), "{}", shown(&found));
    let (note, queries) = noted(&mut client);
    assert!(note.is_none() && queries > 0);
}

fn at_the_limit() {
    let (server, database) = server_of_its_own(&["pg_stat_statements.max = 100"]);
    let mut client = database.connect();
    execute(&mut client, "create extension pg_stat_statements; select pg_stat_statements_reset()");
    for number in 0..400 {
        times(&mut client, 2, &format!("select {}1", "1, ".repeat(number)));
    }
    let found = findings(&mut client, "");
    let evicted = only(&found, "statement_entries_evicted");
    let evidence = &evicted["evidence"];
    let gone = evidence["entries_evicted_estimated"].as_f64().unwrap();
    assert!((250.0..=450.0).contains(&gone), "{evicted:#}");
    assert!(evidence["deallocations"].as_f64() >= Some(20.0) && evidence["max_entries"] == 100, "{evicted:#}");
    assert_eq!(text(evicted, "severity"), "medium");
    assert_eq!(text(evicted, "fix_sql"), "alter system set pg_stat_statements.max = 10000;");
    assert!(noted(&mut client).0.is_some_and(|note| note.contains("evicted")));
    database.psql(text(evicted, "fix_sql"));
    drop(client);
    restart(&server, "");
    let mut client = database.connect();
    query(&mut client, "select pg_stat_statements_reset()");
    for number in 0..200 {
        query(&mut client, &format!("select {}1", "1, ".repeat(number)));
    }
    let found = findings(&mut client, "");
    assert!(!rules(&found).contains(&"statement_entries_evicted"), "{}", shown(&found));
    // Texts that are called once fill any room: more of it is no fix.
    execute(
        &mut client,
        "select dbre.configure_rule('statement_entries_evicted', options => '{\"nearly_full\": 0.001}')",
    );
    let found = findings(&mut client, "");
    let nearly = only(&found, "statement_entries_evicted");
    assert!(nearly["fix_sql"].is_null() && text(nearly, "cause").contains("called once"), "{nearly:#}");
}
