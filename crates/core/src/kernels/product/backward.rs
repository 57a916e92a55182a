//! Backward pass of a pointwise convolution over one part: for each block of rows batch norm's gradient on load, the
//! weight gradient, the input gradient, and the sums that the layer before needs for its own batch norm.

use super::cpu::{add_transposed, multiply};
use super::forward::block_stride;
use crate::kernels::batch_norm::cpu::{Rows, gradient_rows, normalize_panels, sum_gradient_rows};
use crate::kernels::batch_norm::{Affine, Gradient};
use crate::kernels::segments::{ROW_BLOCK, Sums};
use crate::kernels::simd::lanes;
use pulp::{Simd, WithSimd};

/// The rows (pixels) of one part.
pub struct Backward<'a> {
    /// Pixels in this part.
    pub rows: usize,
    /// Padded.
    pub inputs: usize,
    /// Padded.
    pub outputs: usize,
    /// The layer's stored input map.
    pub input: &'a [f32],
    /// How the input was read.
    pub input_affine: &'a Affine,
    /// The layer's stored output map.
    pub output: &'a [f32],
    /// How the output was read.
    pub output_affine: &'a Affine,
    /// How the output's gradient follows from `gradient`.
    pub output_gradient: &'a Gradient,
    /// The gradient of what was read from the output.
    pub gradient: &'a [f32],
    /// [`super::PackedWeight::backward`].
    pub weight: &'a [f32],
    /// The gradient of what was read from the input: written.
    pub input_gradient: &'a mut [f32],
    /// `[outputs, inputs]`: written.
    pub weight_gradient: &'a mut [f32],
    /// Sums for the input's batch norm.
    pub sums: &'a mut Sums,
    /// Scratch for a block of the output's gradient: [`super::forward::scratch`] of the outputs.
    pub gradient_block: &'a mut [f32],
    /// Scratch for a block of the input in panels: [`ROW_BLOCK`] x inputs.
    pub panels: &'a mut [f32],
    /// Scratch for the output's gradient in tiles: [`ROW_BLOCK`] x outputs.
    pub tiles: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, inputs, outputs, input_affine, gradient_block, panels, tiles, sums, .. } = self;
        let stride = block_stride(outputs);
        self.weight_gradient[..outputs * inputs].fill(0.0);
        for start in (0..rows).step_by(ROW_BLOCK) {
            let count = ROW_BLOCK.min(rows - start);
            let g = Rows::dense(&self.gradient[start * outputs..], outputs);
            let y = Rows::dense(&self.output[start * outputs..], outputs);
            let (affine, gradient) = (self.output_affine, self.output_gradient);
            gradient_rows(simd, g, y, gradient_block, stride, count, outputs, affine, gradient);

            let x = Rows::dense(&self.input[start * inputs..], inputs);
            normalize_panels(simd, x, panels, 2 * lanes::<S>(), count, inputs, input_affine);
            let to = &mut *self.weight_gradient;
            add_transposed(simd, outputs, inputs, count, gradient_block, stride, panels, to, tiles);

            let to = &mut self.input_gradient[start * inputs..][..count * inputs];
            multiply(simd, count, inputs, outputs, gradient_block, stride, self.weight, to, inputs);
            let (first, second) = (&mut sums.first, &mut sums.second);
            sum_gradient_rows(simd, Rows::dense(to, inputs), x, count, inputs, input_affine, first, second);
            sums.flush(inputs);
        }
    }
}
