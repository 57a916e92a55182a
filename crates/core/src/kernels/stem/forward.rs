//! Forward pass over one part: gather a row of patches, multiply, add the bias or gather batch norm's sums.

use super::{PATCH, PICTURE_CHANNELS, Shape};
use crate::kernels::batch_norm::Finish;
use crate::kernels::batch_norm::cpu::{Rows, sum_rows};
use crate::kernels::padded;
use crate::kernels::product::cpu::multiply;
use crate::kernels::segments::Sums;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Some rows of the output.
pub struct Forward<'a> {
    /// The convolution.
    pub shape: Shape,
    /// Which rows, counted through all pictures: picture times output side plus row.
    pub rows: Range<usize>,
    /// `[pictures, side, side, 3]`: all pictures.
    pub input: &'a [f32],
    /// `[PATCH, outputs]`, packed in panels.
    pub weight: &'a [f32],
    /// Done to every pixel.
    pub finish: Option<Finish<'a>>,
    /// `[rows, output side, outputs]`.
    pub output: &'a mut [f32],
    /// Sums of the output and of its squares; none where no batch norm follows.
    pub sums: Option<&'a mut Sums>,
    /// Scratch: [`PATCH`] x output side.
    pub patches: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, rows, input, weight, finish, output, mut sums, patches } = self;
        let (channels, side) = (padded(shape.outputs), shape.output_side());
        let picture_floats = shape.input_side * shape.input_side * PICTURE_CHANNELS;
        for (row, output) in rows.zip(output.chunks_exact_mut(side * channels)) {
            let input = &input[row / side * picture_floats..][..picture_floats];
            shape.gather(input, row % side, patches);
            multiply(
                simd, None, side, channels, PATCH, patches, PATCH, weight, output, channels, false, finish,
            );
            if let Some(sums) = sums.as_deref_mut() {
                let output = Rows::dense(output, channels);
                sum_rows(simd, output, side, channels, &mut sums.first, &mut sums.second);
                sums.added(side, channels);
            }
        }
        if let Some(sums) = sums {
            sums.flush(channels);
        }
    }
}
