//! Which column tells tenants apart, and which tables a query reads without saying whose rows.

use crate::facts::statement_tree::{Column, Expression, Fixed, From, ItemKind, Kind, LockWait, Select, SubLinkKind};
use crate::facts::{Catalog, Table};
use fnv::{FnvHashMap, FnvHashSet};
use regex_lite::Regex;

/// Tables of tenants' rows, with the number of the column that says whose they are.
pub struct Tenancy {
    pub columns: FnvHashMap<u32, i16>,
}

impl Tenancy {
    /// None: this is no database of tenants. Most tables with such a column begin their primary key with it, or reference one
    /// and the same table by it.
    pub fn of(catalog: &Catalog, names: &Regex, min_tables: usize) -> Option<Tenancy> {
        let tables = catalog.all_tables().filter(|table| table.is_maintained() && !table.is_partition());
        let candidates: Vec<(&Table, i16)> = tables
            .filter_map(|table| {
                let column = table.columns.iter().find(|column| names.is_match(column.name.raw()))?;
                Some((table, column.number))
            })
            .collect();
        let mut parents: FnvHashMap<u32, usize> = FnvHashMap::default();
        for parent in candidates.iter().filter_map(|(table, column)| parent(catalog, table, *column)) {
            *parents.entry(parent).or_default() += 1;
        }
        let common = parents.into_iter().max_by_key(|(oid, number)| (*number, *oid)).map(|(oid, _)| oid);
        let leads = |table: &Table, column: i16| {
            let mut primary = table.indexes.iter().filter(|index| index.primary && index.keys.len() > 1);
            primary.any(|index| index.key_attributes().next() == Some(column))
        };
        let belongs = |(table, column): &&(&Table, i16)| {
            leads(table, *column) || common.is_some() && parent(catalog, table, *column) == common
        };
        let certain = candidates.iter().filter(belongs).count();
        let columns = candidates.iter().filter(belongs).map(|(table, column)| (table.oid, *column)).collect();
        (certain >= min_tables && certain * 2 > candidates.len()).then_some(Tenancy { columns })
    }

    fn column(&self, table: &Table) -> Option<i16> {
        self.columns.get(&table.oid).copied().filter(|_| !table.row_security)
    }
}

fn parent(catalog: &Catalog, table: &Table, column: i16) -> Option<u32> {
    catalog.foreign_keys_of(table.oid).find(|key| key.child_columns == [column]).map(|key| key.parent)
}

/// Tables of tenants' rows that the query, or one within it, reads without saying whose. `inserts`: its rows are inserted
/// somewhere, where those that come with their tenant stay that tenant's.
pub fn unbound<'a>(query: &Select, inserts: bool, catalog: &'a Catalog, tenancy: &Tenancy) -> Vec<&'a Table> {
    let mut found = Vec::new();
    let look = Look { catalog, tenancy };
    let outputs = if inserts { look.tenants_of(query) } else { Vec::new() };
    look.at(query, &outputs, &mut found);
    found
}

struct Look<'a, 't> {
    catalog: &'a Catalog,
    tenancy: &'t Tenancy,
}

impl<'a> Look<'a, '_> {
    /// `given`: output columns, from 1, that queries around this one compare with something. Is it all of one tenant?
    fn at(&self, query: &Select, given: &[i16], found: &mut Vec<&'a Table>) -> bool {
        let outputs = given.iter().filter_map(|number| query.targets.get(usize::try_from(*number - 1).ok()?));
        let fixed = Fixed::given(query, self.catalog, outputs.map(|target| &target.expression));
        let items: Vec<usize> = query.from.iter().flat_map(From::items).collect();
        let mut bound: FnvHashSet<usize> =
            items.iter().copied().filter(|item| self.is_bound(query, &fixed, *item)).collect();
        let mut clean = true;
        for (item, inner) in inner_queries(query) {
            // An arm's columns are those of the whole.
            let given: Vec<i16> = match query.set_operation {
                Some(_) => given.to_vec(),
                None => compared(query, item).chain(fixed_columns(query, &fixed, item)).collect(),
            };
            if self.at(inner, &given, found) {
                bound.insert(item);
            } else {
                clean = false;
            }
        }
        for with in query.with.iter().filter(|with| with.writes) {
            self.at(&with.query, &[], found);
        }
        for link in query.expressions().into_iter().flat_map(Expression::sublinks) {
            self.at(&link.query, &[], found);
        }
        bound.extend(query.conjuncts().into_iter().filter_map(|conjunct| self.by_subquery(conjunct)));
        self.follow_joins(query, &mut bound);
        for item in items {
            let open = query.table(self.catalog, item).filter(|table| self.tenancy.column(table).is_some());
            if let Some(table) = open.filter(|_| !bound.contains(&item) && !Self::is_queue(query)) {
                found.push(table);
                clean = false;
            }
        }
        clean
    }

    /// A worker that takes the next rows of a queue, whosever they are.
    fn is_queue(query: &Select) -> bool {
        query.locks.iter().any(|lock| lock.wait == LockWait::SkipLocked)
    }

    /// By a condition of its own on the tenant, by its key, or as the query tells tenants apart in its result.
    fn is_bound(&self, query: &Select, fixed: &Fixed, item: usize) -> bool {
        let Some(table) = query.table(self.catalog, item) else { return false };
        let Some(number) = self.tenancy.column(table) else { return false };
        let is_tenant = |column: &Column| column.item == item && column.attribute == number;
        let names = |expression: &Expression| expression.columns().into_iter().any(is_tenant);
        let joins = |condition: &Expression| {
            condition.equality().is_some_and(|(left, right)| left.column().is_some() && right.column().is_some())
        };
        let tenant = Column { level: 0, item, attribute: number, name: String::new() };
        // Of the query around, it is judged on its own.
        let from_around = |condition: &Expression| {
            let of_item = |side: &Expression| side.column().is_some_and(|column| column.item == item);
            let outer =
                |side: &Expression| side.any(|part| matches!(&part.kind, Kind::Column(column) if column.level > 0));
            condition
                .equality()
                .is_some_and(|(left, right)| of_item(left) && outer(right) || of_item(right) && outer(left))
        };
        fixed.item(item)
            || fixed.column(&tenant)
            || query
                .conjuncts()
                .into_iter()
                .any(|conjunct| names(conjunct) && !joins(conjunct) || from_around(conjunct))
            || query.group_by.iter().any(names)
    }

    /// `x IN (SELECT … of one tenant)`, EXISTS of rows that are compared with a tenant.
    fn by_subquery(&self, conjunct: &Expression) -> Option<usize> {
        let Kind::SubLink(link) = &conjunct.kind else { return None };
        let names = link.query.conjuncts().into_iter().any(|inner| {
            inner.equality().is_some_and(|(left, right)| {
                [(left, right), (right, left)].into_iter().any(|(side, other)| {
                    let table =
                        side.column().and_then(|column| Some((column, link.query.table(self.catalog, column.item)?)));
                    let tenant = table
                        .is_some_and(|(column, table)| self.tenancy.columns.get(&table.oid) == Some(&column.attribute));
                    tenant && !other.any(|part| matches!(part.kind, Kind::Column(_)))
                })
            })
        });
        match link.kind {
            SubLinkKind::Any => {
                let test = link.test.as_ref()?;
                let column = test.columns().first().map(|column| column.item);
                let clean = self.at(&link.query, &[], &mut Vec::new()) && self.reads_tenants(&link.query);
                column.filter(|_| clean)
            }
            SubLinkKind::Exists if names => {
                let outer = link.query.expressions().into_iter().flat_map(Expression::all);
                let mut columns = outer.filter_map(|part| match &part.kind {
                    Kind::Column(column) if column.level == 1 => Some(column.item),
                    _ => None,
                });
                columns.next()
            }
            _ => None,
        }
    }

    /// Output columns, from 1, that say whose a row is.
    fn tenants_of(&self, query: &Select) -> Vec<i16> {
        let is_tenant = |column: &Column| {
            let table = query.table(self.catalog, column.item);
            table.is_some_and(|table| self.tenancy.columns.get(&table.oid) == Some(&column.attribute))
        };
        let numbered = query.targets.iter().zip(1..);
        let tenants = numbered.filter(|(target, _)| target.expression.column().is_some_and(is_tenant));
        tenants.map(|(_, number)| number).collect()
    }

    fn reads_tenants(&self, query: &Select) -> bool {
        query.selects().into_iter().any(|select| {
            let mut tables = (0..select.items.len()).filter_map(|item| select.table(self.catalog, item));
            tables.any(|table| self.tenancy.columns.contains_key(&table.oid))
        })
    }

    /// Rows that are joined with a tenant's by equality are that tenant's.
    fn follow_joins(&self, query: &Select, bound: &mut FnvHashSet<usize>) {
        let mut joins = Vec::new();
        let conditions = query.conjuncts().into_iter().chain(query.from.iter().flat_map(conditions));
        for (left, right) in conditions.filter_map(Expression::equality) {
            if let (Some(left), Some(right)) = (left.column(), right.column()) {
                joins.push((left.item, right.item));
            }
        }
        loop {
            let before = bound.len();
            for (left, right) in &joins {
                if bound.contains(left) || bound.contains(right) {
                    bound.extend([*left, *right]);
                }
            }
            if bound.len() == before {
                return;
            }
        }
    }
}

/// Subqueries of FROM, arms, and WITH queries that FROM names.
fn inner_queries(query: &Select) -> Vec<(usize, &Select)> {
    let mut inner = Vec::new();
    for (item, named) in query.items.iter().enumerate() {
        match &named.kind {
            ItemKind::Subquery(subquery) => inner.push((item, &**subquery)),
            ItemKind::With { level: 0, position: Some(position) } => {
                inner.extend(query.with.get(*position).filter(|with| !with.recursive).map(|with| (item, &with.query)));
            }
            _ => {}
        }
    }
    inner
}

/// Columns of the item in equalities, whatever with.
fn compared(query: &Select, item: usize) -> impl Iterator<Item = i16> {
    let sides = query.conjuncts().into_iter().filter_map(Expression::equality).flat_map(|(left, right)| [left, right]);
    sides.filter_map(Expression::column).filter(move |column| column.item == item).map(|column| column.attribute)
}

fn fixed_columns(query: &Select, fixed: &Fixed, item: usize) -> Vec<i16> {
    let columns = 1..=query.items[item].columns.len() as i16;
    let fixed = |attribute: &i16| fixed.column(&Column { level: 0, item, attribute: *attribute, name: String::new() });
    columns.filter(fixed).collect()
}

/// Of ON, of whatever join.
fn conditions(from: &From) -> Vec<&Expression> {
    let From::Join { left, right, condition, .. } = from else { return Vec::new() };
    let own = condition.iter().flat_map(Expression::conjuncts);
    own.chain(conditions(left)).chain(conditions(right)).collect()
}
