//! What statistics say of a column as an index would store it.

use super::align;
use crate::facts::{Catalog, Statistics, Table};

/// Rows that ANALYZE reads at the default statistics target.
pub(super) const SAMPLE: f64 = 30_000.0;
/// A longer varlena has a four-byte header and is aligned.
const SHORT_VARLENA: f64 = 127.0;
/// Of a product of distinct values from the number of rows, where it is no chance.
const KEY_TOLERANCE: f64 = 0.001;
/// Its multiples fall evenly between 0 and 1.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
/// Tuples drawn to find how sizes are spread.
const DRAWS: usize = 97;

/// One column of an index, as the planner knows it.
#[derive(Clone, Debug, Default)]
pub struct KeyColumn {
    /// In bytes; negative for types of varying length.
    pub type_length: i16,
    pub alignment: f64,
    pub average_width: f64,
    /// Widths of single values, as `packed` gives them, drawn from the column (the bounds of its histogram, or else its most
    /// common values). Empty: only the average is known.
    pub widths: Vec<f64>,
    pub null_fraction: f64,
    /// In the table.
    pub distinct: f64,
    pub most_common_frequencies: Vec<f32>,
    /// Of the values' order with that of the rows, -1 to 1.
    pub correlation: f64,
    pub deduplicates: bool,
    /// Values printed as the type prints them, as many as are at hand (histogram bounds, or rows), for types without
    /// statistics of elements: jsonb, and text under pg_trgm.
    pub samples: Vec<String>,
    /// Name of the operator class, without its schema.
    pub class: String,
    /// Of an array, tsvector, …
    pub elements: Option<Elements>,
    /// Of a vector; for bit strings, their length.
    pub dimensions: f64,
}

/// What ANALYZE knows of the elements of arrays and tsvectors.
#[derive(Clone, Debug, Default)]
pub struct Elements {
    /// Distinct ones per row, where known.
    pub average: Option<f64>,
    /// Of the most common elements: the share of the rows that are not null which hold it.
    pub frequencies: Vec<f32>,
    /// Of the element type, as in KeyColumn.
    pub type_length: i16,
}

/// Width in a tuple of a value that has `width` bytes with a header of four, as it comes out of an array of statistics.
pub fn packed(width: f64) -> f64 {
    if width - 3.0 <= SHORT_VARLENA { width - 3.0 } else { width }
}

/// What pg_type.typalign says.
pub fn alignment_bytes(letter: char) -> f64 {
    match letter {
        'c' => 1.0,
        's' => 2.0,
        'i' => 4.0,
        _ => 8.0,
    }
}

impl KeyColumn {
    pub fn of(
        catalog: &Catalog,
        table: &Table,
        attribute: i16,
        rows: f64,
        statistics: &Statistics,
    ) -> Option<KeyColumn> {
        let type_ = catalog.type_of(catalog.base_type(table.column(attribute)?.type_oid))?;
        Some(KeyColumn {
            type_length: type_.length,
            alignment: alignment_bytes(type_.alignment),
            average_width: statistics.average_width,
            null_fraction: statistics.null_fraction,
            distinct: statistics.distinct(rows),
            most_common_frequencies: statistics.most_common_frequencies.clone(),
            deduplicates: type_.deduplicates,
            ..KeyColumn::default()
        })
    }

    pub fn varies(&self) -> bool {
        self.type_length < 0
    }

    /// The width at `share` of the rows that hold the most common values.
    fn common_width(&self, share: f64) -> f64 {
        let frequencies = || self.most_common_frequencies.iter().map(|frequency| f64::from(*frequency));
        let mut left = share * frequencies().sum::<f64>();
        for (frequency, width) in frequencies().zip(&self.widths) {
            left -= frequency;
            if left < 0.0 {
                return *width;
            }
        }
        self.widths[0]
    }

    /// The `n`th of many widths that are spread like the column's. Of an unknown spread all paddings are as likely.
    fn width(&self, n: usize) -> f64 {
        if !self.varies() {
            return f64::from(self.type_length);
        }
        if !self.widths.is_empty() && self.widths.len() == self.most_common_frequencies.len() {
            return self.common_width((n as f64 * GOLDEN_RATIO).fract());
        }
        if !self.widths.is_empty() {
            return self.widths[n % self.widths.len()];
        }
        // The statistics truncate an average.
        let average = self.average_width + 0.5;
        let spread = (2.0 * (average - 1.0)).clamp(0.0, 7.0);
        average + spread * ((n % 8) as f64 / 7.0 - 0.5)
    }
}

/// Sizes of index tuples: one if all are alike, else many draws. Keys are null unless bit n of `filled` says so, included columns
/// as often as their statistics say.
pub(super) fn tuple_sizes(keys: &[&KeyColumn], filled: u64, included: &[KeyColumn]) -> Vec<f64> {
    let drawn = |draw: usize| {
        let is_filled = |position: usize| match position.checked_sub(keys.len()) {
            None => filled & (1 << position) != 0,
            Some(number) => {
                let drawn = ((draw * (2 * number + 1)) as f64 * GOLDEN_RATIO).fract();
                drawn >= included[number].null_fraction
            }
        };
        let (mut size, mut header) = (0.0, 8.0);
        for (position, column) in keys.iter().copied().chain(included).enumerate() {
            if !is_filled(position) {
                header = 16.0;
                continue;
            }
            // Strides of their own pair the columns' widths as if independent.
            let width = column.width(draw * (2 * position + 1) + 5 * position);
            if !column.varies() || width > SHORT_VARLENA {
                size = align(size, column.alignment);
            }
            size += width;
        }
        align(header + size, 8.0)
    };
    let differ = keys.iter().any(|column| column.varies())
        || included.iter().any(|column| column.varies() || column.null_fraction > 0.0);
    (0..if differ { DRAWS } else { 1 }).map(drawn).collect()
}

pub(super) fn mean(sizes: &[f64]) -> f64 {
    sizes.iter().sum::<f64>() / sizes.len() as f64
}

/// Keys that are alike in size and frequency.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Of all rows.
    pub share: f64,
    /// How many there may be; each has a Poisson distributed number of rows.
    pub values: f64,
    /// Bit n: column n is not null.
    pub filled: u64,
}

impl Class {
    pub fn rows_per_value(&self, rows: f64) -> f64 {
        rows * self.share / self.values
    }

    /// How many of its values occur in `rows` rows.
    pub fn present(&self, rows: f64) -> f64 {
        self.values * (1.0 - (-self.rows_per_value(rows)).exp())
    }
}

/// Classes kept apart before those of one shape are merged.
const MAX_CLASSES: usize = 256;

/// Classes of whole keys. Columns are taken as independent, unless `joint_distinct` says how many combinations there are, both
/// follow the order of the rows, or there are as many combinations as rows: a key of several columns.
pub(super) fn classes(columns: &[&KeyColumn], table_rows: f64, joint_distinct: Option<f64>) -> Vec<Class> {
    let mut classes = independent_classes(columns, table_rows);
    if columns.len() > 1 {
        let combinations = combinations(columns);
        let key = (combinations / table_rows - 1.0).abs() < KEY_TOLERANCE;
        let occurring = occurring(&classes, 1.0, table_rows);
        let distinct = joint_distinct.unwrap_or(if key { table_rows } else { combinations.min(occurring) });
        if distinct != occurring {
            fit(&mut classes, table_rows, distinct);
        }
    }
    classes
}

/// Of columns that both follow the order of the rows, each value of one occurs with few of the other.
fn combinations(columns: &[&KeyColumn]) -> f64 {
    let off_order = |correlation: f64| (1.0 - (correlation * correlation).min(1.0)).sqrt();
    let joined = columns.iter().map(|column| (column.distinct.max(1.0), column.correlation)).reduce(|a, b| {
        let noise = (off_order(a.1) + off_order(b.1)).min(1.0);
        ((a.0.max(b.0) + noise * a.0 * b.0).min(a.0 * b.0), a.1 * b.1)
    });
    joined.map_or(1.0, |(distinct, _)| distinct)
}

/// How many combinations occur if there may be `scale` times as many.
fn occurring(classes: &[Class], scale: f64, rows: f64) -> f64 {
    let scaled = |class: &Class| Class { values: (class.values * scale).max(1.0), ..class.clone() }.present(rows);
    classes.iter().map(scaled).sum()
}

/// Scales the number of values so that `distinct` of them occur.
fn fit(classes: &mut [Class], rows: f64, distinct: f64) {
    let (mut low, mut high) = (1e-12_f64, 1e6_f64);
    for _ in 0..60 {
        let scale = (low * high).sqrt();
        if occurring(classes, scale, rows) > distinct { high = scale } else { low = scale }
    }
    for class in classes {
        class.values = (class.values * high).max(1.0);
    }
}

fn independent_classes(columns: &[&KeyColumn], table_rows: f64) -> Vec<Class> {
    let mut classes = vec![Class { share: 1.0, values: 1.0, filled: 0 }];
    for (position, column) in columns.iter().enumerate() {
        let of_column = value_classes(column, table_rows);
        classes = classes
            .iter()
            .flat_map(|class| {
                of_column.iter().map(move |(share, values, null)| Class {
                    share: class.share * share,
                    values: class.values * values,
                    filled: class.filled | (u64::from(!null) << position),
                })
            })
            .collect();
        if classes.len() > MAX_CLASSES {
            classes = merged(classes);
        }
    }
    classes
}

/// Classes of one shape become one; of too many shapes the rarest are left out.
fn merged(mut classes: Vec<Class>) -> Vec<Class> {
    classes.sort_by_key(|class| class.filled);
    classes.dedup_by(|class, kept| {
        let same = class.filled == kept.filled;
        if same {
            kept.share += class.share;
            kept.values += class.values;
        }
        same
    });
    classes.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.filled.cmp(&b.filled)));
    classes.truncate(MAX_CLASSES / 2);
    let kept: f64 = classes.iter().map(|class| class.share).sum();
    classes.iter_mut().for_each(|class| class.share /= kept);
    classes
}

/// Share of rows, number of values, null: the nulls, the most common values by powers of two of their frequency, the rest.
fn value_classes(column: &KeyColumn, rows: f64) -> Vec<(f64, f64, bool)> {
    let mut classes = Vec::new();
    if column.null_fraction > 0.0 {
        classes.push((column.null_fraction, 1.0, true));
    }
    let mut by_magnitude: std::collections::BTreeMap<i32, (f64, f64)> = Default::default();
    let mut common = 0.0;
    for frequency in column.most_common_frequencies.iter().map(|frequency| f64::from(*frequency)).filter(|f| *f > 0.0) {
        let group = by_magnitude.entry(frequency.log2().floor() as i32).or_default();
        *group = (group.0 + frequency, group.1 + 1.0);
        common += frequency;
    }
    classes.extend(by_magnitude.into_values().map(|(share, values)| (share, values, false)));
    let filled = 1.0 - column.null_fraction;
    let rest = filled - common;
    if rest > 1e-6 {
        let mean = rows_per_value(
            rows * filled,
            1.0 - rest / filled,
            column.most_common_frequencies.len() as f64,
            column.distinct,
        );
        classes.push((rest, rows * rest / mean, false));
    }
    classes
}

/// Mean number of rows per value, beside the most common, at which ANALYZE's estimator would answer `distinct`: it sees a
/// sample, in which a value may be missing or single.
fn rows_per_value(rows: f64, common_share: f64, common_values: f64, distinct: f64) -> f64 {
    let sampled = (SAMPLE / rows).min(1.0);
    let rest = rows * (1.0 - common_share);
    let (mut low, mut high) = (1e-3_f64, rest.max(1.0));
    for _ in 0..60 {
        let mean = (low * high).sqrt();
        let missed = (-sampled * mean).exp();
        let seen =
            (common_values + rest * (1.0 - missed) / mean) / (1.0 - (1.0 - sampled) * (1.0 - common_share) * missed);
        if seen > distinct { low = mean } else { high = mean }
    }
    low
}
