//! Reads the one kind of index predicate that a not-null condition implies.

/// The columns of a predicate that is nothing but `column IS NOT NULL`, or several of these joined by AND, as Postgres
/// prints it; None for any other predicate.
pub fn not_null_columns(predicate: &str) -> Option<Vec<String>> {
    let mut rest = unwrap(predicate);
    let mut columns = Vec::new();
    loop {
        let (column, after) = term(rest)?;
        columns.push(column);
        match after.strip_prefix(" AND ") {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(columns),
            None => return None,
        }
    }
}

/// Postgres prints a single condition as `(a IS NOT NULL)` and a conjunction as `((a IS NOT NULL) AND (b IS NOT NULL))`.
fn unwrap(predicate: &str) -> &str {
    match predicate.strip_prefix("((") {
        Some(_) => &predicate[1..predicate.len() - 1],
        None => predicate,
    }
}

/// One `(identifier IS NOT NULL)` at the beginning of `text`, and what follows it.
fn term(text: &str) -> Option<(String, &str)> {
    let (name, after) = identifier(text.strip_prefix('(')?)?;
    Some((name, after.strip_prefix(" IS NOT NULL)")?))
}

fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))?;
        return (end > 0).then(|| (text[..end].to_string(), &text[end..]));
    };
    let mut name = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != '"' {
            name.push(character);
        } else if characters.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else {
            return Some((name, &quoted[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn columns(predicate: &str) -> Option<Vec<String>> {
        not_null_columns(predicate)
    }

    #[test]
    fn conjunctions_of_not_null_are_read() {
        assert_eq!(columns("(a IS NOT NULL)").unwrap(), ["a"]);
        assert_eq!(columns("((a IS NOT NULL) AND (b IS NOT NULL))").unwrap(), ["a", "b"]);
        assert_eq!(columns("(\"Ä \"\" b\" IS NOT NULL)").unwrap(), ["Ä \" b"]);
    }

    #[test]
    fn anything_else_is_not() {
        for other in [
            "(a IS NULL)",
            "((a IS NOT NULL) OR (b IS NOT NULL))",
            "((a IS NOT NULL) AND (b > 0))",
            "(lower(a) IS NOT NULL)",
            "(a > 0)",
            "active",
            "(\"unterminated",
            "",
        ] {
            assert_eq!(columns(other), None, "{other}");
        }
    }
}
