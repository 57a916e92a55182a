//! What an optimizer's pass does with a gradient first: PyTorch's `clip_grad_norm_` and `clip_grad_value_`.

use rayon::prelude::*;

/// Gradients whose squares one task adds up: 64 KB.
const CHUNK: usize = 16_384;
/// Sums that go side by side, so that the processor need not wait for each addition.
const LANES: usize = 8;

/// What keeps the gradients of one step within their limit.
#[derive(Debug, Clone, Copy)]
pub struct Clip {
    scale: f32,
    largest: f32,
}

impl Default for Clip {
    /// No limit.
    fn default() -> Self {
        Self { scale: 1.0, largest: f32::INFINITY }
    }
}

impl Clip {
    /// Where both the norm over all `gradients` and each by itself may have a limit.
    pub(super) fn new(norm: Option<f64>, value: Option<f64>, gradients: &[f32]) -> Self {
        // PyTorch's constant keeps the division finite.
        let scale = |most: f64| (most / (euclidean(gradients) + 1e-6)).min(1.0) as f32;
        Self { scale: norm.map_or(1.0, scale), largest: value.map_or(f32::INFINITY, |most| most as f32) }
    }

    pub(super) fn apply(self, gradient: f32) -> f32 {
        (gradient * self.scale).clamp(-self.largest, self.largest)
    }
}

/// The Euclidean norm. Chunks are the same and added in the same order, whatever the threads.
fn euclidean(values: &[f32]) -> f64 {
    let sums: Vec<f64> = values.par_chunks(CHUNK).map(sum_of_squares).collect();
    sums.into_iter().sum::<f64>().sqrt()
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let square = |value: &f32| f64::from(*value) * f64::from(*value);
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for values in whole {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += square(value);
        }
    }
    sums.into_iter().sum::<f64>() + rest.iter().map(square).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::euclidean;

    #[test]
    fn a_norm_takes_every_value_once() {
        for count in [0, 1, 7, 8, 9, 16_384, 40_000] {
            assert!((euclidean(&vec![0.5; count]) - 0.5 * (count as f64).sqrt()).abs() < 1e-9, "{count}");
        }
    }
}
