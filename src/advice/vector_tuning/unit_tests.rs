//! Against simulated queries, whose recall at each setting is known.

use super::bound::{lower_bound, normal_quantile};
use super::*;

const K: usize = 10;

/// Xorshift.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.uniform(), self.uniform());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// For each query the settings (as logarithms) from which on each of its neighbors is found. As measured on 50,000 sentence
/// embeddings with m = 16 and ef_construction = 64: 0.90 at 10, 0.95 at 27, 0.99 at 112.
struct Simulated {
    queries: Vec<[f64; K]>,
    runs: usize,
    /// Runs until the time is up.
    most_runs: usize,
}

impl Simulated {
    fn new(random: &mut Random, queries: usize) -> Simulated {
        let query = |random: &mut Random| {
            let hardness = 1.7 * random.normal();
            std::array::from_fn(|_| -0.57 + hardness + 1.62 * random.normal())
        };
        Simulated { queries: (0..queries).map(|_| query(random)).collect(), runs: 0, most_runs: usize::MAX }
    }

    fn recall(&self, query: usize, setting: u32) -> f64 {
        let found = self.queries[query].iter().filter(|from| **from <= f64::from(setting).ln()).count();
        found as f64 / K as f64
    }

    fn mean(&self, setting: u32) -> f64 {
        mean((0..self.queries.len()).map(|query| self.recall(query, setting)))
    }
}

fn pages(setting: u32) -> f64 {
    190.0 + 14.5 * f64::from(setting).powf(0.97)
}

impl Runs for Simulated {
    fn run(&mut self, query: usize, setting: u32) -> Option<Seen> {
        self.runs += 1;
        let seen = Seen { recall: self.recall(query, setting), pages: pages(setting), ms: 1.0 };
        (self.runs <= self.most_runs).then_some(seen)
    }
}

fn task(target: f64, queries: usize) -> Task {
    Task { target, confidence: 0.9, k: K as u32, queries, least: 10, most: 1000, start: 40 }
}

#[test]
fn the_bound_holds_as_often_as_it_says() {
    let mut random = Random(88_172_645_463_325_252);
    let all = Simulated::new(&mut random, 50_000);
    for setting in [10, 27, 130] {
        let truth = all.mean(setting);
        for n in [200, 400] {
            let holds = (0..1000).filter(|_| {
                let take = |_| all.recall((random.uniform() * 50_000.0) as usize, setting);
                lower_bound(&(0..n).map(take).collect::<Vec<f64>>(), 0.9, K as u32) <= truth
            });
            let share = holds.count() as f64 / 1000.0;
            assert!((0.865..0.95).contains(&share), "setting {setting}, {n} queries: {share}");
        }
    }
}

#[test]
fn a_sample_without_a_miss_proves_nothing() {
    let bound = |n| lower_bound(&vec![1.0; n], 0.9, 10);
    assert!(bound(10) < bound(100) && bound(100) < bound(1000) && bound(1000) < 1.0);
    assert_eq!(lower_bound(&[], 0.9, 10), 0.0);
    assert!(lower_bound(&[0.5; 100], 0.99, 10) < 0.5 + 1e-9);
    assert!((normal_quantile(0.9) - 1.2816).abs() < 0.001 && (normal_quantile(0.5)).abs() < 0.001);
}

/// Beside the setting that one finds who knows every query at every setting.
#[test]
fn the_search_finds_the_cheapest_setting_with_few_runs() {
    let mut random = Random(1_234_567_891);
    let (mut regret, mut runs, mut met, mut cells) = (0.0, 0.0, 0.0, 0.0);
    let all = Simulated::new(&mut random, 50_000);
    for target in [0.9, 0.95, 0.99] {
        for _ in 0..20 {
            let mut simulated = Simulated::new(&mut random, 400);
            let low = |setting: u32| {
                let recalls: Vec<f64> = (0..400).map(|query| simulated.recall(query, setting)).collect();
                lower_bound(&recalls, 0.9, K as u32)
            };
            let ideal = (10..=1000).find(|setting| low(*setting) >= target).expect("it can be reached");
            let mut panel = Panel::default();
            let found = search(&task(target, 400), &mut simulated, &mut panel);
            let Found::Reached(setting) = found else { panic!("{found:?} for {target}") };
            let summary = panel.summary(&task(target, 400), setting).unwrap();
            assert!(summary.queries == 400 && summary.recall_low >= target, "{summary:?}");
            assert!((summary.recall - simulated.mean(setting)).abs() < 1e-9);
            assert_eq!(panel.runs, simulated.runs, "a query is run but once with a setting");
            regret += pages(setting) / pages(ideal);
            runs += panel.runs as f64 / 400.0;
            met += f64::from(u8::from(all.mean(setting) >= target));
            cells += 1.0;
        }
    }
    let (regret, runs, met) = (regret / cells, runs / cells, met / cells);
    assert!(regret < 1.06, "it reads {regret} times the pages");
    assert!(runs < 3.0, "it runs every query {runs} times");
    assert!(met >= 0.83, "the target is met in {met}");
}

#[test]
fn what_cannot_be_reached_is_said() {
    let mut random = Random(42);
    let mut simulated = Simulated::new(&mut random, 300);
    let low = Task { most: 30, ..task(0.99, 300) };
    assert_eq!(search(&low, &mut simulated, &mut Panel::default()), Found::Unreachable(30));
    let one = Task { least: 1, most: 1, start: 1, ..task(0.99, 300) };
    assert_eq!(search(&one, &mut simulated, &mut Panel::default()), Found::Unreachable(1));
    let whole = Task { ..task(1.0, 300) };
    assert_eq!(search(&whole, &mut simulated, &mut Panel::default()), Found::Unreachable(1000));
}

#[test]
fn the_least_setting_may_do() {
    let mut random = Random(43);
    let mut simulated = Simulated::new(&mut random, 300);
    assert_eq!(search(&task(0.3, 300), &mut simulated, &mut Panel::default()), Found::Reached(10));
    let one = Task { least: 30, most: 30, start: 30, ..task(0.5, 300) };
    assert_eq!(search(&one, &mut simulated, &mut Panel::default()), Found::Reached(30));
}

/// Whenever the time is up.
#[test]
fn the_best_so_far_is_kept() {
    let mut random = Random(44);
    for most_runs in [0, 1, 20, 40, 100, 300, 600] {
        let mut simulated = Simulated { most_runs, ..Simulated::new(&mut random, 300) };
        let mut panel = Panel::default();
        match search(&task(0.95, 300), &mut simulated, &mut panel) {
            Found::OutOfTime(None) => assert_eq!(most_runs, 0),
            Found::OutOfTime(Some(setting)) => assert!(panel.seen(setting).count() > 0),
            Found::Reached(_) => assert!(most_runs >= 300),
            found => panic!("{found:?}"),
        }
    }
}

#[test]
fn few_queries_are_searched_for_too() {
    let mut random = Random(45);
    for queries in 1..40 {
        let mut simulated = Simulated::new(&mut random, queries);
        for target in [0.5, 0.95, 1.0] {
            let found = search(&task(target, queries), &mut simulated, &mut Panel::default());
            assert!(matches!(found, Found::Reached(_) | Found::Unreachable(1000)), "{found:?}");
        }
    }
}

#[test]
fn the_front_holds_what_nothing_is_better_than() {
    let figures = |missed, ms, pages| [Some(missed), Some(ms), pages, Some(1.0), None];
    let all = [
        figures(0.05, 1.0, Some(100.0)),
        figures(0.05, 1.0, Some(100.0)),
        figures(0.05, 1.1, Some(100.0)),
        figures(0.01, 3.0, Some(300.0)),
        figures(0.02, 3.5, Some(310.0)),
        figures(0.0, 50.0, Some(1.0)),
    ];
    assert_eq!(on_front(&all), [true, true, false, true, false, true]);
}

#[test]
fn growth_is_that_of_the_existing_index_or_assumed() {
    use crate::facts::vector::Method::{Hnsw, Ivfflat};
    let hnsw = Hnsw { m: 16, ef_construction: 64 };
    let own = Some((Cost { number: 60.0, pages: 900.0 }, Cost { number: 40.0, pages: 300.0 }));
    let known = growth(own, hnsw, hnsw, 1e6, 1e4);
    assert_eq!((known.number, known.pages), (1.5, 3.0));
    let assumed = growth(None, hnsw, hnsw, 1e6, 1e4);
    assert!((assumed.number - 1.5).abs() < 1e-9, "{assumed:?}");
    let lists = growth(None, Ivfflat { lists: 1000 }, Ivfflat { lists: 10 }, 1e6, 1e4);
    assert!((lists.number - 10.0).abs() < 1e-9 && (lists.pages - 10.0).abs() < 1e-9, "{lists:?}");
    assert!((build_factor(hnsw, hnsw, 1e4, 1e4) - 1.0).abs() < 1e-9);
}
