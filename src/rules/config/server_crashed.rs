use crate::advice::logged::{times, verify};
use crate::facts::server_log::shown_time;
use crate::facts::{Facts, ServerLog};
use crate::finding::{Finding, Severity, object};
use crate::rule::{Case, Need, Options, Rule, Verdict};
use crate::units::Count;
use serde_json::json;

pub static RULE: Rule = Rule {
    id: "server_crashed",
    category: "config",
    severity: Severity::critical,
    since: "0.1.0",
    enabled: true,
    condition: "The log has a server process that panicked or was ended by a signal, or a start after the server had \
                    not been shut down (which alone is high).",
    effect: "All sessions were ended, and nobody could connect until recovery was over.",
    workaround: "Signal 9 is mostly the kernel short of memory: lower work_mem × sessions, or shared_buffers; set \
                    vm.overcommit_memory = 2. Signal 11 or 6 is a bug, often of an extension: the detail names the \
                    statement. A start after no shutdown: power, container or operator.",
    sources: &[
        "https://www.postgresql.org/docs/17/kernel-resources.html#LINUX-MEMORY-OVERCOMMIT",
        "https://www.postgresql.org/docs/17/server-shutdown.html",
    ],
    options: &[],
    needs: &[Need::ServerLog],
    cases: &[
        Case {
            name: "the kernel killed a backend",
            setup: "create table example as select line from (values (1, '2026-11-20 10:00:00.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"server process (PID 77) was terminated by signal 9: Killed\",\"Failed process \
                    was running: select * from orders\",,,,,,,,\"\",\"postmaster\",,0'), (2, '2026-11-20 10:00:01.000 \
                    UTC,,,4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,LOG,00000,\"all server processes terminated; \
                    reinitializing\",,,,,,,,,\"\",\"postmaster\",,0')) l (n, line) order by n",
            finds: 1,
            fix_clears: false,
        },
        Case {
            name: "an administrator ended a session",
            setup: "create table example as select '2026-11-20 10:' || to_char(g, 'FM00') || ':00.000 UTC,\"app\",\"' || \
                    current_database() || '\",4242,\"10.0.0.1:5000\",6900000a.1092,1,\"SELECT\",2026-11-20 09:00:00 \
                    UTC,3/7,0,FATAL,57P01,\"terminating connection due to administrator \
                    command\",,,,,,,,,\"web\",\"client backend\",,0' as line from generate_series(1, 1) g",
            finds: 0,
            fix_clears: false,
        },
    ],
    check,
};

fn check(facts: &Facts, _: &Options) -> Verdict {
    let log = facts.server_log();
    let crashes = &log.crashes;
    Ok((crashes.processes + crashes.panics + crashes.sessions + crashes.recoveries > 0)
        .then(|| judge(log))
        .into_iter()
        .collect())
}

fn judge(log: &ServerLog) -> Finding {
    let crashes = &log.crashes;
    let processes = crashes.processes.max(crashes.panics);
    let crashed = processes + crashes.sessions > 0;
    let (message, detail) = crashes.shown.first().map_or(("", ""), |(_, message, detail)| (message, detail));
    Finding {
        severity: if crashed { Severity::critical } else { Severity::high },
        object: "server".to_string(),
        weight: processes,
        summary: match crashed {
            true => format!(
                "The server crashed: {} ended by a signal or in panic, {} with it; {message}",
                if processes == 1 { "1 process".to_string() } else { format!("{processes} processes") },
                Count(crashes.sessions).of("session")
            ),
            false => format!("The server started {} without having been shut down", times(crashes.recoveries)),
        },
        cause: match detail {
            "" => "The messages of the evidence tell which process, and by which signal.".to_string(),
            detail => detail.to_string(),
        },
        evidence: object! {
            "processes": processes,
            "panics": crashes.panics,
            "sessions_ended": crashes.sessions,
            "starts_with_recovery": crashes.recoveries,
            "messages": crashes.shown.iter().map(|(at, message, detail)| json!({
                "at": shown_time(*at), "message": message, "detail": detail,
            })).collect::<Vec<_>>(),
        },
        verify_sql: Some(verify(RULE.id, "server")),
        ..Finding::that_changes_nothing()
    }
}
