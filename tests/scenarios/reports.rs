//! The three formats of dbre.report().

use crate::server::{Database, Server, check, execute, text, trial, value};
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "reports::brief_has_at_most_ten_lines", brief),
        trial(server, "reports::markdown_has_all_sections", markdown),
        trial(server, "reports::json_equals_check", json),
        trial(server, "reports::nothing_found", nothing_found),
    ]
}

fn many(database: &Database, keys: usize) {
    let mut sql = "create table parent (id int primary key);".to_string();
    for number in 1..=keys {
        sql += &format!("create table child_{number} (id int primary key, parent_id int references parent);");
    }
    execute(&mut database.connect(), &sql);
}

fn brief(database: &Database) {
    let mut client = database.connect();
    for keys in [0, 1, 6, 7, 8, 50] {
        execute(&mut client, "drop schema public cascade; create schema public");
        many(database, keys);
        let report: String =
            value(&mut client, "select dbre.report('brief', rules => array['foreign_key_without_index'])");
        let lines: Vec<_> = report.lines().collect();
        assert_eq!(lines.len(), (3 + keys).min(10), "{keys} findings\n{report}");
        assert!(lines[0].starts_with(&format!("{} on PostgreSQL 17", database.name)), "{report}");
        assert!(lines[1].starts_with("statistics "), "{report}");
        let shown = lines.iter().filter(|line| line.starts_with("[low] Foreign key ")).count();
        let counted = if keys == 0 { "no findings".to_string() } else { format!("{keys} low") };
        assert!(lines[2].starts_with(&counted), "{report}");
        if keys > 7 {
            assert!(lines[9].starts_with(&format!("… and {} more", keys - shown)), "{report}");
        } else {
            assert_eq!(shown, keys, "{report}");
        }
    }
}

fn markdown(database: &Database) {
    many(database, 3);
    let report: String =
        value(&mut database.connect(), "select dbre.report(rules => array['foreign_key_without_index'])");
    let (header, findings) = report.split_once("\n## ").unwrap();
    assert!(header.starts_with(&format!("# Database report: {}\n", database.name)), "{report}");
    for line in ["- Server: PostgreSQL 17", "- Checked: ", "- Statistics: ", "- Findings: 3 low"] {
        assert!(header.contains(line), "{line} is missing:\n{report}");
    }
    let sections: Vec<_> = findings.split("\n## ").collect();
    assert_eq!(sections.len(), 3, "{report}");
    for (position, section) in sections.iter().enumerate() {
        assert!(section.starts_with(&format!("{}. [low] Foreign key ", position + 1)), "{report}");
        let titles = ["Root cause", "Evidence", "Solution", "Impact", "Risk", "Rollback", "Verification"];
        let places: Vec<_> = titles.iter().map(|title| section.find(&format!("**{title}.**"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{titles:?} at {places:?}:\n{section}");
        assert_eq!(section.matches("```").count() % 2, 0, "{section}");
    }
}

fn json(database: &Database) {
    many(database, 20);
    let mut client = database.connect();
    execute(
        &mut client,
        "create table \"Sätze \"\"\\\" (a int); insert into \"Sätze \"\"\\\" select generate_series(1, 100)",
    );
    let report: String = value(&mut client, "select dbre.report('json')");
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}\n{report}"));
    assert_eq!(report["version"], 1, "{report:#}");
    assert_eq!(report["database"], database.name.as_str(), "{report:#}");
    for key in ["server_version", "generated_at", "statistics"] {
        assert!(!text(&report, key).is_empty(), "{key}: {report:#}");
    }
    let findings = check(&mut client, "");
    assert!(findings.len() >= 20);
    assert_eq!(report["findings"].as_array().unwrap(), &findings);
    let incomplete =
        "select coalesce(jsonb_agg(rule), '[]') from dbre.rule_runs() where status <> 'ran' or not_readable > 0";
    let runs: Value = value(&mut client, incomplete);
    let gaps: Vec<_> = report["not_complete"].as_array().unwrap().iter().map(|gap| gap["rule"].clone()).collect();
    assert_eq!(Value::Array(gaps), runs, "{report:#}");
}

fn nothing_found(database: &Database) {
    let mut client = database.connect();
    let report: String = value(&mut client, "select dbre.report()");
    assert!(report.contains("- Findings: no findings\n") && !report.contains("\n## "), "{report}");
    let report: String = value(&mut client, "select dbre.report('json')");
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["findings"], Value::Array(Vec::new()), "{report}");
}
