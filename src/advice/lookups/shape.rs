//! What a SELECT looks up, and which tables' rows it returns.

use crate::facts::statement_tree::{
    Column, Comparison, Expression, From, ItemKind, Kind, Select, Statement, unique_indexes,
};
use crate::facts::{Catalog, Index, Lookup, LookupKey, ReadingShape, ReadingSource as Source, Table, same_columns};
use std::collections::BTreeMap;

/// Queries within queries that are looked through.
const DEEPEST: usize = 16;

/// None: it is not one SELECT, it groups, or it locks what it reads.
pub fn shape(statement: &Statement, catalog: &Catalog) -> Option<ReadingShape> {
    let query = statement.query.as_ref().filter(|_| statement.write.is_none())?;
    if !is_plain(query) || !query.locks.is_empty() || query.with.iter().any(|with| with.writes) {
        return None;
    }
    let mut reader =
        Reader { catalog, sources: BTreeMap::new(), members: Vec::new(), ranges: Vec::new(), never: false };
    reader.read(query, &mut Vec::new());
    let aggregates = query.is_one_group();
    for target in query.targets.iter().filter(|_| !aggregates) {
        reader.add_returned(query, &target.expression);
    }
    let positions: BTreeMap<&Vec<usize>, usize> = reader.sources.keys().zip(0..).collect();
    let mut sources: Vec<Source> = Vec::new();
    for found in reader.sources.values() {
        let joined =
            found.joined.iter().filter_map(|(own, other, column)| Some((*own, *positions.get(other)?, *column)));
        let mut source = Source { joined: joined.collect(), ..found.source.clone() };
        source.returned.sort_unstable();
        source.returned.dedup();
        source.fixed.sort_unstable();
        source.fixed.dedup();
        source.is_one_row = catalog.known(source.table).is_some_and(|table| has_key(table, &source.fixed));
        sources.push(source);
    }
    let lookup = reader.lookup(query, &sources, aggregates);
    Some(ReadingShape { sources, lookup, finds_nothing: reader.never, text: statement.text.clone() })
}

/// Its rows are rows of its FROM items, not groups of them, nor of several queries; of one group it is the values that count.
fn is_plain(query: &Select) -> bool {
    query.set_operation.is_none()
        && query.group_by.is_empty()
        && !query.grouping_sets
        && query.having.is_none()
        && !query.returns_sets
}

/// The columns hold all of a unique key.
fn has_key(table: &Table, columns: &[i16]) -> bool {
    let whole = |index: &Index| index.key_attributes().all(|number| columns.contains(&number));
    unique_indexes(table).filter(|index| index.predicate.is_none()).any(whole)
}

struct Reader<'a> {
    catalog: &'a Catalog,
    /// By the positions of FROM items, from the outermost query on.
    sources: BTreeMap<Vec<usize>, Found>,
    /// `column = ANY (list)`, with the path of the source.
    members: Vec<(Vec<usize>, i16)>,
    /// Sources of which a condition takes a range.
    ranges: Vec<Vec<usize>>,
    never: bool,
}

#[derive(Default)]
struct Found {
    source: Source,
    keys: Vec<LookupKey>,
    joined: Vec<(i16, Vec<usize>, i16)>,
}

/// A column of a table, with the path of its source.
type Place = (Vec<usize>, i16);

impl Reader<'_> {
    /// Takes what the query at `path` reads.
    fn read(&mut self, query: &Select, path: &mut Vec<usize>) {
        for item in query.from.iter().flat_map(From::items) {
            path.push(item);
            if let Some(table) = self.table(query, item) {
                let source = Source { table: table.oid, ..Source::default() };
                self.sources.insert(path.clone(), Found { source, ..Found::default() });
            } else if path.len() < DEEPEST
                && let Some(inner) = inner(query, item).filter(|inner| is_plain(inner) && !inner.is_one_group())
            {
                self.read(inner, path);
            }
            path.pop();
        }
        for conjunct in query.conjuncts() {
            self.add_condition(query, path, conjunct);
        }
        for conjunct in query.from.iter().flat_map(outer_conditions) {
            self.add_join(query, path, conjunct);
        }
    }

    /// A partition is judged as the table that it is a part of.
    fn table(&self, query: &Select, item: usize) -> Option<&Table> {
        let mut table = query.table(self.catalog, item)?;
        while let Some(parent) = table.parent.and_then(|parent| self.catalog.known(parent)) {
            table = parent;
        }
        Some(table)
    }

    fn add_returned(&mut self, query: &Select, expression: &Expression) {
        for column in expression.columns() {
            if let Some((path, attribute)) = self.place(query, &mut Vec::new(), column)
                && let Some(found) = self.sources.get_mut(&path)
            {
                match attribute {
                    0 => {
                        let table = self.catalog.table(found.source.table);
                        found.source.returned.extend(table.columns.iter().map(|column| column.number));
                    }
                    _ => found.source.returned.push(attribute),
                }
            }
        }
    }

    fn add_condition(&mut self, query: &Select, path: &[usize], conjunct: &Expression) {
        if let Kind::AnyArray { left, all: false, .. } = &conjunct.kind
            && let Some(place) = self.column(query, path, left)
        {
            self.members.push(place);
        }
        if let Kind::Operator(operator) = &conjunct.kind
            && operator.comparison.is_some_and(|one| !matches!(one, Comparison::Equal | Comparison::NotEqual))
        {
            let sides = operator.arguments.iter().filter_map(|side| self.column(query, path, side));
            self.ranges.extend(sides.map(|(source, _)| source).collect::<Vec<_>>());
        }
        self.never |= self.is_never(query, conjunct);
        if !self.add_join(query, path, conjunct) {
            self.add_equality(query, path, conjunct);
        }
    }

    /// `column IS NULL` of a column that is not, and that no outer join makes so.
    fn is_never(&self, query: &Select, conjunct: &Expression) -> bool {
        let Kind::IsNull { argument, negated: false } = &conjunct.kind else { return false };
        let Some(column) = argument.column().filter(|_| query.from.iter().all(|from| matches!(from, From::Item(_))))
        else {
            return false;
        };
        let table = query.table(self.catalog, column.item);
        table.and_then(|table| table.column(column.attribute)).is_some_and(|column| column.not_null)
    }

    /// `column = column`
    fn add_join(&mut self, query: &Select, path: &[usize], conjunct: &Expression) -> bool {
        let Some((left, right)) = conjunct.equality() else { return false };
        let (Some(left), Some(right)) = (self.column(query, path, left), self.column(query, path, right)) else {
            return false;
        };
        for (own, other) in [(&left, &right), (&right, &left)] {
            if let Some(found) = self.sources.get_mut(&own.0) {
                found.joined.push((own.1, other.0.clone(), other.1));
            }
        }
        true
    }

    /// `column = value`, the value being that of no column.
    fn add_equality(&mut self, query: &Select, path: &[usize], conjunct: &Expression) {
        let Some((left, right)) = conjunct.equality() else { return };
        for (side, value) in [(left, right), (right, left)] {
            let is_value = !value.any(|part| matches!(part.kind, Kind::Column(_) | Kind::SubLink(_) | Kind::Output));
            let Some((source, column)) = self.column(query, path, side).filter(|_| is_value) else { continue };
            let Some(found) = self.sources.get_mut(&source) else { continue };
            found.source.fixed.push(column);
            let parameters = value.all().into_iter().filter_map(|part| match part.kind {
                Kind::Parameter(number) => Some((number, part.location)),
                _ => None,
            });
            if let [(parameter, parameter_at)] = parameters.collect::<Vec<_>>().as_slice() {
                let place = side.location.zip(*parameter_at).map(|(column, at)| (column.min(at), at));
                found.keys.push(LookupKey { column, parameter: *parameter, place });
            }
        }
    }

    fn column(&self, query: &Select, path: &[usize], expression: &Expression) -> Option<Place> {
        self.place(query, &mut path.to_vec(), expression.column()?)
    }

    /// The table's column that it is, through subqueries, views and WITH queries. `path` is that of `query`.
    fn place(&self, query: &Select, path: &mut Vec<usize>, column: &Column) -> Option<Place> {
        if column.level > 0 || path.len() >= DEEPEST {
            return None;
        }
        path.push(column.item);
        if let Some(inner) = inner(query, column.item).filter(|inner| is_plain(inner)) {
            let target = usize::try_from(column.attribute - 1).ok().and_then(|position| inner.targets.get(position))?;
            return self.place(inner, path, target.expression.column()?);
        }
        let read = query.table(self.catalog, column.item)?;
        let table = self.table(query, column.item)?;
        let attribute = match column.attribute {
            number if number > 0 && table.oid != read.oid => same_columns(read, &[number], table)?.pop()?,
            number => number,
        };
        (attribute >= 0).then(|| (std::mem::take(path), attribute))
    }

    /// Conditions that equal a unique key or a foreign key with parameters, in a table that is not read as a batch.
    fn lookup(&self, query: &Select, sources: &[Source], aggregates: bool) -> Option<Lookup> {
        let limited = query.limit.is_some() || query.offset.is_some();
        let found = self.sources.iter().zip(0..).find(|((path, found), position): &((&Vec<usize>, &Found), usize)| {
            let source: &Source = &sources[*position];
            let Some(table) = self.catalog.known(source.table) else { return false };
            let given: Vec<i16> = found.keys.iter().map(|key| key.column).collect();
            let mut foreign = self.catalog.foreign_keys_of(table.oid);
            let by_foreign_key = foreign.any(|key| key.child_columns.iter().all(|column| given.contains(column)));
            let pages = limited && self.ranges.contains(path);
            !pages && !self.is_batch(path, table) && (by_foreign_key || has_key(table, &given))
        });
        let ((_, found), source) = found?;
        Some(Lookup { source, keys: found.keys.clone(), aggregates, limited })
    }

    /// Some condition takes several keys at once, as `selectinload` does.
    fn is_batch(&self, path: &[usize], table: &Table) -> bool {
        self.members.iter().filter(|(source, _)| source == path).any(|(_, column)| {
            let mut foreign = self.catalog.foreign_keys_of(table.oid);
            unique_indexes(table).any(|index| index.key_attributes().any(|number| number == *column))
                || foreign.any(|key| key.child_columns.contains(column))
        })
    }
}

/// The subquery or WITH query that an item is.
fn inner(query: &Select, item: usize) -> Option<&Select> {
    match &query.items.get(item)?.kind {
        ItemKind::Subquery(inner) => Some(inner),
        ItemKind::With { level: 0, position: Some(position) } => {
            query.with.get(*position).filter(|with| !with.recursive && !with.writes).map(|with| &with.query)
        }
        _ => None,
    }
}

/// What the ON of outer joins says; that of inner ones is among the conjuncts of the query, unless an outer one surrounds it.
fn outer_conditions(from: &From) -> Vec<&Expression> {
    let From::Join { left, right, condition, .. } = from else { return Vec::new() };
    let own = condition.iter().flat_map(Expression::conjuncts);
    own.chain(outer_conditions(left)).chain(outer_conditions(right)).collect()
}
