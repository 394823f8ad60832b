//! The catalogs' part: columns, indexes, settings.

use super::key::{self, Types};
use crate::db::{self, Row};
use crate::facts::vector::{Element, Extension, Key, Method, Operator, Server, VectorColumn, VectorIndex};
use crate::facts::{Database, QualifiedName, file_bytes};
use crate::units::BLOCK;
use pgrx::pg_sys::{self, Oid};
use std::collections::HashMap;

/// What an index that is created without options has.
const DEFAULT_M: i32 = 16;
const DEFAULT_EF_CONSTRUCTION: i32 = 64;
const DEFAULT_LISTS: i32 = 100;
/// Bit strings of the target that are as long are taken for vectors, indexed or not: shorter ones are flags.
const BITS_OF_A_VECTOR: u32 = 64;

pub fn extension() -> Option<Extension> {
    db::read(include_str!("../../../sql/facts/vector/extension.sql"), &[], |row| {
        let version: String = row.take();
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Extension { version: [next(), next(), next()], schema: row.take::<String>().into(), newer: row.take_option() }
    })
    .pop()
}

pub fn types() -> Types {
    let mut types = Types::default();
    db::read(include_str!("../../../sql/facts/vector/types.sql"), &[], |row| {
        let oid = oid(row);
        types.elements.extend(Element::from_name(&row.take::<String>()).map(|element| (oid, element)));
        types.input = self::oid(row);
    });
    // SAFETY: a catalog lookup.
    types.schema = unsafe { pg_sys::get_func_namespace(types.input.into()) }.to_u32();
    types
}

/// pgvector's settings exist once its library is loaded.
pub fn load(types: &Types) {
    let input = types.input;
    // A server without the library file has nothing to set.
    let _ = db::read_only(|| {
        // SAFETY: looks up a function and loads its library.
        unsafe { pg_sys::fmgr_info(input.into(), &mut pg_sys::FmgrInfo::default()) }
    });
}

pub fn server() -> Server {
    let number = |name: &str, default: u32| db::setting(name).and_then(|value| value.parse().ok()).unwrap_or(default);
    let scan = |name: &str| db::setting(name).filter(|value| !value.is_empty()).unwrap_or_else(|| "off".to_string());
    db::read(include_str!("../../../sql/facts/vector/server.sql"), &[], |row| Server {
        maintenance_work_mem_bytes: bytes(row),
        shared_buffers_bytes: bytes(row),
        effective_cache_size_bytes: bytes(row),
        in_recovery: row.take(),
        max_parallel_maintenance_workers: number("max_parallel_maintenance_workers", 2),
        max_worker_processes: number("max_worker_processes", 8),
        ef_search: number("hnsw.ef_search", 40),
        hnsw_iterative_scan: scan("hnsw.iterative_scan"),
        ivfflat_iterative_scan: scan("ivfflat.iterative_scan"),
        memory_bytes: memory_bytes(),
    })
    .pop()
    .expect("one row")
}

/// What this machine, or the container that the server runs in, has.
fn memory_bytes() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    });
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    [machine, container].into_iter().flatten().min()
}

/// Columns of a table with its partitions, or of the database, with their indexes, and what could not be read and why.
pub fn read(target: Option<u32>, types: &Types) -> (Vec<VectorColumn>, Vec<String>) {
    let (mut columns, mut left_out) = columns(target);
    let mut tables: Vec<u32> = columns.iter().map(|found| found.column.table).collect();
    tables.dedup();
    if tables.is_empty() {
        return (Vec::new(), left_out);
    }
    let positions: HashMap<(u32, i16), usize> =
        columns.iter().enumerate().map(|(at, found)| ((found.column.table, found.column.number), at)).collect();
    for (table, number, mut index) in indexes(&tables, types, &mut left_out) {
        // Of an expression over another column it is none of ours.
        let Some(position) = positions.get(&(table, number)) else { continue };
        let Found { column, null_fraction, .. } = &mut columns[*position];
        if *null_fraction > 0.0 {
            // ANALYZE counts all rows of the table.
            index.rows = index.rows.map(|rows| rows.min((column.rows * (1.0 - *null_fraction)).round()));
        }
        if index.key == Key::Column {
            index.dimensions = index.dimensions.or(column.dimensions);
        }
        column.indexes.push(index);
    }
    add_partitions(&mut columns);
    let days = Database::read().statistics_days;
    let only_bits = columns.iter().all(|found| found.column.element == Element::Bit);
    let is_vector = |column: &VectorColumn| {
        column.element != Element::Bit
            || !column.indexes.is_empty()
            || column.dimensions.is_some_and(|bits| bits >= BITS_OF_A_VECTOR)
            || only_bits
    };
    let columns = columns.into_iter().map(|found| VectorColumn { statistics_days: days, ..found.column });
    (columns.filter(is_vector).collect(), left_out)
}

struct Found {
    column: VectorColumn,
    /// The partitioned table that this table is directly a partition of.
    parent: Option<u32>,
    /// Of an indexed column, as ANALYZE has found it and where the caller may know.
    null_fraction: f64,
}

/// Columns, and what was left out.
fn columns(target: Option<u32>) -> (Vec<Found>, Vec<String>) {
    let target = target.map(Oid::from);
    let mut left_out = Vec::new();
    let read = db::read(include_str!("../../../sql/facts/vector/columns.sql"), &[target.into()], |row| {
        let (found, locked) = column(row);
        if locked {
            left_out.push(format!("{}: locked by another session", found.column.object()));
        }
        (!locked).then_some(found)
    });
    (read.into_iter().flatten().collect(), left_out)
}

fn column(row: &mut Row) -> (Found, bool) {
    let (table, number) = (oid(row), row.take());
    let table_name = QualifiedName { schema: row.take::<String>().into(), name: row.take::<String>().into() };
    let name = row.take::<String>().into();
    let element = Element::from_name(&row.take::<String>()).expect("one of those that were asked for");
    let dimensions = u32::try_from(row.take::<i32>()).ok().filter(|dimensions| *dimensions > 0);
    let domain: bool = row.take();
    let dimensions = dimensions.filter(|_| !domain);
    let partitioned = row.take();
    let parent = row.take_option::<Oid>().map(Oid::to_u32);
    let partition_of = row.take_option::<Oid>().map(Oid::to_u32);
    let (counted, pages) = (row.take::<f64>(), row.take::<i32>());
    let table_bytes = file_bytes(row.take_option(), pages);
    let toast_pages = row.take_option::<i32>().unwrap_or(0);
    let toast_bytes = file_bytes(row.take_option(), toast_pages);
    let storage = row.take::<String>().chars().next().unwrap_or(' ');
    let not_null = row.take();
    let mut count = || row.take::<i64>().max(0) as u64;
    let (live, dead, inserts, updates, deletes) = (count(), count(), count(), count(), count());
    let column = VectorColumn {
        table,
        number,
        table_name,
        name,
        element,
        domain,
        dimensions,
        partitioned,
        partition_of,
        rows: if partitioned { 0.0 } else { rows(counted, f64::from(pages), table_bytes as f64 / BLOCK, live as f64) },
        dead_rows: dead as f64,
        table_bytes,
        toast_bytes,
        storage,
        not_null,
        inserts,
        updates,
        deletes,
        statistics_days: None,
        sample: None,
        indexes: Vec::new(),
        searches: Vec::new(),
    };
    let null_fraction = row.take_option().unwrap_or(0.0);
    (Found { column, parent, null_fraction }, row.take())
}

/// As the planner has it: as dense as when they were counted. Where they never were, those that the server saw being written.
pub fn rows(counted: f64, pages_then: f64, pages: f64, live: f64) -> f64 {
    match (counted >= 0.0, pages_then > 0.0) {
        (true, true) => (counted / pages_then * pages).round(),
        (true, false) if pages == 0.0 => 0.0,
        _ => live,
    }
}

/// A partitioned table has what its partitions have, and so has a partitioned index.
fn add_partitions(columns: &mut [Found]) {
    let parents: HashMap<u32, u32> =
        columns.iter().filter_map(|found| Some((found.column.table, found.parent?))).collect();
    let mut sums: HashMap<(u32, String), [f64; 7]> = HashMap::new();
    for Found { column, parent, .. } in columns.iter().filter(|found| !found.column.partitioned) {
        let own = [
            column.rows,
            column.dead_rows,
            column.table_bytes as f64,
            column.toast_bytes as f64,
            column.inserts as f64,
            column.updates as f64,
            column.deletes as f64,
        ];
        for above in std::iter::successors(*parent, |parent| parents.get(parent).copied()) {
            let sum = sums.entry((above, column.name.raw().to_string())).or_default();
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
    }
    for Found { column, .. } in columns.iter_mut().filter(|found| found.column.partitioned) {
        let Some(sum) = sums.get(&(column.table, column.name.raw().to_string())) else { continue };
        [column.rows, column.dead_rows] = [sum[0], sum[1]];
        [column.table_bytes, column.toast_bytes] = [sum[2] as u64, sum[3] as u64];
        [column.inserts, column.updates, column.deletes] = [sum[4] as u64, sum[5] as u64, sum[6] as u64];
    }
    add_index_partitions(columns);
}

fn add_index_partitions(columns: &mut [Found]) {
    let indexes = || columns.iter().flat_map(|found| &found.column.indexes);
    let parents: HashMap<u32, u32> = indexes().filter_map(|index| Some((index.oid, index.parent?))).collect();
    let mut sums: HashMap<u32, (u64, u64, Option<f64>)> = HashMap::new();
    for index in indexes().filter(|index| !index.partitioned) {
        for above in std::iter::successors(index.parent, |parent| parents.get(parent).copied()) {
            let (bytes, scans, rows) = sums.entry(above).or_insert((0, 0, Some(0.0)));
            *bytes += index.bytes;
            *scans += index.scans;
            *rows = rows.zip(index.rows).map(|(sum, own)| sum + own);
        }
    }
    for index in columns.iter_mut().flat_map(|found| &mut found.column.indexes).filter(|index| index.partitioned) {
        if let Some((bytes, scans, rows)) = sums.get(&index.oid) {
            (index.bytes, index.scans, index.rows) = (*bytes, *scans, *rows);
        }
    }
}

/// Indexes with table and column. What can't be judged is added to `left_out`.
fn indexes(tables: &[u32], types: &Types, left_out: &mut Vec<String>) -> Vec<(u32, i16, VectorIndex)> {
    let tables: Vec<Oid> = tables.iter().map(|table| Oid::from(*table)).collect();
    let read = db::read(include_str!("../../../sql/facts/vector/indexes.sql"), &[tables.into()], |row| {
        index(row, types).unwrap_or_else(|why| {
            left_out.push(why);
            None
        })
    });
    read.into_iter().flatten().collect()
}

/// None: it is gone.
fn index(row: &mut Row, types: &Types) -> Result<Option<(u32, i16, VectorIndex)>, String> {
    let (table, oid) = (oid(row), self::oid(row));
    let name = QualifiedName { schema: row.take::<String>().into(), name: row.take::<String>().into() };
    let hnsw = row.take::<String>() == "hnsw";
    let mut option = |default: i32| row.take_option::<i32>().unwrap_or(default) as u32;
    let (m, ef_construction, lists) = (option(DEFAULT_M), option(DEFAULT_EF_CONSTRUCTION), option(DEFAULT_LISTS));
    let method = if hnsw { Method::Hnsw { m, ef_construction } } else { Method::Ivfflat { lists } };
    let number: i16 = row.take();
    let (tree, key_sql) = (row.take_option::<String>(), row.take_option::<String>());
    let (class, of_pgvector) = (row.take::<String>(), row.take::<bool>());
    let predicate = row.take_option();
    let (valid, ready, partitioned) = (row.take(), row.take(), row.take());
    let parent = row.take_option::<Oid>().map(Oid::to_u32);
    let pages = row.take();
    let bytes = file_bytes(row.take_option(), pages);
    let rows = Some(row.take::<f64>()).filter(|rows| *rows >= 0.0);
    let scans = row.take::<i64>().max(0) as u64;
    let (Some(key_sql), Some(definition)) = (key_sql, row.take_option()) else { return Ok(None) };
    let Some((element, operator)) = Operator::of_class(&class).filter(|_| of_pgvector) else {
        return Err(format!("index {name}: operator class {class} is none of pgvector's"));
    };
    let (key, number, dimensions) = match tree.map(|tree| key::of_index(&tree, types)) {
        None => (Key::Column, number, None),
        Some(Some(read)) => match read.key {
            Key::Other(_) => (Key::Other(key_sql.clone()), read.column, read.dimensions),
            key => (key, read.column, read.dimensions),
        },
        // An expression over something that is no vector.
        Some(None) => return Ok(None),
    };
    let index = VectorIndex {
        oid,
        name,
        method,
        key,
        key_sql,
        element,
        dimensions,
        operator,
        predicate,
        valid,
        ready,
        partitioned,
        parent,
        bytes,
        rows,
        most_rows_when_built: None,
        scans,
        definition,
    };
    Ok(Some((table, number, index)))
}

fn oid(row: &mut Row) -> u32 {
    row.take::<Oid>().to_u32()
}

fn bytes(row: &mut Row) -> u64 {
    row.take::<i64>().max(0) as u64
}
