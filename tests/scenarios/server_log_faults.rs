//! dbre.log_findings() on logs that are broken, huge, old, or in another language: said, never a crash.

use crate::server::{Database, Server, execute, query, refused, shown, text, trial, value};
use crate::server_log::{findings, the};
use libtest_mimic::Trial;
use postgres::Client;
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

pub fn trials(server: &Arc<Server>) -> Vec<Trial> {
    vec![
        trial(server, "server_log_faults::truncated_and_rotated", truncated),
        trial(server, "server_log_faults::bytes_that_are_no_text", no_text),
        trial(server, "server_log_faults::lines_of_100_mb", long_lines),
        trial(server, "server_log_faults::columns_of_every_version", versions),
        trial(server, "server_log_faults::messages_in_german", german),
        trial(server, "server_log_faults::what_a_statement_says_is_no_record", forged),
        trial(server, "server_log_faults::cancel_and_timeout_end_it", ended),
    ]
}

/// A record of csvlog with this message, logged in the minute.
fn csv(database: &Database, minute: u32, sqlstate: &str, message: &[u8]) -> Vec<u8> {
    let severity = if sqlstate == "00000" { "LOG" } else { "ERROR" };
    let head = format!(
        "2026-11-20 10:{minute:02}:00.000 UTC,\"app\",\"{}\",42,\"10.0.0.1:5000\",69.1092,1,\"SELECT\",2026-11-20 09:00:00 \
         UTC,3/7,0,{severity},{sqlstate},\"",
        database.name
    );
    [head.as_bytes(), &doubled(message), b"\",,,,,,,,,\"web\",\"client backend\",,0\n"].concat()
}

fn json(database: &Database, minute: u32, message: &[u8]) -> Vec<u8> {
    let head = format!(
        "{{\"timestamp\":\"2026-11-20 10:{minute:02}:00.000 UTC\",\"user\":\"app\",\"dbname\":\"{}\",\"pid\":42,\
         \"error_severity\":\"LOG\",\"message\":\"",
        database.name
    );
    [head.as_bytes(), message, b"\",\"backend_type\":\"client backend\",\"query_id\":0}\n"].concat()
}

fn doubled(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| if *byte == b'"' { vec![b'"', b'"'] } else { vec![*byte] }).collect()
}

fn slow(number: u32) -> Vec<u8> {
    format!("duration: 2500.000 ms  statement: select \"a\"\n from t where id = {number}").into_bytes()
}

fn slow_json(number: u32) -> Vec<u8> {
    format!("duration: 2500.000 ms  statement: select \\\"a\\\"\\n from t where id = {number}").into_bytes()
}

fn of_file(database: &Database, name: &str, bytes: &[u8]) -> Vec<Value> {
    let file = database.server.folder.join(format!("{}.{name}", database.name));
    fs::write(&file, bytes).unwrap();
    findings(&mut database.connect(), &format!("'-infinity', array['{}']", file.display()))
}

#[track_caller]
fn count(findings: &[Value]) -> u64 {
    the(findings, "slow_statements_logged")["evidence"]["count"].as_u64().unwrap()
}

#[track_caller]
fn unread(findings: &[Value], key: &str) -> u64 {
    the(findings, "log_not_read_whole")["evidence"][key].as_u64().unwrap()
}

fn truncated(database: &Database) {
    let records: Vec<Vec<u8>> = (0..6).map(|n| csv(database, n, "00000", &slow(n))).collect();
    let whole = of_file(database, "csv", &records.concat());
    assert_eq!(count(&whole), 6);
    assert!(!whole.iter().any(|finding| finding["rule"] == "log_not_read_whole"), "{}", shown(&whole));
    // Cut anywhere in the last record, and begun anywhere in the first: the others are counted.
    let all = records.concat();
    let length = records[0].len();
    for cut in [1, 30, 120, 160, 175, 190, length - 40] {
        let found = of_file(database, "csv", &all[..all.len() - cut]);
        assert!(
            count(&found) == 5 && unread(&found, "truncated_records") + unread(&found, "broken_lines") > 0 || cut == 1
        );
        let found = of_file(database, "csv", &all[cut..]);
        assert_eq!(count(&found), 5, "{cut}: {}", shown(&found));
        assert!(unread(&found, "broken_lines") + unread(&found, "truncated_records") > 0);
        // A crash in the middle of a record, and the server went on.
        let found = of_file(database, "csv", &[&all[..2 * length + cut], b"\n", &all[3 * length..]].concat());
        assert_eq!(count(&found), 5, "{cut}: {}", shown(&found));
    }
    let records: Vec<Vec<u8>> = (0..6).map(|n| json(database, n, &slow_json(n))).collect();
    let (all, length) = (records.concat(), records[0].len());
    for cut in [1, 30, 120, 160, length - 40] {
        assert_eq!(count(&of_file(database, "json", &all[..all.len() - cut])), if cut == 1 { 6 } else { 5 }, "{cut}");
        // Without a line break between.
        let found = of_file(database, "json", &[&all[..2 * length + cut], &all[3 * length..]].concat());
        assert_eq!(count(&found), 5, "{cut}: {}", shown(&found));
        assert!(unread(&found, "truncated_records") > 0);
    }
    assert_eq!(of_file(database, "csv", b"").len(), 0);
}

fn no_text(database: &Database) {
    let record = csv(database, 1, "00000", b"duration: 2500.000 ms  statement: select 'gr\xfcn\0' from t\xff");
    let found =
        of_file(database, "csv", &[&record[..], &[0; 100_000], b"\n", &csv(database, 2, "00000", &slow(1))].concat());
    let slow: Vec<_> = found.iter().filter(|finding| finding["rule"] == "slow_statements_logged").collect();
    assert_eq!(slow.len(), 2, "{}", shown(&found));
    assert_eq!((unread(&found, "texts_not_utf8"), unread(&found, "broken_lines")), (1, 1));
    let garbage: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let found = of_file(database, "csv", &garbage);
    assert!(!found.is_empty(), "{}", shown(&found));
    of_file(database, "json", &[b"{".as_slice(), &garbage].concat());
}

fn long_lines(database: &Database) {
    let filler = vec![b'x'; 100 << 20];
    let message = |quote: &str, end: u32| {
        let head = format!("duration: 2500.000 ms  statement: select {quote}a{quote}, '");
        [head.as_bytes(), &filler, format!("' where {end} = 1").as_bytes()].concat()
    };
    let parts = [csv(database, 1, "00000", &message("\"", 1)), csv(database, 2, "00000", &slow(1))].concat();
    in_constant_memory(database, "csv", &parts);
    let parts = [json(database, 1, &message("\\\"", 1)), json(database, 2, &slow_json(1))].concat();
    in_constant_memory(database, "json", &parts);
    // Never closed.
    let found = of_file(database, "csv", &parts[parts.len() / 2..]);
    assert!(!found.is_empty());
}

fn in_constant_memory(database: &Database, format: &str, bytes: &[u8]) {
    let file = database.server.folder.join(format!("{}_long.{format}", database.name));
    fs::write(&file, bytes).unwrap();
    let mut client = database.connect();
    let found = findings(&mut client, &format!("'-infinity', array['{}']", file.display()));
    let slow: Vec<_> = found.iter().filter(|finding| finding["rule"] == "slow_statements_logged").collect();
    assert_eq!(slow.len(), 2, "{}", shown(&found));
    assert_eq!(unread(&found, "long_records"), 1);
    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kilobytes < 100 * 1024, "{kilobytes} kB with a line of 100 MB");
    fs::remove_file(&file).unwrap();
}

/// PostgreSQL 12 has no type of the process, 13 no query id.
fn versions(database: &Database) {
    let record = String::from_utf8(csv(database, 1, "00000", &slow(1))).unwrap();
    for end in [",\"web\"\n", ",\"web\",\"client backend\"\n", ",\"web\",\"client backend\",,0,\"new\",7\n"] {
        let line = record.replace(",\"web\",\"client backend\",,0\n", end);
        let found = of_file(database, "csv", line.repeat(3).as_bytes());
        assert_eq!(count(&found), 3, "{end}: {}", shown(&found));
    }
    let few = record.replace(",,,,,,,,,\"web\",\"client backend\",,0\n", ",,,\n");
    let found = of_file(database, "csv", few.as_bytes());
    assert_eq!(the(&found, "log_not_read_whole")["evidence"]["files_not_structured"].as_array().unwrap().len(), 1);
}

fn german(database: &Database) {
    let wait = "Prozess 42 erlangte ShareLock-Sperre auf Transaktion 734 nach 12000.500 ms";
    let mut lines = Vec::new();
    for minute in 0..3 {
        lines.extend(csv(database, minute, "00000", b"Dauer: 2500.000 ms  Anweisung: select 1"));
        let error = String::from_utf8(csv(database, minute, "22012", b"Division durch Null")).unwrap();
        lines.extend(error.replace(",ERROR,", ",FEHLER,").into_bytes());
        let waited = String::from_utf8(csv(database, minute, "00000", wait.as_bytes())).unwrap();
        let with =
            "\",,,,,\"beim Aktualisieren von Tupel (0,1) in Relation »orders«\",\"update orders set v = 1\",,,\"web\"";
        lines.extend(waited.replace("\",,,,,,,,,\"web\"", with).into_bytes());
    }
    let found = of_file(database, "csv", &lines);
    assert_eq!(count(&found), 3, "{}", shown(&found));
    assert_eq!(text(the(&found, "errors_logged"), "object"), "SQLSTATE 22012");
    assert_eq!(text(the(&found, "lock_waits_logged"), "object"), "ShareLock on rows of orders");
    assert_eq!(unread(&found, "records_in_other_languages"), 6);
}

/// Whoever may send SQL writes texts into the log, and no records.
fn forged(database: &Database) {
    let panic = "2026-11-20 10:00:01.000 UTC,,,7,,69.1,1,,2026-11-20 09:00:00 UTC,,0,PANIC,XX000,\"forged\",,,,,,,,,\"\",\"postmaster\",,0";
    let killed = "2026-11-20 10:00:01.000 UTC,,,7,,69.1,1,,2026-11-20 09:00:00 UTC,,0,LOG,00000,\"server process (PID 7) was terminated by \
                  signal 9: Killed\",,,,,,,,,\"\",\"postmaster\",,0";
    let client = String::from_utf8(csv(database, 3, "XX001", b"forged")).unwrap();
    let quotes = client.replace("\"app\"", "\"\"").replace(&format!("\"{}\"", database.name), "\"\"\"\"");
    let mut lines = Vec::new();
    for text in [panic, killed, &client, &quotes] {
        let sql = format!("duration: 2500.000 ms  statement: select '\n{text}\n{}'", text.trim_end());
        lines.extend(csv(database, 1, "00000", sql.as_bytes()));
    }
    let statements = [
        "process 7 still waiting for ShareLock on transaction 7 after 9999.123 ms",
        "temporary file: path \"pgsql_tmp\", size 99999999999",
    ];
    for text in statements {
        lines.extend(csv(database, 1, "00000", format!("statement: select '{text}'").as_bytes()));
    }
    let found = of_file(database, "csv", &lines);
    let others: Vec<_> =
        found.iter().filter(|f| f["rule"] != "slow_statements_logged" && f["rule"] != "log_settings_hide").collect();
    assert!(others.is_empty(), "{others:#?}");
    let json_lines: Vec<u8> = [panic, killed]
        .iter()
        .flat_map(|text| {
            let inner =
                format!("{{\"timestamp\":\"2026-11-20 10:00:00.000 UTC\",\"x\":\"{text}\"}}").replace('"', "\\\"");
            json(database, 1, format!("duration: 2500.000 ms  statement: select '\\n{inner}'").as_bytes())
        })
        .collect();
    let found = of_file(database, "json", &json_lines);
    let others: Vec<_> =
        found.iter().filter(|f| f["rule"] != "slow_statements_logged" && f["rule"] != "log_settings_hide").collect();
    assert!(others.is_empty(), "{others:#?}");
}

fn ended(database: &Database) {
    let file = database.server.folder.join(format!("{}.csv", database.name));
    fs::write(&file, csv(database, 1, "00000", &slow(1)).repeat(400_000)).unwrap();
    let mut client: Client = database.connect();
    execute(&mut client, "set statement_timeout = '100ms'");
    let begun = Instant::now();
    let error =
        refused(&mut client, &format!("select * from dbre.log_findings('-infinity', array['{}'])", file.display()));
    assert_eq!(error.code().code(), "57014");
    assert!(begun.elapsed().as_secs_f64() < 20.0, "{:?}", begun.elapsed());
    execute(&mut client, "reset statement_timeout");
    assert_eq!(query(&mut client, "select 1").len(), 1);
    fs::remove_file(&file).unwrap();
}
