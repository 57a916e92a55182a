//! How a pass reads its rows as pairs: some at a time in float32, which stay in L1, then rounded to where they go.

use super::{Bfloat16, TILE_ROWS, WIDTH};
use crate::kernels::batch_norm::cpu::{Rows, gradient_rows, normalize_rows};
use crate::kernels::batch_norm::{Affine, Factors, Gradient};
use pulp::Simd;

/// Rows of so many channels that are read at a time: about 8 KB, and whole pairs.
fn rows_at_a_time(channels: usize) -> usize {
    (2048 / channels).clamp(2, 32) / 2 * 2
}

impl Bfloat16 {
    /// `count` rows of a product's input, normalised, into `block`: a left operand, rows [`Self::stride`] apart. `block`
    /// is [`crate::kernels::product::forward::scratch`]; its end holds the rows in float32.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // As `normalize_rows`.
    pub fn read_input<S: Simd>(
        self,
        simd: S,
        from: Rows<'_>,
        block: &mut [f32],
        count: usize,
        channels: usize,
        affine: &Affine,
        factors: Option<Factors<'_>>,
    ) {
        let stride = Self::stride(channels);
        let (block, plain) = block.split_at_mut(count * stride);
        let step = rows_at_a_time(channels);
        for row in (0..count).step_by(step) {
            let here = step.min(count - row);
            let factors = factors.map(|factors| factors.from_row(row));
            normalize_rows(simd, from.from_row(row), plain, channels, here, channels, affine, factors);
            self.round(&plain[..here * channels], channels, &mut block[row * stride..], stride);
        }
    }

    /// `count` rows of a product's input, normalised, into `panels`: a right operand of `count` rows in pairs. `plain` has
    /// room for 32 rows.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // As `normalize_panels`.
    pub fn read_panels<S: Simd>(
        self,
        simd: S,
        from: Rows<'_>,
        plain: &mut [f32],
        panels: &mut [f32],
        count: usize,
        channels: usize,
        affine: &Affine,
        factors: Option<Factors<'_>>,
    ) {
        let step = rows_at_a_time(channels);
        for row in (0..count).step_by(step) {
            let here = step.min(count - row);
            let factors = factors.map(|factors| factors.from_row(row));
            normalize_rows(simd, from.from_row(row), plain, channels, here, channels, affine, factors);
            let (first, pairs) = (row / 2, count.div_ceil(2));
            self.interleave::<WIDTH>(plain, channels, here, channels, panels, first, pairs);
        }
    }

    /// `count` rows of the gradient of a product's stored output: into `block`, a left operand as [`Self::read_input`]'s,
    /// and into `tiles`, a left operand of `count` rows in pairs.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // As `gradient_rows`, with two places to write to.
    pub fn read_gradient<S: Simd>(
        self,
        simd: S,
        g: Rows<'_>,
        y: Rows<'_>,
        block: &mut [f32],
        tiles: &mut [f32],
        count: usize,
        channels: usize,
        affine: &Affine,
        gradient: &Gradient,
    ) {
        let stride = Self::stride(channels);
        let (block, plain) = block.split_at_mut(count * stride);
        let step = rows_at_a_time(channels);
        for row in (0..count).step_by(step) {
            let here = step.min(count - row);
            let (g, y) = (g.from_row(row), y.from_row(row));
            gradient_rows(simd, g, y, plain, channels, here, channels, affine, gradient);
            self.round(&plain[..here * channels], channels, &mut block[row * stride..], stride);
            let (first, pairs) = (row / 2, count.div_ceil(2));
            self.interleave::<TILE_ROWS>(plain, channels, here, channels, tiles, first, pairs);
        }
        self.turn(tiles, channels, count.div_ceil(2));
    }
}
