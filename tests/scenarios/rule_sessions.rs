//! The clients that an example of a rule leaves in `sessions (step, session, role, statement, waits)`, connected while it is judged.

use crate::bouncer::{Bouncer, Manner, folder_of, pretend};
use crate::server::{Database, execute, query, text, value, wait_until};
use postgres::{Client, Config, NoTls};
use serde_json::Value;
use std::collections::HashMap;
use std::thread::{self, JoinHandle};

pub struct Sessions {
    bouncer: Option<Bouncer>,
    /// Idle, or in a transaction.
    open: Vec<Client>,
    waiting: Vec<JoinHandle<()>>,
    control: Client,
}

impl Sessions {
    pub fn open(database: &Database) -> Sessions {
        let mut control = database.connect();
        let steps = match value(&mut control, "select to_regclass('sessions') is not null") {
            true => query(&mut control, "select session, role, statement, waits from sessions order by step"),
            false => Vec::new(),
        };
        let mut open: HashMap<String, Client> = HashMap::new();
        let (bouncer, console) = bouncer(database, &mut control).unzip();
        let console: Option<String> = console.flatten();
        let mut sessions = Sessions { bouncer, open: Vec::new(), waiting: Vec::new(), control };
        for step in steps {
            let (name, role, statement, waits): (String, Option<String>, String, Option<bool>) =
                (step.get(0), step.get(1), step.get(2), step.get(3));
            let role = role.as_deref().unwrap_or("postgres");
            let mut client =
                open.remove(&name).unwrap_or_else(|| connect(database, sessions.bouncer.as_ref(), &name, role));
            if waits != Some(true) {
                // A statement may be meant to fail.
                drop(client.batch_execute(&statement));
                open.insert(name, client);
                continue;
            }
            if let Some(bouncer) = &sessions.bouncer {
                sessions.waiting.push(thread::spawn(move || drop(client.batch_execute(&statement))));
                wait_until(&name, || bouncer.clients_waiting() == sessions.waiting.len() as u64);
                continue;
            }
            let pid: i32 = value(&mut client, "select pg_backend_pid()");
            sessions.waiting.push(thread::spawn(move || drop(client.batch_execute(&statement))));
            let waiting = format!(
                "select count(*) from pg_stat_activity where pid = {pid} and state = 'active' and wait_event is not null"
            );
            wait_until(&name, || value::<i64>(&mut sessions.control, &waiting) == 1);
        }
        sessions.open = open.into_values().collect();
        if let Some((bouncer, command)) = sessions.bouncer.as_ref().zip(console) {
            bouncer.console().simple_query(&command).unwrap();
        }
        sessions
    }
}

fn connect(database: &Database, bouncer: Option<&Bouncer>, name: &str, role: &str) -> Client {
    let mut config = match bouncer {
        Some(bouncer) => bouncer.config(&database.name, role),
        None => {
            let mut config = Config::new();
            config.host_path(&database.server.folder).dbname(&database.name).user(role);
            config
        }
    };
    config.application_name(name).connect(NoTls).unwrap_or_else(|error| panic!("cannot connect as {role}: {error}"))
}

/// What an example leaves in `pgbouncer (settings, console)`, through which its clients then go, and what it runs on the console after
/// that. One that `pretends` shows what no version does.
fn bouncer(database: &Database, control: &mut Client) -> Option<(Bouncer, Option<String>)> {
    if !value::<bool>(control, "select to_regclass('pgbouncer') is not null") {
        return None;
    }
    execute(control, "create extension if not exists dblink");
    let row: Value = value(control, "select to_jsonb(p) from pgbouncer p");
    if row["pretends"] == true {
        let folder = folder_of(database);
        pretend(&folder, Manner::Odd);
        return Some((Bouncer { folder }, None));
    }
    Some((Bouncer::start(database, text(&row, "settings")), row["console"].as_str().map(str::to_string)))
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.open.clear();
        // What waits in there ends with it.
        drop(self.bouncer.take());
        if thread::panicking() {
            return;
        }
        if !self.waiting.is_empty() {
            execute(
                &mut self.control,
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and \
                 pid <> pg_backend_pid() and backend_type = 'client backend'",
            );
        }
        self.waiting.drain(..).for_each(|waiting| waiting.join().unwrap());
        // A database with prepared transactions cannot be dropped.
        let prepared =
            "select format('rollback prepared %L', gid) from pg_prepared_xacts where database = current_database()";
        for row in query(&mut self.control, prepared) {
            execute(&mut self.control, row.get(0));
        }
    }
}
