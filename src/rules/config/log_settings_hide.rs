use crate::advice::logged::alter_system;
use crate::facts::Facts;
use crate::facts::server_log::LogSettings;
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;

pub static RULE: Rule = Rule {
    id: "log_settings_hide",
    category: "config",
    severity: Severity::low,
    since: "0.1.0",
    enabled: true,
    condition: "The log is read, and a setting keeps from it what findings are made of: log_min_duration_statement, \
                    log_lock_waits, log_temp_files or log_checkpoints is off.",
    effect: "What is not logged is not found: slow statements, lock waits, temporary files, checkpoints.",
    workaround: "Switch them on with thresholds that keep the log small.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-WHAT"],
    options: &[],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "the defaults",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"connection authorized: user=app\",,,,,,,,,\"web\",\"client backend\",,0' as \
                    line from generate_series(1, 1) g",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "all of it is logged",
            setup: "do $$ begin execute format('alter database %I set log_min_duration_statement = 1000', \
                    current_database()); execute format('alter database %I set log_lock_waits = on', \
                    current_database()); execute format('alter database %I set log_temp_files = 0', current_database()); \
                    end $$; create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 \
                    UTC,\"app\",\"' || current_database() || \
                    '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"connection authorized: user=app\",,,,,,,,,\"web\",\"client backend\",,0' as \
                    line from generate_series(1, 1) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

pub struct Missing {
    pub name: &'static str,
    pub value: String,
    what: &'static str,
}

/// Settings under which nothing of a kind is logged, and what they could be.
pub fn missing(settings: &LogSettings) -> Vec<Missing> {
    let never = |name: &str| settings.number(name) < 0.0;
    let auto_explain =
        settings.get("auto_explain.log_min_duration").is_some() && !never("auto_explain.log_min_duration");
    let durations = never("log_min_duration_statement") && never("log_min_duration_sample") && !auto_explain;
    let off = [
        (durations, "log_min_duration_statement", "1s", "slow statements"),
        (!settings.is_on("log_lock_waits"), "log_lock_waits", "on", "lock waits"),
        (never("log_temp_files"), "log_temp_files", "10MB", "temporary files"),
        (!settings.is_on("log_checkpoints"), "log_checkpoints", "on", "checkpoints"),
    ];
    let off = off.into_iter().filter(|(is_off, ..)| *is_off);
    off.map(|(_, name, value, what)| Missing { name, value: value.to_string(), what }).collect()
}

fn check(facts: &Facts, _: &Options) -> Verdict {
    let log = facts.server_log();
    let missing = missing(&log.settings);
    if missing.is_empty() || log.records == 0 {
        return Ok(Vec::new());
    }
    let (names, kinds): (Vec<&str>, Vec<&str>) = missing.iter().map(|one| (one.name, one.what)).unzip();
    let mut evidence = object! {};
    evidence.extend(names.iter().map(|name| (name.to_string(), log.settings.shown(name).into())));
    let changes: Vec<(&str, String)> = missing.iter().map(|one| (one.name, one.value.clone())).collect();
    let (fix, rollback) = alter_system(&log.settings, &changes);
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    Ok(vec![Finding {
        severity: Severity::low,
        object: "settings of the log".to_string(),
        summary: format!("Not in the log: {}", listing(&kinds)),
        cause: format!("{} {} off.", listing(&names), if names.len() == 1 { "is" } else { "are" }),
        evidence,
        fix_sql: Some(fix),
        rollback: Rollback::Sql(rollback),
        risk: "No restart, no locks; the log grows by what is logged. Statements are logged with their constants: who reads the log \
               reads data."
            .to_string(),
        verify_sql: Some(format!(
            "select s.name, s.setting from pg_catalog.pg_settings s where s.name in ({});",
            quoted.join(", ")
        )),
        ..Finding::that_changes_nothing()
    }])
}
