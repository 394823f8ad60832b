//! How what a statement looks up belongs to rows of other statements.

use crate::facts::statement_tree::unique_indexes;
use crate::facts::{Catalog, ColumnStatistics, ForeignKey, ReadingShape, ReadingSource};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// The row that a foreign key refers to.
    ManyToOne,
    /// The rows that refer to one.
    OneToMany,
    /// The one row that refers to one, for its foreign key is unique.
    OneToOne,
    /// The rows at the other side of a table of pairs, which are of this one.
    ManyToMany { target: u32 },
    /// The same row once more, by its key.
    Reload,
}

/// What a lookup's key is to the rows of `parent`.
#[derive(Clone, Debug)]
pub struct Relation<'a> {
    pub kind: RelationKind,
    pub key: Option<&'a ForeignKey>,
    /// The table that is looked up in, and its columns.
    pub table: u32,
    pub columns: Vec<i16>,
    /// The table whose rows hold the values, and its columns, in the same order.
    pub parent: u32,
    pub parent_columns: Vec<i16>,
}

/// What the statement's lookup can be; none without a lookup, or without foreign keys.
pub fn relations<'a>(catalog: &'a Catalog, shape: &ReadingShape) -> Vec<Relation<'a>> {
    let Some(lookup) = &shape.lookup else { return Vec::new() };
    let Some(table) = catalog.known(shape.sources[lookup.source].table) else { return Vec::new() };
    let given: Vec<i16> = lookup.keys.iter().map(|key| key.column).collect();
    let within = |columns: &[i16], others: &[i16]| columns.iter().all(|column| others.contains(column));
    let same = |columns: &[i16], others: &[i16]| columns.len() == others.len() && within(columns, others);
    let keys: Vec<Vec<i16>> = unique_indexes(table)
        .filter(|index| index.predicate.is_none())
        .map(|index| index.key_attributes().collect::<Vec<i16>>())
        .filter(|key| within(key, &given))
        .collect();
    let mut relations = Vec::new();
    for key in catalog.foreign_keys_to(table.oid).filter(|key| keys.iter().any(|own| same(own, &key.parent_columns))) {
        relations.push(Relation {
            kind: RelationKind::ManyToOne,
            key: Some(key),
            table: table.oid,
            columns: key.parent_columns.clone(),
            parent: key.child,
            parent_columns: key.child_columns.clone(),
        });
    }
    let foreign: Vec<&ForeignKey> =
        catalog.foreign_keys_of(table.oid).filter(|key| within(&key.child_columns, &given)).collect();
    for key in &foreign {
        let columns = &key.child_columns;
        let by_key = keys.iter().any(|own| within(own, columns));
        // A tenant's key is part of many others: the longest tells what is looked up.
        let wider =
            |other: &&ForeignKey| other.child_columns.len() > columns.len() && within(columns, &other.child_columns);
        if (!keys.is_empty() && !by_key) || foreign.iter().any(wider) {
            continue;
        }
        let kind = match target(catalog, shape, lookup.source) {
            _ if by_key => RelationKind::OneToOne,
            Some(target) => RelationKind::ManyToMany { target },
            None => RelationKind::OneToMany,
        };
        relations.push(Relation {
            kind,
            key: Some(key),
            table: table.oid,
            columns: columns.clone(),
            parent: key.parent,
            parent_columns: key.parent_columns.clone(),
        });
    }
    relations.extend(keys.into_iter().take(1).map(|key| Relation {
        kind: RelationKind::Reload,
        key: None,
        table: table.oid,
        columns: key.clone(),
        parent: table.oid,
        parent_columns: key,
    }));
    relations
}

/// The table whose rows a lookup in a table of pairs returns.
fn target(catalog: &Catalog, shape: &ReadingShape, pairs: usize) -> Option<u32> {
    let source = &shape.sources[pairs];
    if !source.returned.is_empty() {
        return None;
    }
    let reached = |key: &&ForeignKey| {
        shape.sources.iter().enumerate().any(|(position, other)| {
            other.table == key.parent
                && !other.returned.is_empty()
                && is_joined(source, position, &key.child_columns, &key.parent_columns)
        })
    };
    catalog.foreign_keys_of(source.table).find(reached).map(|key| key.parent)
}

/// The columns equal those of the source at `position`.
fn is_joined(source: &ReadingSource, position: usize, columns: &[i16], others: &[i16]) -> bool {
    columns.iter().zip(others).all(|(own, other)| source.joined.contains(&(*own, position, *other)))
}

impl Relation<'_> {
    /// The statement returns rows of the parent with the values of the key, and not what they lead to. A value that is the same
    /// in all rows, as a tenant's is, needs not be returned; of a key that is, all rows want the same.
    pub fn comes_from(&self, shape: &ReadingShape) -> bool {
        shape.sources.iter().any(|source| {
            let is_fixed = |column: &i16| source.fixed.contains(column);
            let is_returned = |column: &i16| source.returned.contains(column);
            source.table == self.parent
                && self.parent_columns.iter().all(|column| is_returned(column) || is_fixed(column))
                && self.parent_columns.iter().any(|column| is_returned(column) && !is_fixed(column))
                && (self.kind == RelationKind::ManyToOne || !source.is_one_row)
                && match self.kind {
                    RelationKind::Reload => shape.sources.len() == 1,
                    _ => !self.is_loaded(shape, source),
                }
        })
    }

    /// The statement reads what is looked up, by whatever key.
    pub fn is_read_by(&self, shape: &ReadingShape) -> bool {
        self.parent != self.table && shape.sources.iter().any(|source| source.table == self.table)
    }

    /// The statement returns the parent's columns of the key.
    pub fn returns_keys(&self, shape: &ReadingShape) -> bool {
        let has = |source: &ReadingSource| self.parent_columns.iter().all(|column| source.returned.contains(column));
        shape.sources.iter().any(|source| source.table == self.parent && has(source))
    }

    fn is_loaded(&self, shape: &ReadingShape, source: &ReadingSource) -> bool {
        let target = match self.kind {
            RelationKind::ManyToMany { target } => target,
            _ => self.table,
        };
        let returns = shape.sources.iter().any(|other| other.table == target && !other.returned.is_empty());
        returns
            && shape.sources.iter().enumerate().any(|(position, other)| {
                other.table == self.table && is_joined(source, position, &self.parent_columns, &self.columns)
            })
    }

    /// How many lookups so many rows of the parent lead to: objects that are loaded already are not looked up again.
    pub fn lookups(&self, catalog: &Catalog, statistics: &ColumnStatistics, rows: f64) -> f64 {
        if self.kind != RelationKind::ManyToOne {
            return rows;
        }
        let parent = catalog.table(self.parent);
        let counted = catalog.rows(parent).map_or(rows, |rows| rows.0 as f64);
        let known = || self.parent_columns.iter().filter_map(|column| statistics.of(parent.oid, *column));
        let nulls = known().map(|column| column.null_fraction).fold(0.0, f64::max);
        let distinct = known().map(|column| column.distinct(counted)).fold(0.0, f64::max);
        let targets = catalog.rows(catalog.table(self.table)).map(|rows| rows.0 as f64).filter(|rows| *rows >= 1.0);
        let values = match (distinct > 0.0).then_some(distinct).into_iter().chain(targets).reduce(f64::min) {
            Some(values) => values.max(1.0),
            None => return rows * (1.0 - nulls),
        };
        expected_distinct(rows * (1.0 - nulls), values)
    }
}

/// Of so many values, drawn so often, how many different ones are to be expected.
fn expected_distinct(draws: f64, values: f64) -> f64 {
    if values <= 1.0 { draws.min(1.0) } else { values * (1.0 - (1.0 - 1.0 / values).powf(draws)) }
}

#[cfg(test)]
mod unit_tests {
    use super::expected_distinct;

    #[test]
    fn few_values_are_drawn_again() {
        assert_eq!(expected_distinct(50.0, 1.0), 1.0);
        assert!((expected_distinct(50.0, 3.0) - 3.0).abs() < 0.01);
        assert!((expected_distinct(50.0, 1e6) - 50.0).abs() < 0.01);
        assert_eq!(expected_distinct(0.0, 10.0), 0.0);
    }
}
