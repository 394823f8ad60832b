//! What is the same for all rows of a query, be it given that some columns are: by unique keys and equalities.

use super::{Column, Distinct, Expression, From, ItemKind, JoinKind, Kind, Select, Volatility};
use crate::facts::{Catalog, Index, Table};
use fnv::FnvHashSet;

/// Columns and FROM items of one query that have one value, or one row, in all its rows.
#[derive(Debug, Default)]
pub struct Fixed {
    columns: FnvHashSet<(usize, i16)>,
    /// Those that are fixed by an equality, which no NULL fulfills.
    not_null: FnvHashSet<(usize, i16)>,
    items: FnvHashSet<usize>,
}

struct Equality<'a> {
    left: &'a Expression,
    right: &'a Expression,
    applies: Applies,
}

/// Where rows fulfill an equality.
#[derive(Clone)]
enum Applies {
    Everywhere,
    /// In the rows of `items`, which are NULL where the row of `outer` has no match: not before that row is known.
    Within {
        items: Vec<usize>,
        outer: Vec<usize>,
    },
}

impl Fixed {
    /// Constants, parameters and columns of queries around are fixed, and what follows from them.
    pub fn of(query: &Select, catalog: &Catalog) -> Fixed {
        Fixed::given(query, catalog, std::iter::empty())
    }

    /// As `of`, taking it that these expressions have one value each.
    pub fn given<'a>(query: &Select, catalog: &Catalog, given: impl Iterator<Item = &'a Expression>) -> Fixed {
        let mut fixed = Fixed::default();
        fixed.columns.extend(given.filter_map(Expression::column).map(place));
        for conjunct in query.conjuncts() {
            let one_value = match &conjunct.kind {
                Kind::IsNull { argument, negated: false } | Kind::Not(argument) => argument.column(),
                _ => conjunct.column(),
            };
            fixed.columns.extend(one_value.map(place));
        }
        let equalities = equalities(query);
        while fixed.take_equalities(&equalities) | fixed.take_items(query, catalog) {}
        fixed
    }

    pub fn item(&self, item: usize) -> bool {
        self.items.contains(&item)
    }

    pub fn column(&self, column: &Column) -> bool {
        column.level > 0 || self.items.contains(&column.item) || self.columns.contains(&place(column))
    }

    /// Its value follows from what is fixed.
    pub fn expression(&self, expression: &Expression) -> bool {
        expression.all().into_iter().all(|part| match &part.kind {
            Kind::Column(column) => self.column(column),
            Kind::Name | Kind::Output | Kind::Window(_) | Kind::Aggregate(_) => false,
            Kind::Function(call) => call.volatility != Volatility::Volatile && !call.returns_set,
            Kind::Operator(operator) => operator.volatility != Volatility::Volatile,
            Kind::SubLink(link) => !link.correlated,
            _ => true,
        })
    }

    /// Every FROM item has at most one row.
    pub fn all_items(&self, query: &Select) -> bool {
        query.from.iter().flat_map(From::items).all(|item| self.items.contains(&item))
    }

    fn take_equalities(&mut self, equalities: &[Equality]) -> bool {
        let mut changed = false;
        for Equality { left, right, applies } in equalities {
            for (side, other) in [(left, right), (right, left)] {
                let Some(column) = side.column() else { continue };
                let holds = match applies {
                    Applies::Everywhere => true,
                    Applies::Within { items, outer } => {
                        items.contains(&column.item) && outer.iter().all(|item| self.items.contains(item))
                    }
                };
                if holds && self.expression(other) {
                    changed |= self.columns.insert(place(column)) | self.not_null.insert(place(column));
                }
            }
        }
        changed
    }

    fn take_items(&mut self, query: &Select, catalog: &Catalog) -> bool {
        let mut changed = false;
        for item in query.from.iter().flat_map(From::items) {
            if !self.items.contains(&item) && self.has_one_row(query, catalog, item) {
                changed |= self.items.insert(item);
            }
        }
        changed
    }

    fn has_one_row(&self, query: &Select, catalog: &Catalog, item: usize) -> bool {
        match &query.items[item].kind {
            ItemKind::Relation { oid, inherited: false, .. } => catalog.known(*oid).is_some_and(|table| {
                unique_indexes(table).any(|index| {
                    let keys = index.key_attributes();
                    self.covers(item, keys, |number| is_never_null(table, index, number))
                        && predicate_holds(query, item, table, index)
                })
            }),
            ItemKind::Subquery(subquery) => {
                at_most_one_row(subquery, catalog)
                    || output_keys(subquery, catalog).iter().any(|key| self.covers(item, key.iter().copied(), |_| true))
            }
            ItemKind::Values { rows } => rows.len() == 1,
            ItemKind::Function { returns_set, .. } => !returns_set,
            _ => false,
        }
    }

    fn covers(&self, item: usize, mut key: impl Iterator<Item = i16>, null_is_one: impl Fn(i16) -> bool) -> bool {
        key.all(|number| {
            let place = (item, number);
            self.not_null.contains(&place) || self.columns.contains(&place) && null_is_one(number)
        })
    }
}

/// By unique keys, aggregation or LIMIT the query has one row or none.
pub fn at_most_one_row(query: &Select, catalog: &Catalog) -> bool {
    let limited = query.limit.as_ref().and_then(Expression::number).is_some_and(|rows| rows <= 1.0) && !query.with_ties;
    if limited || query.set_operation.is_some() || query.returns_sets {
        return limited;
    }
    query.is_one_group() || !query.grouping_sets && Fixed::of(query, catalog).all_items(query)
}

/// Sets of output columns, from 1, that no two rows of the query have equal; NULL counts as equal to NULL.
pub fn output_keys(query: &Select, catalog: &Catalog) -> Vec<Vec<i16>> {
    let all: Vec<i16> = (1..=query.targets.len() as i16).collect();
    if let Some(operation) = &query.set_operation {
        return if operation.all { Vec::new() } else { vec![all] };
    }
    let mut keys = Vec::new();
    if matches!(query.distinct, Distinct::All) {
        keys.push(all);
    }
    if query.returns_sets || query.grouping_sets {
        return keys;
    }
    let output = |wanted: &dyn Fn(&Expression) -> bool| -> Option<i16> {
        query.targets.iter().position(|target| wanted(&target.expression)).map(|position| position as i16 + 1)
    };
    if !query.group_by.is_empty() {
        let of = |key: &Expression| output(&|target| target.column().is_some() && target.column() == key.column());
        keys.extend(query.group_by.iter().map(of).collect::<Option<Vec<i16>>>());
    } else if let [From::Item(item)] = query.from.as_slice()
        && let ItemKind::Relation { oid, inherited: false, .. } = query.items[*item].kind
        && let Some(table) = catalog.known(oid)
    {
        for index in unique_indexes(table).filter(|index| index.predicate.is_none()) {
            let of = |number: i16| {
                let known = is_never_null(table, index, number);
                output(&|target| target.column().is_some_and(|column| place(column) == (*item, number)))
                    .filter(|_| known)
            };
            keys.extend(index.key_attributes().map(of).collect::<Option<Vec<i16>>>());
        }
    }
    keys
}

/// Unique indexes on columns, which hold at any time.
pub fn unique_indexes(table: &Table) -> impl Iterator<Item = &Index> {
    table
        .indexes
        .iter()
        .filter(|index| index.unique && index.immediate && index.is_usable() && index.expressions.is_none())
}

/// Columns of the item that complete its shortest unique key whose columns are never NULL, beside those that are fixed.
pub fn missing_key(table: &Table, item: usize, fixed: &Fixed) -> Option<Vec<i16>> {
    let never_null = |number: &i16| table.column(*number).is_some_and(|column| column.not_null);
    let open = |number: &i16| !fixed.items.contains(&item) && !fixed.columns.contains(&(item, *number));
    let keys = unique_indexes(table)
        .filter(|index| index.predicate.is_none() && index.key_attributes().all(|n| never_null(&n)));
    keys.map(|index| index.key_attributes().filter(open).collect::<Vec<i16>>()).min_by_key(Vec::len)
}

fn is_never_null(table: &Table, index: &Index, number: i16) -> bool {
    index.nulls_not_distinct || table.column(number).is_some_and(|column| column.not_null)
}

/// The query takes only rows that the index has: it has all, or those where some column is NULL as the query says too.
fn predicate_holds(query: &Select, item: usize, table: &Table, index: &Index) -> bool {
    let Some(predicate) = &index.predicate else { return true };
    query.conjuncts().into_iter().any(|conjunct| match &conjunct.kind {
        Kind::IsNull { argument, negated } => argument.column().is_some_and(|column| {
            let test = if *negated { "IS NOT NULL" } else { "IS NULL" };
            let name = table.column(column.attribute).map(|column| column.name.to_string()).unwrap_or_default();
            column.item == item && predicate.trim_matches(['(', ')']) == format!("{name} {test}")
        }),
        _ => false,
    })
}

fn equalities(query: &Select) -> Vec<Equality<'_>> {
    let mut equalities = Vec::new();
    add(&mut equalities, query.conjuncts().into_iter(), &Applies::Everywhere);
    query.from.iter().for_each(|from| add_outer(from, &[], &mut equalities));
    equalities
}

/// Of ON in and below outer joins; `outer` are the items whose rows are there without a match of these.
fn add_outer<'a>(from: &'a From, outer: &[usize], equalities: &mut Vec<Equality<'a>>) {
    let From::Join { kind, left, right, condition } = from else { return };
    let (lefts, rights) = (left.items(), right.items());
    let below = |side: &[usize]| [outer, side].concat();
    let within = match kind {
        JoinKind::Inner if !outer.is_empty() => Some((from.items(), outer.to_vec())),
        JoinKind::Left => Some((rights.clone(), below(&lefts))),
        JoinKind::Right => Some((lefts.clone(), below(&rights))),
        JoinKind::Inner | JoinKind::Full => None,
    };
    if let Some((items, outer)) = within {
        let conjuncts = condition.iter().flat_map(Expression::conjuncts);
        add(equalities, conjuncts, &Applies::Within { items, outer });
    }
    // A full join leaves either side without the other.
    let (of_left, of_right) = match kind {
        JoinKind::Inner => (outer.to_vec(), outer.to_vec()),
        JoinKind::Left => (outer.to_vec(), below(&lefts)),
        JoinKind::Right => (below(&rights), outer.to_vec()),
        JoinKind::Full => (below(&rights), below(&lefts)),
    };
    add_outer(left, &of_left, equalities);
    add_outer(right, &of_right, equalities);
}

fn add<'a>(equalities: &mut Vec<Equality<'a>>, conjuncts: impl Iterator<Item = &'a Expression>, applies: &Applies) {
    for conjunct in conjuncts {
        if let Some((left, right)) = conjunct.equality() {
            equalities.push(Equality { left, right, applies: applies.clone() });
        }
    }
}

fn place(column: &Column) -> (usize, i16) {
    (column.item, column.attribute)
}
