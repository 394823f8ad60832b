//! A statement whose names are not of this database, by a parser of its own: names stay names, nothing has an OID or a type.

mod expression;
mod from;

use super::{
    Distinct, Expression, Item, ItemKind, Kind, Lock, LockStrength, LockWait, Select, SetKind, SetOperation, SetPart,
    SortKey, Target, Window, With, Writing,
};
use crate::facts::query::WriteKind;
use sqlparser::ast::{
    self, Expr, GroupByExpr, LimitClause, LockType, NonBlock, ObjectName, OnInsert, OrderByExpr, OrderByKind,
    OrderBySort, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, UpdateTableFromKind, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// Every operator makes the tree deeper, which is walked by recursion.
const MOST_WORDS: usize = 5000;

/// The reading part and what is written. An error says why the parser does not take the text.
pub fn parse(text: &str) -> Result<(Option<Select>, Option<Writing>), String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_err(|error| error.to_string())?;
    let is_word = |token: &&Token| {
        !matches!(token, Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Comma)
    };
    if tokens.iter().filter(is_word).count() > MOST_WORDS {
        return Err(format!("it has more than {MOST_WORDS} words and signs"));
    }
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, text).map_err(|error| error.to_string())?;
    let breaks = text.chars().zip(1..).filter(|(character, _)| *character == '\n').map(|(_, next)| next);
    let lines = std::iter::once(0).chain(breaks).collect();
    let reader = Reader { characters: text.char_indices().map(|(at, _)| at).collect(), lines };
    match statements.pop().filter(|_| statements.is_empty()) {
        Some(statement) => reader.statement(&statement).ok_or_else(|| "it is no query".to_string()),
        None => Err("it is not one statement".to_string()),
    }
}

struct Reader {
    /// Byte offset of each character.
    characters: Vec<usize>,
    /// Number of each line's first character.
    lines: Vec<usize>,
}

impl Reader {
    fn location(&self, place: Location) -> Option<usize> {
        let line = *self.lines.get(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
        let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
        self.characters.get(line + column).copied()
    }

    fn statement(&self, statement: &ast::Statement) -> Option<(Option<Select>, Option<Writing>)> {
        let mut select = Select::default();
        let mut writing = Writing {
            kind: WriteKind::Insert,
            table: 0,
            columns: Vec::new(),
            has_condition: false,
            on_conflict: false,
            returning: false,
        };
        match statement {
            ast::Statement::Query(query) => {
                // A WITH before INSERT, UPDATE and DELETE is that of a query around it.
                return match &*query.body {
                    SetExpr::Insert(inner)
                    | SetExpr::Update(inner)
                    | SetExpr::Delete(inner)
                    | SetExpr::Merge(inner) => {
                        let (reads, writes) = self.statement(inner)?;
                        let with = self.with(query);
                        Some((reads.map(|reads| Select { with, ..reads }), writes))
                    }
                    _ => Some((Some(self.query(query)), None)),
                };
            }
            ast::Statement::Insert(insert) => {
                writing.on_conflict = matches!(insert.on, Some(OnInsert::OnConflict(_)));
                writing.returning = insert.returning.is_some();
                let query = insert.source.as_ref().map(|source| self.query(source));
                return Some((query.filter(|query| !is_values(query)), Some(writing)));
            }
            ast::Statement::Update(update) => {
                writing.kind = WriteKind::Update;
                writing.has_condition = update.selection.is_some();
                writing.returning = update.returning.is_some();
                self.add_from(&mut select, std::slice::from_ref(&update.table));
                if let Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) = &update.from {
                    self.add_from(&mut select, from);
                }
                select.condition = self.optional(update.selection.as_ref());
                let values = update.assignments.iter().map(|set| self.target(&set.value, String::new()));
                select.targets = values.filter(|target| !target.expression.sublinks().is_empty()).collect();
            }
            ast::Statement::Delete(delete) => {
                writing.kind = WriteKind::Delete;
                writing.has_condition = delete.selection.is_some();
                writing.returning = delete.returning.is_some();
                let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
                self.add_from(&mut select, from);
                self.add_from(&mut select, delete.using.as_deref().unwrap_or_default());
                select.condition = self.optional(delete.selection.as_ref());
            }
            ast::Statement::Merge(merge) => {
                writing.kind = WriteKind::Merge;
                writing.has_condition = true;
                let item =
                    |relation: &ast::TableFactor| ast::TableWithJoins { relation: relation.clone(), joins: Vec::new() };
                self.add_from(&mut select, &[item(&merge.source), item(&merge.table)]);
                select.condition = Some(self.expression(&merge.on));
            }
            _ => return None,
        }
        Some((Some(select), Some(writing)))
    }

    fn query(&self, query: &Query) -> Select {
        let mut select = self.body(&query.body);
        select.with = [self.with(query), std::mem::take(&mut select.with)].concat();
        if let Some(order) = &query.order_by
            && let OrderByKind::Expressions(keys) = &order.kind
        {
            select.order_by = self.sort_keys(keys, &select.targets);
        }
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                select.limit = self.optional(limit.as_ref());
                select.offset = offset.as_ref().map(|offset| self.expression(&offset.value));
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                select.limit = Some(self.expression(limit));
                select.offset = Some(self.expression(offset));
            }
            None => {}
        }
        if let Some(fetch) = &query.fetch {
            select.with_ties = fetch.with_ties;
            let one = || Expression { kind: Kind::Constant(Some("1".to_string())), location: None, type_oid: 0 };
            select.limit = Some(self.optional(fetch.quantity.as_ref()).unwrap_or_else(one));
        }
        select.locks.extend(query.locks.iter().map(|lock| Lock {
            strength: match lock.lock_type {
                LockType::Share => LockStrength::Share,
                LockType::Update => LockStrength::Update,
            },
            wait: match lock.nonblock {
                Some(NonBlock::SkipLocked) => LockWait::SkipLocked,
                Some(NonBlock::Nowait) => LockWait::NoWait,
                None => LockWait::Waits,
            },
            of: lock.of.iter().filter_map(|name| names(name).pop()).collect(),
        }));
        select
    }

    fn with(&self, query: &Query) -> Vec<With> {
        let Some(with) = &query.with else { return Vec::new() };
        let one = |cte: &ast::Cte| {
            let written = match &*cte.query.body {
                SetExpr::Insert(inner) | SetExpr::Update(inner) | SetExpr::Delete(inner) | SetExpr::Merge(inner) => {
                    Some(self.statement(inner).and_then(|(reads, _)| reads).unwrap_or_default())
                }
                _ => None,
            };
            With {
                writes: written.is_some(),
                query: written.unwrap_or_else(|| self.query(&cte.query)),
                recursive: with.recursive,
            }
        };
        with.cte_tables.iter().map(one).collect()
    }

    fn body(&self, body: &SetExpr) -> Select {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(values) => {
                let rows = values.rows.iter().map(|row| self.expressions(&row.content)).collect();
                let item = Item { kind: ItemKind::Values { rows }, name: String::new(), columns: Vec::new() };
                Select { items: vec![item], from: vec![super::From::Item(0)], ..Select::default() }
            }
            SetExpr::SetOperation { .. } => {
                let mut select = Select::default();
                if let SetPart::Operation(operation) = self.set_part(body, &mut select) {
                    select.set_operation = Some(operation);
                }
                if let Some(Item { kind: ItemKind::Subquery(first), .. }) = select.items.first() {
                    select.targets = first.targets.clone();
                }
                select
            }
            _ => Select::default(),
        }
    }

    fn set_part(&self, part: &SetExpr, select: &mut Select) -> SetPart {
        let SetExpr::SetOperation { left, op, set_quantifier, right } = part else {
            let kind = ItemKind::Subquery(Box::new(self.body(part)));
            select.items.push(Item { kind, name: String::new(), columns: Vec::new() });
            return SetPart::Arm(select.items.len() - 1);
        };
        SetPart::Operation(SetOperation {
            kind: match op {
                SetOperator::Union => SetKind::Union,
                SetOperator::Intersect => SetKind::Intersect,
                SetOperator::Except | SetOperator::Minus => SetKind::Except,
            },
            all: matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName),
            left: Box::new(self.set_part(left, select)),
            right: Box::new(self.set_part(right, select)),
        })
    }

    fn select(&self, given: &ast::Select) -> Select {
        let mut select = Select::default();
        self.add_from(&mut select, &given.from);
        select.targets = given.projection.iter().map(|item| self.output(item)).collect();
        select.condition = self.optional(given.selection.as_ref());
        if let GroupByExpr::Expressions(keys, modifiers) = &given.group_by {
            let nested = |key: &&Expr| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
            select.grouping_sets = !modifiers.is_empty() || keys.iter().any(|key| nested(&key));
            select.group_by = keys.iter().map(|key| self.output_or(key, &select.targets)).collect();
        }
        select.having = self.optional(given.having.as_ref());
        select.distinct = match &given.distinct {
            Some(ast::Distinct::Distinct) => Distinct::All,
            Some(ast::Distinct::On(keys)) => Distinct::On(self.expressions(keys)),
            Some(ast::Distinct::All) | None => Distinct::No,
        };
        select.windows =
            given.named_window.iter().map(|_| Window { partition_by: Vec::new(), order_by: Vec::new() }).collect();
        let parts = select.targets.iter().map(|target| &target.expression).chain(&select.having);
        select.has_aggregates = parts.into_iter().any(|part| part.any(|part| matches!(part.kind, Kind::Aggregate(_))));
        select
    }

    fn output(&self, item: &SelectItem) -> Target {
        match item {
            SelectItem::UnnamedExpr(expression) => self.target(expression, String::new()),
            SelectItem::ExprWithAlias { expr, alias } => self.target(expr, folded(alias)),
            SelectItem::ExprWithAliases { expr, .. } => self.target(expr, String::new()),
            SelectItem::QualifiedWildcard(_, options) | SelectItem::Wildcard(options) => self.star(options),
        }
    }

    fn star(&self, options: &ast::WildcardAdditionalOptions) -> Target {
        let location = self.location(options.wildcard_token.0.span.start);
        Target { expression: Expression { kind: Kind::Name, location, type_oid: 0 }, name: String::new(), star: true }
    }

    fn target(&self, expression: &Expr, name: String) -> Target {
        Target { expression: self.expression(expression), name, star: false }
    }

    fn sort_keys(&self, keys: &[OrderByExpr], targets: &[Target]) -> Vec<SortKey> {
        let key = |key: &OrderByExpr| SortKey {
            expression: self.output_or(&key.expr, targets),
            descending: matches!(key.options.sort, Some(OrderBySort::Desc)),
        };
        keys.iter().map(key).collect()
    }

    /// `2` in ORDER BY and GROUP BY is the second output column.
    fn output_or(&self, key: &Expr, targets: &[Target]) -> Expression {
        let number = match key {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => number.parse::<usize>().ok(),
                _ => None,
            },
            _ => None,
        };
        let target = number.and_then(|number| targets.get(number.checked_sub(1)?));
        target.map_or_else(|| self.expression(key), |target| target.expression.clone())
    }
}

fn is_values(query: &Select) -> bool {
    matches!(query.items.as_slice(), [Item { kind: ItemKind::Values { .. }, .. }]) && query.with.is_empty()
}

/// The parts of a name, as the server would fold them.
fn names(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect()
}

fn folded(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

#[cfg(test)]
mod unit_tests;
