use crate::advice::logged::alter_system;
use crate::facts::Facts;
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::listing;

pub static RULE: Rule = Rule {
    id: "log_not_structured",
    category: "config",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "No record of csvlog or jsonlog was found, and the server writes neither, or will only after a \
                    restart.",
    effect: "dbre.log_findings() sees nothing: slow statements, lock waits, deadlocks and crashes are in no log \
                    that it can read.",
    workaround: "Switch on the logging collector and csvlog; what the server logs to now stays.",
    sources: &["https://www.postgresql.org/docs/17/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG"],
    options: &[],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "the log is plain text",
            setup: "do $$ begin execute format('alter database %I set log_min_duration_statement = 1000', \
                    current_database()); execute format('alter database %I set log_lock_waits = on', \
                    current_database()); execute format('alter database %I set log_temp_files = 0', current_database()); \
                    end $$; create table example as select 'LOG:  checkpoint starting: time' as line",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "a csvlog",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"connection authorized: user=app\",,,,,,,,,\"web\",\"client backend\",,0' as \
                    line from generate_series(1, 1) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let log = facts.server_log();
    let settings = &log.settings;
    let read = log.files.len() > log.unread.not_structured.len();
    // What waits for a restart is shown as set, and does not work.
    let pending = ["logging_collector", "log_destination"]
        .iter()
        .any(|name| settings.get(name).is_some_and(|setting| setting.pending_restart));
    let writes = settings.is_structured() && !pending;
    if read
        || writes
        || settings.get("log_directory").is_none()
        || (log.files_given && log.unread.not_structured.is_empty())
    {
        return Ok(Vec::new());
    }
    let mut finding = Finding {
        severity: Severity::medium,
        evidence: object! {
            "logging_collector": settings.shown("logging_collector"),
            "log_destination": settings.shown("log_destination"),
            "log_directory": settings.shown("log_directory"),
            "restart_pending": pending,
            "files_without_records": log.unread.not_structured,
        },
        ..Finding::that_changes_nothing()
    };
    if pending && settings.has_structured_destination() {
        finding.object = "logging_collector (restart pending)".to_string();
        finding.summary = "The logging collector starts with the next restart of the server".to_string();
        finding.cause = "logging_collector has been set, and takes effect at a restart only.".to_string();
        return Ok(vec![finding]);
    }
    let mut changes = Vec::new();
    if !settings.has_structured_destination() {
        let mut destinations: Vec<&str> = settings.destinations().filter(|name| !name.is_empty()).collect();
        destinations.push("csvlog");
        changes.push(("log_destination", destinations.join(", ")));
    }
    if !settings.is_on("logging_collector") {
        changes.push(("logging_collector", "on".to_string()));
    }
    // Others are log_settings_hide's, once there is a log.
    changes
        .extend(super::log_settings_hide::missing(settings).into_iter().map(|missing| (missing.name, missing.value)));
    let names: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
    finding.object = "log_destination".to_string();
    finding.summary = format!(
        "The server writes no csvlog and no jsonlog: log_destination = {}, logging_collector = {}",
        settings.shown("log_destination"),
        settings.shown("logging_collector")
    );
    finding.cause = format!(
        "To be set: {}.{}",
        listing(&names),
        if settings.is_on("logging_collector") {
            ""
        } else {
            " logging_collector takes effect at a restart of the server."
        }
    );
    finding.verify_sql = Some(
        "select s.name, s.setting, s.pending_restart from pg_catalog.pg_settings s where s.name in ('log_destination', \
         'logging_collector');"
            .to_string(),
    );
    finding.risk = "The log grows: log_rotation_age, log_rotation_size and what removes old files keep it in bounds. Statements are \
                    logged with their constants: who reads the log reads data."
        .to_string();
    let (fix, rollback) = alter_system(settings, &changes);
    finding.fix_sql = Some(fix);
    finding.rollback = Rollback::Sql(rollback);
    Ok(vec![finding])
}
