//! One output row in inference: from a map that is normalised and activated already, so without a ring. Pixels outside
//! of the picture are left out instead of read as zeros.

use super::Shape;
use super::cpu::{MAXIMUM_TAPS, Tap, sum_taps};
use crate::kernels::batch_norm::Finish;
use crate::kernels::crew::{Crew, for_each_chunk};
use crate::kernels::padded;
use crate::kernels::simd::Isa;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// A depthwise convolution whose output is stored.
pub struct Depthwise<'a> {
    /// The convolution.
    pub shape: Shape,
    /// `[pictures, side, side, channels]`.
    pub input: &'a [f32],
    /// `[K, K, channels]`.
    pub weight: &'a [f32],
    /// Done to every pixel.
    pub finish: Finish<'a>,
}

impl Depthwise<'_> {
    /// Writes `output`, `[pictures, output side, output side, channels]`; the work is divided among `crew` by rows.
    pub fn run(&self, isa: Isa, output: &mut [f32], crew: Option<&Crew<'_>>) {
        let row_floats = self.shape.output_side() * padded(self.shape.channels);
        for_each_chunk(crew, output, row_floats, |row, output| {
            isa.run(OutputRow { pass: self, row, output })
        });
    }
}

/// One output row.
struct OutputRow<'a, 'b> {
    pass: &'a Depthwise<'b>,
    /// Which row, counted through all pictures.
    row: usize,
    /// `[output side, channels]`.
    output: &'a mut [f32],
}

impl WithSimd for OutputRow<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pass: &Depthwise { shape, input, weight, finish }, row, output } = self;
        let (side, channels) = (shape.output_side(), padded(shape.channels));
        let picture = shape.input_side * shape.input_side * channels;
        let input = &input[row / side * picture..][..picture];
        output_row(simd, shape, input, weight, finish, row % side, output, channels);
    }
}

/// Writes output row `row` of one picture (`[side, side, channels]`), pixels `to_stride` floats apart.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // The convolution, its operands, and where the result goes.
pub fn output_row<S: Simd>(
    simd: S,
    shape: Shape,
    picture: &[f32],
    weight: &[f32],
    finish: Finish<'_>,
    row: usize,
    to: &mut [f32],
    to_stride: usize,
) {
    let Shape { kernel, stride, padding, input_side, .. } = shape;
    let side = shape.output_side();
    // Columns that all filter columns fall within the picture at; the others are at the edges.
    let first = padding.div_ceil(stride).min(side);
    let end = ((input_side + padding + stride).saturating_sub(kernel) / stride).clamp(first, side);
    // Stretches of columns that meet the same filter columns: each column at an edge, and all between.
    let mut column = 0;
    while column < side {
        let stretch = if column == first && first < end { first..end } else { column..column + 1 };
        column = stretch.end;
        let to = &mut to[stretch.start * to_stride..];
        columns(simd, shape, picture, weight, finish, row, stretch, to, to_stride);
    }
}

/// The output's `columns`, which all meet the same filter columns. A function and no closure: a closure would be
/// compiled apart, without the instruction set.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
fn columns<S: Simd>(
    simd: S,
    shape: Shape,
    picture: &[f32],
    weight: &[f32],
    finish: Finish<'_>,
    row: usize,
    columns: Range<usize>,
    to: &mut [f32],
    to_stride: usize,
) {
    let Shape { kernel, stride, padding, input_side, .. } = shape;
    let channels = padded(shape.channels);
    let mut taps = [Tap { weight: &[], pixels: &[] }; MAXIMUM_TAPS];
    let mut count = 0;
    for y in 0..kernel {
        let from_row = (row * stride + y).wrapping_sub(padding);
        for x in 0..kernel {
            let from_column = (columns.start * stride + x).wrapping_sub(padding);
            // Before the picture the subtraction wraps to something huge.
            if from_row < input_side && from_column < input_side {
                taps[count] = Tap {
                    weight: &weight[(y * kernel + x) * channels..],
                    pixels: &picture[(from_row * input_side + from_column) * channels..],
                };
                count += 1;
            }
        }
    }
    let (taps, step) = (&taps[..count], stride * channels);
    sum_taps(simd, taps, step, columns.len(), channels, to, to_stride, false, Some(finish));
}
