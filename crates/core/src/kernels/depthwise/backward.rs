//! Backward pass over one part: batch norm's gradient on load into a ring, weight gradient, input gradient, and the
//! sums that the layer before needs for its own batch norm.

use super::Shape;
use super::cpu::{MAXIMUM_TAPS, Tap, add_weight_gradient, sum_taps};
use super::forward::InputRing;
use crate::kernels::batch_norm::cpu::{Rows, gradient_rows, sum_gradient_rows};
use crate::kernels::batch_norm::{Affine, Gradient};
use crate::kernels::padded;
use crate::kernels::segments::Sums;
use pulp::{Simd, WithSimd};

/// The pictures of one part.
pub struct Backward<'a> {
    /// The convolution.
    pub shape: Shape,
    /// Pictures in this part.
    pub pictures: usize,
    /// The layer's stored input map, and how it was read.
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
    /// `[K, K, channels]`.
    pub weight: &'a [f32],
    /// The gradient of what was read from the input: written, or added to what lies there.
    pub input_gradient: &'a mut [f32],
    /// Whether it is added.
    pub accumulate: bool,
    /// `[K, K, channels]`: written.
    pub weight_gradient: &'a mut [f32],
    /// Sums for the input's batch norm.
    pub sums: &'a mut Sums,
    /// K rows of [`Shape::input_ring_row`].
    pub ring: &'a mut [f32],
    /// K rows of [`Shape::gradient_ring_row`].
    pub gradient_ring: &'a mut [f32],
    /// Zeros.
    pub zeros: &'a [f32],
}

/// K rows of the output's gradient, of which row `r` lies at `r % K`; the border on either side is zero.
struct GradientRing<'a> {
    ring: &'a mut [f32],
    zeros: &'a [f32],
    shape: Shape,
}

impl GradientRing<'_> {
    #[inline(always)]
    fn row(&self, row: isize) -> &[f32] {
        let floats = self.shape.gradient_ring_row();
        if row < 0 || row >= self.shape.output_side() as isize {
            return &self.zeros[..floats];
        }
        &self.ring[(row as usize % self.shape.kernel) * floats..][..floats]
    }

    /// Writes row `row` of the input gradient, or adds to it: for each phase of the columns, the taps that fall on an output.
    #[inline(always)]
    fn input_gradient_row<S: Simd>(&self, simd: S, row: usize, weight: &[f32], to: &mut [f32], add: bool) {
        let Shape { kernel, stride, padding, input_side, .. } = self.shape;
        let (channels, pixel) = (padded(self.shape.channels), self.shape.ring_stride());
        for phase in 0..stride.min(input_side) {
            let mut taps = [Tap { weight: &[], pixels: &[] }; MAXIMUM_TAPS];
            let mut count = 0;
            // Input row i meets filter row y at output row (i + padding - y) / stride, if that is whole.
            for y in (0..kernel).filter(|y| (row + padding + kernel - y) % stride == kernel % stride) {
                let pixels = self.row(exact_quotient(row + padding, y, stride));
                for x in (0..kernel).filter(|x| (phase + padding + kernel - x) % stride == kernel % stride) {
                    let column = exact_quotient(phase + padding, x, stride);
                    let from = (column + self.shape.gradient_border() as isize) as usize * pixel;
                    taps[count] =
                        Tap { weight: &weight[(y * kernel + x) * channels..], pixels: &pixels[from..] };
                    count += 1;
                }
            }
            let columns = (input_side - phase).div_ceil(stride);
            sum_taps(
                simd,
                &taps[..count],
                pixel,
                columns,
                channels,
                &mut to[phase * channels..],
                stride * channels,
                add,
                None,
            );
        }
    }
}

/// `(position - tap) / stride`, which is whole.
#[inline(always)]
fn exact_quotient(position: usize, tap: usize, stride: usize) -> isize {
    (position as isize - tap as isize) / stride as isize
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let Shape { kernel, stride, padding, input_side, .. } = shape;
        let (channels, side, pixel) = (padded(shape.channels), shape.output_side(), shape.ring_stride());
        let border = shape.gradient_border() * pixel;
        self.weight_gradient[..kernel * kernel * channels].fill(0.0);
        self.gradient_ring[..kernel * shape.gradient_ring_row()].fill(0.0);
        let mut inputs = InputRing::new(self.ring, self.zeros, shape);
        let gradients = GradientRing { ring: self.gradient_ring, zeros: self.zeros, shape };
        for picture in 0..self.pictures {
            let input = &self.input[picture * input_side * input_side * channels..];
            let input_gradient = &mut self.input_gradient[picture * input_side * input_side * channels..];
            inputs.restart();
            let mut written = 0;
            for row in 0..side {
                let top = (row * stride) as isize - padding as isize;
                inputs.load_until(simd, (top + kernel as isize).max(0) as usize, input, self.input_affine);

                let at = (picture * side + row) * side * channels;
                let to = (row % kernel) * shape.gradient_ring_row() + border;
                let g = Rows::dense(&self.gradient[at..], channels);
                let y = Rows::dense(&self.output[at..], channels);
                let to = &mut gradients.ring[to..];
                let (affine, gradient) = (self.output_affine, self.output_gradient);
                gradient_rows(simd, g, y, to, pixel, side, channels, affine, gradient);

                for y in 0..kernel {
                    let (row_values, g) =
                        (inputs.row(top + y as isize), &gradients.row(row as isize)[border..]);
                    let to = &mut self.weight_gradient[y * kernel * channels..];
                    add_weight_gradient(
                        simd,
                        kernel,
                        row_values,
                        g,
                        pixel,
                        stride * pixel,
                        side,
                        channels,
                        to,
                    );
                }

                // The input rows that no later output row reaches, and after the last one all that are left.
                let complete =
                    if row + 1 == side { input_side } else { ((row + 1) * stride).saturating_sub(padding) };
                for row in written..complete.min(input_side) {
                    let at = row * input_side * channels;
                    let to = &mut input_gradient[at..][..input_side * channels];
                    gradients.input_gradient_row(simd, row, self.weight, to, self.accumulate);
                    let (g, y) = (Rows::dense(to, channels), Rows::dense(&input[at..], channels));
                    let (first, second) = (&mut self.sums.first, &mut self.sums.second);
                    sum_gradient_rows(simd, g, y, input_side, channels, self.input_affine, first, second);
                    self.sums.added(input_side, channels);
                }
                written = written.max(complete.min(input_side));
            }
        }
        self.sums.flush(channels);
    }
}
