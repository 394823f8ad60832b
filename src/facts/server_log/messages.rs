//! What messages say, as far as their structure tells it in any language.

use super::record::{Escapes, Field, MOST_TEXT};

pub struct Duration<'a> {
    pub ms: f64,
    pub step: Step,
    pub text: Field<'a>,
    /// The message is in another language.
    pub foreign: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Run,
    /// Of the extended protocol: parse and bind.
    Prepare,
    /// By auto_explain.
    Plan,
    /// By log_duration: the statement is not in the message.
    Untold,
}

/// `duration: 12.345 ms  statement: select 1`
pub fn duration(message: Field) -> Option<Duration> {
    const ENGLISH: &[u8] = b"duration: ";
    // Other languages: the label ends with the first colon.
    let english = message.raw.starts_with(ENGLISH);
    let start = match english {
        true => ENGLISH.len(),
        false => message.raw.iter().take(60).position(|byte| *byte == b':')? + 1,
    };
    let spaces = message.raw[start..].iter().take_while(|byte| matches!(byte, b' ' | 0xc2 | 0xa0)).count();
    let digits = &message.raw[start + spaces..];
    let length = digits.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let number = std::str::from_utf8(&digits[..length]).ok()?;
    if number.find('.')? + 4 != length || !matches!(digits[length], b' ' | 0xc2) {
        return None;
    }
    let ms = number.parse().ok()?;
    let rest = message.after(start + spaces + length);
    let Some(colon) = rest.raw.iter().take(200).position(|byte| *byte == b':') else {
        return Some(Duration { ms, step: Step::Untold, text: Field::default(), foreign: !english });
    };
    let label = rest.raw[..colon].trim_ascii();
    let mut text = rest.after(colon + 1);
    if text.raw.starts_with(b" ") {
        text = text.after(1);
    }
    let plan = [&b"\n"[..], b"\\n", b"Query Text: "].iter().any(|begin| text.raw.starts_with(begin));
    let prepare = label.starts_with(b"ms  parse") || label.starts_with(b"ms  bind");
    let step = if plan {
        Step::Plan
    } else if prepare {
        Step::Prepare
    } else {
        Step::Run
    };
    Some(Duration { ms, step, text, foreign: !english })
}

/// The statement in a plan that auto_explain wrote, as text or JSON.
pub fn planned_statement(plan: &str) -> Option<String> {
    const TEXT: &str = "Query Text: ";
    const JSON: &str = "\"Query Text\": \"";
    if let Some(at) = plan.find(JSON) {
        let rest = &plan.as_bytes()[at + JSON.len()..];
        let mut escaped = false;
        let end = rest.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let raw = &rest[..end.unwrap_or(rest.len())];
        return Some(Field { raw, escapes: Escapes::Backslashes }.text(MOST_TEXT).0);
    }
    let rest = &plan[plan.find(TEXT)? + TEXT.len()..];
    let of_plan = |line: &&str| line.contains("  (cost=") || line.starts_with("Query Parameters: ");
    Some(rest.lines().take_while(|line| !of_plan(line)).collect::<Vec<_>>().join("\n"))
}

#[derive(Debug)]
pub struct LockWait {
    pub acquired: bool,
    pub mode: String,
    pub ms: f64,
    pub target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// OID; of this database.
    Relation(u32),
    /// Unqualified, as the context of the message has it: another transaction has changed a row of it.
    RowsOf(String),
    Other(String),
}

const LOCK_MODES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// `process 7 still waiting for ShareLock on transaction 8 after 1000.123 ms`; of other languages mode, numbers and whether
/// there is a detail tell.
pub fn lock_wait(message: &str, detail: bool, context: &str, database: u32) -> Option<LockWait> {
    let mut words = message.split(|c: char| !c.is_ascii_alphabetic());
    let mode = words.find(|word| LOCK_MODES.contains(word))?;
    let after = &message[message.find(mode)? + mode.len()..];
    let ms_at = after.rfind(|c: char| c.is_ascii_digit())?;
    let ms_text = after[..=ms_at].rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    if ms_text.find('.')? + 4 != ms_text.len() {
        return None;
    }
    let english = message.starts_with("process ");
    let acquired = match english {
        true if message.contains(" still waiting for ") => false,
        true if message.contains(" acquired ") => true,
        true => return None,
        false => !detail,
    };
    let on = &after[..ms_at + 1 - ms_text.len()];
    let target = target(on, english, database, context);
    Some(LockWait { acquired, mode: mode.to_string(), ms: ms_text.parse().ok()?, target })
}

/// `on`: ` on tuple (0,1) of relation 16384 of database 5 after `
fn target(on: &str, english: bool, database: u32, context: &str) -> Target {
    let numbers = numbers(on);
    let of_relation = |numbers: &[u64]| -> Option<Target> {
        let [.., relation, of] = numbers else { return None };
        (*of == u64::from(database)).then_some(Target::Relation(*relation as u32))
    };
    let what = on.trim_start().trim_start_matches("on ");
    let relation = ["relation", "tuple", "extension of relation", "page"].iter().any(|kind| what.starts_with(kind));
    // Lines that follow are those of functions.
    let of_row = || quoted(context.lines().next()?).map(Target::RowsOf);
    let other = |kind: &str| Target::Other(kind.to_string());
    if english {
        let words = what.split(|c: char| c.is_ascii_digit() || "[(".contains(c)).next().unwrap_or(what).trim();
        return match words {
            _ if relation => of_relation(&numbers).unwrap_or_else(|| other("relation of another database")),
            "transaction" => of_row().unwrap_or_else(|| other(words)),
            _ => other(words),
        };
    }
    match numbers.len() {
        1 => of_row().unwrap_or_else(|| other("transaction")),
        2 | 4 => of_relation(&numbers).unwrap_or_else(|| other("lock")),
        _ => other("lock"),
    }
}

/// Whole numbers.
pub fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The last name in quotes, be they of another language.
pub fn quoted(text: &str) -> Option<String> {
    const QUOTES: [(char, char); 5] = [('"', '"'), ('»', '«'), ('«', '»'), ('„', '“'), ('“', '”')];
    let found = QUOTES.iter().filter_map(|(open, close)| {
        let end = text.rfind(*close)?;
        let start = text[..end].rfind(*open)? + open.len_utf8();
        Some(text[start..end].trim_matches(|c: char| c.is_whitespace()).to_string())
    });
    found.into_iter().next()
}

/// The statements in the detail of a deadlock: after its lines on who waits for whom comes `Process 7: update …` for each.
pub fn deadlocked(detail: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    for line in detail.lines() {
        let head: String = line.chars().take(40).collect();
        let pid = head.find(|c: char| c.is_ascii_digit()).and_then(|at| {
            let digits = head[at..].chars().take_while(char::is_ascii_digit).count();
            // A word before the number, a colon and a space after it.
            let follows = line[at + digits..].strip_prefix(": ")?;
            (!head[..at].is_empty() && !head[..at].contains(':')).then_some(follows)
        });
        match (pid, statements.last_mut()) {
            (Some(text), _) => statements.push(text.to_string()),
            (None, Some(last)) => *last = format!("{last}\n{line}"),
            (None, None) => {}
        }
    }
    statements
}

/// A message without its numbers and values, by which it is counted.
pub fn kind(message: &str) -> String {
    let mut kind = String::with_capacity(message.len().min(200));
    let mut characters = message.lines().next().unwrap_or_default().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '0'..='9' => {
                while characters.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
                kind.push('?');
            }
            // A value follows a colon; names follow words.
            '"' if kind.ends_with(": ") => {
                characters.by_ref().find(|next| *next == '"');
                kind.push('?');
            }
            other => kind.push(other),
        }
        if kind.len() > 200 {
            kind.push('…');
            break;
        }
    }
    kind
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn of(message: &str) -> Option<(f64, Step, String, bool)> {
        let read = duration(Field { raw: message.as_bytes(), escapes: Escapes::None })?;
        Some((read.ms, read.step, read.text.text(100).0, read.foreign))
    }

    #[test]
    fn durations_of_any_language() {
        let run = |ms, text: &str, foreign| Some((ms, Step::Run, text.to_string(), foreign));
        assert_eq!(of("duration: 12.345 ms  statement: select 1"), run(12.345, "select 1", false));
        assert_eq!(of("duration: 2.000 ms  execute <unnamed>: select 1"), run(2.0, "select 1", false));
        assert_eq!(of("Dauer: 2.500 ms  Anweisung: select 1"), run(2.5, "select 1", true));
        assert_eq!(of("продолжительность: 2.500 мс, оператор: select 1"), run(2.5, "select 1", true));
        assert_eq!(of("durée : 2.500 ms, instruction : select 1"), run(2.5, "select 1", true));
        assert_eq!(of("duration: 2.000 ms  bind s: select 1").unwrap().1, Step::Prepare);
        assert_eq!(of("duration: 2.000 ms  plan:\nQuery Text: select 1\nResult").unwrap().1, Step::Plan);
        assert_eq!(of("duration: 2.000 ms").unwrap().1, Step::Untold);
        assert_eq!(of("connection received: host=[local]"), None);
        assert_eq!(of("checkpoint complete: wrote 3 buffers"), None);
    }

    #[test]
    fn statements_of_plans() {
        let plan = "\nQuery Text: select 1\n from t\nSeq Scan on t  (cost=0.00..1.00 rows=1 width=4)";
        assert_eq!(planned_statement(plan).unwrap(), "select 1\n from t");
        assert_eq!(planned_statement("{\n \"Query Text\": \"select \\\"a\\\"\",\n \"Plan\"").unwrap(), "select \"a\"");
    }

    #[test]
    fn lock_waits_of_any_language() {
        let wait = lock_wait(
            "process 7 still waiting for AccessExclusiveLock on relation 16385 of database 5 after 1000.123 ms",
            true,
            "",
            5,
        );
        let wait = wait.unwrap();
        assert_eq!((wait.acquired, wait.ms, wait.target), (false, 1000.123, Target::Relation(16385)));
        let context = "while updating tuple (0,1) in relation \"orders\"";
        let wait =
            lock_wait("process 7 acquired ShareLock on transaction 734 after 2000.500 ms", false, context, 5).unwrap();
        assert_eq!((wait.acquired, wait.ms, wait.target), (true, 2000.5, Target::RowsOf("orders".to_string())));
        let german = "Prozess 7 wartet immer noch auf ShareLock-Sperre auf Transaktion 734 nach 1000.123 ms";
        let wait = lock_wait(german, true, "in Relation »orders«", 5).unwrap();
        assert_eq!((wait.acquired, wait.target), (false, Target::RowsOf("orders".to_string())));
        assert!(
            lock_wait(
                "process 7 detected deadlock while waiting for ShareLock on transaction 7 after 1.123 ms",
                true,
                "",
                5
            )
            .is_none()
        );
    }

    #[test]
    fn statements_of_deadlocks() {
        let detail = "Process 1 waits for ShareLock on transaction 734; blocked by process 2.\nProcess 2 waits for ShareLock on \
                      transaction 735; blocked by process 1.\nProcess 1: update a\n  set v = 1\nProcess 2: update b set v = 1";
        assert_eq!(deadlocked(detail), ["update a\n  set v = 1", "update b set v = 1"]);
    }

    #[test]
    fn kinds_of_messages() {
        assert_eq!(
            kind("duplicate key value violates unique constraint \"a_pkey\""),
            "duplicate key value violates unique constraint \"a_pkey\""
        );
        assert_eq!(kind("invalid input syntax for type integer: \"abc\""), "invalid input syntax for type integer: ?");
        assert_eq!(kind("could not read block 12 in file \"base/5/1\""), "could not read block ? in file \"base/?/?\"");
    }
}
