//! A private PgBouncer before a database of a trial, on a Unix socket of its own; and what only pretends to be one.

use crate::server::{Database, cluster_command, run, wait_until};
use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::{env, fs};

const PORT: u16 = 6432;

pub struct Bouncer {
    pub folder: PathBuf,
}

impl Bouncer {
    /// Of its database alone, under the database's name. `settings`: lines of [pgbouncer].
    pub fn start(database: &Database, settings: &str) -> Bouncer {
        // Where its package puts it is not on everybody's path. PGBOUNCER names another.
        let installed = Path::new("/usr/sbin/pgbouncer").exists();
        let program = if installed { "/usr/sbin/pgbouncer" } else { "pgbouncer" };
        let program = env::var("PGBOUNCER").unwrap_or(program.to_string());
        let (name, server) = (&database.name, database.server.folder.display());
        let folder = folder_of(database);
        let line = format!("{name} = host={server} port=5432 dbname={name}");
        let bouncer = Bouncer { folder };
        bouncer.write(&line, settings);
        let ini = bouncer.folder.join("pgbouncer.ini");
        run(cluster_command().args(["run", program.as_str(), "-q", "-d"]).arg(&ini), "");
        wait_until("PgBouncer is up", || UnixStream::connect(bouncer.socket()).is_ok());
        bouncer
    }

    /// Its file, which RELOAD reads again.
    pub fn write(&self, databases: &str, settings: &str) {
        let folder = self.folder.display();
        run(cluster_command().args(["run", "mkdir", "-p"]).arg(&self.folder), "");
        let users = "\"postgres\" \"secret\"\n\"watcher\" \"secret\"\n\"app\" \"secret\"\n";
        fs::write(self.folder.join("users"), users).unwrap();
        let ini = format!(
            "[databases]\n{databases}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nlisten_port = {PORT}\n\
             auth_file = {folder}/users\nadmin_users = postgres\nstats_users = watcher\n\
             logfile = {folder}/log\npidfile = {folder}/pid\nignore_startup_parameters = extra_float_digits\n{}\n{settings}\n",
            if settings.contains("auth_type") { "" } else { "auth_type = trust" }
        );
        fs::write(self.folder.join("pgbouncer.ini"), ini).unwrap();
    }

    fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    pub fn config(&self, database: &str, user: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.folder).port(PORT).dbname(database).user(user).password("secret");
        config
    }

    pub fn console(&self) -> Client {
        self.config("pgbouncer", "postgres").connect(NoTls).unwrap_or_else(|error| panic!("no console: {error}"))
    }

    pub fn clients_waiting(&self) -> u64 {
        let shown = self.console().simple_query("SHOW POOLS").unwrap();
        let waiting = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get("cl_waiting").unwrap().parse().unwrap(),
            _ => 0,
        };
        shown.iter().map(waiting).sum()
    }

    /// Of the console, without a password.
    pub fn dsn(&self) -> String {
        console_in(&self.folder)
    }

    fn pid(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("pid")).ok().map(|pid| pid.trim().to_string())
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            drop(Command::new("kill").args(["-QUIT", &pid]).output());
            let process = PathBuf::from("/proc").join(&pid);
            wait_until("PgBouncer is gone", || !process.exists());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

pub fn folder_of(database: &Database) -> PathBuf {
    database.server.folder.join(format!("b_{}", database.name))
}

fn socket(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

pub fn console_in(folder: &Path) -> String {
    format!("host={} port={PORT} dbname=pgbouncer user=postgres", folder.display())
}

/// What a pretended console does once a client is in.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Says that it is PgBouncer 1.99, and shows everything in columns that nobody knows.
    Odd,
    /// Never answers, not even the client's first message.
    Silent,
    /// Ends the connection after the version is told.
    Dies,
    /// Has the columns of version 1.24 and other things in them.
    Shuffled,
}

/// Listens as long as the folder is there.
pub fn pretend(folder: &Path, manner: Manner) {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    let listener = UnixListener::bind(socket(folder)).unwrap();
    fs::set_permissions(socket(folder), fs::Permissions::from_mode(0o777)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(client, manner));
        }
    });
}

/// The protocol as far as dblink speaks it: https://www.postgresql.org/docs/17/protocol-flow.html
fn serve(mut client: UnixStream, manner: Manner) -> Option<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length).ok()?;
    client.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4]).ok()?;
    if matches!(manner, Manner::Silent) {
        // Until the client goes.
        client.read_exact(&mut [0]).ok()?;
        return None;
    }
    let parameter = |name: &str, value: &str| message(b'S', format!("{name}\0{value}\0").as_bytes());
    let greeting = [
        message(b'R', &0u32.to_be_bytes()),
        parameter("client_encoding", "UTF8"),
        parameter("server_version", "1.99.0/bouncer"),
        message(b'Z', b"I"),
    ];
    client.write_all(&greeting.concat()).ok()?;
    loop {
        let mut head = [0; 5];
        client.read_exact(&mut head).ok()?;
        let mut body = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
        client.read_exact(&mut body).ok()?;
        if head[0] != b'Q' {
            return None;
        }
        let command = String::from_utf8_lossy(&body).trim_end_matches('\0').to_string();
        let shown = match (command.as_str(), manner) {
            ("SHOW VERSION", _) => result(&["PgBouncer 1.99.0"]),
            (_, Manner::Dies) => return None,
            (command, Manner::Shuffled) => result(&vec!["x"; columns_of_1_24(command)]),
            _ => result(&["?"; 40]),
        };
        client.write_all(&shown).ok()?;
    }
}

fn columns_of_1_24(command: &str) -> usize {
    match command {
        "SHOW CONFIG" => 4,
        "SHOW DATABASES" | "SHOW POOLS" => 17,
        "SHOW LISTS" | "SHOW STATE" => 2,
        "SHOW CLIENTS" | "SHOW SERVERS" => 21,
        "SHOW STATS" => 23,
        "SHOW USERS" => 8,
        _ => 40,
    }
}

/// One row of text.
fn result(values: &[&str]) -> Vec<u8> {
    let count = (values.len() as u16).to_be_bytes().to_vec();
    let column = |number: usize| {
        let name = format!("c{number}\0").into_bytes();
        let text = [&[0; 6][..], &25u32.to_be_bytes(), &(-1i16).to_be_bytes(), &(-1i32).to_be_bytes(), &[0; 2]];
        [name, text.concat()].concat()
    };
    let columns: Vec<u8> = (0..values.len()).flat_map(column).collect();
    let row: Vec<u8> =
        values.iter().flat_map(|value| [&(value.len() as u32).to_be_bytes()[..], value.as_bytes()].concat()).collect();
    let described = message(b'T', &[count.clone(), columns].concat());
    let shown = message(b'D', &[count, row].concat());
    [described, shown, message(b'C', b"SHOW\0"), message(b'Z', b"I")].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}
