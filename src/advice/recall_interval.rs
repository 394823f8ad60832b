//! Mean recall of all queries, from those that were measured.

/// Of the standard normal distribution, 97.5%.
const Z: f64 = 1.959_964;

/// A 95% confidence interval of the mean of values from 0 to 1. None: there are none.
///
/// Most searches find all, few miss much, and a sample may hold none of those: intervals from the normal distribution or a
/// bootstrap then hold in 40–93% of samples. This is Wilson's interval for so many queries as would vary as much if each found
/// all or nothing; their variance is taken with one query more, which found half. In simulations of seven distributions, 30 to
/// 400 queries of k = 10 each, it held in 94–99% of samples (`in_simulations_it_holds`).
fn interval(recalls: &[f64]) -> Option<(f64, f64)> {
    let n = recalls.len() as f64;
    if recalls.is_empty() {
        return None;
    }
    let mean = recalls.iter().sum::<f64>() / n;
    let center = (mean * n + 0.5) / (n + 1.0);
    let squares = recalls.iter().chain([&0.5]).map(|recall| (recall - center).powi(2)).sum::<f64>();
    let (variance, most) = (squares / n, mean * (1.0 - mean));
    let effective = if most > 0.0 && variance > 0.0 { n * (most / variance).max(1.0) } else { n };
    let scale = 1.0 + Z * Z / effective;
    let middle = (mean + Z * Z / (2.0 * effective)) / scale;
    let half = Z / scale * (most / effective + Z * Z / (4.0 * effective * effective)).sqrt();
    // Rounding must not leave the mean outside.
    Some(((middle - half).clamp(0.0, mean), (middle + half).clamp(mean, 1.0)))
}

/// A mean and its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// Mean recall with its interval, as it is shown and kept. None: there are no queries.
pub fn mean_recall(recalls: &[f64]) -> Option<Mean> {
    let (low, high) = interval(recalls)?;
    Some(Mean { mean: mean(recalls)?, low, high }.rounded())
}

impl Mean {
    fn rounded(self) -> Mean {
        let recall = |share| rounded(share, 6);
        Mean { mean: recall(self.mean), low: recall(self.low), high: recall(self.high) }
    }
}

/// As `difference`, of the same queries: each is compared with itself, which tells far smaller changes from chance.
pub fn paired_difference(then: &[f64], now: &[f64]) -> Option<Mean> {
    // From -1 to 1, which is brought to 0 to 1 and back; the query that `interval` adds has not changed.
    let halves: Vec<f64> = then.iter().zip(now).map(|(then, now)| (now - then + 1.0) / 2.0).collect();
    let (low, high) = interval(&halves)?;
    let back = |half: f64| 2.0 * half - 1.0;
    Some(Mean { mean: back(mean(&halves)?), low: back(low), high: back(high) }.rounded())
}

/// Digits beyond are those of binary fractions, not of the measurement.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// How much higher the mean is now, with a 95% confidence interval made of both intervals (the method of variance estimates
/// recovery, as Newcombe's for proportions).
pub fn difference(then: Mean, now: Mean) -> Mean {
    let mean = now.mean - then.mean;
    let low = mean - (now.mean - now.low).hypot(then.high - then.mean);
    let high = mean + (now.high - now.mean).hypot(then.mean - then.low);
    Mean { mean, low, high }.rounded()
}

/// The value below which a share of the others lies: the nearest one that was measured. None: there are none.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }

        /// recall@10 of a query of which each of the nearest is found with that probability.
        fn recall(&mut self, probability: f64) -> f64 {
            (0..10).filter(|_| self.next() < probability).count() as f64 / 10.0
        }
    }

    #[test]
    fn in_simulations_it_holds() {
        let distributions: [fn(&mut Random) -> f64; 4] = [
            |random| 1.0 - 0.3 * random.next().powi(9),
            |random| if random.next() < 0.03 { 0.6 * random.next() } else { 0.995 },
            |random| if random.next() < 0.05 { 0.0 } else { 1.0 },
            |random| random.next(),
        ];
        let mut random = Random(1);
        for (number, draw) in distributions.into_iter().enumerate() {
            let mut query = || {
                let probability = draw(&mut random);
                random.recall(probability)
            };
            let truth = (0..300_000).map(|_| query()).sum::<f64>() / 300_000.0;
            for n in [30, 200] {
                const SAMPLES: usize = 2000;
                let held = (0..SAMPLES).filter(|_| {
                    let recalls: Vec<f64> = (0..n).map(|_| query()).collect();
                    let (low, high) = interval(&recalls).unwrap();
                    low <= truth && truth <= high
                });
                let held = held.count() as f64 / SAMPLES as f64;
                assert!(held >= 0.93, "distribution {number}, {n} queries: held in {held}");
            }
        }
    }

    #[test]
    fn it_is_around_the_mean_and_within_zero_and_one() {
        assert_eq!(interval(&[]), None);
        let (low, high) = interval(&[1.0; 100]).unwrap();
        assert!(low > 0.95 && low < 1.0 && high == 1.0, "{low} {high}");
        let (low, high) = interval(&[0.0]).unwrap();
        assert!(low == 0.0 && high > 0.5 && high < 1.0, "{low} {high}");
        let (few, many) = (interval(&[0.9, 1.0]).unwrap(), interval(&[0.9, 1.0].repeat(50)).unwrap());
        assert!(few.0 < many.0 && many.0 < 0.95 && 0.95 < many.1 && many.1 < few.1, "{few:?} {many:?}");
    }

    #[test]
    fn a_difference_is_as_uncertain_as_both_together() {
        let mean = |mean, low, high| Mean { mean, low, high };
        let found = difference(mean(0.9, 0.86, 0.93), mean(0.8, 0.76, 0.84));
        assert!((found.mean + 0.1).abs() < 1e-9 && (found.low + 0.15).abs() < 1e-6, "{found:?}");
        assert!((found.high - (-0.1 + 0.04f64.hypot(0.04))).abs() < 1e-6 && found.high < 0.0, "{found:?}");
        let none = difference(mean(0.9, 0.86, 0.93), mean(0.9, 0.86, 0.93));
        assert!(none.low < 0.0 && none.mean == 0.0 && none.high > 0.0, "{none:?}");
    }

    #[test]
    fn the_same_queries_tell_smaller_changes_from_chance() {
        let then: Vec<f64> = (0..100).map(|query| if query % 3 == 0 { 0.4 } else { 1.0 }).collect();
        let now: Vec<f64> =
            then.iter().enumerate().map(|(n, recall)| if n % 5 == 0 { recall - 0.2 } else { *recall }).collect();
        let paired = paired_difference(&then, &now).unwrap();
        assert!((paired.mean + 0.04).abs() < 1e-9 && paired.high < 0.0 && paired.low > -0.08, "{paired:?}");
        let unpaired = difference(mean_recall(&then).unwrap(), mean_recall(&now).unwrap());
        assert!(unpaired.high > 0.0, "{unpaired:?}");
        let none = paired_difference(&then, &then).unwrap();
        assert!(none.mean == 0.0 && none.low < 0.0 && none.high > 0.0, "{none:?}");
        let mut one = then.clone();
        one[1] = 0.8;
        let one = paired_difference(&then, &one).unwrap();
        assert!(one.low < 0.0 && one.high > 0.0, "one query is no drift: {one:?}");
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [0.9, 0.1, 1.0, 0.8];
        assert_eq!(percentile(&values, 0.5), Some(0.8));
        assert_eq!(percentile(&values, 0.05), Some(0.1));
        assert_eq!(percentile(&values, 0.95), Some(1.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
