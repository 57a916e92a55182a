//! Forward pass of a pointwise convolution over one part: normalise a block of rows on load, multiply, gather sums.

use super::bfloat16::Bfloat16;
use super::cpu::multiply;
use crate::kernels::batch_norm::cpu::{Rows, normalize_rows, sum_rows};
use crate::kernels::batch_norm::{Affine, Curve, Factors, Finish};
use crate::kernels::segments::{ROW_BLOCK, Sums};
use pulp::{Simd, WithSimd};

/// The rows (pixels) of one part.
pub struct Forward<'a> {
    /// Pixels in this part.
    pub rows: usize,
    /// Padded.
    pub inputs: usize,
    /// Padded.
    pub outputs: usize,
    /// `[rows, inputs]`, as stored by the layer before.
    pub input: &'a [f32],
    /// How to read it.
    pub affine: &'a Affine,
    /// What is multiplied by on the way.
    pub factors: Option<Factors<'a>>,
    /// [`super::PackedWeight::forward`].
    pub weight: &'a [f32],
    /// [`super::PackedWeight::bfloat16`].
    pub bfloat16: Option<Bfloat16>,
    /// Added to every row.
    pub bias: Option<&'a [f32]>,
    /// `[rows, outputs]`.
    pub output: &'a mut [f32],
    /// Sums of the output and of its squares; none where no batch norm follows.
    pub sums: Option<&'a mut Sums>,
    /// [`super::forward::scratch`] floats.
    pub block: &'a mut [f32],
}

/// Floats from one row of the block to the next: one cache line more than the channels, so that rows which are a
/// power of two apart don't share cache sets.
pub const fn block_stride(channels: usize) -> usize {
    channels + crate::kernels::CHANNEL_BLOCK
}

/// Floats of scratch that a part needs.
pub const fn scratch(inputs: usize) -> usize {
    ROW_BLOCK * block_stride(inputs)
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, inputs, outputs, input, affine, factors, weight, bfloat16, bias, output, .. } = self;
        let (mut sums, block) = (self.sums, self.block);
        let products = bfloat16.map(Bfloat16::begin);
        for start in (0..rows).step_by(ROW_BLOCK) {
            let count = ROW_BLOCK.min(rows - start);
            let from = Rows::dense(&input[start * inputs..], inputs);
            let factors = factors.map(|factors| factors.from_row(start));
            let output = &mut output[start * outputs..][..count * outputs];
            let finish = bias.map(|bias| Finish { bias, curve: Curve::NONE });
            let stride = match bfloat16 {
                None => {
                    normalize_rows(simd, from, block, block_stride(inputs), count, inputs, affine, factors);
                    block_stride(inputs)
                }
                Some(rounds) => {
                    rounds.read_input(simd, from, block, count, inputs, affine, factors);
                    Bfloat16::stride(inputs)
                }
            };
            let products = products.as_ref();
            multiply(
                simd, products, count, outputs, inputs, block, stride, weight, output, outputs, false, finish,
            );
            if let Some(sums) = sums.as_deref_mut() {
                let output = Rows::dense(output, outputs);
                sum_rows(simd, output, count, outputs, &mut sums.first, &mut sums.second);
                sums.flush(outputs);
            }
        }
    }
}
