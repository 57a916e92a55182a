//! Which values 256 levels stand for.

/// Evenly spaced levels, as ONNX's `QuantizeLinear` has them: level `q` stands for `(q - zero) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    /// From one level to the next.
    pub scale: f32,
    /// The level of 0, which is met exactly: zeros stand round every map.
    pub zero: u8,
}

impl Levels {
    /// Levels from `low` to `high`, which are widened to hold 0.
    pub fn over(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = (high - low) / 255.0;
        if !(scale.is_normal() && scale.is_finite()) {
            return Self { scale: 1.0, zero: 0 };
        }
        Self { scale, zero: (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8 }
    }

    /// The value of the level that a value gets.
    pub fn round(self, value: f32) -> f32 {
        let zero = f32::from(self.zero);
        let level = ((value / self.scale).round_ties_even() + zero).clamp(0.0, 255.0);
        (level - zero) * self.scale
    }
}

/// Smallest and largest of some values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extremes {
    pub low: f32,
    pub high: f32,
}

impl Extremes {
    /// Of none.
    pub const NONE: Self = Self { low: 0.0, high: 0.0 };

    pub fn add(&mut self, values: &[f32]) {
        for value in values {
            self.low = self.low.min(*value);
            self.high = self.high.max(*value);
        }
    }
}

/// How often values lie where between their extremes. Zeros are left out: they lie on a level whatever the range is.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    extremes: Extremes,
    counts: Vec<u64>,
}

const BINS: usize = 2048;
/// Shares of an extreme that are tried as the end of the range.
const SHARES: std::ops::RangeInclusive<u32> = 10..=100;

impl Histogram {
    pub fn new(extremes: Extremes) -> Self {
        Self { extremes, counts: vec![0; BINS] }
    }

    pub fn add(&mut self, values: &[f32]) {
        let Extremes { low, high } = self.extremes;
        let bins = BINS as f32 / (high - low).max(f32::MIN_POSITIVE);
        for value in values.iter().filter(|value| **value != 0.0) {
            // As a cast of a number out of range, this is the nearest bin.
            let bin = ((value - low) * bins) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The levels with the smallest mean squared error: a narrow range has fine levels, but cuts off what lies outside.
    pub fn best_levels(&self) -> Levels {
        let Extremes { low, high } = self.extremes;
        let share = |share: u32, of: f32| of * share as f32 / *SHARES.end() as f32;
        let best = |candidates: &mut dyn Iterator<Item = (f32, f32)>| {
            let errors = candidates.map(|range| (self.error(range), range));
            errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or((low, high), |(_, range)| range)
        };
        // Widest first: of ranges that are as good it is the one that is taken.
        let (_, high) = best(&mut SHARES.rev().map(|part| (low, share(part, high))));
        let (low, high) = best(&mut SHARES.rev().map(|part| (share(part, low), high)));
        Levels::over(low, high)
    }

    fn error(&self, (low, high): (f32, f32)) -> f64 {
        let width = f64::from(self.extremes.high - self.extremes.low) / BINS as f64;
        let (from, to) = (f64::from(low), f64::from(high));
        let step = (to - from) / 255.0;
        let each = |(bin, count): (usize, &u64)| {
            let value = f64::from(self.extremes.low) + (bin as f64 + 0.5) * width;
            let outside = (from - value).max(value - to).max(0.0);
            // Evenly spread between two levels.
            *count as f64 * (outside * outside + step * step / 12.0)
        };
        self.counts.iter().enumerate().map(each).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Extremes, Histogram, Levels};

    /// Of `outlier` once, and of the other values so often that it hardly counts.
    fn best(values: &[f32], outlier: f32) -> Levels {
        let mut extremes = Extremes::NONE;
        extremes.add(values);
        extremes.add(&[outlier]);
        let mut histogram = Histogram::new(extremes);
        histogram.add(&[outlier]);
        (0..200).for_each(|_| histogram.add(values));
        histogram.best_levels()
    }

    #[test]
    fn zero_is_a_level_and_the_ends_are_met() {
        for (low, high) in [(0.0, 6.0), (-3.0, 5.0), (1.0, 2.0), (-7.0, -1.0)] {
            let levels = Levels::over(low, high);
            assert_eq!(levels.round(0.0), 0.0);
            for end in [low.min(0.0), high.max(0.0)] {
                assert!((levels.round(end) - end).abs() <= levels.scale / 2.0 + 1e-6, "{low} to {high}");
            }
            assert_eq!(levels.round(1e9), levels.round(high.max(0.0)));
        }
        assert_eq!(Levels::over(0.0, 0.0).round(0.0), 0.0);
    }

    #[test]
    fn an_outlier_is_cut_off_and_an_even_spread_is_not() {
        let even: Vec<f32> = (0..100_000).map(|i| i as f32 / 100_000.0).collect();
        assert!((best(&even, 0.5).scale * 255.0 - 1.0).abs() < 0.02);
        let cut = best(&even, 10.0);
        assert!(cut.scale * 255.0 < 1.2, "{cut:?}");
        // Negative ones on their own: from -0.25 to 0.75.
        let two_sided: Vec<f32> = even.iter().map(|value| value - 0.25).collect();
        let levels = best(&two_sided, -10.0);
        assert!(levels.scale * 255.0 < 2.0 && levels.zero > 50, "{levels:?}");
    }
}
