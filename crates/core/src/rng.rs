//! Reproducible random numbers: independent streams, each named by what it is for.
//!
//! A stream depends on its name alone, never on what was drawn before, so that a run can go on in the middle of an
//! epoch, and one picture's augmentation doesn't depend on who prepared the pictures before it. Integers and floats
//! are derived here rather than by `rand`'s distributions, whose results may change from version to version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// What a stream is for. Streams of different purposes share nothing, whatever their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; `a` is the tensor's place in the network.
    Weights,
    /// The order of the pictures; `a` is the epoch.
    Order,
    /// What is done to one picture; `a` is the epoch, `b` the picture's place in the epoch.
    Augmentation,
    /// Made-up pictures to measure with.
    Benchmark,
    /// Which pictures of a folder are kept for validation; `a` is the class.
    Split,
    /// What dropout leaves out; `a` is the step in all, `b` the picture's place in the batch.
    Dropout,
    /// How the pictures of a batch are mixed; `a` is the epoch, `b` the place in the epoch of its first picture.
    Mixing,
}

impl Purpose {
    fn tag(self) -> u64 {
        match self {
            Self::Weights => 1,
            Self::Order => 2,
            Self::Augmentation => 3,
            Self::Benchmark => 4,
            Self::Dropout => 5,
            Self::Mixing => 6,
            Self::Split => 9,
        }
    }
}

/// The stream named by a seed, a purpose and two numbers whose meaning the purpose gives.
///
/// Its key is the SHA-256 of the four as little-endian 64-bit numbers, so the bits are the same on every platform.
pub fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> ChaCha8Rng {
    let mut name = [0u8; 32];
    for (bytes, number) in name.chunks_exact_mut(8).zip([seed, purpose.tag(), a, b]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(Sha256::digest(name).into())
}

/// An integer from 0 to `end - 1` (0 if `end` is 0). Off from uniform by less than `end` in 2^64.
pub fn below(rng: &mut impl Rng, end: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(end)) >> 64) as u64
}

/// A float in `[0, 1)`, a multiple of 2^-53.
pub fn unit(rng: &mut impl Rng) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * STEP
}

/// A normally distributed float with mean 0 and variance 1 (Box and Muller 1958).
pub fn normal(rng: &mut impl Rng) -> f64 {
    // 1 - u, because the logarithm of 0 is none.
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}

/// A float distributed as Beta(alpha, alpha): between 0 and 1, on average a half, and nearer to the ends the smaller alpha is.
///
/// `x / (x + y)` of two gamma variates, by their logarithms: with a small alpha both are smaller than a float can be.
pub fn beta(rng: &mut impl Rng, alpha: f64) -> f64 {
    let (x, y) = (ln_gamma(rng, alpha), ln_gamma(rng, alpha));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a float distributed as Gamma(shape, 1) (Marsaglia and Tsang 2000).
fn ln_gamma(rng: &mut impl Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        return ln_gamma(rng, shape + 1.0) + (1.0 - unit(rng)).ln() / shape;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - unit(rng)).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

/// Puts the items in a random order (Fisher and Yates, from the end).
pub fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These numbers pin the streams: when they change, a seed no longer means what it meant.
    #[test]
    fn a_stream_is_the_same_for_ever() {
        let mut rng = stream(1, Purpose::Weights, 0, 0);
        assert_eq!([rng.next_u64(), rng.next_u64()], [11688912732666470902, 18297634493476685814]);
    }

    #[test]
    fn every_part_of_the_name_matters() {
        let first = |seed, purpose, a, b| stream(seed, purpose, a, b).next_u64();
        let all = [
            first(1, Purpose::Order, 2, 3),
            first(2, Purpose::Order, 2, 3),
            first(1, Purpose::Weights, 2, 3),
            first(1, Purpose::Augmentation, 2, 3),
            first(1, Purpose::Order, 3, 3),
            first(1, Purpose::Order, 2, 2),
            first(1, Purpose::Order, 3, 2),
        ];
        for (i, x) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|y| y != x), "stream {i} repeats an earlier one");
        }
    }

    #[test]
    fn numbers_stay_in_range_and_reach_both_ends() {
        let mut rng = stream(7, Purpose::Order, 0, 0);
        let mut seen = [0usize; 9];
        for _ in 0..9000 {
            seen[below(&mut rng, 9) as usize] += 1;
            assert!((0.0..1.0).contains(&unit(&mut rng)));
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(below(&mut rng, 0), 0);
    }

    /// The moments of Beta(alpha, alpha): mean 1/2, variance 1 / (4 (2 alpha + 1)), fourth central moment by its kurtosis.
    #[test]
    fn beta_has_its_moments() {
        for alpha in [0.01, 0.2, 0.9, 1.0, 4.0, 1000.0] {
            let mut rng = stream(9, Purpose::Mixing, 0, 0);
            let drawn: Vec<f64> = (0..40_000).map(|_| beta(&mut rng, alpha)).collect();
            assert!(drawn.iter().all(|value| (0.0..=1.0).contains(value)));
            let moment =
                |power: i32| drawn.iter().map(|value| (value - 0.5).powi(power)).sum::<f64>() / 40_000.0;
            let variance = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!(moment(1).abs() < 4.0 * (variance / 40_000.0).sqrt(), "{alpha}: mean {}", moment(1));
            assert!((moment(2) / variance - 1.0).abs() < 0.03, "{alpha}: variance {}", moment(2));
            let kurtosis = 3.0 - 6.0 / (2.0 * alpha + 3.0);
            assert!((moment(4) / variance.powi(2) / kurtosis - 1.0).abs() < 0.06, "{alpha}: {}", moment(4));
        }
    }

    #[test]
    fn shuffling_permutes() {
        let mut items: Vec<u32> = (0..1000).collect();
        shuffle(&mut stream(1, Purpose::Order, 1, 0), &mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
        shuffle(&mut stream(1, Purpose::Order, 1, 0), &mut Vec::<u8>::new());
    }

    /// Sattolo's algorithm, which is one letter away, never leaves an item where it was.
    #[test]
    fn every_order_is_as_likely() {
        let mut random = stream(3, Purpose::Order, 0, 0);
        let mut seen = std::collections::BTreeMap::<[u8; 3], usize>::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            shuffle(&mut random, &mut items);
            *seen.entry(items).or_default() += 1;
        }
        // 1000 each, with a standard deviation of 29.
        assert!(seen.len() == 6 && seen.values().all(|count| (885..1115).contains(count)), "{seen:?}");
    }
}
