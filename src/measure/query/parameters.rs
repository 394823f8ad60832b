//! Values for a query's parameters, chosen from the statistics of the columns they are compared with.
//!
//! A generic plan takes each value for an average one. The sets of values here stand for what a query is really called with:
//! the first is the typical call, the second one that finds much, the third one that finds little, and further ones lie
//! between. The same statistics give the same values.
//!
//! | compared by | typical | much | little |
//! |---|---|---|---|
//! | equality | the value of the median row, most frequent values first | the most frequent value | one that is in no list of frequent values, or the least frequent |
//! | a range open at its end (`>`), or closed on both sides | the last tenth | the last half | the last hundredth |
//! | a range open at its beginning (`<`) | the first tenth | the first half | the first hundredth |
//! | LIMIT, OFFSET | 10, 0 | 100, 100 | 1, 0 |
//!
//! Time runs upwards, so that the last tenth is what is recent. A parameter that is an array of values to be equal to gets
//! several of these. A parameter stays unknown, and the planner's guess, where the caller may not see the column's
//! statistics, where there are none, and where it is compared with something else than a column.

use super::Value;
use crate::db;
use crate::facts::query::{Parameter, ParameterRole};
use std::collections::BTreeMap;

/// Elements of an array.
const ELEMENTS: usize = 4;

/// What the statistics know of a column's values, printed.
#[derive(Default)]
struct Sample {
    is_array: bool,
    /// Most frequent first, with their share of all rows.
    common: Vec<(String, f32)>,
    /// The others, cut into equal parts.
    bounds: Vec<String>,
}

/// At most `sets` different sets of `number` values each, the typical one first; none when nothing is known of any.
pub fn representative(parameters: &[Parameter], number: usize, sets: usize) -> Vec<Vec<Value>> {
    let samples = read(parameters);
    let mut representative: Vec<Vec<Value>> = Vec::new();
    for set in 0..sets {
        let mut values = vec![Value::Unknown; number];
        for (position, parameter) in parameters.iter().enumerate() {
            let known = usize::try_from(parameter.number - 1).ok().and_then(|slot| values.get_mut(slot));
            if let (Some(slot), Some(text)) = (known, value(parameters, position, &samples, set)) {
                *slot = Value::Text(text);
            }
        }
        if values.iter().any(|value| *value != Value::Unknown) && !representative.contains(&values) {
            representative.push(values);
        }
    }
    representative
}

fn read(parameters: &[Parameter]) -> BTreeMap<i32, Sample> {
    let compared = || parameters.iter().filter_map(|parameter| Some((parameter, parameter.column?)));
    let numbers: Vec<i32> = compared().map(|(parameter, _)| parameter.number).collect();
    if numbers.is_empty() {
        return BTreeMap::new();
    }
    let tables: Vec<i64> = compared().map(|(_, (table, _))| i64::from(table)).collect();
    let columns: Vec<i16> = compared().map(|(_, (_, column))| column).collect();
    let types: Vec<i64> = compared().map(|(parameter, _)| i64::from(parameter.type_oid)).collect();
    let arguments = [numbers.into(), tables.into(), columns.into(), types.into()];
    let samples = db::read(include_str!("../../../sql/facts/parameter_values.sql"), &arguments, |row| {
        let (number, is_array) = (row.take::<i32>(), row.take::<bool>());
        let (common, frequencies) = (row.take::<Vec<String>>(), row.take::<Vec<f32>>());
        (number, Sample { is_array, common: common.into_iter().zip(frequencies).collect(), bounds: row.take() })
    });
    samples.into_iter().collect()
}

fn value(parameters: &[Parameter], position: usize, samples: &BTreeMap<i32, Sample>, set: usize) -> Option<String> {
    let parameter = &parameters[position];
    let third = |values: [&str; 3]| Some(values[set % 3].to_string());
    match parameter.role {
        ParameterRole::Limit => return third(["10", "100", "1"]),
        ParameterRole::Offset => return third(["0", "100", "0"]),
        _ => {}
    }
    let sample = samples.get(&parameter.number)?;
    let same_column = |other: &&Parameter| other.column == parameter.column;
    match parameter.role {
        ParameterRole::Equal => {
            // `IN ($1, $2)`: the second gets what the first one has in the next set.
            let equal = |other: &&Parameter| other.role == ParameterRole::Equal && same_column(other);
            let before = parameters[..position].iter().filter(equal).count();
            if sample.is_array { sample.array(set + before) } else { sample.equal(set + before).map(str::to_string) }
        }
        ParameterRole::LowerBound => sample.quantile(1.0 - share(set)),
        ParameterRole::UpperBound => {
            let is_closed = parameters.iter().filter(same_column).any(|p| p.role == ParameterRole::LowerBound);
            sample.quantile(if is_closed { 1.0 } else { share(set) })
        }
        _ => None,
    }
}

/// How much of a table the range of a set has.
fn share(set: usize) -> f64 {
    match set {
        0 => 0.1,
        1 => 0.5,
        2 => 0.01,
        further => scattered(further),
    }
}

/// Between 0 and 1, far from those before it.
fn scattered(set: usize) -> f64 {
    (set as f64 * 0.618_033_988_749).fract()
}

impl Sample {
    fn equal(&self, set: usize) -> Option<&str> {
        match set {
            0 => self.typical(),
            1 => self.common.first().map(|(value, _)| value.as_str()).or_else(|| self.bound(0.25)),
            2 => self.bound(0.75).or_else(|| self.common.last().map(|(value, _)| value.as_str())),
            further => self.bound(scattered(further)).or_else(|| {
                let position = further % self.common.len().max(1);
                self.common.get(position).map(|(value, _)| value.as_str())
            }),
        }
    }

    /// Of the row in the middle, when those with frequent values come first.
    fn typical(&self) -> Option<&str> {
        let mut share = 0.0;
        let middle = self.common.iter().find(|(_, frequency)| {
            share += frequency;
            share >= 0.5
        });
        let common = || self.common.get(self.common.len() / 2).map(|(value, _)| value.as_str());
        middle.map(|(value, _)| value.as_str()).or_else(|| self.bound(0.5)).or_else(common)
    }

    fn bound(&self, quantile: f64) -> Option<&str> {
        let last = self.bounds.len().checked_sub(1)?;
        Some(&self.bounds[(quantile * last as f64).round() as usize])
    }

    /// Where there is no histogram, there are few values: all of them are among the frequent ones.
    fn quantile(&self, quantile: f64) -> Option<String> {
        if let Some(bound) = self.bound(quantile) {
            return Some(bound.to_string());
        }
        let mut values: Vec<(f64, &str)> =
            self.common.iter().map(|(value, _)| (value.parse().unwrap_or_default(), value.as_str())).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        let last = values.len().checked_sub(1)?;
        Some(values[(quantile * last as f64).round() as usize].1.to_string())
    }

    fn array(&self, set: usize) -> Option<String> {
        let mut elements: Vec<String> = Vec::new();
        for value in (set..set + ELEMENTS).filter_map(|set| self.equal(set)) {
            let element = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
            if !elements.contains(&element) {
                elements.push(element);
            }
        }
        (!elements.is_empty()).then(|| format!("{{{}}}", elements.join(",")))
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn sample(common: &[(&str, f32)], bounds: &[&str]) -> Sample {
        Sample {
            is_array: false,
            common: common.iter().map(|(value, share)| (value.to_string(), *share)).collect(),
            bounds: bounds.iter().map(|value| value.to_string()).collect(),
        }
    }

    #[test]
    fn the_typical_value_is_that_of_the_median_row() {
        assert_eq!(sample(&[("a", 0.9), ("b", 0.1)], &[]).typical(), Some("a"));
        assert_eq!(sample(&[("a", 0.4), ("b", 0.3), ("c", 0.3)], &[]).typical(), Some("b"));
        assert_eq!(sample(&[("a", 0.1)], &["k", "l", "m"]).typical(), Some("l"));
        assert_eq!(sample(&[], &[]).typical(), None);
    }

    #[test]
    fn ranges_end_with_what_is_recent() {
        let times: Vec<String> = (0..=100).map(|day| format!("{day:03}")).collect();
        let times = sample(&[], &times.iter().map(String::as_str).collect::<Vec<_>>());
        let bounds = [0.9, 0.5, 0.99, 1.0].map(|quantile| times.quantile(quantile).unwrap());
        assert_eq!(bounds, ["090", "050", "099", "100"]);
        assert_eq!(sample(&[("10", 0.6), ("9", 0.4)], &[]).quantile(1.0).as_deref(), Some("10"));
    }

    #[test]
    fn arrays_are_quoted() {
        assert_eq!(sample(&[("a\"b", 0.9), ("c\\d", 0.1)], &[]).array(0).unwrap(), r#"{"a\"b","c\\d"}"#);
    }
}
