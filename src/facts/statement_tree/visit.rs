//! Walks through a statement.

use super::{Column, Distinct, Expression, From, ItemKind, Kind, Operator, Select, SubLink};

impl Expression {
    /// Its direct parts, subqueries left out.
    pub fn parts(&self) -> Vec<&Expression> {
        match &self.kind {
            Kind::Column(_) | Kind::Name | Kind::Constant(_) | Kind::Parameter(_) | Kind::Output => Vec::new(),
            Kind::Operator(Operator { arguments, .. }) | Kind::Distinct(Operator { arguments, .. }) => {
                arguments.iter().collect()
            }
            Kind::Function(call) | Kind::Aggregate(call) | Kind::Window(call) => {
                call.arguments.iter().chain(call.filter.as_deref()).collect()
            }
            Kind::Cast(cast) => vec![&*cast.argument],
            Kind::Not(argument) | Kind::IsNull { argument, .. } => vec![&**argument],
            Kind::AnyArray { left, array, .. } => vec![&**left, &**array],
            Kind::SubLink(SubLink { test, .. }) => test.iter().map(|test| &**test).collect(),
            Kind::And(parts)
            | Kind::Or(parts)
            | Kind::Array(parts)
            | Kind::Case(parts)
            | Kind::Coalesce(parts)
            | Kind::Row(parts)
            | Kind::Other(parts) => parts.iter().collect(),
        }
    }

    /// Itself and all in it, outer ones first; subqueries left out.
    pub fn all(&self) -> Vec<&Expression> {
        let mut all = vec![self];
        let mut next = 0;
        while next < all.len() {
            all.extend(all[next].parts());
            next += 1;
        }
        all
    }

    pub fn any(&self, test: impl Fn(&Expression) -> bool) -> bool {
        self.all().into_iter().any(test)
    }

    /// Columns of this query that it names, subqueries in it left out.
    pub fn columns(&self) -> Vec<&Column> {
        let of = |expression: &'_ Expression| -> bool { matches!(&expression.kind, Kind::Column(c) if c.level == 0) };
        let all = self.all().into_iter().filter(|expression| of(expression));
        all.filter_map(|expression| if let Kind::Column(column) = &expression.kind { Some(column) } else { None })
            .collect()
    }

    /// The subqueries in it, those within them left out.
    pub fn sublinks(&self) -> Vec<&SubLink> {
        let of = |expression: &'_ Expression| matches!(expression.kind, Kind::SubLink(_));
        let all = self.all().into_iter().filter(|expression| of(expression));
        all.filter_map(|expression| if let Kind::SubLink(link) = &expression.kind { Some(link) } else { None })
            .collect()
    }

    /// It names no column of this query, nor does a subquery in it: the same value for all rows, unless volatile.
    pub fn is_constant(&self) -> bool {
        self.all().into_iter().all(|expression| match &expression.kind {
            Kind::Column(column) => column.level > 0,
            Kind::Aggregate(call) => call.level > 0,
            Kind::SubLink(link) => !link.query.names_level(0),
            Kind::Name | Kind::Output | Kind::Window(_) => false,
            _ => true,
        })
    }
}

impl Select {
    /// The expressions of this query itself, those of queries within it left out.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut all: Vec<&Expression> = self.targets.iter().map(|target| &target.expression).collect();
        self.from.iter().for_each(|from| from.add_conditions(&mut all));
        all.extend(&self.condition);
        all.extend(&self.group_by);
        all.extend(&self.having);
        for window in &self.windows {
            all.extend(&window.partition_by);
            all.extend(window.order_by.iter().map(|key| &key.expression));
        }
        if let Distinct::On(keys) = &self.distinct {
            all.extend(keys);
        }
        all.extend(self.order_by.iter().map(|key| &key.expression));
        all.extend(self.limit.iter().chain(&self.offset));
        for item in &self.items {
            match &item.kind {
                ItemKind::Function { calls, .. } => all.extend(calls),
                ItemKind::Values { rows } => all.extend(rows.iter().flatten()),
                _ => {}
            }
        }
        all
    }

    /// Queries directly within it: of WITH, of FROM, arms, in expressions; whether WITH or FROM has it, one query deeper.
    pub fn children(&self) -> Vec<&Select> {
        let with = self.with.iter().map(|with| &with.query);
        let items = self.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Subquery(query) => Some(&**query),
            _ => None,
        });
        let links = self.expressions().into_iter().flat_map(Expression::sublinks).map(|link| &*link.query);
        with.chain(items).chain(links).collect()
    }

    /// Itself and all queries within it, outer ones first.
    pub fn selects(&self) -> Vec<&Select> {
        let mut all = vec![self];
        let mut next = 0;
        while next < all.len() {
            all.extend(all[next].children());
            next += 1;
        }
        all
    }

    /// It, or a query within it, names a column of the query `further` levels out of the one directly around it.
    pub fn names_level(&self, further: usize) -> bool {
        let wanted = further + 1;
        let here = self.expressions().into_iter().flat_map(Expression::all).any(|expression| match &expression.kind {
            Kind::Column(column) => column.level == wanted,
            Kind::Aggregate(call) => call.level == wanted,
            _ => false,
        });
        here || self.children().into_iter().any(|child| child.names_level(wanted))
    }

    /// It names columns of queries around it.
    pub fn is_correlated(&self) -> bool {
        let mut queries = vec![(self, 0)];
        while let Some((query, depth)) = queries.pop() {
            let out =
                query.expressions().into_iter().flat_map(Expression::all).any(|expression| match &expression.kind {
                    Kind::Column(column) => column.level > depth,
                    Kind::Aggregate(call) => call.level > depth,
                    _ => false,
                });
            if out {
                return true;
            }
            queries.extend(query.children().into_iter().map(|child| (child, depth + 1)));
        }
        false
    }
}

impl From {
    fn add_conditions<'a>(&'a self, all: &mut Vec<&'a Expression>) {
        if let From::Join { left, right, condition, .. } = self {
            all.extend(condition);
            left.add_conditions(all);
            right.add_conditions(all);
        }
    }
}
