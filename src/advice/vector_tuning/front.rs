//! What nothing else is better than in every respect.

/// Ways to search, in figures of which less is better: missed recall, milliseconds, pages, bytes, build time. None is not known,
/// and does not count.
pub type Figures = [Option<f64>; 5];

/// Which are on the Pareto front.
pub fn on_front(all: &[Figures]) -> Vec<bool> {
    all.iter().map(|own| !all.iter().any(|other| dominates(other, own))).collect()
}

fn dominates(other: &Figures, own: &Figures) -> bool {
    let pairs = || other.iter().zip(own).filter_map(|(other, own)| Some((other.as_ref()?, own.as_ref()?)));
    pairs().all(|(other, own)| other <= own) && pairs().any(|(other, own)| other < own)
}
