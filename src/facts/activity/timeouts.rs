//! The timeouts that a new session of a role gets: ALTER ROLE … IN DATABASE, ALTER ROLE, ALTER DATABASE, ALTER ROLE ALL, server.

use super::catalogs;
use crate::db;
use pgrx::pg_sys::{self, GucSource, Oid};
use std::ffi::CString;

pub const NAMES: [&str; 5] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "idle_session_timeout",
];

/// Why those of the server are not known.
pub const HIDDEN: &str = "timeouts of the server: settings of the caller's own role, database or connection hide them";

#[derive(Debug, Default)]
pub struct Timeouts {
    /// What is set for a database (0: all), a role (0: all), or both. None: pg_db_role_setting is locked by another session.
    settings: Option<Vec<Setting>>,
    /// In the order of `NAMES`, in milliseconds. None: what the server's command line and files say is hidden by a setting for the
    /// role, the database or the client that reads.
    server: [Option<u64>; 5],
}

#[derive(Debug)]
struct Setting {
    database: u32,
    role: u32,
    name: &'static str,
    milliseconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    RoleInDatabase,
    Role,
    Database,
    AllRoles,
    Server,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeout {
    pub milliseconds: u64,
    pub level: Level,
}

impl Timeouts {
    pub fn read() -> Timeouts {
        let mut server = NAMES.map(of_server);
        if server.contains(&None)
            && let Some(written) = written()
        {
            server = std::array::from_fn(|position| server[position].or(written[position]));
        }
        Timeouts { settings: settings(), server }
    }

    /// Those of the server's own that are not known.
    pub fn hidden_of_server(&self) -> Vec<&'static str> {
        let hidden = NAMES.into_iter().zip(self.server).filter(|(_, value)| value.is_none());
        hidden.map(|(name, _)| name).collect()
    }

    pub fn are_known(&self) -> bool {
        self.settings.is_some()
    }

    /// Those with a value of their own, whatever it is, for all roles.
    pub fn databases_that_set(&self, name: &str) -> Vec<u32> {
        let of_database = |setting: &&Setting| setting.database != 0 && setting.role == 0 && setting.name == name;
        self.settings.iter().flatten().filter(of_database).map(|setting| setting.database).collect()
    }

    /// What a new session gets unless its client says otherwise; None: not known.
    pub fn of(&self, role: u32, database: u32, name: &str) -> Option<Timeout> {
        let settings = self.settings.as_ref()?;
        let levels = [
            (database, role, Level::RoleInDatabase),
            (0, role, Level::Role),
            (database, 0, Level::Database),
            (0, 0, Level::AllRoles),
        ];
        let set = levels.into_iter().find_map(|(database, role, level)| {
            let setting = settings.iter().find(|s| (s.database, s.role, s.name) == (database, role, name))?;
            Some(Timeout { milliseconds: setting.milliseconds, level })
        });
        let server = || {
            let position = NAMES.iter().position(|known| *known == name)?;
            Some(Timeout { milliseconds: self.server[position]?, level: Level::Server })
        };
        set.or_else(server)
    }
}

fn settings() -> Option<Vec<Setting>> {
    let rows = catalogs::scan(catalogs::DB_ROLE_SETTING, |tuple| {
        let oid = |attribute| tuple.value::<Oid>(attribute).map_or(0, Oid::to_u32);
        let (database, role) = (oid(1), oid(2));
        let written = tuple.value::<Vec<Option<String>>>(3).unwrap_or_default();
        let settings = written.into_iter().flatten().filter_map(move |text| {
            let (name, value) = text.split_once('=')?;
            let name = *NAMES.iter().find(|known| known.eq_ignore_ascii_case(name))?;
            Some(Setting { database, role, name, milliseconds: milliseconds(value)? })
        });
        settings.collect::<Vec<_>>()
    });
    Some(rows?.into_iter().flatten().collect())
}

/// As the server reads a value with its unit.
fn milliseconds(value: &str) -> Option<u64> {
    let value = CString::new(value).ok()?;
    let mut parsed = 0;
    // SAFETY: the string outlives the call, which fills in the number.
    let valid =
        unsafe { pg_sys::parse_int(value.as_ptr(), &mut parsed, pg_sys::GUC_UNIT_MS as i32, std::ptr::null_mut()) };
    (valid && parsed >= 0).then_some(parsed as u64)
}

/// What RESET would give, if that comes from the server's command line, its files or its defaults.
pub fn of_server(name: &str) -> Option<u64> {
    let name = CString::new(name).ok()?;
    // SAFETY: the record is the server's own, of a setting that is an integer where it is of that type.
    unsafe {
        let record = pg_sys::find_option(name.as_ptr(), false, true, pgrx::PgLogLevel::ERROR as i32);
        if record.is_null()
            || (*record).vartype != pg_sys::config_type::PGC_INT
            || (*record).reset_source > GucSource::PGC_S_ARGV
        {
            return None;
        }
        Some((*record.cast::<pg_sys::config_int>()).reset_val.max(0) as u64)
    }
}

/// What the server's command line says, or else its files, which only a superuser may read, as a rule; the default of all is 0.
fn written() -> Option<[Option<u64>; 5]> {
    let names = NAMES.map(str::to_string).to_vec();
    let read = db::guarded(|| {
        let command_line = db::read(include_str!("../../../sql/facts/activity/command_line.sql"), &[], |row| {
            row.take_option::<String>()
        });
        let lines = db::read(include_str!("../../../sql/facts/activity/file_settings.sql"), &[names.into()], |row| {
            let (name, value) = (row.take_option::<String>(), row.take_option::<String>());
            (name, value, row.take::<bool>(), row.take::<bool>())
        });
        (command_line, lines)
    });
    let (command_line, lines) = read.ok()?;
    let command_line = command_line.into_iter().next().flatten()?;
    if lines.iter().any(|(.., error)| *error) {
        return None;
    }
    let of = |name: &str| {
        if let Some(value) = of_command_line(&command_line, name) {
            return milliseconds(value);
        }
        let line = lines.iter().rev().find(|(known, _, applied, _)| *applied && known.as_deref() == Some(name));
        line.map_or(Some(0), |(_, value, ..)| milliseconds(value.as_deref()?))
    };
    Some(NAMES.map(of))
}

/// The last `-c name=value` or `--name=value` counts.
fn of_command_line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let arguments = text.trim_end().trim_end_matches('"').split("\" \"").skip(1);
    let named = arguments.filter_map(|argument| {
        let (given, value) = argument.split_once('=')?;
        let given = given.to_ascii_lowercase().replace('-', "_");
        let before = given.strip_suffix(name)?;
        // Alone after -c, with it, or as a long option.
        let is_named = matches!(before, "" | "__") || before.starts_with('_') && before.ends_with('c');
        is_named.then_some(value)
    });
    named.last()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_command_line_of_the_postmaster() {
        let of = |arguments: &str, name| {
            of_command_line(&format!("/usr/bin/postgres \"-D\" \"/my data\" {arguments}\n"), name).map(str::to_string)
        };
        let timeout = |arguments: &str| of(arguments, "lock_timeout");
        assert_eq!(timeout(""), None);
        assert_eq!(timeout("\"-c\" \"lock_timeout=60s\""), Some("60s".to_string()));
        assert_eq!(timeout("\"-c\" \"lock_timeout=1\" \"--Lock-Timeout=2 min\" \"-i\""), Some("2 min".to_string()));
        assert_eq!(timeout("\"-iclock_timeout=3\""), Some("3".to_string()));
        assert_eq!(timeout("\"-c\" \"deadlock_timeout=5s\" \"--deadlock-timeout=6s\" \"-cdeadlock_timeout=7s\""), None);
        assert_eq!(of("\"-c\" \"idle_session_timeout=1\"", "idle_in_transaction_session_timeout"), None);
    }

    fn setting(database: u32, role: u32, milliseconds: u64) -> Setting {
        Setting { database, role, name: "lock_timeout", milliseconds }
    }

    #[test]
    fn the_nearest_setting_counts() {
        let all = [setting(0, 0, 1), setting(7, 0, 2), setting(0, 9, 3), setting(7, 9, 4)];
        let levels = [Level::AllRoles, Level::Database, Level::Role, Level::RoleInDatabase];
        let mut timeouts = Timeouts { settings: Some(Vec::new()), server: [None, Some(5), None, None, None] };
        assert_eq!(timeouts.of(9, 7, "lock_timeout"), Some(Timeout { milliseconds: 5, level: Level::Server }));
        assert_eq!(timeouts.of(9, 7, "statement_timeout"), None);
        for (setting, (level, milliseconds)) in all.into_iter().zip(levels.into_iter().zip(1..)) {
            timeouts.settings.as_mut().unwrap().push(setting);
            assert_eq!(timeouts.of(9, 7, "lock_timeout"), Some(Timeout { milliseconds, level }));
        }
        assert_eq!(timeouts.of(8, 6, "lock_timeout").unwrap().level, Level::AllRoles);
        timeouts.settings = None;
        assert_eq!(timeouts.of(9, 7, "lock_timeout"), None, "what is not known is not guessed");
    }
}
