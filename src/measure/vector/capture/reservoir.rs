//! A random sample of bounded size of searches that come one after the other (Vitter's algorithm R).

/// What becomes of the searches of a batch, and of those that are kept already.
pub struct Reservoir {
    /// Kept already: any of them are to go, chosen at random.
    pub removed: usize,
    /// Numbers of those of the batch that are kept.
    pub kept: Vec<usize>,
    /// All that the sample is of, the batch included.
    pub seen: f64,
}

/// `stored` of `seen` searches are kept, at most `most` may be; `batch` more have come. `random()` is from 0 to under 1.
pub fn choose(stored: usize, seen: f64, most: usize, batch: usize, mut random: impl FnMut() -> f64) -> Reservoir {
    let mut places: Vec<Option<usize>> = vec![None; stored.min(most)];
    let mut seen = seen.max(stored as f64);
    for number in 0..batch {
        seen += 1.0;
        if places.len() < most {
            places.push(Some(number));
        } else if let Some(place) = places.get_mut((random() * seen) as usize) {
            *place = Some(number);
        }
    }
    let left = places.iter().filter(|place| place.is_none()).count();
    let mut kept: Vec<usize> = places.into_iter().flatten().collect();
    kept.sort_unstable();
    Reservoir { removed: stored - left, kept, seen }
}
