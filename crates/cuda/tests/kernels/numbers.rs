//! Made-up numbers, how they are stored, and comparisons.

use crate::card::{Card, NULL, at};
use mobilenet_cuda::driver::DeviceBuffer;

/// `count` numbers in [-1, 1) that follow from `seed`, exact in float32.
pub fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32).mul_add(2.0, -1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// To the nearest bfloat16, ties to even.
pub fn to_bfloat16(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// To the nearest TF32, ties away from zero, as `cvt.rna.tf32.f32`.
pub fn to_tf32(value: f32) -> f32 {
    f32::from_bits((value.to_bits() + 0x1000) & !0x1fff)
}

/// What maps are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    F32,
    Bf16,
}

impl Storage {
    pub const BOTH: [Self; 2] = [Self::F32, Self::Bf16];

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The values that are stored in place of these.
    pub fn rounded(self, values: Vec<f32>) -> Vec<f32> {
        match self {
            Self::F32 => values,
            Self::Bf16 => values.into_iter().map(to_bfloat16).collect(),
        }
    }

    /// Half a unit in the last place, relative to the value.
    fn half_unit(self) -> f64 {
        match self {
            Self::F32 => 0.0,
            Self::Bf16 => 0.5f64.powi(8),
        }
    }
}

/// A map on the card.
pub enum Map {
    F32(DeviceBuffer<f32>),
    Bf16(DeviceBuffer<u16>),
}

impl Map {
    pub fn of(card: &Card, storage: Storage, values: &[f32]) -> Self {
        match storage {
            Storage::F32 => Self::F32(card.array(values)),
            Storage::Bf16 => {
                let bits: Vec<u16> =
                    values.iter().map(|value| (to_bfloat16(*value).to_bits() >> 16) as u16).collect();
                Self::Bf16(card.array(&bits))
            }
        }
    }

    /// Room full of NaNs.
    pub fn room(card: &Card, storage: Storage, length: usize) -> Self {
        match storage {
            Storage::F32 => Self::F32(card.room(length)),
            Storage::Bf16 => Self::Bf16(card.array(&vec![0x7fff; length])),
        }
    }

    pub fn at(&self) -> u64 {
        match self {
            Self::F32(buffer) => at(buffer),
            Self::Bf16(buffer) => at(buffer),
        }
    }

    pub fn read(&self, card: &Card) -> Vec<f32> {
        match self {
            Self::F32(buffer) => card.read(buffer),
            Self::Bf16(buffer) => {
                card.read(buffer).into_iter().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()
            }
        }
    }
}

/// The address of what may be missing.
pub fn at_if(buffer: &Option<DeviceBuffer<f32>>) -> u64 {
    buffer.as_ref().map_or(NULL, at)
}

/// Checks `ours`, sums of `terms` products in float32: each of about `scale`, or of the largest result where that is larger,
/// and stored in `storage`. A sum's rounding errors are some of as many half units, as a random walk is; four times that.
pub fn assert_sums(what: &str, ours: &[f32], expected: &[f64], terms: usize, scale: f64, storage: Storage) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(scale, |a, b| a.max(b.abs()));
    let sums = f64::from(f32::EPSILON) * (terms as f64).sqrt().max(4.0) * largest;
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let tolerance = sums + storage.half_unit() * (expected.abs() + sums);
        assert!(
            (f64::from(*ours) - expected).abs() <= tolerance,
            "{what}[{index}]: {ours}, expected {expected} +- {tolerance:e}"
        );
    }
}

/// The partial sums `[parts][2][channels]`, added up.
pub fn total(partials: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; 2 * channels];
    for part in partials.chunks_exact(2 * channels) {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}
