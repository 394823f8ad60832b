//! FROM.

use super::{Reader, folded, names};
use crate::facts::statement_tree::{Expression, From, Item, ItemKind, JoinKind, Kind, Select};
use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins,
};

impl Reader {
    pub(super) fn add_from(&self, select: &mut Select, tables: &[TableWithJoins]) {
        for table in tables {
            let from = self.joined(select, table);
            select.from.push(from);
        }
    }

    fn joined(&self, select: &mut Select, table: &TableWithJoins) -> From {
        let mut from = self.factor(select, &table.relation);
        for join in &table.joins {
            let right = self.factor(select, &join.relation);
            let (kind, constraint) = match &join.join_operator {
                JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                    (JoinKind::Left, Some(constraint))
                }
                JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                    (JoinKind::Right, Some(constraint))
                }
                JoinOperator::FullOuter(constraint) => (JoinKind::Full, Some(constraint)),
                JoinOperator::Join(constraint)
                | JoinOperator::Inner(constraint)
                | JoinOperator::CrossJoin(constraint) => (JoinKind::Inner, Some(constraint)),
                _ => (JoinKind::Inner, None),
            };
            let unknown = |parts| Expression { kind: Kind::Other(parts), location: None, type_oid: 0 };
            let name = || Expression { kind: Kind::Name, location: None, type_oid: 0 };
            let condition = constraint.and_then(|constraint| match constraint {
                JoinConstraint::On(condition) => Some(self.expression(condition)),
                // Which columns these are on either side is not known.
                JoinConstraint::Using(_) | JoinConstraint::Natural => Some(unknown(vec![name()])),
                JoinConstraint::None => None,
            });
            from = From::Join { kind, left: Box::new(from), right: Box::new(right), condition };
        }
        from
    }

    fn factor(&self, select: &mut Select, factor: &TableFactor) -> From {
        let (kind, name, alias) = match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => return self.joined(select, table_with_joins),
            TableFactor::Table { name, alias, args: None, .. } => {
                (ItemKind::Unresolved, names(name).pop().unwrap_or_default(), alias)
            }
            TableFactor::Table { name, alias, args: Some(arguments), .. } => {
                (self.function(&arguments.args), names(name).pop().unwrap_or_default(), alias)
            }
            TableFactor::Function { name, args, alias, .. } => {
                (self.function(args), names(name).pop().unwrap_or_default(), alias)
            }
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                let calls = self.expressions(array_exprs);
                (ItemKind::Function { calls, returns_set: true }, "unnest".to_string(), alias)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                (ItemKind::Subquery(Box::new(self.query(subquery))), String::new(), alias)
            }
            _ => (ItemKind::Other, String::new(), &None),
        };
        let columns = |alias: &TableAlias| alias.columns.iter().map(|column| folded(&column.name)).collect();
        select.items.push(Item {
            kind,
            name: alias.as_ref().map_or(name, |alias| folded(&alias.name)),
            columns: alias.as_ref().map(columns).unwrap_or_default(),
        });
        From::Item(select.items.len() - 1)
    }

    fn function(&self, arguments: &[FunctionArg]) -> ItemKind {
        ItemKind::Function { calls: self.arguments(arguments), returns_set: true }
    }

    pub(super) fn arguments(&self, arguments: &[FunctionArg]) -> Vec<Expression> {
        let value = |argument: &FunctionArg| {
            let (FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg)) =
                argument;
            match arg {
                FunctionArgExpr::Expr(expression) => Some(self.expression(expression)),
                _ => None,
            }
        };
        arguments.iter().filter_map(value).collect()
    }
}
