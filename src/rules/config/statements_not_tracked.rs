use crate::db::{quote_identifier, quote_literal};
use crate::facts::{Facts, Setup, Tracking};
use crate::finding::{Finding, Rollback, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};

pub static RULE: Rule = Rule {
    id: "statements_not_tracked",
    category: "config",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "pg_stat_statements is not installed in this database, is not in shared_preload_libraries of the running server, is older \
                 than the server, or counts nothing: pg_stat_statements.track is none, or compute_query_id is off.",
    effect: "Nobody knows which statements take the time: slow queries, regressions and N+1 patterns go unseen.",
    workaround: "Preload it (a restart), and create the extension in each database. It costs little: a few percent at most where \
                 statements take microseconds. A managed server has its own place for settings: use that instead of ALTER SYSTEM.",
    sources: &[
        "https://www.postgresql.org/docs/17/pgstatstatements.html",
        "https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-SHARED-PRELOAD-LIBRARIES",
    ],
    options: &[],
    needs: &[Need::StatementStatistics],
    cases: &[
        Case { name: "preloaded, not installed here", setup: "select 1", finds: 1, fix_clears: true },
        Case {
            name: "switched off for the database",
            setup: "create extension pg_stat_statements; alter database :\"DBNAME\" set pg_stat_statements.track = none",
            finds: 1,
            fix_clears: true,
        },
        Case {
            name: "the extension of an older server",
            setup: "create extension pg_stat_statements version '1.10'",
            finds: 1,
            fix_clears: true,
        },
        Case { name: "installed", setup: "create extension pg_stat_statements", finds: 0, fix_clears: false },
        Case {
            name: "switched off for the role that asks",
            setup: "create extension pg_stat_statements; alter role postgres in database :\"DBNAME\" set pg_stat_statements.track = none",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

/// What is to be done, and said.
#[derive(Default)]
struct Remedy {
    fix: Vec<String>,
    rollback: Vec<String>,
    cause: String,
    risk: String,
}

fn check(facts: &Facts, _options: &Options) -> Verdict {
    let statistics = facts.statement_statistics();
    let Some(why) = statistics.why_nothing() else { return Ok(Vec::new()) };
    let setup = &statistics.setup;
    let mut remedy = Remedy::default();
    if !setup.preloaded() {
        preload(setup, &mut remedy);
    }
    match statistics.tracking {
        Tracking::NotInstalled => install(setup, &mut remedy),
        Tracking::Outdated => update(setup, &mut remedy),
        Tracking::Off => switch_on(facts, &mut remedy),
        Tracking::NotPreloaded | Tracking::On => {}
    }
    Ok(vec![Finding {
        severity: RULE.severity,
        object: "pg_stat_statements".to_string(),
        summary: format!("{why}: which statements are slow is not known"),
        cause: remedy.cause,
        evidence: object! {
            "extension_version": setup.version,
            "package_available": setup.available,
            "preloaded": setup.preloaded(),
            "shared_preload_libraries": setup.preload,
            "shared_preload_libraries_source": setup.preload_source,
            "track": setup.track,
            "track_source": setup.track_source,
            "compute_query_id": setup.compute_query_id,
        },
        fix_sql: (!remedy.fix.is_empty()).then(|| remedy.fix.join("\n")),
        risk: remedy.risk,
        rollback: match remedy.rollback.is_empty() {
            true => Rollback::None,
            false => Rollback::Sql(remedy.rollback.join("\n")),
        },
        verify_sql: Some(
            "select e.extname is not null and s.name is not null as counts from (values (true)) one_row \
             left join pg_catalog.pg_extension e on e.extname = 'pg_stat_statements' \
             left join pg_catalog.pg_settings s on s.name = 'pg_stat_statements.track' and s.setting <> 'none';"
                .to_string(),
        ),
        ..Finding::that_changes_nothing()
    }])
}

fn preload(setup: &Setup, remedy: &mut Remedy) {
    remedy.cause =
        "The library of pg_stat_statements is not loaded: a server does that only when it starts.".to_string();
    remedy.risk = "Sessions end with the restart. Afterwards each statement costs a few microseconds more, and shared memory holds \
                   the counters."
        .to_string();
    match &setup.preload {
        _ if !setup.available => {}
        None => {
            remedy.cause += " What is preloaded now is hidden from you (pg_read_all_settings shows it): add pg_stat_statements to \
                             shared_preload_libraries, keep what is there, and restart.";
        }
        Some(_) if setup.preload_source.as_deref() == Some("command line") => {
            remedy.cause += " shared_preload_libraries is given on the server's command line, which no setting in a file changes: add \
                             pg_stat_statements there (in the container's or operator's definition), and restart.";
        }
        Some(preload) => {
            let mut libraries = libraries(preload);
            if libraries.iter().any(|library| is_statements(library)) {
                remedy.cause += " shared_preload_libraries has it: the server was not restarted since.";
                return;
            }
            let before = literals(&libraries);
            libraries.push("pg_stat_statements".to_string());
            remedy.fix.push(format!("alter system set shared_preload_libraries = {};", literals(&libraries)));
            // An empty list cannot be written as a list.
            remedy.rollback.push(match before.is_empty() {
                true => "alter system reset shared_preload_libraries;".to_string(),
                false => format!("alter system set shared_preload_libraries = {before};"),
            });
            remedy.cause += " The change takes effect with the next restart of the server.";
        }
    }
}

fn install(setup: &Setup, remedy: &mut Remedy) {
    let space = if remedy.cause.is_empty() { "" } else { " " };
    if !setup.available {
        remedy.cause = "The server has no pg_stat_statements at all: it comes with PostgreSQL's contrib modules, a package of its own on \
                        some systems (postgresql-contrib). Install that first, then ask again."
            .to_string();
        return;
    }
    remedy.cause += &format!("{space}The extension is not installed in this database.");
    remedy.fix.push("create extension if not exists pg_stat_statements;".to_string());
    remedy.rollback.insert(0, "drop extension if exists pg_stat_statements;".to_string());
    if remedy.risk.is_empty() {
        remedy.risk =
            "Takes milliseconds and locks nothing that applications use: the counters are there already.".to_string();
    }
}

fn update(setup: &Setup, remedy: &mut Remedy) {
    let version = setup.version.as_deref().unwrap_or_default();
    remedy.cause = format!(
        "The extension here is version {version}, from an older server: pg_upgrade and pg_dump keep it. Columns that are read came with \
         1.11."
    );
    remedy.fix.push("alter extension pg_stat_statements update;".to_string());
    remedy.risk = "Takes milliseconds; the view is made anew, so that views on it must be dropped before.".to_string();
}

fn switch_on(facts: &Facts, remedy: &mut Remedy) {
    let setup = &facts.statement_statistics().setup;
    let set = |name: &str, value: &str, before: &str| {
        (
            format!("alter system set {name} = {};\nselect pg_catalog.pg_reload_conf();", quote_literal(value)),
            format!("alter system set {name} = {};\nselect pg_catalog.pg_reload_conf();", quote_literal(before)),
        )
    };
    remedy.risk = "Each statement costs a few microseconds more.".to_string();
    if setup.track == "none" {
        remedy.cause = format!("pg_stat_statements.track is none (set by: {}).", setup.track_source);
        let database = quote_identifier(&facts.database.name);
        let (fix, rollback) = match setup.track_source.as_str() {
            "database" => (
                format!("alter database {database} reset pg_stat_statements.track;"),
                format!("alter database {database} set pg_stat_statements.track = none;"),
            ),
            _ => set("pg_stat_statements.track", "top", "none"),
        };
        remedy.fix.push(fix);
        remedy.rollback.push(rollback);
    }
    if setup.compute_query_id == "off" {
        let space = if remedy.cause.is_empty() { "" } else { " " };
        remedy.cause += &format!("{space}compute_query_id is off, and without an id no statement is counted.");
        let (fix, rollback) = set("compute_query_id", "auto", "off");
        remedy.fix.push(fix);
        remedy.rollback.push(rollback);
    }
}

/// The elements of the setting, as the server reads it: commas between, quoted or not.
fn libraries(setting: &str) -> Vec<String> {
    let mut libraries = vec![String::new()];
    let mut quoted = false;
    for character in setting.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => libraries.push(String::new()),
            _ => libraries.last_mut().expect("there is one from the beginning").push(character),
        }
    }
    libraries.into_iter().map(|library| library.trim().to_string()).filter(|library| !library.is_empty()).collect()
}

fn is_statements(library: &str) -> bool {
    library.rsplit('/').next() == Some("pg_stat_statements")
}

/// One literal each: one for all would be the name of one library.
fn literals(libraries: &[String]) -> String {
    libraries.iter().map(|library| quote_literal(library)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn libraries_are_read_as_written() {
        assert_eq!(libraries(""), Vec::<String>::new());
        assert_eq!(libraries("auto_explain, \"$libdir/a,b\""), ["auto_explain", "$libdir/a,b"]);
        assert!(is_statements("$libdir/pg_stat_statements") && !is_statements("pg_stat_statements2"));
    }
}
