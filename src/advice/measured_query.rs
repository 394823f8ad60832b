//! What findings on statements of pg_stat_statements share.

use super::plan_weight::shown;
use super::statement_kind::{Kind, block_comment};
use crate::facts::{Facts, MeasuredStatement, Name, StatementStatistics, Targets, shortened};
use crate::finding::{Finding, object};
use crate::rule::Options;
use crate::units::{Count, duration, rounded};
use serde_json::json;

/// Those that rules judge: not this extension's own.
pub fn judged(facts: &Facts) -> impl Iterator<Item = (&MeasuredStatement, Kind)> {
    let statistics = facts.statement_statistics();
    let kinds = statistics.statements.iter().map(|statement| (statement, Kind::of(statement, &statistics.targets)));
    kinds.filter(|(_, kind)| *kind != Kind::Own)
}

/// What the rule slow_query is set to.
pub fn targets(options: &Options) -> Targets {
    Targets {
        hot_ms: options.number("hot_ms"),
        regular_ms: options.number("regular_ms"),
        complex_ms: options.number("complex_ms"),
        complex_blocks: options.number("complex_blocks"),
    }
}

/// A finding that concerns so much of the statement's time.
pub fn finding(facts: &Facts, statement: &MeasuredStatement, kind: Kind, ms: f64) -> Finding {
    let statistics = facts.statement_statistics();
    let totals = &statistics.totals;
    let mut evidence = object! {
        "query_id": statement.query_id,
        "role": statement.role_name,
        "query": shortened(&statement.text),
        "kind": kind.name(),
        "top_level": statement.top_level,
        "calls": statement.calls,
        "total_ms": rounded(statement.total_ms),
        "share": rounded(statistics.share(statement)),
        "mean_ms": rounded(statement.mean_ms()),
        "deviation_ms": rounded(statement.deviation_ms),
        "most_ms": rounded(statement.most_ms),
        "rows_per_call": rounded(statement.rows_per_call()),
        "counted_seconds": rounded(statement.counted_seconds),
    };
    if let Some(target) = kind.target_ms(&statistics.targets) {
        evidence.insert("target_ms".to_string(), json!(target));
    }
    if !statement.top_level {
        let note = "run by a function: its time is part of that of the statement that called the function";
        evidence.insert("counted_twice".to_string(), json!(note));
    } else if totals.nested_statements > 0 {
        evidence.insert("nested_statements_not_in_share".to_string(), json!(totals.nested_statements));
    }
    if totals.hidden_statements > 0 {
        evidence.insert("hidden_statements".to_string(), json!(totals.hidden_statements));
    }
    if totals.deallocations > 0 {
        let note = "pg_stat_statements has evicted entries: shares are too high, sums too low";
        evidence.insert("incomplete".to_string(), json!(note));
    }
    Finding {
        object: object(statement),
        weight: ms.max(0.0) as u64,
        evidence,
        verify_sql: Some(verify_sql(statistics, statement)),
        ..Finding::that_changes_nothing()
    }
}

/// `query 4711 of app`
pub fn object_of(query_id: i64, role: &str) -> String {
    format!("query {query_id} of {}", Name::from(role.to_string()))
}

fn object(statement: &MeasuredStatement) -> String {
    let nested = if statement.top_level { "" } else { " in functions" };
    object_of(statement.query_id, &statement.role_name) + nested
}

fn verify_sql(statistics: &StatementStatistics, statement: &MeasuredStatement) -> String {
    format!(
        "select s.calls, s.mean_exec_time as mean_ms, s.stats_since from {}.pg_stat_statements s where s.queryid = {} and s.userid = {} and \
         s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database());",
        statistics.setup.schema, statement.query_id, statement.role
    )
}

/// `select … from app.tasks where id = $1: 1,234 calls of 512 ms are 41% of the database's time`
pub fn told(facts: &Facts, statement: &MeasuredStatement) -> String {
    format!(
        "{}: {} of {} ms {} {} of the database's time",
        excerpt(&statement.text),
        Count(statement.calls).of("call"),
        ms(statement.mean_ms()),
        if statement.calls == 1 { "is" } else { "are" },
        percent(facts.statement_statistics().share(statement)),
    )
}

/// `12 ms`, `75 s`
pub fn took(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{} ms", ms(milliseconds)) } else { duration(milliseconds / 1000.0) }
}

/// `0.02`, `3.4`, `1,234`: a time in ms.
pub fn ms(value: f64) -> String {
    if value < 1.0 { format!("{value:.2}") } else { shown(value) }
}

/// What sets something for new sessions of the statement's role; None: the role is gone.
pub fn alter_role(facts: &Facts, statement: &MeasuredStatement) -> Option<String> {
    let (role, database) = (statement.role_name.clone(), facts.database.name.clone());
    // As the server calls a role that it does not know.
    let known = role != format!("unknown (OID={})", statement.role);
    known.then(|| format!("alter role {} in database {}", Name::from(role), Name::from(database)))
}

/// `41%`, `0.3%`
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 { format!("{:.1}%", 100.0 * share) } else { format!("{:.0}%", 100.0 * share) }
}

/// 95% of a normal distribution are below so many deviations beyond its mean.
const NORMAL_95: f64 = 1.645;

/// An estimate of the time that 95 of 100 calls stay below: mean and deviation of all calls but the slowest, which may be an
/// accident, as if times were distributed normally.
pub fn p95_ms(statement: &MeasuredStatement) -> f64 {
    let calls = statement.calls as f64;
    if statement.calls < 2 {
        return statement.mean_ms();
    }
    // Least and most can be reset alone.
    if statement.most_ms < statement.mean_ms() {
        return statement.mean_ms() + NORMAL_95 * statement.deviation_ms;
    }
    let mean = (statement.total_ms - statement.most_ms) / (calls - 1.0);
    let slowest = statement.most_ms - statement.mean_ms();
    let squares = calls * statement.deviation_ms * statement.deviation_ms - slowest * slowest * calls / (calls - 1.0);
    let deviation = (squares.max(0.0) / (calls - 1.0)).sqrt();
    (mean + NORMAL_95 * deviation).clamp(statement.least_ms, statement.most_ms.max(statement.least_ms))
}

/// How much of a text a summary shows.
const SHOWN: usize = 80;
/// A longer list of columns is left out.
const LIST_SHOWN: usize = 24;

/// The text on one line, shortened.
pub fn excerpt(text: &str) -> String {
    let text = without_comment(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches(';');
    let mut told = match (text.get(..7), select_list(text)) {
        (Some(select), Some(end)) if end > select.len() + LIST_SHOWN => format!("{select}… {}", &text[end..]),
        _ => text.to_string(),
    };
    if let Some((end, _)) = told.char_indices().nth(SHOWN) {
        told.truncate(end);
        told.push('…');
    }
    told
}

/// Comments that drivers and applications put first say nothing of the query.
fn without_comment(text: &str) -> &str {
    let mut text = text.trim_start();
    loop {
        let length = match text {
            block if block.starts_with("/*") => block_comment(block),
            line if line.starts_with("--") => line.find('\n').unwrap_or(line.len()),
            _ => return text,
        };
        text = text[length..].trim_start();
    }
}

/// Where the FROM of the outermost SELECT begins, if the text begins with that SELECT.
fn select_list(text: &str) -> Option<usize> {
    text.get(..7).filter(|word| word.eq_ignore_ascii_case("select "))?;
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && text.get(at + 1..at + 6).is_some_and(|word| word.eq_ignore_ascii_case("from ")) => {
                return Some(at + 1);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn summaries_show_where_rows_come_from() {
        assert_eq!(excerpt("select  *\n from t where a = $1;"), "select * from t where a = $1");
        assert_eq!(
            excerpt("SELECT tasks.id, tasks.title, (select 1 from x) FROM tasks WHERE id = $1"),
            "SELECT … FROM tasks WHERE id = $1"
        );
        assert_eq!(excerpt(&format!("select {}", "é".repeat(200))).chars().count(), SHOWN + 1);
        assert_eq!(excerpt("é"), "é");
        assert_eq!(excerpt("/*route='/x'*/ -- b\n select 1"), "select 1");
        assert_eq!(excerpt("/* never ends"), "");
    }

    #[test]
    fn one_accident_is_no_distribution() {
        let times = |times: &[f64]| {
            let (calls, total): (f64, f64) = (times.len() as f64, times.iter().sum());
            let squares: f64 = times.iter().map(|ms| (ms - total / calls).powi(2)).sum();
            MeasuredStatement {
                calls: times.len() as u64,
                total_ms: total,
                deviation_ms: (squares / calls).sqrt(),
                least_ms: times.iter().copied().fold(f64::INFINITY, f64::min),
                most_ms: times.iter().copied().fold(0.0, f64::max),
                ..MeasuredStatement::default()
            }
        };
        let mut accident = vec![1.0; 99];
        accident.push(10_000.0);
        assert!((p95_ms(&times(&accident)) - 1.0).abs() < 0.1, "{}", p95_ms(&times(&accident)));
        let spread: Vec<f64> = (0..100).map(f64::from).collect();
        assert!((p95_ms(&times(&spread)) - 95.0).abs() < 5.0, "{}", p95_ms(&times(&spread)));
        assert_eq!(p95_ms(&times(&[7.0])), 7.0);
        let reset = MeasuredStatement { least_ms: 0.0, most_ms: 0.0, ..times(&[10.0, 20.0, 30.0]) };
        assert!((p95_ms(&reset) - (20.0 + NORMAL_95 * 8.165)).abs() < 0.01);
    }
}
