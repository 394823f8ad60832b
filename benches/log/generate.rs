//! A log as a busy application leaves it; the same every time.

use crate::cluster::Result;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

/// The tables of a shop with many modules.
const STATEMENTS: u64 = 300;
const ERRORS: [(&str, &str); 4] = [
    ("23505", "duplicate key value violates unique constraint \"orders_number_key\""),
    ("40001", "could not serialize access due to concurrent update"),
    ("57014", "canceling statement due to statement timeout"),
    ("42703", "column \"discount\" does not exist"),
];

#[derive(Default)]
struct Record {
    client: bool,
    severity: &'static str,
    sqlstate: &'static str,
    message: String,
    detail: String,
    context: String,
    statement: String,
    backend_type: &'static str,
    query_id: i64,
}

/// Writes about so many bytes; the number of records.
pub fn generate(file: &Path, format: Format, query_ids: bool, bytes: u64) -> Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let (mut random, mut written, mut records, mut line) = (Random(42), 0, 0, String::new());
    while written < bytes {
        let mut record = record(&mut random);
        if !query_ids {
            record.query_id = 0;
        }
        line.clear();
        // A day of it.
        let ms = records * 86_400_000 / (bytes / 400).max(1);
        match format {
            Format::Csv => csv(&mut line, &record, &time(ms), records, &mut random),
            Format::Json => json(&mut line, &record, &time(ms), records, &mut random),
        }
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        records += 1;
    }
    out.flush()?;
    Ok(records)
}

fn time(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000 % 86_400, ms % 1000);
    format!("2026-11-20 {:02}:{:02}:{:02}.{ms:03} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn record(random: &mut Random) -> Record {
    let number = random.below(STATEMENTS);
    let client = Record {
        client: true,
        severity: "LOG",
        sqlstate: "00000",
        backend_type: "client backend",
        query_id: (number as i64 + 1) * 7_919_000_000_007,
        ..Record::default()
    };
    match random.below(100) {
        0..65 => {
            // Most are fast; some are not.
            let ms = (1.0 / (0.0005 + random.unit())) * (1 + number % 7) as f64;
            let how = if random.below(3) == 0 { "statement" } else { "execute <unnamed>" };
            let message = format!("duration: {ms:.3} ms  {how}: {}", statement(number, random));
            let detail = if how == "statement" {
                String::new()
            } else {
                format!("Parameters: $1 = '{}'", random.below(1_000_000))
            };
            Record { message, detail, ..client }
        }
        65..85 => {
            let port = 1024 + random.below(60_000);
            Record { message: format!("connection received: host=10.0.0.7 port={port}"), query_id: 0, ..client }
        }
        85..88 => {
            let (sqlstate, message) = ERRORS[random.below(4) as usize];
            let statement = statement(number, random);
            Record { severity: "ERROR", sqlstate, message: message.to_string(), statement, ..client }
        }
        88..92 => {
            let (file, size) = (random.below(90_000), 8192 * random.below(20_000));
            let message = format!("temporary file: path \"base/pgsql_tmp/pgsql_tmp{file}.0\", size {size}");
            Record { message, statement: statement(number, random), ..client }
        }
        92..94 => {
            let (xid, ms) = (random.below(1 << 30), 1000 + random.below(20_000));
            let message = format!("process 4242 acquired ShareLock on transaction {xid} after {ms}.123 ms");
            let context = "while updating tuple (7,1) in relation \"orders\"".to_string();
            Record { message, context, statement: statement(number, random), ..client }
        }
        94..99 => {
            let table = random.below(200);
            let message = format!(
                "automatic vacuum of table \"postgres.public.t{table}\": index scans: 1\npages: 0 removed, 400 remain, 400 scanned \
                 (100.00% of total)\ntuples: 4711 removed, 20000 remain, 0 are dead but not yet removable\nsystem usage: CPU: user: \
                 0.05 s, system: 0.00 s, elapsed: 0.10 s"
            );
            Record {
                severity: "LOG",
                sqlstate: "00000",
                message,
                backend_type: "autovacuum worker",
                ..Record::default()
            }
        }
        _ => Record {
            severity: "LOG",
            sqlstate: "00000",
            message: "checkpoint starting: time".to_string(),
            backend_type: "checkpointer",
            ..Record::default()
        },
    }
}

fn statement(number: u64, random: &mut Random) -> String {
    let (id, day, amount) = (random.below(10_000_000), 1 + random.below(28), random.below(100_000));
    match number % 4 {
        0 => format!(
            "SELECT t{number}.id, t{number}.customer_id, t{number}.status, t{number}.total, t{number}.created_at \nFROM t{number} \n\
             WHERE t{number}.customer_id = {id} AND t{number}.created_at >= '2026-11-{day:02}' ORDER BY t{number}.created_at DESC \
             LIMIT 50"
        ),
        1 => {
            let list: Vec<String> = (0..5 + id % 40).map(|n| (id + n * 17).to_string()).collect();
            format!("SELECT * FROM t{number} WHERE id IN ({})", list.join(", "))
        }
        2 => format!(
            "UPDATE t{number} SET status = 'paid', total = {amount}.50, note = 'it''s paid, says \"{id}\"' WHERE id = {id} /* \
             route='/orders/{id}' */"
        ),
        _ => format!(
            "SELECT c.name, count(*), sum(o.total) FROM t{number} o JOIN customers c ON c.id = o.customer_id WHERE o.created_at \
             BETWEEN '2026-10-{day:02}' AND '2026-11-{day:02}' AND c.region = 'r{}' GROUP BY c.name HAVING sum(o.total) > {amount} \
             ORDER BY 3 DESC",
            id % 10
        ),
    }
}

fn csv(line: &mut String, record: &Record, time: &str, number: u64, random: &mut Random) {
    let pid = 4000 + random.below(200);
    let quoted =
        |text: &str| if text.is_empty() { String::new() } else { format!("\"{}\"", text.replace('"', "\"\"")) };
    let (who, host, application) = match record.client {
        true => ("\"app\",\"postgres\"", format!("\"10.0.0.7:{}\"", 1024 + pid), "web"),
        false => (",", String::new(), ""),
    };
    *line += &format!(
        "{time},{who},{pid},{host},6740a1b2.{pid:x},{number},\"SELECT\",2026-11-20 00:00:00 UTC,7/{number},0,{},{},{},{},,,,{},{},,,\
         \"{application}\",\"{}\",,{}\n",
        record.severity,
        record.sqlstate,
        quoted(&record.message),
        quoted(&record.detail),
        quoted(&record.context),
        quoted(&record.statement),
        record.backend_type,
        record.query_id
    );
}

fn json(line: &mut String, record: &Record, time: &str, number: u64, random: &mut Random) {
    let pid = 4000 + random.below(200);
    let mut add = |key: &str, text: &str| {
        if !text.is_empty() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            *line += &format!("\"{key}\":\"{text}\",");
        }
    };
    add("timestamp", time);
    if record.client {
        add("user", "app");
        add("dbname", "postgres");
        add("remote_host", "10.0.0.7");
    }
    add("session_id", &format!("6740a1b2.{pid:x}"));
    add("ps", "SELECT");
    add("session_start", "2026-11-20 00:00:00 UTC");
    add("vxid", &format!("7/{number}"));
    add("error_severity", record.severity);
    add("state_code", if record.sqlstate == "00000" { "" } else { record.sqlstate });
    add("message", &record.message);
    add("detail", &record.detail);
    add("context", &record.context);
    add("statement", &record.statement);
    add("application_name", if record.client { "web" } else { "" });
    add("backend_type", record.backend_type);
    line.insert(0, '{');
    *line += &format!("\"pid\":{pid},\"line_num\":{number},\"txid\":0,\"query_id\":{}}}\n", record.query_id);
}

/// xorshift
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
