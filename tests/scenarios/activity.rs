//! dbre.sample_activity(): shares that are known beforehand, and whatever may happen in the middle.

use crate::server::{Database, Server, execute, query, refused, shown, text, trial, until_alone, value, wait_until};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "activity::shares", shares),
        trial(server, "activity::peaks_and_means", peaks),
        trial(server, "activity::waits_for_locks", locks),
        trial(server, "activity::cancelled", cancelled),
        trial(server, "activity::the_callers_picture_stays", picture),
        trial(server, "activity::missed_samples", missed),
        trial(server, "activity::privileges", privileges),
        trial(server, "activity::locked_catalog", locked_catalog),
        trial(server, "activity::arguments", arguments),
    ]
}

/// A client that runs `sql`, whatever becomes of it.
pub fn running(mut client: Client, sql: &str) -> JoinHandle<()> {
    let sql = sql.to_string();
    thread::spawn(move || drop(client.batch_execute(&sql)))
}

/// A new client with this application_name.
pub fn named(database: &Database, application: &str) -> Client {
    let mut client = database.connect();
    query_with(&mut client, "select set_config('application_name', $1, false)", application);
    client
}

fn query_with(client: &mut Client, sql: &str, argument: &str) {
    client.query(sql, &[&argument]).unwrap();
}

fn sampled(client: &mut Client, database: &Database, arguments: &str) -> Vec<Value> {
    let sql = format!(
        "select to_jsonb(s) from dbre.sample_activity({arguments}, target_database => '{}') s",
        database.name.replace('\'', "''")
    );
    query(client, &sql).iter().map(|row| row.get(0)).collect()
}

#[track_caller]
fn the<'a>(rows: &'a [Value], breakdown: &str, column: &str, wanted: &str) -> &'a Value {
    let mut found =
        rows.iter().filter(|row| row["breakdown"] == breakdown && row[column].as_str().unwrap_or("") == wanted);
    let (first, second) = (found.next(), found.next());
    assert!(first.is_some() && second.is_none(), "one {breakdown} with {column} {wanted:?} of\n{}", shown(rows));
    first.unwrap()
}

fn active(client: &mut Client, database: &Database, wait: &str, number: i64) {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and wait_event = '{wait}' and state = 'active'",
        database.name
    );
    wait_until(wait, || value::<i64>(client, &sql) == number);
}

fn until_sampling(client: &mut Client, pid: i32) {
    let samples = format!("select coalesce(wait_event = 'Extension', false) from pg_stat_activity where pid = {pid}");
    wait_until("it samples", || value(client, &samples));
}

/// Those who sleep, and their threads.
fn end(client: &mut Client, sessions: impl IntoIterator<Item = JoinHandle<()>>) {
    query(
        client,
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and state = 'active' and pid <> pg_backend_pid()",
    );
    for session in sessions {
        session.join().unwrap();
    }
}

fn shares(database: &Database) {
    let mut client = database.connect();
    until_alone(&mut client);
    let applications = ["", "it's \"quoted\"", "job: nightly, 1", "job: nightly, 1"];
    let running: Vec<_> =
        applications.iter().map(|name| running(named(database, name), "select pg_sleep(600)")).collect();
    let mut open = named(database, "open");
    execute(&mut open, "begin; select 1");
    let _idle = named(database, "idle");
    active(&mut client, database, "PgSleep", 4);
    let rows = sampled(&mut client, database, "'500 ms', '10 ms'");
    let all = &rows[0];
    assert_eq!(all["breakdown"], "all", "{}", shown(&rows));
    for (column, number) in [("most_sessions", 6), ("most_in_use", 5), ("most_active", 4)] {
        assert_eq!(all[column], number, "{column} of\n{}", shown(&rows));
        assert_eq!(all[column.replace("most", "mean")].as_f64(), Some(f64::from(number)), "{}", shown(&rows));
    }
    let taken = all["samples"].as_i64().unwrap() + all["samples_missed"].as_i64().unwrap();
    assert_eq!(taken, 50, "each of the samples was taken or missed");
    assert!((0.0..5000.0).contains(&all["sampling_ms"].as_f64().unwrap()), "{all:#}");
    assert_eq!(the(&rows, "pool", "application_name", "job: nightly, 1")["mean_active"], 2);
    assert_eq!(the(&rows, "pool", "application_name", "job: nightly, 1")["share_of_active"], 0.5);
    assert_eq!(the(&rows, "pool", "application_name", "it's \"quoted\"")["share_of_active"], 0.25);
    assert_eq!(the(&rows, "pool", "application_name", "")["most_in_use"], 1);
    assert_eq!(the(&rows, "pool", "application_name", "open")["most_in_use"], 1);
    assert_eq!(the(&rows, "pool", "application_name", "open")["most_active"], 0);
    assert_eq!(the(&rows, "pool", "application_name", "idle")["most_in_use"], 0);
    assert_eq!(the(&rows, "state", "application_name", "open")["state"], "idle in transaction");
    assert_eq!(the(&rows, "state", "application_name", "idle")["wait_event"], "ClientRead");
    let sleeping = the(&rows, "wait", "wait_event", "PgSleep");
    assert_eq!((&sleeping["mean_sessions"], &sleeping["share_of_active"]), (&4.into(), &1.into()));
    assert!(!text(sleeping, "meaning").is_empty(), "{sleeping:#}");
    let statement = the(&rows, "statement", "wait_event", "PgSleep");
    assert_eq!(text(statement, "query"), "select pg_sleep(600)");
    assert!(statement["query_id"].is_i64(), "{statement:#}");
    end(&mut client, running);
}

/// Two pools that are never in use at the same time.
fn peaks(database: &Database) {
    let mut client = database.connect();
    until_alone(&mut client);
    let one = named(database, "one");
    let mut two = named(database, "two");
    execute(
        &mut two,
        "create procedure by_turns(first bool) language plpgsql as $$ begin
        for turn in 1..400 loop
            if first then perform pg_sleep(0.1); end if;
            perform pg_advisory_lock(1); perform pg_sleep(0.15); perform pg_advisory_unlock(1);
            if not first then perform pg_sleep(0.1); end if;
        end loop; end $$",
    );
    let sessions = [running(one, "call by_turns(false)"), running(two, "call by_turns(true)")];
    let both = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
                and query like 'call by_turns%'";
    wait_until("both run", || value::<i64>(&mut client, both) == 2);
    let rows = sampled(&mut client, database, "'3 s', '10 ms'");
    // Both are active; what they do differs in time: their states' peaks add up to more than the pool's own.
    for name in ["one", "two"] {
        let states = rows.iter().filter(|row| row["breakdown"] == "state" && row["application_name"] == name);
        let (peaks, sums) = states.fold((0, 0.0), |(peaks, sums), row| {
            (peaks + row["most_sessions"].as_i64().unwrap(), sums + row["mean_sessions"].as_f64().unwrap())
        });
        let pool = the(&rows, "pool", "application_name", name);
        assert_eq!(pool["most_sessions"], 1, "{}", shown(&rows));
        assert!(peaks >= 2, "{}", shown(&rows));
        assert!((sums - pool["mean_sessions"].as_f64().unwrap()).abs() < 0.01, "means add up: {}", shown(&rows));
    }
    assert_eq!(rows[0]["most_sessions"], 2);
    let waiting = the(&rows, "wait", "wait_event", "advisory");
    assert!((0.01..1.0).contains(&waiting["mean_active"].as_f64().unwrap()), "{}", shown(&rows));
    end(&mut client, sessions);
}

fn locks(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "create table wanted (id int)");
    let mut holder = database.connect();
    execute(&mut holder, "begin; lock table wanted");
    let waiting: Vec<_> = (0..3).map(|_| running(named(database, "waits"), "select count(*) from wanted")).collect();
    active(&mut client, database, "relation", 3);
    let rows = sampled(&mut client, database, "'200 ms', '10 ms'");
    let lock = the(&rows, "wait", "wait_event", "relation");
    assert_eq!((text(lock, "wait_event_type"), &lock["mean_active"]), ("Lock", &3.into()));
    // They have no id yet: the lock is wanted before the statement is analyzed.
    let statement = the(&rows, "statement", "wait_event", "relation");
    assert_eq!((text(statement, "query"), &statement["most_active"]), ("select count(*) from wanted", &3.into()));
    assert!(statement["query_id"].is_null());
    execute(&mut holder, "rollback");
    for session in waiting {
        session.join().unwrap();
    }
}

fn cancelled(database: &Database) {
    let mut client = database.connect();
    let begun = Instant::now();
    execute(&mut client, "set statement_timeout = '200ms'");
    assert_eq!(refused(&mut client, "select dbre.sample_activity('1 h', '1 min')").code().code(), "57014");
    execute(&mut client, "reset statement_timeout");
    let pid = value::<i32>(&mut client, "select pg_backend_pid()");
    let mut other = database.connect();
    let sampling =
        thread::spawn(move || refused(&mut client, "select dbre.sample_activity('1 h')").code().code().to_string());
    until_sampling(&mut other, pid);
    execute(&mut other, &format!("select pg_cancel_backend({pid})"));
    assert_eq!(sampling.join().unwrap(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// pg_stat_activity shows a transaction the same sessions from its first look to its end.
fn picture(database: &Database) {
    let mut client = database.connect();
    let count = format!("select count(*) from pg_stat_activity where datname = '{}'", database.name);
    wait_until("nobody else is here", || value::<i64>(&mut client, &count) == 1);
    execute(&mut client, "begin read only");
    assert_eq!(value::<i64>(&mut client, &count), 1);
    let _others: Vec<_> = (0..3).map(|_| database.connect()).collect();
    let rows = sampled(&mut client, database, "'50 ms', '10 ms'");
    assert_eq!(rows[0]["most_sessions"], 3);
    assert_eq!(value::<i64>(&mut client, &count), 1);
    execute(&mut client, "commit");
    assert_eq!(value::<i64>(&mut client, &count), 4);
}

fn missed(database: &Database) {
    let mut client = database.connect();
    let pid = value::<i32>(&mut client, "select pg_backend_pid()");
    let mut other = database.connect();
    let stand_still = thread::spawn(move || {
        until_sampling(&mut other, pid);
        let signal =
            |name: &str| assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
        signal("-STOP");
        thread::sleep(Duration::from_millis(600));
        signal("-CONT");
    });
    let rows = sampled(&mut client, database, "'3 s', '10 ms'");
    stand_still.join().unwrap();
    let (taken, missed) = (rows[0]["samples"].as_i64().unwrap(), rows[0]["samples_missed"].as_i64().unwrap());
    assert_eq!(taken + missed, 300, "{}", shown(&rows));
    assert!(missed >= 50, "{}", shown(&rows));
}

fn privileges(database: &Database) {
    let mut client = database.connect();
    let role = |purpose: &str| format!("{}_{purpose}", database.name);
    let (plain, monitor) = (role("\"plain\" ü"), role("monitor"));
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    execute(
        &mut client,
        &format!(
            "create role {plain} login; create role {monitor} login in role pg_monitor;
             grant usage on schema dbre to {plain};
             grant execute on all functions in schema dbre to {plain}",
            plain = quoted(&plain),
            monitor = quoted(&monitor)
        ),
    );
    let mut own = database.connect_as(&plain);
    execute(&mut own, "set application_name = 'mine'");
    let own = running(own, "select pg_sleep(600)");
    let other = running(named(database, "theirs"), "select pg_sleep(600)");
    active(&mut client, database, "PgSleep", 2);
    let rows = sampled(&mut database.connect_as(&plain), database, "'100 ms', '10 ms'");
    let mine = the(&rows, "pool", "application_name", "mine");
    assert_eq!((text(mine, "user_name"), &mine["mean_active"]), (plain.as_str(), &1.into()));
    let theirs = the(&rows, "pool", "application_name", "theirs");
    assert_eq!((&theirs["mean_sessions"], &theirs["mean_in_use"]), (&1.into(), &Value::Null));
    assert!(the(&rows, "state", "application_name", "theirs")["wait_event"].is_null());
    assert!(rows[0]["most_active"].is_null(), "{}", shown(&rows));
    assert_eq!(the(&rows, "wait", "wait_event", "PgSleep")["mean_active"], 1);
    assert_eq!(the(&rows, "statement", "wait_event", "PgSleep")["user_name"], plain.as_str());
    let rows = sampled(&mut database.connect_as(&monitor), database, "'100 ms', '10 ms'");
    assert_eq!(rows[0]["most_active"], 2, "{}", shown(&rows));
    let mut monitor = database.connect_as(&monitor);
    for denied in ["select dbre.start_activity_history()", "select dbre.stop_activity_history()"] {
        assert_eq!(refused(&mut monitor, denied).code().code(), "42501", "{denied}");
    }
    query(&mut monitor, "select * from dbre.activity_recording()");
    query(&mut monitor, "select * from dbre.activity_history");
    end(&mut client, [own, other]);
}

fn locked_catalog(database: &Database) {
    let mut client = database.connect();
    execute(&mut client, "select count(*) from dbre.sample_activity('1 ms', '1 ms')");
    let mut locking = database.connect();
    execute(&mut locking, "set application_name = 'locks'; begin; lock table pg_authid in access exclusive mode");
    execute(&mut client, "set statement_timeout = '30s'");
    let rows = sampled(&mut client, database, "'50 ms', '10 ms'");
    let pool = the(&rows, "pool", "application_name", "locks");
    assert_eq!((&pool["user_name"], &pool["most_in_use"]), (&Value::Null, &1.into()));
    execute(&mut locking, "rollback");
}

fn arguments(database: &Database) {
    let mut client = database.connect();
    for (arguments, code, message) in [
        ("null", "22004", "argument duration is NULL"),
        ("'10 s', null", "22004", "argument sample_interval is NULL"),
        ("'0 s'", "22023", "argument duration"),
        ("'-1 s'", "22023", "argument duration"),
        ("'2 h'", "22023", "argument duration"),
        ("'1 s', '2 s'", "22023", "argument sample_interval"),
        ("'1 s', '1 us'", "22023", "argument sample_interval"),
        ("'infinity'", "22023", "argument duration"),
        ("target_database => 'no such'", "3D000", "argument target_database"),
        ("target_database => ''", "3D000", "argument target_database"),
    ] {
        let error = refused(&mut client, &format!("select dbre.sample_activity({arguments})"));
        assert_eq!(error.code().code(), code, "{arguments}: {}", error.message());
        assert!(error.message().starts_with(message), "{arguments}: {}", error.message());
        assert!(error.hint().is_some(), "{arguments}");
    }
    for arguments in ["'1 ms'", "'1 min', '1 s'", "null", "'1 s', null", "'1 s', '0'", "'2 min'", "'1 s', '2 h'"] {
        let error = refused(&mut client, &format!("select dbre.start_activity_history({arguments})"));
        assert!(["22023", "22004"].contains(&error.code().code()), "{arguments}");
        assert!(error.hint().is_some(), "{arguments}");
    }
    assert!(!value::<bool>(&mut client, "select recording from dbre.activity_recording()"));
}
