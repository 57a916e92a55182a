//! The split of the training pictures into those to learn from and those to validate with.
//!
//! It is the course's, number for number: NumPy's `RandomState(42).shuffle(list(range(n)))`, the first share of which
//! is for validation. So results can be compared picture by picture with what PyTorch gives.

use rand_mt::Mt;

/// The course's seed.
const SEED: u32 = 42;

/// Two lists of indices that share none and together hold each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// To learn from, in the shuffled order.
    pub train: Vec<u32>,
    /// To validate with, in the shuffled order.
    pub validation: Vec<u32>,
}

/// Splits `count` pictures; `floor(validation_fraction * count)` of them are for validation.
pub fn split(count: usize, validation_fraction: f64) -> Split {
    let mut validation = numpy_shuffled(count);
    let kept = (validation_fraction * count as f64).floor() as usize;
    let train = validation.split_off(kept.min(count));
    Split { train, validation }
}

/// What NumPy's legacy generator makes of `list(range(count))`.
fn numpy_shuffled(count: usize) -> Vec<u32> {
    let mut generator = Mt::new(SEED);
    let mut order: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        let other = numpy_interval(&mut generator, last as u32);
        order.swap(last, other as usize);
    }
    order
}

/// NumPy's `random_interval`: a number from 0 to `max`, by drawing as many bits as `max` has until they fit.
fn numpy_interval(generator: &mut Mt, max: u32) -> u32 {
    let mask = u32::MAX >> max.leading_zeros();
    loop {
        let drawn = generator.next_u32() & mask;
        if drawn <= max {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// The expected numbers were computed by NumPy.
    #[test]
    fn it_is_numpys_order() {
        let Split { train, validation } = split(50_000, 0.1);
        assert_eq!((train.len(), validation.len()), (45_000, 5_000));
        assert_eq!(validation[..5], [33553, 9427, 199, 12447, 39489]);
        assert_eq!(train[..3], [40877, 18057, 19066]);
        assert_eq!(train[44_997..], [38158, 860, 15795]);
        let bytes: Vec<u8> = validation.iter().chain(&train).flat_map(|i| i.to_le_bytes()).collect();
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "b535f99bebaeb9512aaf8d0847bcff59fcaf5261a72695e014c076bfcf169725");
    }

    #[test]
    fn small_counts_and_fractions() {
        assert_eq!(split(0, 0.1), Split { train: vec![], validation: vec![] });
        assert_eq!(split(1, 0.9), Split { train: vec![0], validation: vec![] });
        assert_eq!(split(256, 0.1).validation.len(), 25);
        assert!(split(256, 0.0).validation.is_empty());
        let Split { mut train, validation } = split(10, 0.5);
        train.extend(validation);
        train.sort_unstable();
        assert_eq!(train, (0..10).collect::<Vec<_>>());
    }
}
