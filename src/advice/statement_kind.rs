//! What kind of statement a text is, told from its words and counters: a workload has thousands of them, and only some can be
//! analyzed by the caller.

use crate::facts::{MeasuredStatement, Targets};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At most one row of one table.
    Hot,
    Regular,
    /// Aggregates or sorts over many tables or blocks, or very many rows.
    Complex,
    /// DDL, COPY, VACUUM, COMMIT, CALL …: no target is known for it.
    Utility,
    /// Of this extension.
    Own,
}

impl Kind {
    pub fn of(statement: &MeasuredStatement, targets: &Targets) -> Kind {
        let words = words(&statement.text);
        let is = |word: &str| words.iter().any(|other| other == word);
        let followed = |word: &str, by: &str| words.windows(2).any(|pair| pair[0] == word && pair[1] == by);
        if statement.text.starts_with(crate::db::MARK) || followed("dbre", ".") {
            return Kind::Own;
        }
        let verb = words.iter().find(|word| *word != "(").map_or("", String::as_str);
        if !QUERIES.contains(&verb) {
            return Kind::Utility;
        }
        let joins = words.iter().filter(|word| *word == "join").count();
        let groups = ["group", "union", "intersect", "except", "distinct", "over"].into_iter().any(is)
            || AGGREGATES.iter().any(|aggregate| followed(aggregate, "("));
        let blocks =
            (statement.shared_hit_blocks + statement.shared_read_blocks) as f64 / statement.calls.max(1) as f64;
        if (joins > 3 && (groups || is("order")))
            || (groups && blocks >= targets.complex_blocks)
            || statement.rows_per_call() >= MANY_ROWS
        {
            Kind::Complex
        } else if verb != "with"
            && joins == 0
            && !groups
            && statement.rows_per_call() <= 1.0
            // A function may do anything.
            && (verb != "select" || is("from"))
        {
            Kind::Hot
        } else {
            Kind::Regular
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Hot => "hot",
            Kind::Regular => "regular",
            Kind::Complex => "complex",
            Kind::Utility => "utility",
            Kind::Own => "pg_dbre",
        }
    }

    pub fn target_ms(self, targets: &Targets) -> Option<f64> {
        match self {
            Kind::Hot => Some(targets.hot_ms),
            Kind::Regular => Some(targets.regular_ms),
            Kind::Complex => Some(targets.complex_ms),
            Kind::Utility | Kind::Own => None,
        }
    }
}

const QUERIES: &[&str] = &["select", "insert", "update", "delete", "merge", "with", "values", "table"];
const MANY_ROWS: f64 = 100_000.0;
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "bool_and",
    "bool_or",
    "percentile_cont",
    "percentile_disc",
    "stddev",
    "variance",
];

/// Words in lower case, `.` and `(`; strings, comments and quoted names are left out.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + comment.find('\n').unwrap_or(comment.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '\'' || first == '"' {
            1 + rest[1..].find(first).map_or(rest.len() - 1, |end| end + 1)
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            words.push(rest[..length].to_lowercase());
            length
        } else {
            if first == '.' || first == '(' {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

/// The length of the comment that the text begins with; comments nest.
pub(super) fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn kind(text: &str, rows: u64, blocks: u64) -> &'static str {
        let statement = MeasuredStatement {
            text: text.to_string(),
            calls: 10,
            rows: 10 * rows,
            shared_hit_blocks: 10 * blocks,
            ..MeasuredStatement::default()
        };
        Kind::of(&statement, &Targets::default()).name()
    }

    #[test]
    fn kinds_of_statements() {
        assert_eq!(kind("SELECT * FROM t WHERE id = $1", 1, 3), "hot");
        assert_eq!(kind("select * from t where id = $1", 20, 3), "regular");
        assert_eq!(kind("/* join join */ select a -- group by\nfrom t where b = ' group by '", 1, 3), "hot");
        assert_eq!(kind("select report($1)", 1, 3), "regular");
        assert_eq!(kind("select count(*) from t", 1, 3), "regular");
        assert_eq!(kind("select count(*) from t", 1, 30_000), "complex");
        assert_eq!(kind("select \"count\" from t where a = $1", 1, 30_000), "hot");
        assert_eq!(kind("(select a from t) union (select b from u)", 3, 3), "regular");
        assert_eq!(kind("select a from t", 200_000, 3), "complex");
        assert_eq!(kind("insert into t values ($1)", 1, 3), "hot");
        assert_eq!(
            kind("select from a join b using (x) join c using (x) join d using (x) join e using (x) order by y", 5, 3),
            "complex"
        );
        for utility in ["COMMIT", "vacuum t", "/* a /* b */ c */ copy t to stdout", "call p($1)", "", "--"] {
            assert_eq!(kind(utility, 0, 0), "utility", "{utility}");
        }
        assert_eq!(kind("select * from dbre.check()", 100, 3), "pg_dbre");
        assert_eq!(kind("select * from t where note = 'dbre.check'", 100, 3), "regular");
    }

    #[test]
    fn unfinished_texts_end() {
        for text in ["select 'a", "select \"a", "/* a", "é'", "select 'é"] {
            words(text);
        }
    }
}
