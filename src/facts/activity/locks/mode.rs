//! Which modes of locks conflict.

pub use crate::facts::LockMode as Mode;

/// A set of modes, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(pub u32);

impl Mode {
    pub fn from_number(number: i32) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| *mode as i32 == number)
    }

    /// Taken through the fast path, where no stronger lock on the table is about.
    pub fn is_weak(self) -> bool {
        self < Mode::ShareUpdateExclusive
    }

    pub fn conflicts(self) -> Modes {
        use Mode::*;
        let from = |first: Mode| Modes::of(&Mode::ALL[first as usize - 1..]);
        match self {
            AccessShare => from(AccessExclusive),
            RowShare => from(Exclusive),
            RowExclusive => from(Share),
            ShareUpdateExclusive => from(ShareUpdateExclusive),
            Share => Modes(from(RowExclusive).0 & !Modes::of(&[Share]).0),
            ShareRowExclusive => from(RowExclusive),
            Exclusive => from(RowShare),
            AccessExclusive => from(AccessShare),
        }
    }
}

impl Modes {
    pub fn of(modes: &[Mode]) -> Modes {
        Modes(modes.iter().fold(0, |set, mode| set | 1 << *mode as u32))
    }

    pub fn has(self, mode: Mode) -> bool {
        self.0 & 1 << mode as u32 != 0
    }

    pub fn meets(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    pub fn strongest(self) -> Option<Mode> {
        Mode::ALL.into_iter().rev().find(|mode| self.has(*mode))
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn conflicts_are_mutual_and_those_of_the_documentation() {
        for (a, b) in Mode::ALL.into_iter().flat_map(|a| Mode::ALL.map(|b| (a, b))) {
            assert_eq!(a.conflicts().has(b), b.conflicts().has(a), "{a:?} {b:?}");
        }
        let counts = Mode::ALL.map(|mode| mode.conflicts().0.count_ones());
        assert_eq!(counts, [1, 2, 4, 5, 5, 6, 7, 8]);
        assert!(!Mode::Share.conflicts().has(Mode::Share));
        assert!(Mode::ShareUpdateExclusive.conflicts().has(Mode::ShareUpdateExclusive));
    }

    #[test]
    fn strongest() {
        assert_eq!(Modes::of(&[Mode::RowShare, Mode::AccessShare]).strongest(), Some(Mode::RowShare));
        assert_eq!(Modes::default().strongest(), None);
    }
}
