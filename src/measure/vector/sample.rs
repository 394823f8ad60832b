//! Rows of each column taken at random: what the type doesn't say of its vectors.

use crate::db;
use crate::facts::vector::{Element, Operator, Sample, VectorColumn, Vectors};
use crate::measure::time_limit::TimeLimit;
use crate::units::{BLOCK, listing};
use pgrx::pg_sys::Oid;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const ROWS: f64 = 2000.0;
/// Of vectors, which are read whole.
const BYTES: f64 = 64.0 * 1024.0 * 1024.0;
/// Rows of a page are alike: more pages are read than would hold the rows.
const PAGES: f64 = 500.0;
const LONGEST: Duration = Duration::from_secs(5);
/// Of the values of a column whose type has no dimensions, as long as nothing is known of it.
const USUAL_DIMENSIONS: f64 = 1536.0;
/// A row without its vector, and what it has of one that is out of line.
const ROW: f64 = 32.0;
const POINTER: f64 = 18.0;
/// Longer values are moved out of line.
const INLINE: f64 = 2000.0;

/// Largest value of a halfvec's element.
const LARGEST_HALF: f64 = 65504.0;
/// Of so many of the vectors the nearest are looked for, among them all.
const QUERIES: f64 = 100.0;
const FEWEST_QUERIES: f64 = 20.0;
/// Of the vectors that are compared.
const COMPARED_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// Dimensions that all comparisons may take.
const COMPARED: f64 = 2e8;

/// What may keep a column from being read.
struct Rights {
    table: bool,
    column: bool,
    row_security: bool,
    foreign_partitions: bool,
}

pub fn read(vectors: &mut Vectors, until: Instant) {
    let schema = match &vectors.extension {
        Some(extension) => extension.schema.to_string(),
        None => return,
    };
    let k = vectors.goal.k;
    let rights = rights(&vectors.columns);
    let mut late = Vec::new();
    for position in in_order(&vectors.columns) {
        db::check_for_interrupts();
        let column = &vectors.columns[position];
        let refused = match rights.get(&(column.table, column.number)) {
            // Dropped in the meantime.
            None => continue,
            Some(rights) if rights.row_security => Some("row security applies to the caller"),
            Some(rights) if rights.foreign_partitions => Some("foreign tables are among its partitions"),
            Some(rights) if !rights.table && !rights.column => Some("no privilege SELECT"),
            Some(_) => None,
        };
        let left = until.saturating_duration_since(Instant::now()).min(LONGEST);
        if let Some(why) = refused {
            vectors.left_out.push(format!("{}: not sampled: {why}", column.object()));
            continue;
        }
        if left.is_zero() {
            late.push(column.object());
            continue;
        }
        let from = From::of(column, &schema, rights[&(column.table, column.number)].table);
        let drawn = limited(left, || from.sample());
        match drawn {
            Ok((sample, rows)) => {
                let column = &mut vectors.columns[position];
                if sample.whole || column.rows == 0.0 {
                    column.rows = rows;
                }
                let left = until.saturating_duration_since(Instant::now()).min(LONGEST);
                let recall = limited(left, || halfvec_recall(column, &sample, &from, k)).ok().flatten();
                column.sample = Some(Sample { halfvec_recall: recall, ..sample });
            }
            Err(caught) if caught.sqlstate == "57014" => late.push(column.object()),
            Err(caught) => vectors.left_out.push(format!("{}: not sampled: {}", column.object(), caught.message)),
        }
    }
    if !late.is_empty() {
        vectors.left_out.push(format!("{}: not sampled within time_limit", listing(&late)));
    }
}

fn limited<T>(limit: Duration, body: impl FnOnce() -> T) -> Result<T, db::Caught> {
    let body = || {
        let _limit = TimeLimit::start(limit);
        db::with_settings(&[db::PATIENCE, (c"work_mem", c"64MB")], body)
    };
    db::undone(body, TimeLimit::was_reached)
}

/// Those that are searched or large first. Of partitions together, the partitioned table alone.
fn in_order(columns: &[VectorColumn]) -> Vec<usize> {
    let partitioned: Vec<u32> = columns.iter().filter(|column| column.partitioned).map(|column| column.table).collect();
    let known_above = |column: &VectorColumn| column.partition_of.is_some_and(|root| partitioned.contains(&root));
    let mut order: Vec<usize> = (0..columns.len()).filter(|position| !known_above(&columns[*position])).collect();
    let weight = |position: usize| {
        let column = &columns[position];
        (column.searches.iter().map(|search| search.total_ms()).sum::<f64>(), column.rows)
    };
    order.sort_by(|a, b| weight(*b).partial_cmp(&weight(*a)).unwrap_or(std::cmp::Ordering::Equal));
    order
}

fn rights(columns: &[VectorColumn]) -> HashMap<(u32, i16), Rights> {
    let tables: Vec<Oid> = columns.iter().map(|column| column.table.into()).collect();
    let numbers: Vec<i16> = columns.iter().map(|column| column.number).collect();
    let read =
        db::read(include_str!("../../../sql/facts/vector/rights.sql"), &[tables.into(), numbers.into()], |row| {
            let key = (row.take::<Oid>().to_u32(), row.take::<i16>());
            (
                key,
                Rights {
                    table: row.take(),
                    column: row.take(),
                    row_security: row.take(),
                    foreign_partitions: row.take(),
                },
            )
        });
    read.into_iter().collect()
}

/// The FROM of a sample, always of the same rows as long as they are not changed.
struct From {
    schema: String,
    element: Element,
    column: String,
    table: String,
    tablesample: String,
    /// TRUE, or what leaves out rows of the pages that are read.
    thinned: String,
    limit: u64,
    whole: bool,
    /// Of the rows that the table has.
    share: f64,
}

impl From {
    fn of(column: &VectorColumn, schema: &str, has_system_columns: bool) -> From {
        let dimensions = column.dimensions.map_or(USUAL_DIMENSIONS, f64::from);
        let bytes = column.element.value_bytes(if column.element == Element::Sparsevec { 100.0 } else { dimensions });
        let wanted = (BYTES / bytes).clamp(100.0, ROWS);
        let pages = (column.table_bytes as f64 / BLOCK).max(1.0);
        let row = if column.dimensions.is_some() && bytes < INLINE { ROW + bytes } else { ROW + POINTER };
        let expected = if column.rows > 0.0 { column.rows } else { pages * BLOCK / row };
        let mut from = From {
            schema: schema.to_string(),
            element: column.element,
            column: column.name.to_string(),
            table: format!("{}{}", if column.partitioned { "" } else { "only " }, column.table_name),
            tablesample: String::new(),
            thinned: "true".to_string(),
            limit: (2.0 * wanted) as u64,
            whole: true,
            share: 1.0,
        };
        if expected > 1.5 * wanted {
            from.whole = false;
            from.share = wanted / expected;
            let read = (from.share * pages).max(PAGES).min(pages);
            if read < pages {
                from.tablesample = format!("tablesample system ({}) repeatable (0)", 100.0 * read / pages);
            }
            let of_those = from.share * pages / read;
            from.thinned = match has_system_columns {
                true => format!("pg_catalog.hashtid(ctid) & 1048575 < {}", (of_those * 1048576.0).ceil()),
                // They need the privilege on the table.
                false => format!("pg_catalog.random() < {of_those}"),
            };
        }
        from
    }

    fn rows(&self) -> String {
        format!(
            "(select {column} as stored, ({column})::{type_name} as v from {table} {tablesample} where {thinned} limit {limit}) s",
            column = self.column,
            type_name = self.type_name(),
            table = self.table,
            tablesample = self.tablesample,
            thinned = self.thinned,
            limit = self.limit,
        )
    }

    fn type_name(&self) -> String {
        match self.element {
            Element::Bit => "pg_catalog.\"bit\"".to_string(),
            element => format!("{}.{}", self.schema, element.name()),
        }
    }

    /// And the rows that the table has.
    fn sample(&self) -> (Sample, f64) {
        let schema = &self.schema;
        let columns = match self.element {
            Element::Vector => format!(
                "{schema}.vector_dims(v), {schema}.vector_norm(v), 0,
                 case when {schema}.vector_norm(v) > {LARGEST_HALF}
                     then (select pg_catalog.max(pg_catalog.abs(x)) > {LARGEST_HALF} from pg_catalog.unnest(v::real[]) x)
                     else false
                 end"
            ),
            Element::Halfvec => format!("{schema}.vector_dims(v), {schema}.l2_norm(v), 0, false"),
            Element::Bit => "pg_catalog.length(v), pg_catalog.bit_count(v)::float8, 0, false".to_string(),
            Element::Sparsevec => format!(
                "pg_catalog.split_part(v::text, '/', 2)::int4, {schema}.l2_norm(v),
                 pg_catalog.regexp_count(v::text, ':'), false"
            ),
        };
        let sql = format!(
            "select v is null, pg_catalog.pg_column_size(stored), pg_catalog.pg_column_toast_chunk_id(stored) is not null, {columns}
             from {}",
            self.rows()
        );
        let mut sums = Sums::default();
        db::read(&sql, &[], |row| {
            sums.rows += 1;
            if row.take() {
                sums.nulls += 1;
                return;
            }
            sums.bytes += f64::from(row.take::<i32>());
            sums.toasted += u64::from(row.take::<bool>());
            *sums.dimensions.entry(row.take::<i32>().max(0) as u32).or_default() += 1;
            sums.add_norm(row.take());
            sums.most_nonzero = sums.most_nonzero.max(row.take::<i32>().max(0) as u32);
            sums.beyond_halfvec |= row.take::<bool>();
        });
        let whole = self.whole && sums.rows < self.limit;
        let rows = sums.rows as f64 / self.share;
        (sums.sample(whole, self.element), rows)
    }
}

#[derive(Default)]
struct Sums {
    rows: u64,
    nulls: u64,
    zeros: u64,
    toasted: u64,
    bytes: f64,
    dimensions: std::collections::BTreeMap<u32, u64>,
    norms: Option<(f64, f64)>,
    most_nonzero: u32,
    beyond_halfvec: bool,
}

impl Sums {
    fn add_norm(&mut self, norm: f64) {
        if norm == 0.0 {
            self.zeros += 1;
            return;
        }
        let (least, greatest) = self.norms.unwrap_or((norm, norm));
        self.norms = Some((least.min(norm), greatest.max(norm)));
    }

    fn sample(self, whole: bool, element: Element) -> Sample {
        let vectors = self.rows - self.nulls;
        let of = |part: f64, all: u64| if all == 0 { 0.0 } else { part / all as f64 };
        Sample {
            rows: self.rows,
            whole,
            null_fraction: of(self.nulls as f64, self.rows),
            zero_fraction: of(self.zeros as f64, vectors),
            dimensions: self.dimensions,
            norms: self.norms.filter(|_| element != Element::Bit),
            average_bytes: of(self.bytes, vectors),
            toasted_fraction: of(self.toasted as f64, vectors),
            most_nonzero: self.most_nonzero,
            beyond_halfvec: self.beyond_halfvec,
            halfvec_recall: None,
        }
    }
}

/// Of the k nearest among the sampled vectors, those that are among the k nearest as halfvec; equally near ones count as equal.
fn halfvec_recall(column: &VectorColumn, sample: &Sample, from: &From, k: u32) -> Option<f64> {
    let (dimensions, _) = sample.dimensions.first_key_value().filter(|_| sample.dimensions.len() == 1)?;
    let fits = *dimensions <= Element::Halfvec.most_indexable_dimensions() && !sample.beyond_halfvec;
    let vectors = sample.rows as f64 * (1.0 - sample.null_fraction);
    // Among few vectors, all are nearest.
    if column.element != Element::Vector || !fits || vectors < 3.0 * f64::from(k) {
        return None;
    }
    let compared = vectors.min(COMPARED_BYTES / Element::Vector.value_bytes(f64::from(*dimensions))).floor();
    let queries = (COMPARED / (2.0 * compared * f64::from(*dimensions))).clamp(FEWEST_QUERIES, QUERIES);
    let every = (compared / queries).floor().max(1.0);
    let schema = &from.schema;
    let operator = format!("operator({schema}.{})", operator(column).sql());
    let sql = format!(
        "with vectors as materialized (
             -- A part is a copy, which is not out of line as the value itself may be.
             select pg_catalog.row_number() over () as n, {schema}.subvector(v, 1, {dimensions}) as v, v::{schema}.halfvec as h
             from {rows} where {schema}.vector_norm(v) > 0 limit {compared}
         ),
         shares as (
             select
                 (select pg_catalog.count(*) filter (where n.exact <= e.farthest) from (
                     select v.v {operator} q.v as exact from vectors v where v.n <> q.n order by v.h {operator} q.h limit {k}
                 ) n)::float8 / e.wanted as share
             from vectors q
             cross join lateral (
                 select pg_catalog.max(n.exact) as farthest, pg_catalog.count(*) as wanted
                 from (select v.v {operator} q.v as exact from vectors v where v.n <> q.n order by exact limit {k}) n
             ) e
             where q.n % {every} = 0
         )
         select pg_catalog.avg(share) from shares",
        rows = from.rows(),
    );
    db::read(&sql, &[], |row| row.take_option::<f64>()).pop()?
}

/// That the workload uses most, or an index, or cosine.
fn operator(column: &VectorColumn) -> Operator {
    let searched = column.searches.first().map(|search| search.operator);
    let indexed = || column.indexes.iter().find(|index| index.element != Element::Bit).map(|index| index.operator);
    let known = searched.or_else(indexed).filter(|operator| !matches!(operator, Operator::Hamming | Operator::Jaccard));
    known.unwrap_or(Operator::Cosine)
}
