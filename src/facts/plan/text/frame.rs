//! What psql and the server's log put around a plan.

use super::{LINES, Line};

/// The lines of the plan, without the frame that psql draws and what auto_explain writes before.
pub fn unframed(text: &str) -> Vec<Line<'_>> {
    let lines = text.lines().take(LINES + 1).enumerate().map(|(i, text)| Line { number: i + 1, text });
    let lines: Vec<Line> = lines.skip_while(|line| line.text.trim().is_empty()).collect();
    let is_header = |line: &Line| unbordered(line.text).trim() == "QUERY PLAN";
    let (lines, framed) = match lines.iter().position(is_header) {
        Some(header) => (&lines[header + 1..], true),
        None => (after_log_prefix(&lines), false),
    };
    let inner = lines.iter().map(|line| Line { text: unbordered(line.text), ..*line });
    let inner = inner.filter(|line| !is_rule(line.text) && !is_row_count(line.text));
    inner.map(|line| if framed { Line { text: without_newline_mark(line.text), ..line } } else { line }).collect()
}

/// `2026-01-01 … LOG:  duration: 12.345 ms  plan:`
fn after_log_prefix<'a, 'b>(lines: &'a [Line<'b>]) -> &'a [Line<'b>] {
    let is_prefix = |line: &Line| line.text.contains("duration: ") && line.text.trim_end().ends_with(" plan:");
    match lines.iter().position(is_prefix) {
        Some(prefix) => &lines[prefix + 1..],
        None => lines,
    }
}

fn unbordered(line: &str) -> &str {
    let inner = |border: char| line.trim().strip_prefix(border)?.strip_suffix(border);
    inner('|').or_else(|| inner('│')).map_or(line, str::trim_end)
}

/// A line that psql draws.
fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() > 2 && line.chars().all(|c| "-+─┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣".contains(c))
}

/// `(12 rows)`, and what `\timing` adds.
fn is_row_count(line: &str) -> bool {
    let counted =
        line.trim().strip_prefix('(').and_then(|line| line.strip_suffix(" rows)").or(line.strip_suffix(" row)")));
    counted.is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit())) || line.starts_with("Time: ")
}

/// psql shows by it that the value goes on in the next line.
fn without_newline_mark(line: &str) -> &str {
    let line = line.trim_end();
    line.strip_suffix(['+', '↵']).map_or(line, str::trim_end)
}
