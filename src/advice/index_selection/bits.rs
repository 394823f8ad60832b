//! Small sets of small numbers: which of a query's candidates are meant.

use std::hash::{Hash, Hasher};

/// Of each query by the places that its candidates have in [`super::costs::Costs`].
#[derive(Clone, Debug, Default)]
pub struct Bits {
    /// Most sets need no more, and no allocation.
    first: [u64; FIRST],
    /// The last one is not 0, so that equal sets are equal.
    rest: Vec<u64>,
}

const FIRST: usize = 4;
const WORD: u32 = u64::BITS;

impl Bits {
    pub fn insert(&mut self, place: u32) {
        let word = (place / WORD) as usize;
        if word >= FIRST + self.rest.len() {
            self.rest.resize(word + 1 - FIRST, 0);
        }
        let word = if word < FIRST { &mut self.first[word] } else { &mut self.rest[word - FIRST] };
        *word |= 1 << (place % WORD);
    }

    pub fn remove(&mut self, place: u32) {
        let word = (place / WORD) as usize;
        let word = if word < FIRST { self.first.get_mut(word) } else { self.rest.get_mut(word - FIRST) };
        if let Some(word) = word {
            *word &= !(1 << (place % WORD));
            self.trim();
        }
    }

    pub fn contains(&self, place: u32) -> bool {
        let word = (place / WORD) as usize;
        let word = if word < FIRST { self.first.get(word) } else { self.rest.get(word - FIRST) };
        word.is_some_and(|word| word >> (place % WORD) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.first.iter().fold(0, |any, word| any | word) == 0 && self.rest.is_empty()
    }

    pub fn len(&self) -> u32 {
        self.words().map(u64::count_ones).sum()
    }

    pub fn is_subset(&self, whole: &Bits) -> bool {
        let outside = self.first.iter().zip(&whole.first).fold(0, |outside, (part, all)| outside | (part & !all));
        outside == 0
            && self.rest.len() <= whole.rest.len()
            && self.rest.iter().zip(&whole.rest).all(|(part, all)| part & !all == 0)
    }

    pub fn intersects(&self, other: &Bits) -> bool {
        let both = |(own, other): (&u64, &u64)| own & other != 0;
        self.first.iter().zip(&other.first).any(both) || self.rest.iter().zip(&other.rest).any(both)
    }

    pub fn and(&self, other: &Bits) -> Bits {
        let mut both = Bits {
            first: std::array::from_fn(|word| self.first[word] & other.first[word]),
            rest: self.rest.iter().zip(&other.rest).map(|(own, other)| own & other).collect(),
        };
        both.trim();
        both
    }

    pub fn add(&mut self, other: &Bits) {
        if self.rest.len() < other.rest.len() {
            self.rest.resize(other.rest.len(), 0);
        }
        for (own, other) in self.first.iter_mut().chain(&mut self.rest).zip(other.first.iter().chain(&other.rest)) {
            *own |= other;
        }
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.words().zip(0_u32..).flat_map(|(word, number)| {
            let mut left = word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    number * WORD + bit
                })
            })
        })
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.first.iter().chain(&self.rest).copied()
    }

    fn trim(&mut self) {
        while self.rest.last() == Some(&0) {
            self.rest.pop();
        }
    }
}

impl PartialEq for Bits {
    /// Word by word: most comparisons are of few words, and fail.
    fn eq(&self, other: &Bits) -> bool {
        let differ = self.first.iter().zip(&other.first).fold(0, |differ, (own, other)| differ | (own ^ other));
        differ == 0 && self.rest == other.rest
    }
}

impl Eq for Bits {}

impl Hash for Bits {
    /// One number for all words: the hasher takes its time for each.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mixed = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        state.write_u64(self.words().fold(0, mixed));
    }
}

impl FromIterator<u32> for Bits {
    fn from_iter<I: IntoIterator<Item = u32>>(places: I) -> Bits {
        let mut bits = Bits::default();
        for place in places {
            bits.insert(place);
        }
        bits
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn bits(places: &[u32]) -> Bits {
        places.iter().copied().collect()
    }

    #[test]
    fn subsets() {
        assert!(bits(&[]).is_subset(&bits(&[1])));
        assert!(bits(&[1, 400]).is_subset(&bits(&[1, 2, 400])));
        assert!(!bits(&[1, 400]).is_subset(&bits(&[1, 2, 3])));
        assert!(!bits(&[1, 2]).is_subset(&bits(&[1])));
    }

    #[test]
    fn what_was_taken_out_leaves_no_trace() {
        let mut set = bits(&[3, 64, 700]);
        set.remove(700);
        assert_eq!(set, bits(&[64, 3]));
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64]);
        assert_eq!(bits(&[3, 700]).and(&bits(&[3, 64])), bits(&[3]));
        set.add(&bits(&[400]));
        assert!(set.contains(400) && !set.contains(401) && set.len() == 3);
        assert!(set.intersects(&bits(&[400, 9])) && !set.intersects(&bits(&[401, 9])));
    }
}
