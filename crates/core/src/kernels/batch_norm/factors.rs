//! Factors a picture and channel: those of squeeze-and-excitation (Hu et al. 2017, arXiv 1709.01507), and dropout's.
//! A map is multiplied by them when it is read, behind the activation.

use super::cpu::Rows;
use super::{Affine, CurveRegisters};
use crate::kernels::simd::{lanes, load, multiply_add, store};
use pulp::Simd;

/// Factors of what is read, one a picture and channel: squeeze-and-excitation's, or dropout's.
#[derive(Debug, Clone, Copy)]
pub struct Factors<'a> {
    /// `[pictures, channels]`, from the picture on that the first row belongs to.
    pub values: &'a [f32],
    /// Rows of a picture.
    pub pixels: usize,
    /// Rows of that picture before the first one.
    pub skipped: usize,
}

impl<'a> Factors<'a> {
    /// From row `row` on.
    pub fn from_row(self, row: usize) -> Self {
        Self { skipped: self.skipped + row, ..self }
    }

    /// Those of row `row`.
    #[inline(always)]
    pub fn of_row(&self, row: usize, channels: usize) -> &'a [f32] {
        &self.values[(self.skipped + row) / self.pixels * channels..][..channels]
    }
}

/// `rows *= factors`.
#[inline(always)]
pub fn scale_rows<S: Simd>(simd: S, rows: &mut [f32], count: usize, channels: usize, factors: Factors<'_>) {
    assert!(count * channels <= rows.len() && channels.is_multiple_of(lanes::<S>()));
    for row in 0..count {
        let factors = factors.of_row(row, channels);
        for channel in (0..channels).step_by(lanes::<S>()) {
            // SAFETY: row < count and channel + lanes <= channels: within what was checked above.
            unsafe {
                let at = rows.as_mut_ptr().add(row * channels + channel);
                let factor = load::<S>(factors.as_ptr().add(channel));
                store::<S>(at, simd.mul_f32s(load::<S>(at), factor));
            }
        }
    }
}

/// `gradient[picture] += sum over the picture's rows of h * curve(scale * y + shift)`: the factors' gradient from that of
/// the multiplied rows. `factors` says which picture a row belongs to; `gradient` lies as its values do.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Two operands, how to read one, and where to add.
pub fn add_factors_gradient<S: Simd>(
    simd: S,
    h: Rows<'_>,
    y: Rows<'_>,
    rows: usize,
    channels: usize,
    affine: &Affine,
    factors: Factors<'_>,
    gradient: &mut [f32],
) {
    h.check(rows, channels);
    y.check(rows, channels);
    assert!(affine.scale.len() >= channels && affine.shift.len() >= channels);
    assert!(channels.is_multiple_of(lanes::<S>()));
    let curve = CurveRegisters::new(simd, affine.curve);
    let mut row = 0;
    while row < rows {
        let picture = (factors.skipped + row) / factors.pixels;
        let end = rows.min((picture + 1) * factors.pixels - factors.skipped);
        let to = &mut gradient[picture * channels..][..channels];
        for channel in (0..channels).step_by(lanes::<S>()) {
            // SAFETY: the rows are below `rows` and channel + lanes <= channels: within what was checked above.
            unsafe {
                let scale = load::<S>(affine.scale.as_ptr().add(channel));
                let shift = load::<S>(affine.shift.as_ptr().add(channel));
                let mut sum = simd.splat_f32s(0.0);
                for row in row..end {
                    let y = load::<S>(y.values.as_ptr().add(row * y.stride + channel));
                    let h = load::<S>(h.values.as_ptr().add(row * h.stride + channel));
                    sum = multiply_add(simd, h, curve.at(simd, multiply_add(simd, y, scale, shift)), sum);
                }
                // Of these rows alone, which are a block at most: a chain over all pixels of a large picture loses digits.
                let to = to.as_mut_ptr().add(channel);
                store::<S>(to, simd.add_f32s(load::<S>(to), sum));
            }
        }
        row = end;
    }
}
