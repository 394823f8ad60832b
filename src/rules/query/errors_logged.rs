use crate::advice::logged::{seen, times, verify};
use crate::facts::server_log::ErrorsOf;
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, OptionSpec, Options, Rule, Verdict};
use crate::units::on_one_line;
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "errors_logged",
    category: "query",
    severity: Severity::medium,
    since: "0.1.0",
    enabled: true,
    condition: "The log has errors of a SQLSTATE. Critical: data or index corrupted, disk full, I/O errors; high: \
                    internal errors, out of memory or of another resource; medium: at least many of any other; low: \
                    fewer.",
    effect: "Each is a statement that failed, and often a user who saw it; classes 53, 58 and XX tell of the \
                    server itself.",
    workaround: "The messages of the evidence, with a statement each, tell what failed.",
    sources: &["https://www.postgresql.org/docs/17/errcodes-appendix.html"],
    options: &[
        OptionSpec::number("many", (100.0, "errors"), (1.0, 1e9), "So many of one SQLSTATE are medium."),
        OptionSpec::number(
            "many_of_schema",
            (10.0, "errors"),
            (1.0, 1e9),
            "So many of class 42, such as a table or column that is not there, are medium: a deploy does not fit.",
        ),
    ],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "a file cannot be read",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,ERROR,58030,\"could not read block 7 in file \"\"base/5/16384\"\": Input/output \
                    error\",,,,,,\"select * from orders\",,,\"web\",\"client backend\",,0' as line from \
                    generate_series(1, 1) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a column is missing since a deploy",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,ERROR,42703,\"column \"\"discount\"\" does not exist\",,,,,,\"select discount from \
                    orders\",,,\"web\",\"client backend\",,0' as line from generate_series(1, 20) g",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "a warning",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,WARNING,25P01,\"there is no transaction in progress\",,,,,,\"commit\",,,\"web\",\"client \
                    backend\",,0' as line from generate_series(1, 20) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

const MOST_MESSAGES: usize = 5;

fn check(facts: &Facts, options: &Options) -> Verdict {
    let log = facts.server_log();
    Ok(log.errors.iter().map(|errors| judge(log, errors, options)).collect())
}

fn judge(log: &ServerLog, errors: &ErrorsOf, options: &Options) -> Finding {
    let object = format!("SQLSTATE {}", errors.sqlstate);
    let mut evidence = seen(log, (errors.first, errors.last), &errors.users, &errors.applications);
    evidence.extend(object! {
        "sqlstate": errors.sqlstate,
        "count": errors.count,
        "sessions_ended": errors.fatal,
        "messages": errors.messages.iter().take(MOST_MESSAGES).map(|message| json!({
            "message": message.kind,
            "count": message.count,
            "example": message.example,
            "example_query": message.statement,
        })).collect::<Vec<_>>(),
        "kinds_of_messages": errors.messages.len(),
        "messages_of_other_kinds": errors.other_messages,
    });
    let top = errors.messages.first().map_or("", |message| message.kind.as_str());
    Finding {
        severity: severity(errors, options),
        summary: format!("{object} was logged {}, mostly: {}", times(errors.count), on_one_line(top)),
        cause: class(&errors.sqlstate).to_string(),
        weight: errors.count,
        evidence,
        app_fix: app_fix(&errors.sqlstate).map(str::to_string),
        verify_sql: Some(verify(RULE.id, &object)),
        object,
        ..Finding::that_changes_nothing()
    }
}

fn severity(errors: &ErrorsOf, options: &Options) -> Severity {
    let at_least = |option: &str| errors.count as f64 >= options.number(option);
    match (errors.sqlstate.as_str(), errors.sqlstate.get(..2).unwrap_or_default()) {
        ("XX001" | "XX002" | "53100" | "58030", _) => Severity::critical,
        (_, "XX" | "53" | "58" | "F0") => Severity::high,
        (_, "42") if at_least("many_of_schema") => Severity::medium,
        _ if at_least("many") => Severity::medium,
        _ => Severity::low,
    }
}

fn class(sqlstate: &str) -> &'static str {
    match (sqlstate, sqlstate.get(..2).unwrap_or_default()) {
        ("53100", _) => "The disk is full: the server cannot write.",
        ("53200", _) => "Memory that the server asked for was not there.",
        ("XX001" | "XX002", _) => {
            "Data or an index is corrupted: stop writing to it, keep a copy of the data directory, look at the disk, and restore or \
             rebuild what the messages name."
        }
        ("40001", _) => "Transactions of isolation level REPEATABLE READ or SERIALIZABLE met; they are to be retried.",
        ("57014", _) => "Statements were canceled: by statement_timeout, by lock_timeout's sibling or by a user.",
        ("55P03", _) => "lock_timeout or NOWAIT ended a wait for a lock.",
        ("25P02", _) => "Statements were sent in a transaction that had failed before: look for the error before it.",
        ("25P03", _) => "Sessions left a transaction open and idle.",
        (_, "53") => "A resource of the server was used up.",
        (_, "58") => "The operating system refused what the server asked for.",
        (_, "XX") => "An internal error: a bug, a broken extension or corrupted data.",
        (_, "42") => "The text of a statement does not fit the schema, or the role lacks a privilege.",
        (_, "23") => "Data violated a constraint.",
        (_, "22") => "A value does not fit its type.",
        (_, "28") => "Clients could not log in: a wrong password, role or rule of pg_hba.conf; or somebody tries.",
        (_, "08") => "Connections to clients broke.",
        (_, "57") => "Sessions or statements were ended by the operator, a timeout or a shutdown.",
        _ => "The messages tell what failed.",
    }
}

fn app_fix(sqlstate: &str) -> Option<&'static str> {
    Some(match (sqlstate, sqlstate.get(..2).unwrap_or_default()) {
        ("40001", _) => "Retry the whole transaction on SQLSTATE 40001, a few times and with a random pause.",
        ("23505", _) => {
            "Where the row may be there already: SQLAlchemy's `insert(T).on_conflict_do_nothing()` or `.on_conflict_do_update(…)` \
             of sqlalchemy.dialects.postgresql."
        }
        ("25P02", _) => "Roll back when a statement fails: `with session.begin():` does so.",
        ("25P03", _) => {
            "Commit or roll back before waiting for anything else: `with session.begin():` around each unit of work."
        }
        (_, "08") => {
            "SQLAlchemy: create_engine(…, pool_pre_ping=True), and pool_recycle below the idle limit of what lies between."
        }
        _ => return None,
    })
}
