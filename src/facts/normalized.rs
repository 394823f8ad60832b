//! The text of a statement without what differs from one execution to the next.

/// Constants become `?`, one of the list of an IN and one row of VALUES stays, what is between words is one space; comments
/// go; case stays.
pub fn normalized(text: &str) -> String {
    let mut scan = Scan { bytes: text.trim().trim_end_matches(';').as_bytes(), at: 0, result: Vec::new() };
    scan.result.reserve(scan.bytes.len());
    while let Some(&byte) = scan.bytes.get(scan.at) {
        scan.step(byte);
    }
    while scan.result.last().is_some_and(|last| matches!(last, b' ' | b';')) {
        scan.result.pop();
    }
    // Only what lies between ASCII characters was left out.
    String::from_utf8_lossy(&scan.result).into_owned()
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    result: Vec<u8>,
}

impl Scan<'_> {
    fn step(&mut self, byte: u8) {
        let next = self.bytes.get(self.at + 1).copied();
        match byte {
            b'\'' => self.string(),
            b'"' => self.copy(self.after(self.at + 1, b'"')),
            b'-' if next == Some(b'-') => {
                self.at = self.find(self.at, b"\n").unwrap_or(self.bytes.len());
                self.space();
            }
            b'/' if next == Some(b'*') => {
                self.at = self.comment_end();
                self.space();
            }
            b'$' => self.dollar(),
            b'0'..=b'9' => {
                self.at = self.while_at(self.at, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
                self.constant();
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.copy(self.while_at(self.at, is_word)),
            b if b.is_ascii_whitespace() => {
                self.at = self.while_at(self.at, |b| b.is_ascii_whitespace());
                self.space();
            }
            b')' => {
                if self.result.last() == Some(&b' ') && self.result.ends_with(b"? ") {
                    self.result.pop();
                }
                self.copy(self.at + 1);
                self.row();
            }
            _ => self.copy(self.at + 1),
        }
    }

    fn copy(&mut self, to: usize) {
        self.result.extend_from_slice(&self.bytes[self.at..to]);
        self.at = to;
    }

    fn space(&mut self) {
        if self.result.last().is_some_and(|last| !matches!(last, b' ' | b'(')) {
            self.result.push(b' ');
        }
    }

    /// One more of the list of an IN or ARRAY says nothing new.
    fn constant(&mut self) {
        let before = self.result.trim_ascii_end();
        let list = before.strip_suffix(b",").map(<[u8]>::trim_ascii_end).and_then(|list| list.strip_suffix(b"?"));
        let head = list.and_then(|list| match list.last()? {
            b'[' => Some(list),
            b'(' => Some(list).filter(|_| ends_with_in(&list[..list.len() - 1])),
            _ => None,
        });
        if let Some(length) = head.map(<[u8]>::len) {
            self.result.truncate(length);
        }
        self.result.push(b'?');
    }

    /// One more row of VALUES says nothing new.
    fn row(&mut self) {
        let Some(start) = self.result.iter().rposition(|byte| *byte == b'(') else { return };
        let (before, row) = self.result.split_at(start);
        let again = before.trim_ascii_end().strip_suffix(b",").map(<[u8]>::trim_ascii_end);
        if let Some(again) = again.filter(|again| row.contains(&b'?') && again.ends_with(row)) {
            let length = again.len();
            self.result.truncate(length);
        }
    }

    /// `'…'`, with its prefix E, B, X, N or U&, which is in the result already.
    fn string(&mut self) {
        let prefix = self.result.iter().rev().take_while(|byte| is_word(**byte) || **byte == b'&').count();
        let prefix = self.result.split_off(self.result.len() - prefix);
        let escapes = prefix.eq_ignore_ascii_case(b"e");
        let is_prefix = escapes || [&b"b"[..], b"x", b"n", b"u&"].iter().any(|p| prefix.eq_ignore_ascii_case(p));
        if !is_prefix {
            self.result.extend_from_slice(&prefix);
        }
        let mut at = self.at + 1;
        while let Some(&byte) = self.bytes.get(at) {
            at += 1;
            match byte {
                b'\\' if escapes => at += 1,
                b'\'' if self.bytes.get(at) == Some(&b'\'') => at += 1,
                b'\'' => break,
                _ => {}
            }
        }
        self.at = at.min(self.bytes.len());
        self.constant();
    }

    /// `$1`, `$$…$$` or `$tag$…$tag$`
    fn dollar(&mut self) {
        let end = self.while_at(self.at + 1, is_word);
        let numbered = self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        if !numbered && self.bytes.get(end) == Some(&b'$') {
            let tag = &self.bytes[self.at..=end];
            self.at = self.find(end + 1, tag).map_or(self.bytes.len(), |found| found + tag.len());
            self.constant();
        } else {
            self.copy(end);
        }
    }

    /// Comments nest.
    fn comment_end(&self) -> usize {
        let (mut at, mut depth) = (self.at, 0);
        while at < self.bytes.len() {
            match &self.bytes[at..self.bytes.len().min(at + 2)] {
                b"/*" => (depth, at) = (depth + 1, at + 2),
                b"*/" => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
            if depth == 0 {
                break;
            }
        }
        at.min(self.bytes.len())
    }

    /// After the closing quote; a doubled one does not close.
    fn after(&self, mut at: usize, quote: u8) -> usize {
        while let Some(&byte) = self.bytes.get(at) {
            at += 1;
            if byte == quote && self.bytes.get(at) != Some(&quote) {
                return at;
            }
            at += usize::from(byte == quote);
        }
        self.bytes.len()
    }

    fn while_at(&self, from: usize, holds: impl Fn(u8) -> bool) -> usize {
        let length = self.bytes[from..].iter().position(|byte| !holds(*byte));
        length.map_or(self.bytes.len(), |length| from + length)
    }

    fn find(&self, from: usize, what: &[u8]) -> Option<usize> {
        memchr::memmem::find(&self.bytes[from..], what).map(|found| from + found)
    }
}

fn ends_with_in(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let word = text.iter().rev().take_while(|byte| is_word(**byte)).count();
    text[text.len() - word..].eq_ignore_ascii_case(b"in")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod unit_tests {
    use super::normalized;

    #[test]
    fn constants_and_layout_do_not_count() {
        assert_eq!(
            normalized("select  a1\nfrom t where b = 'it''s' and c = 12.5;"),
            "select a1 from t where b = ? and c = ?"
        );
        assert_eq!(normalized("select $1, x2"), "select $1, x2");
        assert_eq!(normalized("select E'a\\'b', $$it's$$, $q$ $$ $q$, X'1f' ;"), "select ?, ?, ?, ?");
        assert_eq!(normalized("select 'é', \"Größe 7\" from é1"), "select ?, \"Größe 7\" from é1");
    }

    #[test]
    fn lists_and_comments_do_not_count() {
        assert_eq!(normalized("delete from t where id in (1, 2,3 , 4)"), "delete from t where id in (?)");
        assert_eq!(normalized("/* route='/a' */ select 1 -- why\n+ 2 /* a /* b */ c */"), "select ? + ?");
        assert_eq!(
            normalized("select f(1, 2) where b = ANY (array[1,2, 3])"),
            "select f(?, ?) where b = ANY (array[?])"
        );
        assert_eq!(normalized("insert into t values ( 'a', 1 ),('b', 2), ('c', 3)"), "insert into t values (?, ?)");
    }

    #[test]
    fn what_is_cut_off_ends_somewhere() {
        for text in ["select 'abc", "select $$abc", "select /* abc", "select \"abc", "select E'abc\\", "$", "'"] {
            normalized(text);
        }
    }
}
