//! The sums that a map's batch norm or bias needs in the backward pass, as a pass of their own: for gradients that no
//! convolution's pass writes.

use super::Affine;
use super::cpu::{Rows, sum_gradient_rows};
use crate::kernels::segments::{ROW_BLOCK, Sums};
use pulp::{Simd, WithSimd};

/// The rows of one part.
pub struct SumGradient<'a> {
    /// How many.
    pub rows: usize,
    /// Padded.
    pub channels: usize,
    /// `[rows, channels]`: gradient of what was read from the map.
    pub gradient: &'a [f32],
    /// The stored map.
    pub map: &'a [f32],
    /// How it was read.
    pub affine: &'a Affine,
    /// Added to.
    pub sums: &'a mut Sums,
}

impl WithSimd for SumGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, channels, gradient, map, affine, sums } = self;
        for start in (0..rows).step_by(ROW_BLOCK) {
            let count = ROW_BLOCK.min(rows - start);
            let g = Rows::dense(&gradient[start * channels..], channels);
            let y = Rows::dense(&map[start * channels..], channels);
            let (first, second) = (&mut sums.first, &mut sums.second);
            sum_gradient_rows(simd, g, y, count, channels, affine, first, second);
            sums.flush(channels);
        }
    }
}
