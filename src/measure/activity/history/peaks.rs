//! The most that roles had in use at the same time, whatever their applications.

use super::memory::{Entry, Period, What};
use crate::facts::activity::RecordedPeak;
use std::collections::HashMap;

/// By database and role.
#[derive(Default)]
pub struct Peaks(HashMap<(u32, u32), RecordedPeak>);

/// Of the applications of a role in one period.
#[derive(Default)]
struct Sum {
    most: u32,
    applications: u32,
}

impl Peaks {
    /// Maxima of applications need not have coincided, but in a short time they may: their sum is a bound, as is what the whole
    /// server had in use at once.
    pub fn add(&mut self, period: &Period, entries: &mut dyn Iterator<Item = &Entry>) {
        let (mut sums, mut rest) = (HashMap::<(u32, u32), Sum>::new(), 0);
        for entry in entries.filter(|entry| entry.what == What::Pool && entry.counts.in_use.most > 0) {
            let most = entry.counts.in_use.most;
            if entry.rest {
                rest = most;
            } else {
                let sum = sums.entry((entry.database, entry.role)).or_default();
                sum.most += most;
                sum.applications += 1;
            }
        }
        for ((database_oid, role_oid), sum) in sums {
            let peak = RecordedPeak {
                database_oid,
                role_oid,
                in_use: (sum.most + rest).min(period.all.in_use.most),
                is_bound: sum.applications > 1 || rest > 0,
            };
            let known = self.0.entry((database_oid, role_oid)).or_insert(peak);
            if (peak.in_use, known.is_bound) > (known.in_use, peak.is_bound) {
                *known = peak;
            }
        }
    }

    pub fn recorded(self) -> Vec<RecordedPeak> {
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::measure::activity::tally::Counts;

    fn in_use(most: u32) -> Counts {
        let mut counts = Counts::default();
        counts.in_use.most = most;
        counts
    }

    fn recorded(periods: &[(u32, &[(u32, u32)])]) -> Vec<RecordedPeak> {
        let mut peaks = Peaks::default();
        for (all, pools) in periods {
            let period = Period { all: in_use(*all), ..Period::default() };
            let entries: Vec<Entry> =
                pools.iter().map(|(role, most)| Entry::pool(1, *role, Some([0; 64]), in_use(*most))).collect();
            peaks.add(&period, &mut entries.iter());
        }
        let mut recorded = peaks.recorded();
        recorded.sort_by_key(|peak| peak.role_oid);
        recorded
    }

    fn peak(role_oid: u32, in_use: u32, is_bound: bool) -> RecordedPeak {
        RecordedPeak { database_oid: 1, role_oid, in_use, is_bound }
    }

    #[test]
    fn what_never_coincided_is_not_added_up() {
        let one_after_the_other: Vec<(u32, &[(u32, u32)])> = vec![(1, &[(10, 1)]); 14];
        assert_eq!(recorded(&one_after_the_other), [peak(10, 1, false)]);
        assert_eq!(recorded(&[(2, &[(10, 1); 14])]), [peak(10, 2, true)], "capped by all");
        assert_eq!(recorded(&[(20, &[(10, 3), (10, 4), (11, 9)])]), [peak(10, 7, true), peak(11, 9, false)]);
        assert_eq!(recorded(&[(9, &[(10, 5), (10, 0)])]), [peak(10, 5, false)], "only one had any in use");
        for periods in [[(5, &[(10, 5)][..]), (5, &[(10, 3), (10, 2)])], [(5, &[(10, 3), (10, 2)]), (5, &[(10, 5)])]] {
            assert_eq!(recorded(&periods), [peak(10, 5, false)], "seen, not only bounded");
        }
    }
}
