//! A statement's text cut into what matters to edit it: words, names and marks, without comments and constants.

/// One word, quoted name, mark or constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    pub text: &'a str,
    pub start: usize,
    /// Parentheses around it.
    pub depth: usize,
}

impl Word<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub fn is(&self, keyword: &str) -> bool {
        self.text.eq_ignore_ascii_case(keyword)
    }

    /// The name that it stands for, if it is one.
    pub fn name(&self) -> Option<String> {
        match self.text.as_bytes()[0] {
            b'"' => Some(self.text[1..self.text.len() - 1].replace("\"\"", "\"")),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Some(self.text.to_ascii_lowercase()),
            _ => None,
        }
    }
}

/// Comments and white space are left out.
pub fn words(sql: &str) -> Vec<Word<'_>> {
    let (mut words, mut at, mut depth) = (Vec::new(), 0, 0usize);
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = length(rest, first);
        if first == ')' {
            depth = depth.saturating_sub(1);
        }
        if !first.is_whitespace() && !rest.starts_with("--") && !rest.starts_with("/*") {
            words.push(Word { text: &rest[..length], start: at, depth });
        }
        if first == '(' {
            depth += 1;
        }
        at += length;
    }
    words
}

fn length(rest: &str, first: char) -> usize {
    let until = |what: &str, from: usize| rest[from..].find(what).map_or(rest.len(), |found| from + found + what.len());
    match first {
        '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => comment(rest),
        '\'' => quoted(rest, 0, b'\'', false),
        'e' | 'E' if rest[1..].starts_with('\'') => quoted(rest, 1, b'\'', true),
        '"' => quoted(rest, 0, b'"', false),
        '$' => match dollar_tag(rest) {
            Some(tag) => until(tag, tag.len()),
            None => 1,
        },
        c if is_word(c) => rest.find(|c| !is_word(c) && c != '$').unwrap_or(rest.len()),
        c => c.len_utf8(),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Comments may be nested.
fn comment(rest: &str) -> usize {
    let (bytes, mut at, mut depth) = (rest.as_bytes(), 0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// With its quotes; a doubled quote is part of it.
fn quoted(rest: &str, open: usize, quote: u8, escapes: bool) -> usize {
    let bytes = rest.as_bytes();
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            b if b == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `$tag$`
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 2;
    let tag = &rest[1..end - 1];
    (tag.chars().all(is_word) && !tag.starts_with(|c: char| c.is_ascii_digit())).then(|| &rest[..end])
}

/// `insertion` after the first of `keywords` that stands outside parentheses.
pub fn insert_after(sql: &str, keywords: &[&str], insertion: &str) -> Option<String> {
    let at = words(sql).into_iter().find(|word| word.depth == 0 && keywords.iter().any(|key| word.is(key)))?.end();
    Some(format!("{}{insertion}{}", &sql[..at], &sql[at..]))
}

/// What follows the table of a CREATE INDEX.
pub fn after_table(sql: &str) -> Option<&str> {
    let words = words(sql);
    let mut at = words.iter().position(|word| word.depth == 0 && word.is("on"))? + 1;
    if words.get(at)?.is("only") {
        at += 1;
    }
    words.get(at)?.name()?;
    while words.get(at + 1).is_some_and(|word| word.text == ".") {
        at += 2;
    }
    Some(sql[words.get(at)?.end()..].trim_start())
}

/// Every use of the column `from` in an expression or definition gets the text `to`.
pub fn with_column(sql: &str, from: &str, to: &str) -> String {
    let words = words(sql);
    let mut result = String::with_capacity(sql.len());
    let mut copied = 0;
    for (index, word) in words.iter().enumerate() {
        let after_dot = index > 0 && words[index - 1].text == ".";
        let cast = index > 1 && words[index - 1].text == ":" && words[index - 2].text == ":";
        let next = words.get(index + 1).map_or("", |next| next.text);
        let quoted = word.text.starts_with('"');
        if word.name().as_deref() == Some(from) && !after_dot && !cast && next != "." && (next != "(" || quoted) {
            result.push_str(&sql[copied..word.start]);
            result.push_str(to);
            copied = word.end();
        }
    }
    result.push_str(&sql[copied..]);
    result
}

/// It names the column, or might.
pub fn mentions(sql: &str, column: &str) -> bool {
    words(sql).iter().any(|word| word.name().as_deref() == Some(column))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn comments_strings_and_quotes_are_passed() {
        let sql = "create /* on (x) /* y */ */ index -- on\n \"on\" on only s.\"T\"\"1\" using btree (a)";
        assert_eq!(after_table(sql), Some("using btree (a)"));
        let there = insert_after(sql, &["index"], " concurrently").unwrap();
        assert!(there.contains("index concurrently -- on\n"));
        assert_eq!(words("$a$ x $b$ $a$ 'it''s' E'\\'' $1").len(), 5);
    }

    #[test]
    fn a_column_is_replaced_only_as_a_column() {
        let sql = "check (a > 0 and a(1) = 'a' and t.a is null and \"a\" < x::a)";
        assert_eq!(with_column(sql, "a", "b"), "check (b > 0 and a(1) = 'a' and t.a is null and b < x::a)");
    }

    #[test]
    fn open_ends_end_with_the_text() {
        for sql in ["'abc", "\"abc", "/* abc", "$x$ abc", "E'\\", "$", "é$"] {
            let end = words(sql).last().map_or(0, Word::end);
            assert!(end <= sql.len(), "{sql}");
        }
    }
}
