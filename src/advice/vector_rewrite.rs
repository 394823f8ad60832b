//! Orders by an expression of a distance, as the order by the distance itself that an index can deliver.

use crate::facts::vector::{Operator, Order, VectorSearch};

/// Words that end the keys of an ORDER BY, at its depth of parentheses.
const ENDS: [&str; 9] = ["limit", "offset", "fetch", "for", "union", "intersect", "except", "rows", "range"];

/// Nearest rows come first; None: that is not known of what is sorted by, or nothing is.
pub fn nearest_first(search: &VectorSearch) -> Option<bool> {
    match &search.order {
        Order::Ascending | Order::Later => Some(true),
        Order::Descending => Some(false),
        Order::Wrapped { expression, descending } => {
            let increases = increases(expression, search)?;
            Some(increases != *descending)
        }
        Order::None => None,
    }
}

/// What is printed of the expression grows with the distance.
fn increases(expression: &str, search: &VectorSearch) -> Option<bool> {
    let expression = expression.strip_suffix(" NULLS FIRST").unwrap_or(expression);
    let (key, value) = (&search.key_sql, &search.compared_with);
    let calls = match &search.function {
        Some(function) => vec![format!("{function}({key}, {value})"), format!("{function}({value}, {key})")],
        None => {
            let operator = search.operator.sql();
            vec![
                format!("({key} {operator} {value})"),
                format!("({value} {operator} {key})"),
                format!("{key} {operator} {value}"),
            ]
        }
    };
    let call = calls.iter().find(|call| expression.contains(*call))?;
    let mut text = expression.replacen(call, "D", 1);
    // A function's schema, and casts among numbers.
    if let Some(at) = text.find(".D") {
        let from = text[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"')).map_or(0, |at| at + 1);
        text.replace_range(from..=at, "");
    }
    for cast in ["::double precision", "::numeric", "::real", "::integer", "::bigint"] {
        text = text.replace(cast, "");
    }
    // inner_product() is greatest where <#> is least.
    let sign = if search.function.as_deref() == Some("inner_product") { -1.0 } else { 1.0 };
    let least = if search.operator == Operator::InnerProduct { -0.9 } else { 0.01 };
    let mut unknown_sign = false;
    let mut value = |distance: f64| {
        let mut formula = Formula { rest: &text, distance, unknown_sign: false };
        let value = formula.value();
        unknown_sign |= formula.unknown_sign;
        value
    };
    let values: Option<Vec<f64>> = (0..20).map(|step| value(sign * (least + 0.09 * f64::from(step)))).collect();
    let values = values?;
    if unknown_sign {
        // Who multiplies <#>, the negative of the inner product, makes it positive again.
        return (search.operator == Operator::InnerProduct && search.function.is_none()).then_some(false);
    }
    let all = |test: fn(f64, f64) -> bool| values.windows(2).all(|pair| test(pair[0], pair[1]));
    match (all(|a, b| a < b), all(|a, b| a > b)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// An expression of numbers, parameters (taken for 1) and D.
struct Formula<'a> {
    rest: &'a str,
    distance: f64,
    /// It multiplies by a parameter: pg_stat_statements makes one of a constant with its sign.
    unknown_sign: bool,
}

impl Formula<'_> {
    fn value(&mut self) -> Option<f64> {
        let value = self.sum()?;
        (self.rest.trim().is_empty() && value.is_finite()).then_some(value)
    }

    fn take(&mut self, symbols: &[char]) -> Option<char> {
        self.rest = self.rest.trim_start();
        let symbol = self.rest.chars().next().filter(|symbol| symbols.contains(symbol))?;
        self.rest = &self.rest[symbol.len_utf8()..];
        Some(symbol)
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        while let Some(symbol) = self.take(&['+', '-']) {
            let other = self.product()?;
            value = if symbol == '+' { value + other } else { value - other };
        }
        Some(value)
    }

    fn product(&mut self) -> Option<f64> {
        let is_parameter = |rest: &str| rest.trim_start().trim_start_matches('(').starts_with('$');
        let first = is_parameter(self.rest);
        let mut value = self.factor()?;
        while let Some(symbol) = self.take(&['*', '/']) {
            self.unknown_sign |= symbol == '*' && (first || is_parameter(self.rest));
            let other = self.factor()?;
            value = if symbol == '*' { value * other } else { value / other };
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<f64> {
        match self.take(&['-', '(', 'D', '$', '\'']) {
            Some('-') => Some(-self.factor()?),
            Some('(') => {
                let value = self.sum()?;
                self.take(&[')'])?;
                Some(value)
            }
            Some('D') => Some(self.distance),
            Some('$') => self.number().map(|_| 1.0),
            Some('\'') => {
                let negative = self.take(&['-']).is_some();
                let value = self.number()?;
                self.take(&['\''])?;
                Some(if negative { -value } else { value })
            }
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<f64> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok()
    }
}

/// The text with `keys` as the keys of one of its ORDER BYs, for each of them, the last first; where it has none of its own,
/// nothing.
pub fn with_order(text: &str, keys: &str) -> Vec<String> {
    let words = words(text);
    let mut candidates = Vec::new();
    for (position, word) in words.iter().enumerate() {
        let Some(by) = words.get(position + 1).filter(|by| word.is("order") && by.is("by")) else { continue };
        let end = words[position + 2..]
            .iter()
            .find(|end| end.depth < word.depth || end.depth == word.depth && ENDS.iter().any(|name| end.is(name)))
            .map_or_else(|| text.trim_end().trim_end_matches(';').len(), |end| end.at);
        let (before, after) = (&text[..by.at + by.text.len()], text[end..].trim_start());
        let space = if after.is_empty() || after.starts_with([')', ';']) { "" } else { " " };
        candidates.push(format!("{before} {keys}{space}{after}"));
    }
    candidates.reverse();
    candidates
}

struct Word<'a> {
    text: &'a str,
    at: usize,
    depth: i32,
}

impl Word<'_> {
    fn is(&self, name: &str) -> bool {
        self.text.eq_ignore_ascii_case(name)
    }
}

/// Words, and closing parentheses and semicolons as words of the depth that they lead to; what is quoted or a comment is none.
fn words(text: &str) -> Vec<Word<'_>> {
    let bytes = text.as_bytes();
    let (mut words, mut at, mut depth) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let rest = &text[at..];
        let length = match bytes[at] {
            quote @ (b'\'' | b'"') => rest[1..].find(quote as char).map_or(rest.len(), |end| end + 2),
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'(' => {
                depth += 1;
                1
            }
            b')' => {
                depth -= 1;
                words.push(Word { text: &rest[..1], at, depth });
                1
            }
            b';' => {
                words.push(Word { text: &rest[..1], at, depth: -1 });
                1
            }
            first if first.is_ascii_alphabetic() || first == b'_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                words.push(Word { text: &rest[..end], at, depth });
                end
            }
            // A dollar and digits are a parameter.
            b'$' => rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + 1),
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        at += length;
    }
    words
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::facts::vector::{Key, Limit, SearchSettings, SearchSource};

    fn search(operator: Operator, function: Option<&str>, expression: &str, descending: bool) -> VectorSearch {
        VectorSearch {
            source: SearchSource::Statements,
            query_id: None,
            text: None,
            role: 0,
            role_name: String::new(),
            calls: 0.0,
            mean_ms: 0.0,
            rows_per_call: None,
            counted_days: None,
            key: Key::Column,
            key_sql: "e".to_string(),
            operator,
            function: function.map(str::to_string),
            compared_with: "$2".to_string(),
            joined: false,
            within_condition: false,
            order: Order::Wrapped { expression: expression.to_string(), descending },
            limit: Limit::Parameter,
            filters: Vec::new(),
            selectivity: None,
            planned_indexes: None,
            planned_sequential: false,
            settings: SearchSettings::default(),
            rewrite: None,
        }
    }

    #[test]
    fn it_is_known_what_comes_first() {
        let cases = [
            ("(1 - (e <=> $2))", true, Some(true)),
            ("($1 - (e <=> $2))", true, Some(true)),
            ("(('1'::double precision - (e <=> $2)))", true, Some(true)),
            ("((1)::double precision - (e <=> $2))", true, Some(true)),
            ("((1)::double precision - (e <=> $2))", false, Some(false)),
            ("(- (e <=> $2))", true, Some(true)),
            ("((e <=> $2) * ('-1'::integer)::double precision)", true, Some(true)),
            ("(($1)::double precision / ($3 + (e <=> $2)))", true, Some(true)),
            ("((e <=> $2) + ($2)::double precision)", false, Some(true)),
            ("((e <=> $2) NULLS FIRST", false, None),
            ("(e <=> $2) NULLS FIRST", false, Some(true)),
            ("((e <=> $2) * (views)::double precision)", true, None),
            ("exp((- (e <=> $2)))", true, None),
            ("(((e <=> $2) - 1) * ((e <=> $2) - 1))", true, None),
        ];
        for (expression, descending, expected) in cases {
            let found = nearest_first(&search(Operator::Cosine, None, expression, descending));
            assert_eq!(found, expected, "{expression}");
        }
        let negative = search(Operator::InnerProduct, None, "((e <#> $2) * ('-1'::integer)::double precision)", true);
        assert_eq!(nearest_first(&negative), Some(true));
        let unknown = search(Operator::InnerProduct, None, "((e <#> $2) * ($3)::double precision)", true);
        assert_eq!(nearest_first(&unknown), Some(true));
        assert_eq!(nearest_first(&search(Operator::Cosine, None, "((e <=> $2) * $3)", true)), None);
        let product = search(Operator::InnerProduct, Some("inner_product"), "(1 - public.inner_product(e, $2))", false);
        assert_eq!(nearest_first(&product), Some(true));
    }

    #[test]
    fn orders_are_replaced_where_they_stand() {
        let cases = [
            (
                "select id, $1 - (e <=> $2) as s from t order by s desc limit $3",
                vec!["select id, $1 - (e <=> $2) as s from t order by K limit $3"],
            ),
            ("select id from t ORDER  BY f(a, b) DESC;", vec!["select id from t ORDER  BY K;"]),
            (
                "select * from (select id from t order by s desc limit 3) x order by id",
                vec![
                    "select * from (select id from t order by s desc limit 3) x order by K",
                    "select * from (select id from t order by K limit 3) x order by id",
                ],
            ),
            ("select 'order by', \"order\" from t -- order by x\n", vec![]),
            (
                "(select a from t order by (select 1 limit 1)) union select 2",
                vec!["(select a from t order by K) union select 2"],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(with_order(text, "K"), expected);
        }
    }
}
