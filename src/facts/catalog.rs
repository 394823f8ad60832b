//! The structure of the database: tables, their indexes and foreign keys, and what ties them together.

use super::tables::{self, Type, letter, oid};
use super::{Index, QualifiedName, Table, TableKind, indexes};
use crate::db;
use crate::units::{Bytes, Count};
use fnv::{FnvHashMap, FnvHashSet};
use pgrx::pg_sys::Oid;

/// How many items a loop over the catalog takes between two looks for a cancel request.
const ITEMS_PER_INTERRUPT_CHECK: usize = 256;

pub struct Catalog {
    tables: Vec<Table>,
    positions: FnvHashMap<u32, usize>,
    partitions: FnvHashMap<u32, Vec<u32>>,
    foreign_keys: Vec<ForeignKey>,
    foreign_keys_of: FnvHashMap<u32, Vec<usize>>,
    foreign_keys_to: FnvHashMap<u32, Vec<usize>>,
    types: FnvHashMap<u32, Type>,
    classes: FnvHashMap<u32, OperatorClass>,
    /// The btree operator families of the types that foreign keys use.
    btree_families: FnvHashMap<u32, u32>,
    /// Operator families with the operators they find as equality.
    equality: FnvHashSet<(u32, u32)>,
    /// Tables left out because another session holds or awaits an ACCESS EXCLUSIVE lock on them or on a relative.
    pub locked: u64,
}

#[derive(Debug)]
pub struct OperatorClass {
    pub family: u32,
    pub default: bool,
}

#[derive(Debug)]
pub struct ForeignKey {
    pub name: super::Name,
    pub child: u32,
    pub parent: u32,
    pub child_columns: Vec<i16>,
    pub parent_columns: Vec<i16>,
    /// Parent column = child column, as the server checks it when a parent row goes.
    operators: Vec<u32>,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    /// ALTER COLUMN TYPE would refuse one of the child's columns: a view, policy, trigger, function, publication, generated
    /// column, partition key or row type uses it, or it is inherited.
    pub child_columns_in_use: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl ReferentialAction {
    fn from_letter(letter: char) -> ReferentialAction {
        match letter {
            'r' => ReferentialAction::Restrict,
            'c' => ReferentialAction::Cascade,
            'n' => ReferentialAction::SetNull,
            'd' => ReferentialAction::SetDefault,
            _ => ReferentialAction::NoAction,
        }
    }

    pub fn sql(self) -> &'static str {
        match self {
            ReferentialAction::NoAction => "NO ACTION",
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        }
    }

    /// It writes to the child rather than look at it.
    pub fn writes(self) -> bool {
        !matches!(self, ReferentialAction::NoAction | ReferentialAction::Restrict)
    }
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
                (oid(row), OperatorClass { family: oid(row), default: row.take() })
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

    fn add_foreign_keys(&mut self) {
        let foreign_keys = db::read(include_str!("../../sql/facts/foreign_keys.sql"), &[], |row| ForeignKey {
            name: row.take::<String>().into(),
            child: oid(row),
            parent: oid(row),
            child_columns: row.take(),
            parent_columns: row.take(),
            operators: row.take::<Vec<Oid>>().into_iter().map(Oid::to_u32).collect(),
            on_delete: ReferentialAction::from_letter(letter(row)),
            on_update: ReferentialAction::from_letter(letter(row)),
            child_columns_in_use: row.take(),
        });
        self.foreign_keys = foreign_keys;
        // The parts of a key that has vanished since the tables were read are gone with it.
        let positions = &self.positions;
        self.foreign_keys.retain(|key| positions.contains_key(&key.child) && positions.contains_key(&key.parent));
        for (position, key) in self.foreign_keys.iter().enumerate() {
            self.foreign_keys_of.entry(key.child).or_default().push(position);
            self.foreign_keys_to.entry(key.parent).or_default().push(position);
            let child = &self.tables[self.positions[&key.child]];
            for column in key.child_columns.iter().filter_map(|number| child.column(*number)) {
                let family = || tables::btree_family(column.type_oid);
                self.btree_families.entry(column.type_oid).or_insert_with(family);
            }
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

    /// The foreign keys of the tables to judge.
    pub fn foreign_keys(&self) -> impl Iterator<Item = &ForeignKey> {
        self.foreign_keys.iter().enumerate().filter_map(|(position, key)| {
            if position % ITEMS_PER_INTERRUPT_CHECK == 0 {
                db::check_for_interrupts();
            }
            self.table(key.child).judged.then_some(key)
        })
    }

    /// The foreign keys that `child` has.
    pub fn foreign_keys_of(&self, child: u32) -> impl Iterator<Item = &ForeignKey> {
        self.foreign_keys_of.get(&child).into_iter().flatten().map(|at| &self.foreign_keys[*at])
    }

    /// The foreign keys that reference `parent`.
    pub fn foreign_keys_to(&self, parent: u32) -> impl Iterator<Item = &ForeignKey> {
        self.foreign_keys_to.get(&parent).into_iter().flatten().map(|at| &self.foreign_keys[*at])
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

    /// `public.orders(customer_id, "Kind")`.
    pub fn columns_of(&self, table: &Table, columns: &[i16]) -> String {
        format!("{}({})", table.name, self.column_names(table, columns).join(", "))
    }

    /// Quoted.
    pub fn column_names(&self, table: &Table, columns: &[i16]) -> Vec<String> {
        columns.iter().filter_map(|number| table.column(*number)).map(|column| column.name.to_string()).collect()
    }

    /// An index of the child that finds the rows of a parent key: on a partitioned table its own, or one of every partition.
    pub fn is_covered(&self, key: &ForeignKey) -> bool {
        self.covers_in(self.table(key.child), key, &key.child_columns)
    }

    fn covers_in(&self, table: &Table, key: &ForeignKey, columns: &[i16]) -> bool {
        table.indexes.iter().any(|index| self.covers(table, index, key, columns))
            || (table.kind == TableKind::Partitioned && {
                let mut partitions = self.partitions(table).peekable();
                partitions.peek().is_some()
                    && partitions.all(|partition| {
                        same_columns(table, columns, partition)
                            .is_some_and(|columns| self.covers_in(partition, key, &columns))
                    })
            })
    }

    /// An index of the child that would cover the key if it were valid.
    pub fn unfinished_cover(&self, key: &ForeignKey) -> Option<&Index> {
        let child = self.table(key.child);
        child.indexes.iter().find(|index| !index.is_usable() && self.suits(child, index, key, &key.child_columns))
    }

    fn covers(&self, table: &Table, index: &Index, key: &ForeignKey, columns: &[i16]) -> bool {
        index.is_usable() && self.suits(table, index, key, columns)
    }

    /// `index`, if valid, serves the lookup of `key`, whose columns are `columns` in `table`, the child or a partition of it.
    fn suits(&self, table: &Table, index: &Index, key: &ForeignKey, columns: &[i16]) -> bool {
        let method = match &*index.method {
            "btree" => true,
            "hash" => columns.len() == 1,
            _ => false,
        };
        method
            && index.keys.len() >= columns.len()
            && columns.iter().enumerate().all(|(position, column)| {
                index.keys[..columns.len()].iter().any(|part| {
                    part.attribute == *column
                        && self.class(part.class).is_some_and(|class| {
                            key.operators
                                .get(position)
                                .is_some_and(|operator| self.equality.contains(&(class.family, *operator)))
                        })
                        && table.column(*column).is_some_and(|column| column.collation == part.collation)
                })
            })
            && index.predicate_implied_by_not_null(table, columns)
            // IS NOT NULL of a row type, which the catalog does not list, asks for every field.
            && (index.predicate.is_none()
                || columns.iter().all(|column| {
                    table.column(*column).is_some_and(|column| self.type_of(self.base_type(column.type_oid)).is_some())
                }))
    }

    /// A default btree on the child's columns could serve the key: false where the types differ so that every
    /// comparison converts the child's side.
    pub fn can_be_covered(&self, key: &ForeignKey) -> bool {
        let child = self.table(key.child);
        key.child_columns.iter().zip(&key.operators).all(|(column, operator)| {
            child
                .column(*column)
                .and_then(|column| self.btree_families.get(&column.type_oid))
                .is_some_and(|family| self.equality.contains(&(*family, *operator)))
        })
    }

    /// `index` covers a foreign key of its table or of the tables above it, and no other index does that is sure to stay:
    /// one that is unique or cannot be dropped.
    pub fn is_needed_by_foreign_key(&self, table: &Table, index: &Index) -> bool {
        let mut above = Some(table);
        while let Some(child) = above {
            for key in self.foreign_keys_of(child.oid) {
                let Some(columns) = same_columns(child, &key.child_columns, table) else { continue };
                let stays = |other: &&Index| other.oid != index.oid && (other.unique || !other.is_droppable());
                let covers = |candidate: &Index| self.covers(table, candidate, key, &columns);
                if covers(index) && !table.indexes.iter().filter(stays).any(covers) {
                    return true;
                }
            }
            above = child.parent.and_then(|parent| self.positions.get(&parent)).map(|at| &self.tables[*at]);
        }
        false
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
            .flat_map(|partition| {
                let attached = partition.indexes.iter().find(|part| part.parent == Some(index.oid));
                attached.map(|part| self.parts(partition, part)).unwrap_or_default()
            })
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

    /// `a, expression`: the key's columns in order, quoted.
    pub fn key_listing(&self, table: &Table, index: &Index) -> String {
        let columns = index.key_attributes().map(|number| match table.column(number) {
            Some(column) => column.name.to_string(),
            None => "expression".to_string(),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// In the schema of its table.
    pub fn index_name(&self, table: &Table, index: &Index) -> QualifiedName {
        QualifiedName { schema: table.name.schema.clone(), name: index.name.clone() }
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
