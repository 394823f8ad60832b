//! A recursive descent over the tokens of one condition. None: it is nothing that EXPLAIN prints.

mod value;

use super::tokens::{Kind, Token};
use super::{Conjunct, Operand, OperandKind, span};

/// Parentheses within parentheses and operators in a row that are followed; what has more is not read.
const DEPTH: usize = 50;

pub struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
}

/// A condition as it is nested.
pub enum Boolean {
    And(Vec<Boolean>),
    Or(Vec<Boolean>),
    Not(Box<Boolean>, String),
    Test(Box<Conjunct>),
    Value(Operand),
}

impl Boolean {
    pub fn conjuncts(self) -> Vec<Conjunct> {
        match self {
            Boolean::And(parts) => parts.into_iter().flat_map(Boolean::conjuncts).collect(),
            Boolean::Test(conjunct) => vec![*conjunct],
            Boolean::Not(of, text) => match of.conjuncts_of_one() {
                Ok(conjunct) => vec![Conjunct { text, negated: !conjunct.negated, ..conjunct }],
                Err(of) => {
                    let kind = OperandKind::Or(vec![of]);
                    let left = Operand { text: text.clone(), kind };
                    vec![Conjunct { text, left, operator: None, right: None, negated: true }]
                }
            },
            other => vec![test(other.operand())],
        }
    }

    fn conjuncts_of_one(self) -> Result<Conjunct, Vec<Conjunct>> {
        let mut conjuncts = self.conjuncts();
        match conjuncts.len() {
            1 => conjuncts.pop().ok_or_else(Vec::new),
            _ => Err(conjuncts),
        }
    }

    /// As a value.
    fn operand(self) -> Operand {
        match self {
            Boolean::Value(operand) => operand,
            Boolean::Or(arms) => {
                let arms: Vec<Vec<Conjunct>> = arms.into_iter().map(Boolean::conjuncts).collect();
                let texts: Vec<String> = arms.iter().map(|arm| joined(arm, " AND ")).collect();
                Operand { text: texts.join(" OR "), kind: OperandKind::Or(arms) }
            }
            other => {
                let conjuncts = other.conjuncts();
                Operand { text: joined(&conjuncts, " AND "), kind: OperandKind::Or(vec![conjuncts]) }
            }
        }
    }
}

/// A value that stands where a condition does: the result of an operator, or a boolean one.
fn test(value: Operand) -> Conjunct {
    let Operand { text, kind } = value;
    let (left, operator, right) = match kind {
        OperandKind::Operation { operator, mut operands } if operands.len() == 2 => {
            let right = operands.pop();
            (operands.remove(0), Some(operator), right)
        }
        kind => (Operand { text: text.clone(), kind }, None, None),
    };
    Conjunct { text, left, operator, right, negated: false }
}

fn joined(conjuncts: &[Conjunct], by: &str) -> String {
    conjuncts.iter().map(|conjunct| conjunct.text.as_str()).collect::<Vec<_>>().join(by)
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, tokens: &'a [Token<'a>]) -> Parser<'a> {
        Parser { text, tokens, at: 0, depth: 0 }
    }

    /// All tokens are one condition.
    pub fn condition(mut self) -> Option<Boolean> {
        let condition = self.any()?;
        (self.at == self.tokens.len()).then_some(condition)
    }

    fn peek(&self) -> Option<&'a str> {
        self.peek_at(0)
    }

    /// A quoted identifier is no keyword: it has its quotes.
    fn peek_at(&self, ahead: usize) -> Option<&'a str> {
        self.tokens.get(self.at + ahead).map(|token| token.text)
    }

    fn take(&mut self, text: &str) -> bool {
        let is_next = self.peek() == Some(text);
        self.at += usize::from(is_next);
        is_next
    }

    fn take_all(&mut self, words: &[&str]) -> bool {
        let are_next = words.iter().enumerate().all(|(ahead, word)| self.peek_at(ahead) == Some(word));
        self.at += if are_next { words.len() } else { 0 };
        are_next
    }

    /// What was read since `first`.
    fn since(&self, first: usize) -> String {
        span(self.text, &self.tokens[first..self.at]).to_string()
    }

    fn operand(&self, first: usize, kind: OperandKind) -> Operand {
        Operand { text: self.since(first), kind }
    }

    fn any(&mut self) -> Option<Boolean> {
        if self.depth == DEPTH {
            return None;
        }
        self.depth += 1;
        let first = self.all()?;
        let any = if self.peek() == Some("OR") {
            let mut arms = vec![first];
            while self.take("OR") {
                arms.push(self.all()?);
            }
            Boolean::Or(arms)
        } else {
            first
        };
        self.depth -= 1;
        Some(any)
    }

    fn all(&mut self) -> Option<Boolean> {
        let first = self.not()?;
        if self.peek() != Some("AND") {
            return Some(first);
        }
        let mut parts = vec![first];
        while self.take("AND") {
            parts.push(self.not()?);
        }
        Some(Boolean::And(parts))
    }

    fn not(&mut self) -> Option<Boolean> {
        let first = self.at;
        let mut negations = 0;
        while self.take("NOT") {
            negations += 1;
        }
        let test = self.test()?;
        if negations % 2 == 0 { Some(test) } else { Some(Boolean::Not(Box::new(test), self.since(first))) }
    }

    /// `a`, `a = b`, `a IS NULL`
    fn test(&mut self) -> Option<Boolean> {
        let first = self.at;
        let mut left = self.value()?;
        for _ in 0..DEPTH {
            if self.take("IS") {
                left = Boolean::Test(Box::new(self.is(first, left)?));
                continue;
            }
            let Some(operator) = self.infix()? else { return Some(left) };
            let quantified = self.peek_at(1) == Some("(") && matches!(self.peek(), Some("ANY" | "ALL"));
            let operator = match quantified.then(|| self.tokens[self.at].text) {
                Some(quantifier) => {
                    self.at += 1;
                    format!("{operator} {quantifier}")
                }
                None => operator,
            };
            let right = self.value()?.operand();
            let operands = vec![left.operand(), right];
            left = Boolean::Value(self.operand(first, OperandKind::Operation { operator, operands }));
        }
        None
    }

    fn is(&mut self, first: usize, left: Boolean) -> Option<Conjunct> {
        let not = if self.take("NOT") { "NOT " } else { "" };
        let left = left.operand();
        let (operator, right) = if self.take_all(&["DISTINCT", "FROM"]) {
            (format!("IS {not}DISTINCT FROM"), Some(self.value()?.operand()))
        } else {
            let what =
                self.peek().filter(|what| matches!(*what, "NULL" | "TRUE" | "FALSE" | "UNKNOWN" | "DOCUMENT"))?;
            self.at += 1;
            (format!("IS {not}{what}"), None)
        };
        Some(Conjunct { text: self.since(first), left, operator: Some(operator), right, negated: false })
    }

    /// The operator that stands between two values, if one does.
    fn infix(&mut self) -> Option<Option<String>> {
        let Some(token) = self.tokens.get(self.at) else { return Some(None) };
        if token.kind == Kind::Operator {
            self.at += 1;
            return Some(Some(token.text.to_string()));
        }
        if token.kind != Kind::Word {
            return Some(None);
        }
        for words in [&["AT", "TIME", "ZONE"][..], &["OVERLAPS"], &["LIKE"], &["ILIKE"], &["SIMILAR", "TO"]] {
            if self.take_all(words) {
                return Some(Some(words.join(" ")));
            }
        }
        // OPERATOR(public.<->): one that is not in the search_path.
        if self.take_all(&["OPERATOR", "("]) {
            let first = self.at;
            while !self.take(")") {
                self.tokens.get(self.at)?;
                self.at += 1;
            }
            return Some(Some(span(self.text, &self.tokens[first..self.at - 1]).to_string()));
        }
        Some(None)
    }
}
