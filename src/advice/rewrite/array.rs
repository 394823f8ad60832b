//! A long IN list as one array.

use super::parts::{integer, string};
use super::{Draft, expression};
use sqlparser::ast::Expr;

/// What the elements are, by the type of the column that they are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    Integer,
    Bigint,
    Text,
    Uuid,
}

/// `column IN (…)` with the column at `place`.
pub fn rewrite(text: &str, place: usize, elements: Elements) -> Option<String> {
    let mut draft = Draft::read(text)?;
    draft
        .change(|draft, expr| match any(draft, expr, place, elements) {
            Some(replacement) => {
                *expr = replacement;
                true
            }
            None => false,
        })
        .then_some(())?;
    draft.print()
}

fn any(draft: &Draft, expr: &Expr, place: usize, elements: Elements) -> Option<Expr> {
    let Expr::InList { expr: column, list, negated } = expr else { return None };
    (draft.place(column)? == place).then_some(())?;
    let printed = list.iter().map(|element| printed(element, elements)).collect::<Option<Vec<_>>>()?.join(",");
    let type_name = match elements {
        Elements::Integer => "integer",
        Elements::Bigint => "bigint",
        Elements::Text => "text",
        Elements::Uuid => "uuid",
    };
    let comparison = if *negated { "<> ALL" } else { "= ANY" };
    expression(&format!("{column} {comparison} ('{{{printed}}}'::{type_name}[])"))
}

fn printed(element: &Expr, elements: Elements) -> Option<String> {
    match elements {
        Elements::Integer => Some(i32::try_from(integer(element)?).ok()?.to_string()),
        Elements::Bigint => Some(integer(element)?.to_string()),
        Elements::Text | Elements::Uuid => {
            let text = string(element)?;
            (!text.contains(['\'', '"', '\\'])).then(|| format!("\"{text}\""))
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn lists() {
        let text = "select * from t where a in (1, -2, 3) and b not in ('x', 'y z')";
        let (a, b) = (text.find("a in").unwrap(), text.find("b not").unwrap());
        let expected = "SELECT * FROM t WHERE a = ANY('{1,-2,3}'::INTEGER[]) AND b NOT IN ('x', 'y z')";
        assert_eq!(rewrite(text, a, Elements::Integer).map(|t| t.to_lowercase()), Some(expected.to_lowercase()));
        let expected = "SELECT * FROM t WHERE a IN (1, -2, 3) AND b <> ALL('{\"x\",\"y z\"}'::TEXT[])";
        assert_eq!(rewrite(text, b, Elements::Text).map(|t| t.to_lowercase()), Some(expected.to_lowercase()));
        assert_eq!(rewrite(text, a, Elements::Text), None);
        assert_eq!(rewrite(text, a + 1, Elements::Integer), None);
        for list in ["1, 3000000000", "1, null", "1, 2 + 3", "1, $1", "1, 2.5"] {
            assert_eq!(rewrite(&format!("select * from t where a in ({list})"), 22, Elements::Integer), None, "{list}");
        }
        assert_eq!(rewrite("select * from t where a in ('it''s', 'x')", 22, Elements::Text), None);
    }
}
