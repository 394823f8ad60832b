//! The structure of the database: tables and their indexes, and what ties them together.

use super::foreign_keys::ForeignKey;
use super::tables::{self, Type, oid};
use super::{Index, Table, TableKind, indexes};
use crate::db;
use crate::units::{Bytes, Count};
use fnv::{FnvHashMap, FnvHashSet};

/// How many items a loop over the catalog takes between two looks for a cancel request.
pub(super) const ITEMS_PER_INTERRUPT_CHECK: usize = 256;

pub struct Catalog {
    pub(super) tables: Vec<Table>,
    pub(super) positions: FnvHashMap<u32, usize>,
    partitions: FnvHashMap<u32, Vec<u32>>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) foreign_keys_of: FnvHashMap<u32, Vec<usize>>,
    pub(super) foreign_keys_to: FnvHashMap<u32, Vec<usize>>,
    types: FnvHashMap<u32, Type>,
    classes: FnvHashMap<u32, OperatorClass>,
    /// The btree operator families of the types that foreign keys use.
    pub(super) btree_families: FnvHashMap<u32, u32>,
    /// Operator families with the operators they find as equality.
    pub(super) equality: FnvHashSet<(u32, u32)>,
    /// Tables left out because another session holds or awaits an ACCESS EXCLUSIVE lock on them or on a relative.
    pub locked: u64,
}

#[derive(Debug)]
pub struct OperatorClass {
    /// Raw, without its schema.
    pub name: Box<str>,
    pub family: u32,
    pub default: bool,
}

impl Catalog {
    pub fn read(schemas: Option<&[String]>) -> Catalog {
        let mut catalog = Catalog {
            tables: Vec::new(),
            positions: FnvHashMap::default(),
            partitions: FnvHashMap::default(),
            foreign_keys: Vec::new(),
            foreign_keys_of: FnvHashMap::default(),
            foreign_keys_to: FnvHashMap::default(),
            types: tables::read_types().collect(),
            classes: db::read(include_str!("../../sql/facts/opclasses.sql"), &[], |row| {
                (oid(row), OperatorClass { name: row.take::<String>().into(), family: oid(row), default: row.take() })
            })
            .into_iter()
            .collect(),
            equality: db::read(include_str!("../../sql/facts/equality.sql"), &[], |row| (oid(row), oid(row)))
                .into_iter()
                .collect(),
            btree_families: FnvHashMap::default(),
            locked: 0,
        };
        let indexes = indexes::read();
        // A lock may have come between the two queries.
        let locked: FnvHashSet<u32> = indexes.iter().filter(|index| index.locked).map(|index| index.table).collect();
        catalog.add_tables(tables::read(schemas), locked);
        tables::read_columns(|table, column| {
            if let Some(position) = catalog.positions.get(&table) {
                catalog.tables[*position].columns.push(column);
            }
        });
        for index in indexes {
            if let Some(position) = catalog.positions.get(&index.table) {
                catalog.tables[*position].indexes.push(index);
            }
        }
        for table in &mut catalog.tables {
            table.columns.sort_unstable_by_key(|column| column.number);
            table.indexes.sort_unstable_by_key(|index| index.oid);
        }
        catalog.add_foreign_keys();
        catalog
    }

    /// A locked table takes its whole partition tree with it: what is said of one part depends on the others.
    fn add_tables(&mut self, read: Vec<(Table, bool)>, mut locked: FnvHashSet<u32>) {
        locked.extend(read.iter().filter(|(_, locked)| *locked).map(|(table, _)| table.oid));
        let parents: FnvHashMap<u32, u32> =
            read.iter().filter_map(|(table, _)| Some((table.oid, table.parent?))).collect();
        let root = |mut oid: u32| {
            while let Some(parent) = parents.get(&oid) {
                oid = *parent;
            }
            oid
        };
        let locked: FnvHashSet<u32> = locked.into_iter().map(root).collect();
        for (table, _) in read {
            if locked.contains(&root(table.oid)) {
                self.locked += u64::from(table.judged);
                continue;
            }
            if let Some(parent) = table.parent {
                self.partitions.entry(parent).or_default().push(table.oid);
            }
            self.positions.insert(table.oid, self.tables.len());
            self.tables.push(table);
        }
        let (tables, positions) = (&self.tables, &self.positions);
        for partitions in self.partitions.values_mut() {
            partitions.sort_by_key(|oid| &tables[positions[oid]].name);
        }
    }

    /// All tables that are known, judged or not.
    pub fn all_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
    }

    /// The tables to judge.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().enumerate().filter_map(|(position, table)| {
            if position % ITEMS_PER_INTERRUPT_CHECK == 0 {
                db::check_for_interrupts();
            }
            table.judged.then_some(table)
        })
    }

    /// The indexes to judge, each with its table.
    pub fn indexes(&self) -> impl Iterator<Item = (&Table, &Index)> {
        self.tables().flat_map(|table| table.indexes.iter().map(move |index| (table, index)))
    }

    pub fn known(&self, oid: u32) -> Option<&Table> {
        self.positions.get(&oid).map(|position| &self.tables[*position])
    }

    /// Panics when the OID is not that of a table in the catalog: rules take OIDs from the catalog itself.
    pub fn table(&self, oid: u32) -> &Table {
        &self.tables[self.positions[&oid]]
    }

    pub fn partitions(&self, table: &Table) -> impl Iterator<Item = &Table> {
        self.partitions.get(&table.oid).into_iter().flatten().map(|oid| self.table(*oid))
    }

    /// The tables that hold the rows: the table itself, or the partitions at the bottom of its tree.
    pub fn leaves<'a>(&'a self, table: &'a Table) -> Vec<&'a Table> {
        match table.kind {
            TableKind::Partitioned => self.partitions(table).flat_map(|partition| self.leaves(partition)).collect(),
            _ => vec![table],
        }
    }

    /// Somewhere in the tree is a foreign table.
    pub fn has_foreign_partitions(&self, table: &Table) -> bool {
        table.foreign_partitions || self.partitions(table).any(|partition| self.has_foreign_partitions(partition))
    }

    /// Size of the table, with all its partitions.
    pub fn bytes(&self, table: &Table) -> Bytes {
        self.leaves(table).iter().map(|leaf| leaf.bytes()).sum()
    }

    /// The planner's figure, with all partitions. None: some part holds rows and was never vacuumed or analyzed.
    pub fn rows(&self, table: &Table) -> Option<Count> {
        let of = |leaf: &&Table| leaf.rows.or((leaf.bytes() == Bytes(0)).then_some(Count(0)));
        self.leaves(table).iter().map(of).sum()
    }

    /// A cumulative statistic, with all partitions.
    pub fn total(&self, table: &Table, of: impl Fn(&Table) -> Count) -> Count {
        self.leaves(table).into_iter().map(of).sum()
    }

    pub fn type_of(&self, oid: u32) -> Option<&Type> {
        self.types.get(&oid)
    }

    /// The type that a domain is over, or the type itself.
    pub fn base_type(&self, mut oid: u32) -> u32 {
        while let Some(base) = self.types.get(&oid).and_then(|type_| type_.base) {
            oid = base;
        }
        oid
    }

    pub fn class(&self, oid: u32) -> Option<&OperatorClass> {
        self.classes.get(&oid)
    }

    /// It can be dropped, and nothing but speed is lost: no constraint, no uniqueness, no foreign key's lookup.
    pub fn serves_only_queries(&self, table: &Table, index: &Index) -> bool {
        index.is_usable()
            && index.is_droppable()
            && !index.unique
            && table.is_maintained()
            && !self.is_needed_by_foreign_key(table, index)
    }

    /// `part` of a partition has the structure of `index` of a table above it, whatever the order of their columns.
    pub fn is_counterpart(&self, (table, index): (&Table, &Index), (partition, part): (&Table, &Index)) -> bool {
        let attributes =
            |index: &Index| index.key_attributes().chain(index.included.iter().copied()).collect::<Vec<_>>();
        let name = |table: &Table, number| table.column(number).map(|column| column.name.clone());
        let (ours, theirs) = (attributes(index), attributes(part));
        index.method == part.method
            && index.unique == part.unique
            && index.nulls_not_distinct == part.nulls_not_distinct
            && index.expressions == part.expressions
            && index.predicate == part.predicate
            && index.parameters == part.parameters
            && index.keys.len() == part.keys.len()
            && ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(a, b)| name(table, *a) == name(partition, *b))
            && index
                .keys
                .iter()
                .zip(&part.keys)
                .all(|(a, b)| (a.collation, a.class, a.order) == (b.collation, b.class, b.order))
    }

    /// The index itself, or for a partitioned one all that are attached to it at the bottom of the tree.
    pub fn parts<'a>(&'a self, table: &'a Table, index: &'a Index) -> Vec<&'a Index> {
        if !index.partitioned {
            return vec![index];
        }
        self.partitions(table)
            .flat_map(|partition| partition.part_of(index).map(|part| self.parts(partition, part)).unwrap_or_default())
            .collect()
    }

    /// Size of the index, with all its parts.
    pub fn index_bytes(&self, table: &Table, index: &Index) -> Bytes {
        self.parts(table, index).iter().map(|part| part.bytes()).sum()
    }

    /// Scans of the index, with all its parts.
    pub fn scans(&self, table: &Table, index: &Index) -> Count {
        self.parts(table, index).iter().map(|part| part.scans).sum()
    }

    /// Age of the oldest file of the index. None: unknown.
    pub fn index_age_days(&self, table: &Table, index: &Index) -> Option<f64> {
        self.parts(table, index).iter().filter_map(|part| part.file.age_days).reduce(f64::max)
    }
}

/// The numbers in `other`, a relative in a partition tree, of the columns `columns` of `table`.
pub fn same_columns(table: &Table, columns: &[i16], other: &Table) -> Option<Vec<i16>> {
    columns
        .iter()
        .map(|number| {
            let name = &table.column(*number)?.name;
            other.columns.iter().find(|column| column.name == *name).map(|column| column.number)
        })
        .collect()
}
