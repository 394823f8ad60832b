//! Settings that say what is logged, and those that findings on the log reckon with.

use crate::db;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct LogSettings(HashMap<String, Setting>);

#[derive(Debug, Default)]
pub struct Setting {
    /// As SHOW prints it.
    pub shown: String,
    /// In its own unit.
    pub value: String,
    pub pending_restart: bool,
    /// By ALTER SYSTEM.
    pub of_alter_system: bool,
}

impl LogSettings {
    pub fn read() -> LogSettings {
        let settings = db::read(include_str!("../../../sql/facts/log_settings.sql"), &[], |row| {
            let name: String = row.take();
            let setting = Setting {
                shown: row.take(),
                value: row.take(),
                pending_restart: row.take(),
                of_alter_system: row.take(),
            };
            (name, setting)
        });
        LogSettings(settings.into_iter().collect())
    }

    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Empty: the server has no such setting.
    pub fn shown(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |setting| setting.shown.as_str())
    }

    pub fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(|setting| setting.value.parse().ok()).unwrap_or(0.0)
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.shown(name) == "on"
    }

    /// The collector writes csvlog or jsonlog.
    pub fn is_structured(&self) -> bool {
        self.is_on("logging_collector") && self.has_structured_destination()
    }

    pub fn has_structured_destination(&self) -> bool {
        self.destinations().any(|destination| destination == "csvlog" || destination == "jsonlog")
    }

    pub fn destinations(&self) -> impl Iterator<Item = &str> {
        self.shown("log_destination").split(',').map(str::trim)
    }
}
