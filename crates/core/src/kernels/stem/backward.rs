//! Backward pass over one part: batch norm's gradient on load, and the weight gradient.

use super::{PATCH, PICTURE_CHANNELS, Shape};
use crate::kernels::batch_norm::cpu::{Rows, gradient_rows};
use crate::kernels::batch_norm::{Affine, Gradient};
use crate::kernels::padded;
use crate::kernels::product::cpu::multiply_tiles;
use crate::kernels::product::pack::{pack, pack_tiles};
use crate::kernels::product::tile::width;
use pulp::{Simd, WithSimd};

/// The pictures of one part.
pub struct Backward<'a> {
    /// The convolution.
    pub shape: Shape,
    /// Pictures in this part.
    pub pictures: usize,
    /// `[pictures, side, side, 3]`.
    pub input: &'a [f32],
    /// The stored output map.
    pub output: &'a [f32],
    /// How the output was read.
    pub output_affine: &'a Affine,
    /// How the output's gradient follows from `gradient`.
    pub output_gradient: &'a Gradient,
    /// The gradient of what was read from the output.
    pub gradient: &'a [f32],
    /// `[PATCH, outputs]`: written.
    pub weight_gradient: &'a mut [f32],
    /// Scratch: [`PATCH`] x output side.
    pub patches: &'a mut [f32],
    /// Scratch: a row of the output.
    pub gradient_row: &'a mut [f32],
    /// Scratch: a row of the output.
    pub panels: &'a mut [f32],
    /// Scratch: [`PATCH`] x output side.
    pub tiles: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, patches, gradient_row, panels, tiles, weight_gradient, .. } = self;
        let (channels, side) = (padded(shape.outputs), shape.output_side());
        let picture_floats = shape.input_side * shape.input_side * PICTURE_CHANNELS;
        weight_gradient[..PATCH * channels].fill(0.0);
        for picture in 0..self.pictures {
            let input = &self.input[picture * picture_floats..][..picture_floats];
            for row in 0..side {
                let at = (picture * side + row) * side * channels;
                let g = Rows::dense(&self.gradient[at..], channels);
                let y = Rows::dense(&self.output[at..], channels);
                let (affine, gradient) = (self.output_affine, self.output_gradient);
                gradient_rows(simd, g, y, gradient_row, channels, side, channels, affine, gradient);
                pack(gradient_row, side, channels, width::<S>(), panels);
                shape.gather(input, row, patches);
                pack_tiles::<S>(PATCH, side, patches, PATCH, tiles);
                let to = &mut *weight_gradient;
                multiply_tiles(simd, None, 0..PATCH, 0..channels, side, tiles, panels, to, channels, true);
            }
        }
    }
}
