//! What the kernels' tests share: made-up numbers, the way to padded channels and back, and the comparison.

use super::batch_norm::{Affine, Curve};
use super::padded;
use super::simd::Isa;

/// `count` numbers in [-1, 1) that follow from `seed`, exact in float32.
pub fn numbers(seed: u32, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f64::from((state as f32 / u32::MAX as f32).mul_add(2.0, -1.0))
    };
    (0..count).map(|_| next()).collect()
}

/// Rows of `channels` numbers as rows of padded float32 ones, the surplus 0.
pub fn pad(values: &[f64], channels: usize) -> Vec<f32> {
    let row = |row: &[f64]| {
        let mut padded_row: Vec<f32> = row.iter().map(|value| *value as f32).collect();
        padded_row.resize(padded(channels), 0.0);
        padded_row
    };
    values.chunks_exact(channels).flat_map(row).collect()
}

/// The other way; panics where the surplus is not 0.
pub fn unpad(values: &[f32], channels: usize) -> Vec<f64> {
    let row = |row: &[f32]| {
        assert!(row[channels..].iter().all(|value| *value == 0.0), "surplus channels hold {row:?}");
        row[..channels].iter().map(|value| f64::from(*value)).collect::<Vec<_>>()
    };
    values.chunks_exact(padded(channels)).flat_map(row).collect()
}

/// Checks that `ours` is within float32's rounding of `expected`, sums of `terms` products: their errors add up like a random
/// walk, so `sqrt(terms)` units in the last place of the largest value are allowed, and four at least.
pub fn assert_close(what: &str, ours: &[f64], expected: &[f64], terms: usize) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f64, |a, b| a.max(b.abs()));
    let tolerance = f64::from(f32::EPSILON) * (terms as f64).sqrt().max(4.0) * largest;
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert!(
            (ours - expected).abs() <= tolerance,
            "{what}[{index}]: {ours}, expected {expected} +- {tolerance:e}"
        );
    }
}

/// Runs a test on every instruction set that this machine has.
pub fn on_every_isa(test: impl Fn(Isa)) {
    for isa in Isa::all() {
        println!("{}", isa.name());
        test(isa);
    }
}

/// An affine reading with made-up factors and a cut at 0, its means included.
pub fn affine(seed: u32, channels: usize) -> Affine {
    let curve = Curve::Cut { low: 0.0, high: f32::INFINITY };
    let mut affine = Affine::identity(padded(channels), curve);
    affine.scale.copy_from_slice(&pad(&numbers(seed, channels), channels));
    affine.shift.copy_from_slice(&pad(&numbers(seed + 1, channels), channels));
    affine.mean.copy_from_slice(&pad(&numbers(seed + 2, channels), channels));
    affine
}

/// What is read of `map` by an affine reading, and the curve's slope there.
pub fn read(map: &[f64], affine: &Affine, channels: usize) -> (Vec<f64>, Vec<f64>) {
    let one = |(index, y): (usize, &f64)| {
        let channel = index % channels;
        let n = f64::from(affine.scale[channel]) * y + f64::from(affine.shift[channel]);
        match affine.curve {
            Curve::Cut { low, high } => {
                let cut = n.clamp(f64::from(low), f64::from(high));
                (cut, f64::from(u8::from(cut == n)))
            }
            Curve::HardSwish if n <= -3.0 => (0.0, 0.0),
            Curve::HardSwish if n >= 3.0 => (n, 1.0),
            Curve::HardSwish => (n * (n + 3.0) / 6.0, n / 3.0 + 0.5),
        }
    };
    map.iter().enumerate().map(one).unzip()
}

/// Both sums that batch norm's backward needs, as the definition says it.
pub fn gradient_sums(
    g: &[f64],
    mask: &[f64],
    y: &[f64],
    affine: &Affine,
    channels: usize,
) -> (Vec<f64>, Vec<f64>) {
    let (mut first, mut second) = (vec![0.0; channels], vec![0.0; channels]);
    for (index, (g, (mask, y))) in g.iter().zip(mask.iter().zip(y)).enumerate() {
        let channel = index % channels;
        first[channel] += g * mask;
        second[channel] += g * mask * (y - f64::from(affine.mean[channel]));
    }
    (first, second)
}
