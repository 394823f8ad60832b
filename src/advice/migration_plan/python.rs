//! SQL as Alembic operations.

use super::words::words;

/// `op.execute(…)`, the text as a raw string wherever that can be.
pub fn execute(sql: &str) -> String {
    format!("op.execute({})", literal(&bound(sql.trim_end().trim_end_matches(';'))))
}

/// A string's literal in Python.
pub fn literal(text: &str) -> String {
    let plain = !text.contains(['\\', '\n', '\r', '"']) && text.chars().all(|c| !c.is_control());
    if plain {
        return format!("\"{text}\"");
    }
    let raw =
        !text.contains("\"\"\"") && !text.ends_with(['"', '\\']) && !text.contains('\r') && !text.starts_with('"');
    if raw {
        return format!("r\"\"\"{text}\"\"\"");
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c => escaped.push(c),
        }
    }
    format!("\"{escaped}\"")
}

/// SQLAlchemy takes `:name` for a parameter, in constants too; a backslash before the colon says that it is none.
fn bound(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut before = None;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        let word_follows = rest.peek().is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let apart = before.is_none_or(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '\\')));
        if c == ':' && word_follows && apart {
            text.push('\\');
        }
        text.push(c);
        before = Some(c);
    }
    text
}

/// Lines of code, indented by four spaces for each `level`; what a triple-quoted string holds stays as it is.
pub fn indented(python: &str, level: usize) -> String {
    let indent = "    ".repeat(level);
    let mut inside = false;
    let mut result = String::with_capacity(python.len() + 64);
    for line in python.lines() {
        if !inside && !line.is_empty() {
            result.push_str(&indent);
        }
        result.push_str(line);
        result.push('\n');
        inside ^= line.matches("\"\"\"").count() % 2 == 1;
    }
    result
}

/// `"a", "b"`
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| literal(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A table and its schema, as arguments.
pub fn table(name: &crate::facts::QualifiedName) -> (String, String) {
    (literal(name.name.raw()), format!("schema={}", literal(name.schema.raw())))
}

/// An expression as operations take it: without the parentheses around all of it, which they add.
pub fn condition(sql: &str) -> String {
    let words = words(sql);
    let wrapped = match words.as_slice() {
        [first, inner @ .., last] if first.text == "(" && last.text == ")" && first.depth == last.depth => {
            inner.iter().all(|word| word.depth > first.depth).then(|| &sql[first.end()..last.start])
        }
        _ => None,
    };
    format!("sa.text({})", literal(&bound(wrapped.unwrap_or(sql))))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn colons_are_no_parameters() {
        assert_eq!(bound("select ':a', b::int, 'x:y', a[1:n]"), "select '\\:a', b::int, 'x:y', a[1:n]");
    }

    #[test]
    fn literals_are_pythons() {
        assert_eq!(literal("a'b"), "\"a'b\"");
        assert_eq!(literal("a \"b\" c"), "r\"\"\"a \"b\" c\"\"\"");
        assert_eq!(literal("a\\d\n\"b\""), "\"a\\\\d\\n\\\"b\\\"\"");
    }
}
