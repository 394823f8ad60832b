//! What findings on the server's log have in common.

use crate::facts::ServerLog;
use crate::facts::server_log::{Events, Group, LogSettings, Names, shown_time};
use crate::finding::object;
use crate::units::{Count, rounded};
use serde_json::{Map, Value, json};

/// `1 time`, `1,234 times`
pub fn times(count: u64) -> String {
    Count(count).of("time")
}

/// From when to when records were counted, and who had part in what was found.
pub fn seen(log: &ServerLog, (first, last): (i64, i64), users: &Names, applications: &Names) -> Map<String, Value> {
    object! {
        "first": shown_time(first),
        "last": shown_time(last),
        "users": users.names(),
        "applications": applications.names(),
        "log_first": shown_time(log.first),
        "log_last": shown_time(log.last),
        "records_of_other_databases": log.elsewhere,
    }
}

/// What is known of a statement and its events, whose figures have this unit.
pub fn of_group(log: &ServerLog, group: &Group, unit: &str) -> Map<String, Value> {
    let mut evidence = seen(log, (group.events.first, group.events.last), &group.users, &group.applications);
    evidence.extend(of_events(&group.events, unit));
    evidence.extend(object! { "query": group.text, "largest_query": group.example });
    if !group.parameters.is_empty() {
        evidence.insert("largest_parameters".to_string(), json!(group.parameters));
    }
    if group.query_id != 0 {
        evidence.insert("query_id".to_string(), json!(group.query_id));
    }
    evidence
}

pub fn of_events(events: &Events, unit: &str) -> Map<String, Value> {
    let figures = [("total", events.total), ("mean", events.mean()), ("p95", events.p95()), ("max", events.largest)];
    let mut evidence = object! { "count": events.count };
    evidence.extend(figures.map(|(name, figure)| (format!("{name}_{unit}"), json!(rounded(figure)))));
    evidence
}

/// ALTER SYSTEM for these settings, and back to what they were.
pub fn alter_system(settings: &LogSettings, changes: &[(&str, String)]) -> (String, String) {
    const RELOAD: &str = "select pg_catalog.pg_reload_conf();";
    let set = |name: &str, value: &str| format!("alter system set {name} = '{}';", value.replace('\'', "''"));
    let (mut fix, mut rollback) = (Vec::new(), Vec::new());
    for (name, value) in changes {
        fix.push(set(name, value));
        rollback.push(match settings.get(name) {
            Some(was) if was.of_alter_system => set(name, &was.shown),
            _ => format!("alter system reset {name};"),
        });
    }
    fix.push(RELOAD.to_string());
    rollback.push(RELOAD.to_string());
    (fix.join("\n"), rollback.join("\n"))
}

/// Looks for the same in what is logged from now on.
pub fn verify(rule: &str, object: &str) -> String {
    format!(
        "select a.severity, a.summary from dbre.log_findings(pg_catalog.now() - interval '1 hour') a where a.rule = '{rule}' and \
         a.object = '{}';",
        object.replace('\'', "''")
    )
}
