//! The corpus: files of SQL, each with a setup and then its cases.
//!
//!     create table corpus.orders …;          the setup: run by psql, once; what it makes belongs into the schema corpus
//!
//!     -- query: orders_of_a_day              begins a case
//!     -- why: what an expert sees, and why
//!     -- expects: rule, rule                 or nothing: the plan is as it should be
//!     -- may: rule                           that is right, too, but need not be told
//!     -- analyze: no                         the query is only planned
//!     set local work_mem = '64kB';           statements before the last: run in its transaction, which is rolled back
//!     select …

use crate::cluster::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const HERE: &str = "benches/plan_findings/corpus";
pub const HALVES: [&str; 2] = ["rules", "aside"];

pub struct Topic {
    pub name: String,
    pub setup: String,
    pub cases: Vec<Case>,
}

#[derive(Default)]
pub struct Case {
    pub name: String,
    pub why: String,
    pub expects: BTreeSet<String>,
    pub may: BTreeSet<String>,
    pub analyze: bool,
    pub before: String,
    pub query: String,
}

pub fn read(half: &str) -> Result<Vec<Topic>> {
    let folder = Path::new(HERE).join(half);
    let mut files = fs::read_dir(&folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut topics = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        topics.push(topic(name, &fs::read_to_string(&file)?).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    Ok(topics)
}

fn topic(name: String, text: &str) -> Result<Topic> {
    let mut topic = Topic { name, setup: String::new(), cases: Vec::new() };
    for line in text.lines() {
        let Some(case) = topic.cases.last_mut().filter(|_| !line.starts_with("-- query: ")) else {
            match line.strip_prefix("-- query: ") {
                Some(name) => topic.cases.push(Case { name: name.to_string(), analyze: true, ..Case::default() }),
                None => topic.setup += &format!("{line}\n"),
            }
            continue;
        };
        let rules = |list: &str| list.split(", ").filter(|rule| *rule != "nothing").map(str::to_string).collect();
        match line.strip_prefix("-- ").and_then(|line| line.split_once(": ")) {
            Some(("why", why)) => case.why = why.to_string(),
            Some(("expects", list)) => case.expects = rules(list),
            Some(("may", list)) => case.may = rules(list),
            Some(("analyze", "no")) => case.analyze = false,
            Some((key, _)) => return Err(format!("{}: unknown key {key}", case.name).into()),
            None => case.query += &format!("{line}\n"),
        }
    }
    for case in &mut topic.cases {
        let text = case.query.trim_end();
        let begins = text.rfind(";\n").map_or(0, |end| end + 2);
        (case.before, case.query) = (text[..begins].to_string(), text[begins..].trim().to_string());
        if case.why.is_empty() || case.query.is_empty() {
            return Err(format!("{} has no why or no query", case.name).into());
        }
    }
    Ok(topic)
}
