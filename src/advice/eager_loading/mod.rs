//! What to do about lookups that are repeated for each row: in the application's terms, and in SQL.

mod finding;
mod names;
mod replacement;

pub use finding::{
    BATCH_ROWS, HIGH_PER_PARENT, LARGE_COLLECTION, ROUND_TRIP_MS, add_advice, add_impact, share, statistics,
    verify_sql, waiting,
};

use crate::advice::lookups::{Relation, RelationKind};
use crate::facts::{Catalog, ColumnStatistics, Index, ReadingShape, Table};
use crate::finding::Finding;
use crate::units::listing;
use serde_json::{Value, json};

/// A lookup that is repeated, whoever has seen it.
pub struct Repeated<'a> {
    pub shape: &'a ReadingShape,
    /// Several where one parent leads to the same table in several ways.
    pub relations: &'a [Relation<'a>],
    pub rows_per_lookup: f64,
    pub rows_per_parent: f64,
    pub lookups_per_parent: f64,
}

/// Above this share of the parent's rows that lead to different objects, a join repeats little.
const FEW_TARGETS: f64 = 0.2;

impl<'a> Repeated<'a> {
    /// Where only the relations are told of.
    pub fn of_relations(shape: &'a ReadingShape, relations: &'a [Relation<'a>]) -> Repeated<'a> {
        Repeated { shape, relations, rows_per_lookup: 0.0, rows_per_parent: 0.0, lookups_per_parent: 0.0 }
    }

    fn first(&self) -> &Relation<'_> {
        &self.relations[0]
    }

    fn aggregates(&self) -> bool {
        self.shape.lookup.as_ref().is_some_and(|lookup| lookup.aggregates)
    }

    fn limited(&self) -> bool {
        self.shape.lookup.as_ref().is_some_and(|lookup| lookup.limited)
    }

    /// `many-to-one`
    pub fn cardinality(&self) -> &'static str {
        match self.first().kind {
            RelationKind::ManyToOne => "many-to-one",
            RelationKind::OneToMany => "one-to-many",
            RelationKind::OneToOne => "one-to-one",
            RelationKind::ManyToMany { .. } => "many-to-many",
            RelationKind::Reload => "the same row again",
        }
    }

    /// `public.tasks(assignee_id) → public.users(id)`, as the foreign key refers.
    pub fn told(&self, catalog: &Catalog) -> String {
        let of = |relation: &Relation| {
            let own = catalog.table(relation.parent).columns_of(&relation.parent_columns);
            let other = catalog.table(relation.table).columns_of(&relation.columns);
            match relation.kind {
                RelationKind::ManyToOne => format!("{own} → {other}"),
                RelationKind::Reload => other,
                _ => format!("{other} → {own}"),
            }
        };
        listing(&self.relations.iter().map(of).collect::<Vec<_>>())
    }

    /// How large a collection is that statistics know of: its largest, of the value that is most frequent.
    pub fn largest_collection(&self, catalog: &Catalog, statistics: &ColumnStatistics) -> Option<f64> {
        let relation = self.first();
        if matches!(relation.kind, RelationKind::ManyToOne | RelationKind::OneToOne | RelationKind::Reload) {
            return None;
        }
        let table = catalog.table(relation.table);
        let rows = catalog.rows(table)?.0 as f64;
        let frequency = |column: &i16| {
            let known = statistics.of(table.oid, *column)?;
            known.most_common_frequencies.first().map(|frequency| f64::from(*frequency))
        };
        // Of a key of several columns, the rarest of the values that are frequent bounds it.
        let frequencies = relation.columns.iter().map(frequency).collect::<Option<Vec<f64>>>()?;
        frequencies.into_iter().reduce(f64::min).map(|frequency| (frequency * rows).round())
    }

    /// The names of loader, class and attribute, and the code.
    pub fn in_sqlalchemy(&self, catalog: &Catalog, large: bool) -> String {
        let relation = self.first();
        let parent = names::class(catalog.table(relation.parent));
        let target = names::class(catalog.table(relation.table));
        let attributes: Vec<String> =
            self.relations.iter().map(|relation| names::attribute(catalog, relation)).collect();
        let attribute = &attributes[0];
        let options = |loader: &str, argument: &str| {
            let others: Vec<String> =
                attributes[1..].iter().map(|other| format!(" or {loader}({parent}.{other}{argument})")).collect();
            let which = if others.is_empty() { "" } else { ", whichever is loaded lazily" };
            format!("select({parent}).options({loader}({parent}.{attribute}{argument})){}{which}", others.concat())
        };
        let guard = format!(
            "Guard against its return: raiseload({parent}.{attribute}), or relationship(…, lazy=\"raise\"). Names are guessed \
             from tables and constraints."
        );
        let tree = relation.parent == relation.table && relation.kind == RelationKind::OneToMany;
        match relation.kind {
            RelationKind::Reload => format!(
                "SQLAlchemy: objects that a list had loaded are loaded again by key. After commit: \
                 Session(expire_on_commit=False), or finish reading before it. Deferred columns: undefer() them in the list's \
                 query. session.get() in a loop: select({target}).where({target}.{}.in_(ids)). The class's name is guessed from \
                 its table.",
                key_name(catalog.table(relation.table), &relation.columns)
            ),
            _ if self.aggregates() => format!(
                "SQLAlchemy: count for all at once: select({parent}, func.count({target}.{0})).outerjoin({parent}.{attribute})\
                 .group_by({parent}), or keep it in a column_property() with a scalar subquery. Names are guessed from tables \
                 and constraints.",
                key_name(catalog.table(relation.table), &relation.columns)
            ),
            RelationKind::ManyToOne if self.few_targets() => format!(
                "SQLAlchemy: many rows refer to few objects, so load these once, with a second statement: {}. {guard}",
                options("selectinload", "")
            ),
            RelationKind::ManyToOne => {
                let nulls = relation
                    .parent_columns
                    .iter()
                    .any(|column| catalog.table(relation.parent).column(*column).is_none_or(|column| !column.not_null));
                let argument = if nulls { "" } else { ", innerjoin=True" };
                format!("SQLAlchemy: {}. {guard}", options("joinedload", argument))
            }
            RelationKind::OneToOne => format!("SQLAlchemy: {}. {guard}", options("joinedload", "")),
            _ if large => format!(
                "SQLAlchemy: the collections are large: don't load them whole for a list. Page through one \
                 ({target} with WHERE, ORDER BY and LIMIT on the key), declare it relationship(…, lazy=\"write_only\"), and guard it with \
                 raiseload({parent}.{attribute}); where all are needed, selectinload in batches of parents \
                 (yield_per), not subqueryload, which is legacy. Names are guessed from tables and constraints."
            ),
            _ if self.limited() => format!(
                "SQLAlchemy: the first rows of each collection, for all at once: a relationship to an aliased() class over \
                 select({target}, func.row_number().over(partition_by=…, order_by=…)) with row number <= the limit, loaded by \
                 selectinload; or the lateral join of replacement_query. Names are guessed from tables and constraints."
            ),
            _ if tree => format!(
                "SQLAlchemy: one statement for each level of the tree: select({parent}).options(selectinload({parent}.{attribute}, \
                 recursion_depth=-1)); or one for all: a recursive CTE (select(…).cte(recursive=True)). {guard}"
            ),
            _ => format!("SQLAlchemy: {}. {guard}", options("selectinload", "")),
        }
    }

    fn few_targets(&self) -> bool {
        self.rows_per_parent > 0.0 && self.lookups_per_parent / self.rows_per_parent <= FEW_TARGETS
    }

    /// The statement that finds all at once, as it can be prepared.
    pub fn replacement(&self, catalog: &Catalog) -> Option<String> {
        replacement::replacement(catalog, self.shape, self.first())
    }

    /// Tells how the lookup, and what replaces it, finds its rows.
    pub fn add_index(&self, finding: &mut Finding, catalog: &Catalog) {
        let relation = self.first();
        let table = catalog.table(relation.table);
        let served = is_served(catalog, relation);
        let index = serving_index(table, &relation.columns).filter(|_| served);
        finding.evidence.insert("index_serves".to_string(), json!(served));
        finding.evidence.insert("index".to_string(), index.map_or(Value::Null, Value::from));
        if !served {
            let rows = catalog.rows(table).map_or("the table".to_string(), |rows| rows.of("row"));
            let columns = table.columns_of(&relation.columns);
            finding.cause += &format!(
                " No index leads with all of {columns}, of a table of {rows}: repeated_lookup_without_index says what each lookup \
                 reads."
            );
        }
    }
}

/// An index finds the rows of one key.
pub fn is_served(catalog: &Catalog, relation: &Relation) -> bool {
    match relation.kind {
        RelationKind::ManyToOne | RelationKind::Reload => true,
        _ => relation.key.is_some_and(|key| catalog.is_covered(key)),
    }
}

fn serving_index(table: &Table, columns: &[i16]) -> Option<String> {
    let leads = |index: &&Index| {
        index.is_usable()
            && index.keys.len() >= columns.len()
            && index.key_attributes().take(columns.len()).all(|number| columns.contains(&number))
    };
    let found = table.indexes.iter().filter(leads).min_by_key(|index| (index.predicate.is_some(), index.keys.len()));
    found.map(|index| table.index_name(index).to_string())
}

fn key_name(table: &Table, columns: &[i16]) -> String {
    let column = columns.last().and_then(|column| table.column(*column));
    column.map_or("id".to_string(), |column| column.name.raw().to_string())
}
