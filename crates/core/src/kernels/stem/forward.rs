//! Forward pass over one part: gather a row of patches, multiply, add the bias or gather batch norm's sums.

use super::{PATCH, PICTURE_CHANNELS, Shape};
use crate::kernels::batch_norm::cpu::{Rows, sum_rows};
use crate::kernels::padded;
use crate::kernels::product::cpu::multiply;
use crate::kernels::segments::Sums;
use pulp::{Simd, WithSimd};

/// The pictures of one part.
pub struct Forward<'a> {
    /// The convolution.
    pub shape: Shape,
    /// Pictures in this part.
    pub pictures: usize,
    /// `[pictures, side, side, 3]`.
    pub input: &'a [f32],
    /// `[PATCH, outputs]`, packed in panels.
    pub weight: &'a [f32],
    /// Added to every pixel.
    pub bias: Option<&'a [f32]>,
    /// `[pictures, output side, output side, outputs]`.
    pub output: &'a mut [f32],
    /// Sums of the output and of its squares; none in evaluation.
    pub sums: Option<&'a mut Sums>,
    /// Scratch: [`PATCH`] x output side.
    pub patches: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, pictures, input, weight, bias, output, mut sums, patches } = self;
        let (channels, side) = (padded(shape.outputs), shape.output_side());
        let picture_floats = shape.input_side * shape.input_side * PICTURE_CHANNELS;
        for picture in 0..pictures {
            let input = &input[picture * picture_floats..][..picture_floats];
            for row in 0..side {
                shape.gather(input, row, patches);
                let output = &mut output[(picture * side + row) * side * channels..][..side * channels];
                multiply(simd, side, channels, PATCH, patches, PATCH, weight, output, channels);
                if let Some(bias) = bias {
                    for pixel in output.chunks_exact_mut(channels) {
                        pixel.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                    }
                }
                if let Some(sums) = sums.as_deref_mut() {
                    let output = Rows::dense(output, channels);
                    sum_rows(simd, output, side, channels, &mut sums.first, &mut sums.second);
                    sums.added(side, channels);
                }
            }
        }
        if let Some(sums) = sums {
            sums.flush(channels);
        }
    }
}
