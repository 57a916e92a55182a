//! Backward pass of a pointwise convolution over one part: for each block of rows batch norm's gradient on load, the
//! weight gradient, the input gradient, and the sums that the layer before needs for its own batch norm.
//!
//! Where the weight is large and the rows are few, a gradient a part would cost more than its product: such a layer's
//! parts only leave their operands packed, and [`WeightGradient`] multiplies those of all parts afterwards.

use super::bfloat16::Bfloat16;
use super::cpu::{multiply, multiply_tiles};
use super::forward::block_stride;
use super::pack::pack_tiles;
use super::tile::width;
use crate::kernels::batch_norm::cpu::{Rows, gradient_rows, normalize_panels, sum_gradient_rows};
use crate::kernels::batch_norm::factors::{add_factors_gradient, scale_rows};
use crate::kernels::batch_norm::{Affine, Factors, Gradient};
use crate::kernels::crew::{Crew, for_each_chunk};
use crate::kernels::segments::{ROW_BLOCK, SEGMENTS, Sums};
use crate::kernels::simd::Isa;
use pulp::{Simd, WithSimd};
use std::ops::Range;

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
    /// [`super::PackedWeight::bfloat16`].
    pub bfloat16: Option<Bfloat16>,
    /// What the input was multiplied by on the way.
    pub factors: Option<Factors<'a>>,
    /// The factors' gradient, `[pictures, inputs]`, added to. With it the input's gradient is left as that of the
    /// multiplied input, and no sums are gathered: both need the factors' gradient first.
    pub factors_gradient: Option<&'a mut [f32]>,
    /// The gradient of what was read from the input: written, or added to what lies there.
    pub input_gradient: &'a mut [f32],
    /// Whether it is added.
    pub accumulate: bool,
    /// `[outputs, inputs]`: written. Without it, `panels` and `tiles` keep the operands of all rows.
    pub weight_gradient: Option<&'a mut [f32]>,
    /// Sums for the input's batch norm.
    pub sums: &'a mut Sums,
    /// Scratch for a block of the output's gradient: [`super::forward::scratch`] of the outputs.
    pub gradient_block: &'a mut [f32],
    /// Scratch for a few rows of the input, [`super::forward::scratch`] of the inputs; only bfloat16 needs it.
    pub input_rows: &'a mut [f32],
    /// The input in panels, block after block: room for [`ROW_BLOCK`] x inputs, or for all rows.
    pub panels: &'a mut [f32],
    /// The output's gradient in tiles, in the same way.
    pub tiles: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, inputs, outputs, input_affine, bfloat16, gradient_block, sums, .. } = self;
        let (mut weight_gradient, mut factors_gradient) = (self.weight_gradient, self.factors_gradient);
        let products = bfloat16.map(Bfloat16::begin);
        let products = products.as_ref();
        if let (0, Some(weight_gradient)) = (rows, weight_gradient.as_deref_mut()) {
            weight_gradient[..outputs * inputs].fill(0.0);
        }
        for start in (0..rows).step_by(ROW_BLOCK) {
            let count = ROW_BLOCK.min(rows - start);
            let g = Rows::dense(&self.gradient[start * outputs..], outputs);
            let y = Rows::dense(&self.output[start * outputs..], outputs);
            let (affine, gradient) = (self.output_affine, self.output_gradient);
            let x = Rows::dense(&self.input[start * inputs..], inputs);
            let kept = if weight_gradient.is_some() { 0 } else { start };
            let (panels, tiles) = (&mut self.panels[kept * inputs..], &mut self.tiles[kept * outputs..]);
            let factors = self.factors.map(|factors| factors.from_row(start));
            let to = &mut self.input_gradient[start * inputs..][..count * inputs];
            let (weight, add) = (self.weight, self.accumulate);
            let stride = match bfloat16 {
                None => {
                    let stride = block_stride(outputs);
                    gradient_rows(simd, g, y, gradient_block, stride, count, outputs, affine, gradient);
                    normalize_panels(simd, x, panels, width::<S>(), count, inputs, input_affine, factors);
                    pack_tiles::<S>(outputs, count, gradient_block, stride, tiles);
                    stride
                }
                Some(rounds) => {
                    rounds.read_gradient(simd, g, y, gradient_block, tiles, count, outputs, affine, gradient);
                    let plain = &mut *self.input_rows;
                    rounds.read_panels(simd, x, plain, panels, count, inputs, input_affine, factors);
                    Bfloat16::stride(outputs)
                }
            };
            if let Some(to) = weight_gradient.as_deref_mut() {
                let add = start > 0;
                multiply_tiles(simd, products, 0..outputs, 0..inputs, count, tiles, panels, to, inputs, add);
            }
            let left = &*gradient_block;
            multiply(simd, products, count, inputs, outputs, left, stride, weight, to, inputs, add, None);
            match (factors, factors_gradient.as_deref_mut()) {
                (Some(factors), Some(factors_gradient)) => {
                    let h = Rows::dense(to, inputs);
                    add_factors_gradient(simd, h, x, count, inputs, input_affine, factors, factors_gradient);
                    continue;
                }
                (Some(factors), None) => scale_rows(simd, to, count, inputs, factors),
                (None, _) => {}
            }
            let (first, second) = (&mut sums.first, &mut sums.second);
            sum_gradient_rows(simd, Rows::dense(to, inputs), x, count, inputs, input_affine, first, second);
            sums.flush(inputs);
        }
    }
}

/// Whether a layer's parts leave their operands: when those of `rows` rows take less memory than a gradient a part.
pub const fn leaves_operands(rows: usize, inputs: usize, outputs: usize) -> bool {
    rows * (inputs + outputs) <= SEGMENTS * inputs * outputs
}

/// What one block of rows left for the weight gradient.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// Its rows.
    pub rows: usize,
    /// The output's gradient, [`super::pack::pack_tiles`].
    pub tiles: &'a [f32],
    /// The normalised input, in panels.
    pub panels: &'a [f32],
}

impl<'a> Operands<'a> {
    /// Those of a part of so many rows, from the `tiles` and `panels` that its [`Backward`] kept.
    pub fn of_part(
        rows: usize,
        inputs: usize,
        outputs: usize,
        tiles: &'a [f32],
        panels: &'a [f32],
    ) -> impl Iterator<Item = Self> {
        (0..rows).step_by(ROW_BLOCK).map(move |start| Self {
            rows: ROW_BLOCK.min(rows - start),
            tiles: &tiles[start * outputs..],
            panels: &panels[start * inputs..],
        })
    }
}

/// Rows of a weight gradient that one task computes: a multiple of every tile's rows (8, 6 and 4; in bfloat16 16, and two such
/// tiles side by side are faster), and few, so that 512 rows make enough tasks for many threads.
pub const fn weight_rows(bfloat16: Option<Bfloat16>) -> usize {
    if bfloat16.is_some() { 32 } else { 24 }
}

/// The weight gradient `to`, `[outputs, inputs]`, from every block's operands, some rows a task: written.
pub fn multiply_operands(
    crew: &Crew<'_>,
    isa: Isa,
    inputs: usize,
    outputs: usize,
    operands: &[Operands<'_>],
    bfloat16: Option<Bfloat16>,
    to: &mut [f32],
) {
    let task_rows = weight_rows(bfloat16);
    for_each_chunk(Some(crew), to, task_rows * inputs, |task, to| {
        let first = task * task_rows;
        let outputs = first..outputs.min(first + task_rows);
        isa.run(WeightGradient { inputs, outputs, operands, bfloat16, to });
    });
}

/// Some rows of the weight gradient over all blocks of all parts, in order.
pub struct WeightGradient<'a> {
    /// Padded.
    pub inputs: usize,
    /// Which outputs, at most [`weight_rows`] and from a multiple of it.
    pub outputs: Range<usize>,
    /// Every block's.
    pub operands: &'a [Operands<'a>],
    /// Set if they are rounded.
    pub bfloat16: Option<Bfloat16>,
    /// `[outputs, inputs]`: written.
    pub to: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { inputs, outputs, operands, bfloat16, to } = self;
        let width = width::<S>();
        let products = bfloat16.map(Bfloat16::begin);
        // A panel of the result stays in L1 while all rows go by.
        for panel in (0..inputs).step_by(width) {
            for (index, &Operands { rows, tiles, panels }) in operands.iter().enumerate() {
                let columns = panel..inputs.min(panel + width);
                let (products, outputs, add) = (products.as_ref(), outputs.clone(), index > 0);
                multiply_tiles(simd, products, outputs, columns, rows, tiles, panels, to, inputs, add);
            }
        }
    }
}
