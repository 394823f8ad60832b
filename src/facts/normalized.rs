//! The text of a statement without what differs from one execution to the next.

/// Constants become `?`, one of the list of an IN and one row of VALUES stays, what is between words is one space; comments
/// go; case stays.
pub fn normalized(text: &str) -> String {
    scanned(text, false)
}

/// As `normalized`; and names of savepoints, cursors and prepared statements that have a digit become `?` where such statements
/// name them: drivers number them, for each session or each time anew.
pub fn without_generated_names(text: &str) -> String {
    scanned(text, true)
}

fn scanned(text: &str, no_generated_names: bool) -> String {
    let bytes = text.trim().trim_end_matches(';').as_bytes();
    let mut scan = Scan { bytes, at: 0, result: Vec::new(), statement: 0, no_generated_names };
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
    /// Where it begins in the result.
    statement: usize,
    no_generated_names: bool,
}

/// Longer than what comes before the name in any statement that names a cursor.
const MOST_BEFORE_NAME: usize = 64;

impl Scan<'_> {
    fn step(&mut self, byte: u8) {
        let next = self.bytes.get(self.at + 1).copied();
        match byte {
            b'\'' => self.string(),
            b'"' => self.identifier(self.after(self.at + 1, b'"')),
            b';' => {
                self.copy(self.at + 1);
                self.statement = self.result.len();
            }
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
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.identifier(self.while_at(self.at, is_word)),
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

    fn identifier(&mut self, to: usize) {
        if self.no_generated_names && self.is_generated(&self.bytes[self.at..to]) {
            self.at = to;
            self.result.push(b'?');
        } else {
            self.copy(to);
        }
    }

    fn is_generated(&self, name: &[u8]) -> bool {
        let before = self.result.get(self.statement..).unwrap_or_default();
        if !name.iter().any(u8::is_ascii_digit) || before.len() > MOST_BEFORE_NAME {
            return false;
        }
        let before = String::from_utf8_lossy(before).to_ascii_uppercase();
        matches!(
            before.split_ascii_whitespace().collect::<Vec<_>>()[..],
            ["SAVEPOINT" | "RELEASE" | "CLOSE" | "DECLARE" | "PREPARE" | "EXECUTE" | "DEALLOCATE"]
                | ["RELEASE", "SAVEPOINT"]
                | ["DEALLOCATE", "PREPARE"]
                | ["ROLLBACK", .., "TO"]
                | ["ROLLBACK", .., "TO", "SAVEPOINT"]
                | ["FETCH" | "MOVE", ..]
        )
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
    use super::{normalized, without_generated_names};

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
    fn generated_names_do_not_count() {
        for (text, without) in [
            ("SAVEPOINT \"s140123_x1\"", "SAVEPOINT ?"),
            ("release savepoint sa_savepoint_1;", "release savepoint ?"),
            ("RELEASE \"_pg3_1\"", "RELEASE ?"),
            ("ROLLBACK TO SAVEPOINT \"s1_x2\"", "ROLLBACK TO SAVEPOINT ?"),
            ("rollback work to s1", "rollback work to ?"),
            ("FETCH FORWARD 100 FROM \"_django_curs_14_sync_1\"", "FETCH FORWARD ? FROM ?"),
            ("MOVE ALL IN c_7f3a_1", "MOVE ALL IN ?"),
            ("close c1", "close ?"),
            (
                "DECLARE \"c1\" NO SCROLL CURSOR FOR SELECT a1 FROM t2",
                "DECLARE ? NO SCROLL CURSOR FOR SELECT a1 FROM t2",
            ),
            ("/* x */ EXECUTE p_17(5, 'a')", "EXECUTE ?(?, ?)"),
            ("DEALLOCATE PREPARE \"_pg3_0\"", "DEALLOCATE PREPARE ?"),
            ("select t1.a from t1; savepoint s2; select s2", "select t1.a from t1; savepoint ?; select s2"),
        ] {
            assert_eq!(without_generated_names(text), without);
        }
        for text in [
            "SAVEPOINT before_invoice",
            "EXECUTE get_price(?)",
            "COMMIT PREPARED ?",
            "select a1 from t1 order by b1 fetch first ? rows only",
            "ROLLBACK AND CHAIN",
        ] {
            assert_eq!(without_generated_names(text), text);
        }
        assert_eq!(normalized("EXECUTE p_17(5)"), "EXECUTE p_17(?)", "what differs in what it does");
    }

    #[test]
    fn what_is_cut_off_ends_somewhere() {
        for text in ["select 'abc", "select $$abc", "select /* abc", "select \"abc", "select E'abc\\", "$", "'"] {
            normalized(text);
        }
    }
}
