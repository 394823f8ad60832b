//! Numbers that look random and are the same every time.

/// From this mean on, a Poisson distribution is drawn as a normal one.
const LARGE_MEAN: f64 = 30.0;

pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    /// From 0 to 1.
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        if end == 1 { 0 } else { ((self.next() * end as f64) as usize).min(end - 1) }
    }

    /// Poisson distributed, at least `least` (0 or 1).
    pub fn poisson(&mut self, mean: f64, least: f64) -> f64 {
        if mean >= LARGE_MEAN {
            return (mean + mean.sqrt() * self.normal()).round().max(least);
        }
        let none = (-mean).exp();
        let excluded = none * least;
        let wanted = excluded + self.next() * (1.0 - excluded);
        let (mut number, mut probability, mut sum) = (0.0, none, none);
        while sum < wanted && number < 200.0 {
            number += 1.0;
            probability *= mean / number;
            sum += probability;
        }
        number.max(least)
    }

    /// Rows of a Poisson distributed number of values, each with a Poisson distributed number of rows.
    pub fn sum(&mut self, values: f64, rows_per_value: f64) -> f64 {
        if values * rows_per_value < 1e-9 {
            return 0.0;
        }
        let values = self.poisson(values, 0.0);
        self.poisson(values * rows_per_value, 0.0)
    }
}
