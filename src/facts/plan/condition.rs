//! Reads conditions as EXPLAIN prints them: `((a = 1) AND (lower(b) = 'x'::text))`.

mod parser;
mod tokens;

use parser::Parser;
use tokens::{Token, Tokens};

/// One of the conditions that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Conjunct {
    /// Without the parentheses around it.
    pub text: String,
    pub left: Operand,
    /// `=`, `~~`, `= ANY`, `IS NULL`, `IS NOT NULL`, `IS DISTINCT FROM`, `EXISTS` …; None: `left` is the condition itself,
    /// such as a boolean column.
    pub operator: Option<String>,
    pub right: Option<Operand>,
    /// Within NOT (…).
    pub negated: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    pub text: String,
    pub kind: OperandKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OperandKind {
    /// Raw names, not quoted.
    Column {
        qualifier: Option<String>,
        name: String,
    },
    Cast {
        of: Box<Operand>,
        to: String,
    },
    Call {
        function: String,
        arguments: Vec<Operand>,
    },
    /// With the cast by which its type is told: `'x'::text`
    Constant(String),
    /// `$1`, or the result of an InitPlan: `(InitPlan 1).col1`, `$0` before PostgreSQL 17
    Parameter(String),
    SubPlan {
        name: String,
        hashed: bool,
    },
    /// What an operator makes of its operands: `(a + 1)`
    Operation {
        operator: String,
        operands: Vec<Operand>,
    },
    /// At least one arm holds; an arm holds if all its conditions do. One arm: a condition in place of a value.
    Or(Vec<Vec<Conjunct>>),
    /// Anything else, such as CASE.
    Other,
}

/// The conditions that AND joins. Text that is no condition comes back as one conjunct of an operand of kind Other.
pub fn conjuncts(text: &str) -> Vec<Conjunct> {
    let tokens = Tokens::of(text);
    let mut conjuncts = Vec::new();
    for (first, end) in top_level(&tokens.tokens) {
        match Parser::new(text, &tokens.tokens[first..end]).condition() {
            Some(condition) => conjuncts.extend(condition.conjuncts()),
            None => conjuncts.push(unread(span(text, &tokens.tokens[first..end]))),
        }
    }
    if tokens.complete { conjuncts } else { vec![unread(text.trim())] }
}

fn unread(text: &str) -> Conjunct {
    let left = Operand { text: text.to_string(), kind: OperandKind::Other };
    Conjunct { text: text.to_string(), left, operator: None, right: None, negated: false }
}

fn span<'a>(text: &'a str, tokens: &[Token]) -> &'a str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &text[first.start..last.end],
        _ => "",
    }
}

/// The ranges of tokens between ANDs outside of parentheses, each without the parentheses around it. Done apart from the
/// parser so that a condition which cannot be read leaves the others as they are.
fn top_level(tokens: &[Token]) -> Vec<(usize, usize)> {
    let (first, end) = unwrapped(tokens, 0, tokens.len());
    let mut depth = 0;
    let mut parts = vec![first];
    for (i, token) in tokens.iter().enumerate().take(end).skip(first) {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "AND" if depth == 0 => parts.push(i + 1),
            "OR" | "CASE" | "BETWEEN" if depth == 0 => return vec![(first, end)],
            _ => {}
        }
    }
    let ends = parts.iter().skip(1).map(|next| next - 1).chain([end]);
    parts.iter().copied().zip(ends).filter(|(first, end)| first < end).collect()
}

/// Without the parentheses that enclose all of it.
fn unwrapped(tokens: &[Token], first: usize, end: usize) -> (usize, usize) {
    // How many open at the beginning and close at the end, and never before that.
    let opening = tokens[first..end].iter().take_while(|token| token.text == "(").count();
    let closing = tokens[first..end].iter().rev().take_while(|token| token.text == ")").count();
    let mut depth = 0_usize;
    let mut lowest = opening;
    for token in &tokens[first..end - closing.min(end - first)] {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => {
                depth = depth.saturating_sub(1);
                lowest = lowest.min(depth);
            }
            _ => lowest = lowest.min(depth),
        }
    }
    let around = lowest.min(closing).min(opening);
    if first + around < end - around { (first + around, end - around) } else { (first, end) }
}

impl Operand {
    /// The columns in it, also those within calls, casts and operations; none within a sub-plan.
    pub fn columns(&self) -> Vec<(Option<&str>, &str)> {
        match &self.kind {
            OperandKind::Column { qualifier, name } => vec![(qualifier.as_deref(), name)],
            OperandKind::Cast { of, .. } => of.columns(),
            OperandKind::Call { arguments: operands, .. } | OperandKind::Operation { operands, .. } => {
                operands.iter().flat_map(Operand::columns).collect()
            }
            OperandKind::Or(arms) => arms.iter().flatten().flat_map(Conjunct::columns).collect(),
            _ => Vec::new(),
        }
    }

    /// Names of the functions called in it, as printed.
    pub fn functions(&self) -> Vec<&str> {
        match &self.kind {
            OperandKind::Cast { of, .. } => of.functions(),
            OperandKind::Call { function, arguments } => {
                let within = arguments.iter().flat_map(Operand::functions);
                std::iter::once(function.as_str()).chain(within).collect()
            }
            OperandKind::Operation { operands, .. } => operands.iter().flat_map(Operand::functions).collect(),
            OperandKind::Or(arms) => arms.iter().flatten().flat_map(Conjunct::functions).collect(),
            _ => Vec::new(),
        }
    }
}

impl Conjunct {
    pub fn functions(&self) -> Vec<&str> {
        let right = self.right.iter().flat_map(Operand::functions);
        self.left.functions().into_iter().chain(right).collect()
    }

    pub fn columns(&self) -> Vec<(Option<&str>, &str)> {
        let right = self.right.iter().flat_map(Operand::columns);
        self.left.columns().into_iter().chain(right).collect()
    }
}

#[cfg(test)]
mod unit_tests;
