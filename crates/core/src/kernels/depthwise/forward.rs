//! Forward pass over one part: normalise on load into the ring, filter, store, gather the sums of the output.

use super::Shape;
use super::cpu::{MAXIMUM_TAPS, Tap, sum_taps};
use crate::kernels::batch_norm::Affine;
use crate::kernels::batch_norm::cpu::{Rows, normalize_rows, sum_rows};
use crate::kernels::padded;
use crate::kernels::segments::Sums;
use pulp::{Simd, WithSimd};

/// The pictures of one part.
pub struct Forward<'a> {
    /// The convolution.
    pub shape: Shape,
    /// Pictures in this part.
    pub pictures: usize,
    /// `[pictures, side, side, channels]`, as stored by the layer before.
    pub input: &'a [f32],
    /// How to read it.
    pub affine: &'a Affine,
    /// `[K, K, channels]`.
    pub weight: &'a [f32],
    /// `[pictures, output side, output side, channels]`.
    pub output: &'a mut [f32],
    /// Sums of the output and of its squares; none where no batch norm follows.
    pub sums: Option<&'a mut Sums>,
    /// K rows of [`Shape::input_ring_row`].
    pub ring: &'a mut [f32],
    /// Zeros.
    pub zeros: &'a [f32],
}

/// K normalised rows of the input, of which row `r` lies at `r % K`; the border on either side is zero.
pub(super) struct InputRing<'a> {
    pub ring: &'a mut [f32],
    pub zeros: &'a [f32],
    pub shape: Shape,
    loaded: usize,
}

impl<'a> InputRing<'a> {
    pub fn new(ring: &'a mut [f32], zeros: &'a [f32], shape: Shape) -> Self {
        ring[..shape.kernel * shape.input_ring_row()].fill(0.0);
        Self { ring, zeros, shape, loaded: 0 }
    }

    /// Begins a new picture.
    pub fn restart(&mut self) {
        self.loaded = 0;
    }

    /// Normalises the rows before `end` that are not in yet.
    #[inline(always)]
    pub fn load_until<S: Simd>(&mut self, simd: S, end: usize, picture: &[f32], affine: &Affine) {
        let Shape { input_side, padding, kernel, .. } = self.shape;
        let (channels, stride) = (padded(self.shape.channels), self.shape.ring_stride());
        let row_floats = self.shape.input_ring_row();
        while self.loaded < end.min(input_side) {
            let from = Rows::dense(&picture[self.loaded * input_side * channels..], channels);
            let at = (self.loaded % kernel) * row_floats + padding * stride;
            normalize_rows(simd, from, &mut self.ring[at..], stride, input_side, channels, affine, None);
            self.loaded += 1;
        }
    }

    /// Row `row`, border included; zeros outside of the picture.
    #[inline(always)]
    pub fn row(&self, row: isize) -> &[f32] {
        if row < 0 || row >= self.shape.input_side as isize {
            return &self.zeros[..self.shape.input_ring_row()];
        }
        let floats = self.shape.input_ring_row();
        &self.ring[(row as usize % self.shape.kernel) * floats..][..floats]
    }
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, pictures, input, affine, weight, output, mut sums, ring, zeros } = self;
        let Shape { kernel, stride, padding, input_side, .. } = shape;
        let (channels, side, pixel) = (padded(shape.channels), shape.output_side(), shape.ring_stride());
        let mut ring = InputRing::new(ring, zeros, shape);
        for picture in 0..pictures {
            let input = &input[picture * input_side * input_side * channels..];
            ring.restart();
            for row in 0..side {
                let top = (row * stride) as isize - padding as isize;
                ring.load_until(simd, (top + kernel as isize).max(0) as usize, input, affine);
                let mut taps = [Tap { weight: &[], pixels: &[] }; MAXIMUM_TAPS];
                for y in 0..kernel {
                    let pixels = ring.row(top + y as isize);
                    for x in 0..kernel {
                        taps[y * kernel + x] = Tap {
                            weight: &weight[(y * kernel + x) * channels..],
                            pixels: &pixels[x * pixel..],
                        };
                    }
                }
                let output = &mut output[(picture * side + row) * side * channels..][..side * channels];
                let taps = &taps[..kernel * kernel];
                sum_taps(simd, taps, stride * pixel, side, channels, output, channels, false, None);
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
