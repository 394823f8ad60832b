//! What is known of one column of a hypothetical index.

use super::definition::Column;
use crate::advice::index_size::{Elements, KeyColumn, alignment_bytes, packed};
use crate::db::string;
use pgrx::PgList;
use pgrx::pg_sys::{self, NodeTag, Oid};

/// What an expression is like.
#[derive(Clone, Copy, Debug)]
pub struct Resembles {
    /// Of the index's table.
    pub attribute: i16,
    /// It has as many values as the column.
    pub one_to_one: bool,
    /// They are in the order of the column's.
    pub in_order: bool,
}

/// Distinct values the planner assumes where it knows nothing.
const UNKNOWN_DISTINCT: f64 = 200.0;
/// Support functions, by their numbers in the access methods' documentation.
const BTREE_EQUAL_IMAGE: i16 = 4;
const GIST_COMPRESS: i16 = 3;
const GIST_FETCH: i16 = 9;
/// Their size depends on what is within the values.
const SAMPLED_CLASSES: [&str; 4] = ["jsonb_ops", "jsonb_path_ops", "gin_trgm_ops", "gist_trgm_ops"];
const VALUES: u32 = pg_sys::ATTSTATSSLOT_VALUES;
const NUMBERS: u32 = pg_sys::ATTSTATSSLOT_NUMBERS;
const BOTH: u32 = VALUES | NUMBERS;

/// An index-only scan can return the key: always from a btree, from GiST where the operator class fetches or does not
/// compress. Of SP-GiST nothing is said before the index exists: no.
pub fn is_returned(method: &str, family: Oid, class_type: Oid) -> bool {
    // SAFETY: catalog lookups.
    let has =
        |number| unsafe { pg_sys::get_opfamily_proc(family, class_type, class_type, number) } != pg_sys::InvalidOid;
    match method {
        "btree" => true,
        "gist" => has(GIST_FETCH) || !has(GIST_COMPRESS),
        _ => false,
    }
}

/// A column of an index on `relation` with its statistics; of an expression, as far as they are those of its column.
/// `number` gives the relation's attribute number for one of the index's table.
pub fn size_column(method: &str, column: &Column, relation: Oid, number: impl Fn(i16) -> i16, rows: f64) -> KeyColumn {
    let attribute = (column.attribute != 0).then(|| number(column.attribute));
    let (mut length, mut by_value, mut alignment) = (0, false, 0);
    // SAFETY: the type exists: a column of a locked table has it.
    let width = unsafe {
        pg_sys::get_typlenbyvalalign(column.type_oid, &raw mut length, &raw mut by_value, &raw mut alignment);
        pg_sys::get_typavgwidth(column.type_oid, column.type_modifier)
    };
    let mut size = KeyColumn {
        type_length: length,
        alignment: alignment_bytes(alignment as u8 as char),
        average_width: f64::from(width),
        distinct: UNKNOWN_DISTINCT.min(rows),
        deduplicates: method == "btree" && deduplicates(column),
        class: class_name(column.class),
        // The modifier of a vector or bit string is its length.
        dimensions: f64::from(column.type_modifier.max(0)),
        ..KeyColumn::default()
    };
    match (attribute, column.resembles) {
        (Some(attribute), _) => add_statistics(&mut size, relation, attribute, rows),
        // An expression of one column: as many values as the column has, or at most as wide as these.
        (None, Some(Resembles { attribute, one_to_one: true, .. })) => {
            add_statistics(&mut size, relation, number(attribute), rows);
        }
        (None, Some(Resembles { attribute, .. })) if size.varies() => {
            let resembled = column_numbers(relation.to_u32(), number(attribute), rows);
            size.average_width = resembled.map_or(size.average_width, |numbers| numbers.average_width);
        }
        _ => {}
    }
    size
}

/// The one column that an expression is made of, if it is one.
pub fn resembles(expression: *mut pg_sys::Node) -> Option<Resembles> {
    /// Different texts stay different, but for a few; and are in much the same order.
    const IN_ORDER: [u32; 4] = [pg_sys::F_LOWER_TEXT, pg_sys::F_UPPER_TEXT, pg_sys::F_INITCAP, pg_sys::F_BTRIM_TEXT];
    const IN_NO_ORDER: [u32; 2] = [pg_sys::F_MD5_TEXT, pg_sys::F_REVERSE];
    // SAFETY: an analyzed expression over one table; nodes are cast after a look at their tags.
    unsafe {
        let columns = PgList::<pg_sys::Var>::from_pg(pg_sys::pull_var_clause(expression, 0));
        let attribute = (*columns.get_ptr(0)?).varattno;
        let same = columns.iter_ptr().all(|column| (*column).varattno == attribute);
        let is_one_of = |functions: &[u32]| {
            (*expression).type_ == NodeTag::T_FuncExpr
                && functions.contains(&(*expression.cast::<pg_sys::FuncExpr>()).funcid.to_u32())
        };
        let alike = is_one_of(&IN_ORDER);
        let one_to_one = alike || is_one_of(&IN_NO_ORDER);
        let in_order = alike || keeps_order(expression);
        (same && attribute > 0).then_some(Resembles { attribute, one_to_one, in_order })
    }
}

/// A greater value of the column never makes a smaller one of the expression, but for hours that a time zone repeats.
///
/// SAFETY: an analyzed expression, or null.
unsafe fn keeps_order(expression: *mut pg_sys::Node) -> bool {
    const RISING: [u32; 12] = [
        pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMP,
        pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMPTZ,
        pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT,
        pg_sys::F_TIMEZONE_TEXT_TIMESTAMP,
        pg_sys::F_TIMEZONE_TEXT_TIMESTAMPTZ,
        pg_sys::F_TIMEZONE_INTERVAL_TIMESTAMP,
        pg_sys::F_TIMEZONE_INTERVAL_TIMESTAMPTZ,
        pg_sys::F_DATE_TIMESTAMP,
        pg_sys::F_DATE_TIMESTAMPTZ,
        pg_sys::F_TIMESTAMP_DATE,
        pg_sys::F_FLOOR_NUMERIC,
        pg_sys::F_FLOOR_FLOAT8,
    ];
    // SAFETY: nodes are cast after a look at their tags.
    unsafe {
        match (*expression).type_ {
            NodeTag::T_Var => true,
            NodeTag::T_FuncExpr => {
                let call = &*expression.cast::<pg_sys::FuncExpr>();
                let arguments = PgList::<pg_sys::Node>::from_pg(call.args);
                let mut varying = arguments.iter_ptr().filter(|argument| (**argument).type_ != NodeTag::T_Const);
                let one = varying.next().filter(|_| varying.next().is_none());
                RISING.contains(&call.funcid.to_u32()) && one.is_some_and(|one| keeps_order(one))
            }
            _ => false,
        }
    }
}

/// A copy of the statistics of `attribute`, but for the values: what is known of an expression that is one to one with it. The
/// correlation stays where the expression's values are in the column's order, as that of the operator `less`. Null where there
/// are none.
pub fn statistics_without_values(relation: Oid, attribute: i16, in_order: bool, less: Oid) -> pg_sys::HeapTuple {
    // SAFETY: the tuple is released after it is copied; the copy is ours.
    unsafe {
        let tuple = statistics_tuple(relation, attribute, false);
        if tuple.is_null() {
            return tuple;
        }
        let copy = pg_sys::heap_copytuple(tuple);
        pg_sys::ReleaseSysCache(tuple);
        let statistics = &mut *pg_sys::GETSTRUCT(copy).cast::<pg_sys::FormData_pg_statistic>();
        let slots = [
            (&mut statistics.stakind1, &mut statistics.staop1),
            (&mut statistics.stakind2, &mut statistics.staop2),
            (&mut statistics.stakind3, &mut statistics.staop3),
            (&mut statistics.stakind4, &mut statistics.staop4),
            (&mut statistics.stakind5, &mut statistics.staop5),
        ];
        for (kind, operator) in slots {
            if in_order && *kind == pg_sys::STATISTIC_KIND_CORRELATION as i16 {
                *operator = less;
            } else {
                *kind = 0;
            }
        }
        copy
    }
}

/// Of a btree: the operator class's support function says that equal values look the same.
fn deduplicates(column: &Column) -> bool {
    // SAFETY: the support function takes the OID of a type and returns a boolean; operator classes are made by superusers only.
    unsafe {
        let (family, type_oid) = (column.family, column.class_type);
        let function = pg_sys::get_opfamily_proc(family, type_oid, type_oid, BTREE_EQUAL_IMAGE);
        function != pg_sys::InvalidOid
            && pg_sys::OidFunctionCall1Coll(function, column.collation, pg_sys::Datum::from(type_oid)).value() != 0
    }
}

/// Without its schema; empty for an included column.
fn class_name(class: Oid) -> String {
    // SAFETY: the tuple is released after its name is copied.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::CLAOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(class));
        if tuple.is_null() {
            return String::new();
        }
        let name = pgrx::name_data_to_str(&(*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_opclass>()).opcname);
        let name = name.to_string();
        pg_sys::ReleaseSysCache(tuple);
        name
    }
}

/// What is known of a column of a table, of a partitioned one over all partitions.
#[derive(Clone, Copy, Debug)]
pub struct ColumnNumbers {
    pub distinct: f64,
    pub null_fraction: f64,
    pub average_width: f64,
    /// As far as the sample tells, a btree can hold every value: of a row of a few kB, CREATE INDEX would fail.
    pub fits_btree: bool,
}

/// A btree's tuple has at most a third of a page; several columns share it.
const WIDE: f64 = 500.0;
/// User-defined types and arrays (pg_type.typcategory): of varying length, their values are documents, vectors, sets.
const DOCUMENTS: [u8; 2] = [b'U', b'A'];

/// ANALYZE keeps no value of more than 1 kB: of a column that has none of them, all are too wide.
unsafe fn fits_btree(table: Oid, attribute: i16, tuple: pg_sys::HeapTuple, average_width: f64) -> bool {
    let (mut category, mut preferred) = (0, false);
    // SAFETY: the caller holds the tuple; the attribute exists, for it has statistics.
    unsafe {
        let type_oid = pg_sys::get_atttype(table, attribute);
        if pg_sys::get_typlen(type_oid) != -1 {
            return true;
        }
        pg_sys::get_type_category_preferred(type_oid, &raw mut category, &raw mut preferred);
        let sampled = [pg_sys::STATISTIC_KIND_MCV, pg_sys::STATISTIC_KIND_HISTOGRAM];
        !DOCUMENTS.contains(&(category as u8))
            && average_width <= WIDE
            && sampled.into_iter().any(|kind| Slot::of(tuple, kind, VALUES).is_some())
    }
}

/// None: no statistics.
pub fn column_numbers(table: u32, attribute: i16, rows: f64) -> Option<ColumnNumbers> {
    // SAFETY: the tuple is released after its numbers are copied.
    unsafe {
        let tuple = Some(statistics_tuple(table.into(), attribute, true))
            .filter(|tuple| !tuple.is_null())
            .unwrap_or_else(|| statistics_tuple(table.into(), attribute, false));
        if tuple.is_null() {
            return None;
        }
        let statistics = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_statistic>();
        let numbers = ColumnNumbers {
            distinct: distinct(statistics, rows),
            null_fraction: f64::from(statistics.stanullfrac),
            average_width: f64::from(statistics.stawidth),
            fits_btree: fits_btree(table.into(), attribute, tuple, f64::from(statistics.stawidth)),
        };
        pg_sys::ReleaseSysCache(tuple);
        Some(numbers)
    }
}

/// As a number of values; 0: unknown.
fn distinct(statistics: &pg_sys::FormData_pg_statistic, rows: f64) -> f64 {
    let distinct = f64::from(statistics.stadistinct);
    if distinct < 0.0 { -distinct * rows } else { distinct.min(rows) }
}

/// Null, or a tuple to be released.
unsafe fn statistics_tuple(relation: Oid, attribute: i16, with_partitions: bool) -> pg_sys::HeapTuple {
    // SAFETY: a catalog lookup.
    unsafe {
        pg_sys::SearchSysCache3(
            pg_sys::SysCacheIdentifier::STATRELATTINH as i32,
            pg_sys::Datum::from(relation),
            pg_sys::Datum::from(attribute),
            pg_sys::Datum::from(with_partitions),
        )
    }
}

/// From pg_statistic, which the planner reads too, whoever plans; numbers and widths are taken, no values.
fn add_statistics(size: &mut KeyColumn, relation: Oid, attribute: i16, rows: f64) {
    // SAFETY: the tuple is released after all that is taken from it has been copied.
    unsafe {
        let tuple = statistics_tuple(relation, attribute, false);
        if tuple.is_null() {
            return;
        }
        let statistics = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_statistic>();
        size.average_width = f64::from(statistics.stawidth);
        size.null_fraction = f64::from(statistics.stanullfrac);
        let distinct = distinct(statistics, rows);
        if distinct > 0.0 {
            size.distinct = distinct;
        }
        let common = Slot::of(tuple, pg_sys::STATISTIC_KIND_MCV, BOTH);
        let histogram = Slot::of(tuple, pg_sys::STATISTIC_KIND_HISTOGRAM, VALUES);
        if size.type_length == -1
            && let Some(drawn) = histogram.as_ref().or(common.as_ref())
        {
            size.widths = drawn.widths();
            if SAMPLED_CLASSES.contains(&size.class.as_str()) {
                size.samples = drawn.printed();
            }
        }
        size.most_common_frequencies = common.map(|slot| slot.numbers().to_vec()).unwrap_or_default();
        if let Some(correlation) = Slot::of(tuple, pg_sys::STATISTIC_KIND_CORRELATION, NUMBERS) {
            size.correlation = correlation.numbers().first().copied().map_or(0.0, f64::from);
        }
        if let Some(common) = Slot::of(tuple, pg_sys::STATISTIC_KIND_MCELEM, BOTH) {
            let counts = Slot::of(tuple, pg_sys::STATISTIC_KIND_DECHIST, NUMBERS);
            size.elements = Some(Elements {
                // The histogram of counts ends with their average.
                average: counts.and_then(|slot| slot.numbers().last().copied().map(f64::from)),
                // After the frequencies come the least, the greatest and, of arrays, that of null elements.
                frequencies: common.numbers()[..common.0.nvalues as usize].to_vec(),
                type_length: pg_sys::get_typlen(common.0.valuetype),
            });
        }
        pg_sys::ReleaseSysCache(tuple);
    }
}

/// One kind of statistics of a column.
struct Slot(pg_sys::AttStatsSlot);

impl Slot {
    /// SAFETY: `tuple` is one of pg_statistic; `flags` asks for what a slot of this kind has.
    unsafe fn of(tuple: pg_sys::HeapTuple, kind: u32, flags: u32) -> Option<Slot> {
        let mut slot = pg_sys::AttStatsSlot::default();
        // SAFETY: as said above; the slot is freed when it is dropped.
        let found =
            unsafe { pg_sys::get_attstatsslot(&raw mut slot, tuple, kind as i32, pg_sys::InvalidOid, flags as i32) };
        found.then_some(Slot(slot))
    }

    fn numbers(&self) -> &[f32] {
        match self.0.nnumbers {
            0 => &[],
            // SAFETY: the slot holds so many.
            number => unsafe { std::slice::from_raw_parts(self.0.numbers, number as usize) },
        }
    }

    /// For the size model, which gives out numbers only.
    fn printed(&self) -> Vec<String> {
        let (mut function, mut varies) = (pg_sys::InvalidOid, false);
        // SAFETY: the slot's values are of its type.
        unsafe {
            pg_sys::getTypeOutputInfo(self.0.valuetype, &raw mut function, &raw mut varies);
            let print = |position: usize| {
                let text = pg_sys::OidOutputFunctionCall(function, *self.0.values.add(position));
                string(text)
            };
            (0..self.0.nvalues as usize).map(print).collect()
        }
    }

    /// Of values of varying length.
    fn widths(&self) -> Vec<f64> {
        // SAFETY: the slot's values are varlenas, within the array they come in.
        let width = |position| unsafe { pgrx::varsize_any((*self.0.values.add(position)).cast_mut_ptr()) };
        (0..self.0.nvalues as usize).map(|position| packed(width(position) as f64)).collect()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: filled by get_attstatsslot().
        unsafe { pg_sys::free_attstatsslot(&raw mut self.0) };
    }
}
