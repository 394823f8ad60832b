//! Values: columns, constants, calls, casts, results of sub-plans.

use super::super::tokens::Kind;
use super::super::{Conjunct, Operand, OperandKind};
use super::{Boolean, DEPTH, Parser};

/// Words that begin or join what is not a column.
const RESERVED: [&str; 16] = [
    "AND", "OR", "NOT", "IS", "WHEN", "THEN", "ELSE", "END", "FROM", "COLLATE", "AT", "LIKE", "ILIKE", "SIMILAR",
    "BETWEEN", "OVER",
];

/// Words that end an argument of SQL's own functions, such as SUBSTRING(a FROM 1 FOR 2).
const BETWEEN_ARGUMENTS: [&str; 6] = [",", "FROM", "FOR", "IN", "PLACING", "ESCAPE"];

impl Parser<'_> {
    /// With the signs before it and the casts, fields, subscripts and collations after it.
    pub(super) fn value(&mut self) -> Option<Boolean> {
        let first = self.at;
        let is_sign = |token: &super::Token| token.kind == Kind::Operator && token.text != "*";
        if self.tokens.get(self.at).is_some_and(is_sign) {
            let operator = self.tokens[self.at].text.to_string();
            self.at += 1;
            // Signs in a row would nest as deep as the text is long.
            if self.tokens.get(self.at).is_some_and(is_sign) {
                return None;
            }
            let operands = vec![self.value()?.operand()];
            return Some(Boolean::Value(self.operand(first, OperandKind::Operation { operator, operands })));
        }
        let mut value = self.primary()?;
        for _ in 0..DEPTH {
            if self.take("::") {
                let to = self.type_name()?;
                let of = value.operand();
                let kind = match of.kind {
                    OperandKind::Constant(_) => OperandKind::Constant(self.since(first)),
                    _ => OperandKind::Cast { of: Box::new(of), to },
                };
                value = Boolean::Value(self.operand(first, kind));
            } else if self.take("[") {
                let subscript = self.any()?.operand();
                let mut operands = vec![value.operand(), subscript];
                if self.take(":") {
                    operands.push(self.any()?.operand());
                }
                self.take("]").then_some(())?;
                value = self.operation(first, "[]", operands);
            } else if self.take(".") {
                (self.take("*") || self.name().is_some()).then_some(())?;
                let of = value.operand();
                value = match of.kind {
                    OperandKind::Parameter(_) => {
                        Boolean::Value(self.operand(first, OperandKind::Parameter(self.since(first))))
                    }
                    kind @ OperandKind::SubPlan { .. } => Boolean::Value(self.operand(first, kind)),
                    _ => self.operation(first, ".", vec![of]),
                };
            } else if self.take("COLLATE") {
                self.name()?;
                value = self.operation(first, "COLLATE", vec![value.operand()]);
            } else {
                return Some(value);
            }
        }
        None
    }

    fn operation(&self, first: usize, operator: &str, operands: Vec<Operand>) -> Boolean {
        let operator = operator.to_string();
        Boolean::Value(self.operand(first, OperandKind::Operation { operator, operands }))
    }

    fn primary(&mut self) -> Option<Boolean> {
        let first = self.at;
        let token = *self.tokens.get(self.at)?;
        let kind = match (token.kind, token.text) {
            (Kind::Mark, "(") => {
                self.at += 1;
                let inner = self.any()?;
                return self.take(")").then_some(inner);
            }
            (Kind::String | Kind::Number, _) => {
                self.at += 1;
                OperandKind::Constant(token.text.to_string())
            }
            (Kind::Parameter, _) => {
                self.at += 1;
                OperandKind::Parameter(token.text.to_string())
            }
            (Kind::Word, "EXISTS") if self.peek_at(1) == Some("(") => return self.exists(),
            (Kind::Word, "ANY" | "ALL") if self.peek_at(1) == Some("(") => return self.quantified(),
            (Kind::Word, "CASE") => self.case()?,
            (Kind::Word, "ARRAY") if self.peek_at(1) == Some("[") => {
                self.at += 2;
                OperandKind::Call { function: "ARRAY".into(), arguments: self.arguments("]")? }
            }
            (Kind::Word, "hashed" | "SubPlan" | "InitPlan") if self.sub_plan_follows() => self.sub_plan(),
            (Kind::Word, word) if RESERVED.contains(&word) => return None,
            (Kind::Word, "NULL" | "true" | "false") => {
                self.at += 1;
                OperandKind::Constant(token.text.to_string())
            }
            (Kind::Word | Kind::Quoted, _) => self.named()?,
            _ => return None,
        };
        Some(Boolean::Value(self.operand(first, kind)))
    }

    fn sub_plan_follows(&self) -> bool {
        let number = usize::from(self.peek() == Some("hashed")) + 1;
        let is_number = self.tokens.get(self.at + number).is_some_and(|token| token.kind == Kind::Number);
        is_number && (number == 1 || self.peek_at(1) == Some("SubPlan"))
    }

    fn sub_plan(&mut self) -> OperandKind {
        let hashed = self.take("hashed");
        let first = self.at;
        let is_init_plan = self.peek() == Some("InitPlan");
        self.at += 2;
        let name = self.since(first);
        if is_init_plan { OperandKind::Parameter(name) } else { OperandKind::SubPlan { name, hashed } }
    }

    /// `EXISTS(SubPlan 1)`
    fn exists(&mut self) -> Option<Boolean> {
        let first = self.at;
        self.at += 2;
        let left = self.any()?.operand();
        self.take(")").then_some(())?;
        let text = self.since(first);
        let test = Conjunct { text, left, operator: Some("EXISTS".into()), right: None, negated: false };
        Some(Boolean::Test(Box::new(test)))
    }

    /// `ANY (a = (hashed SubPlan 1).col1)`
    fn quantified(&mut self) -> Option<Boolean> {
        let first = self.at;
        let quantifier = self.tokens[self.at].text;
        self.at += 2;
        let comparison = self.any()?.operand();
        self.take(")").then_some(())?;
        let kind = match comparison.kind {
            OperandKind::Operation { operator, operands } => {
                OperandKind::Operation { operator: format!("{operator} {quantifier}"), operands }
            }
            _ => OperandKind::Other,
        };
        Some(Boolean::Value(self.operand(first, kind)))
    }

    fn case(&mut self) -> Option<OperandKind> {
        let mut depth = 0;
        loop {
            match self.peek()? {
                "CASE" => depth += 1,
                "END" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(OperandKind::Other);
            }
        }
    }

    /// A column or a call.
    fn named(&mut self) -> Option<OperandKind> {
        let first = self.at;
        let mut names = vec![self.name()?];
        while self.peek() == Some(".") && self.tokens.get(self.at + 1).is_some() {
            self.at += 1;
            names.push(if self.take("*") { "*".to_string() } else { self.name()? });
        }
        if self.take("(") {
            return self.call(names.join("."));
        }
        const WITHOUT_ARGUMENTS: [&str; 4] = ["CURRENT_", "LOCALTIME", "SESSION_USER", "SYSTEM_USER"];
        let text = self.since(first);
        if WITHOUT_ARGUMENTS.iter().any(|function| text.starts_with(function)) || text == "USER" {
            return Some(OperandKind::Call { function: text, arguments: Vec::new() });
        }
        let name = names.pop()?;
        Some(OperandKind::Column { qualifier: (!names.is_empty()).then(|| names.join(".")), name })
    }

    fn call(&mut self, function: String) -> Option<OperandKind> {
        let (first, depth) = (self.at, self.depth);
        let arguments = if function == "EXTRACT" { self.extract() } else { self.arguments(")") };
        if arguments.is_none() {
            (self.at, self.depth) = (first, depth);
            self.skip_to_close()?;
        }
        // An aggregate's FILTER (WHERE …), a window function's OVER (…).
        while self.peek_at(1) == Some("(") && (self.take("FILTER") || self.take("OVER")) {
            self.at += 1;
            self.skip_to_close()?;
        }
        Some(match arguments {
            Some(arguments) => OperandKind::Call { function, arguments },
            None => OperandKind::Other,
        })
    }

    /// `year FROM a)`
    fn extract(&mut self) -> Option<Vec<Operand>> {
        let field = self.name()?;
        self.take("FROM").then_some(())?;
        let field = Operand { kind: OperandKind::Constant(field.clone()), text: field };
        Some(std::iter::once(field).chain(self.arguments(")")?).collect())
    }

    fn arguments(&mut self, close: &str) -> Option<Vec<Operand>> {
        let mut arguments = Vec::new();
        while !self.take(close) {
            let first = self.at;
            let is_star = self.take("*");
            let _ = ["DISTINCT", "VARIADIC", "BOTH", "LEADING", "TRAILING"].iter().any(|word| self.take(word));
            if is_star {
                arguments.push(self.operand(first, OperandKind::Other));
            } else {
                arguments.push(self.any()?.operand());
            }
            if self.peek().is_some_and(|next| BETWEEN_ARGUMENTS.contains(&next)) {
                self.at += 1;
            } else if self.peek() != Some(close) {
                return None;
            }
        }
        Some(arguments)
    }

    /// Behind the parenthesis that closes the one that was opened last.
    fn skip_to_close(&mut self) -> Option<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.peek()? {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    /// Raw.
    fn name(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        match token.kind {
            Kind::Word => Some(token.text.to_string()),
            Kind::Quoted => Some(token.text[1..token.text.len() - 1].replace("\"\"", "\"")),
            _ => None,
        }
    }

    /// `text`, `public.mood`, `numeric(10,2)`, `timestamp(3) without time zone`, `character varying(10)[]`
    fn type_name(&mut self) -> Option<String> {
        const MORE: [&str; 16] = [
            "precision",
            "varying",
            "with",
            "without",
            "time",
            "zone",
            "year",
            "month",
            "day",
            "hour",
            "minute",
            "second",
            "to",
            "YEAR",
            "DAY",
            "TO",
        ];
        let first = self.at;
        self.name()?;
        loop {
            let is_number = self.tokens.get(self.at + 1).is_some_and(|token| token.kind == Kind::Number);
            if self.take(".") {
                self.name()?;
            } else if self.peek().is_some_and(|word| MORE.contains(&word)) {
                self.at += 1;
            } else if self.take_all(&["[", "]"]) {
                continue;
            } else if self.peek() == Some("(") && is_number {
                self.at += 1;
                self.skip_to_close()?;
            } else {
                return Some(self.since(first));
            }
        }
    }
}
