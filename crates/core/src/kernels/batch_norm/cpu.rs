//! The row kernels: each handles `rows` pixels of `channels` (padded) channels; a pixel follows the one before it
//! at a distance of `stride` floats, given for each operand because rings and blocks are wider than maps.

use super::{Affine, Curve, CurveRegisters, Factors, Finish, Gradient};
use crate::kernels::simd::{lanes, load, multiply_add, store};
use pulp::Simd;

/// Pixels to read: where they begin and how far apart they are.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// From the first pixel on.
    pub values: &'a [f32],
    /// Floats from one pixel to the next.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// Pixels that follow each other without a gap.
    pub fn dense(values: &'a [f32], channels: usize) -> Self {
        Self { values, stride: channels }
    }

    /// From row `row` on.
    pub fn from_row(self, row: usize) -> Self {
        Self { values: &self.values[row * self.stride..], ..self }
    }

    /// Panics unless `rows` pixels of `channels` channels lie within.
    #[inline(always)]
    pub(in crate::kernels) fn check(&self, rows: usize, channels: usize) {
        assert!(rows == 0 || (rows - 1) * self.stride + channels <= self.values.len());
    }
}

/// `to = curve(scale * from + shift)`, times the factors if there are any.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Two operands with their strides, and how to read.
pub fn normalize_rows<S: Simd>(
    simd: S,
    from: Rows<'_>,
    to: &mut [f32],
    to_stride: usize,
    rows: usize,
    channels: usize,
    affine: &Affine,
    factors: Option<Factors<'_>>,
) {
    from.check(rows, channels);
    Rows { values: to, stride: to_stride }.check(rows, channels);
    assert!(
        affine.scale.len() >= channels
            && affine.shift.len() >= channels
            && channels.is_multiple_of(lanes::<S>())
    );
    let curve = CurveRegisters::new(simd, affine.curve);
    for row in 0..rows {
        let factors = factors.map(|factors| factors.of_row(row, channels));
        for channel in (0..channels).step_by(lanes::<S>()) {
            // SAFETY: row < rows and channel + lanes <= channels: within what was checked above.
            unsafe {
                let scale = load::<S>(affine.scale.as_ptr().add(channel));
                let shift = load::<S>(affine.shift.as_ptr().add(channel));
                let y = load::<S>(from.values.as_ptr().add(row * from.stride + channel));
                let mut value = curve.at(simd, multiply_add(simd, y, scale, shift));
                if let Some(factors) = factors {
                    value = simd.mul_f32s(value, load::<S>(factors.as_ptr().add(channel)));
                }
                store::<S>(to.as_mut_ptr().add(row * to_stride + channel), value);
            }
        }
    }
}

/// Like [`normalize_rows`], into panels of `width` channels: `to[channel / width][row][channel % width]`, as a
/// product's right operand lies. The last panel is narrower when `channels` is no multiple of `width`.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As for it.
pub fn normalize_panels<S: Simd>(
    simd: S,
    from: Rows<'_>,
    to: &mut [f32],
    width: usize,
    rows: usize,
    channels: usize,
    affine: &Affine,
    factors: Option<Factors<'_>>,
) {
    from.check(rows, channels);
    assert!(rows * channels <= to.len() && width.is_multiple_of(lanes::<S>()));
    assert!(
        affine.scale.len() >= channels
            && affine.shift.len() >= channels
            && channels.is_multiple_of(lanes::<S>())
    );
    let curve = CurveRegisters::new(simd, affine.curve);
    for row in 0..rows {
        let factors = factors.map(|factors| factors.of_row(row, channels));
        for panel in (0..channels).step_by(width) {
            let panel_width = width.min(channels - panel);
            for lane in (0..panel_width).step_by(lanes::<S>()) {
                let channel = panel + lane;
                // SAFETY: channel + lanes <= channels; a panel begins at rows * panel and holds rows * panel_width.
                unsafe {
                    let scale = load::<S>(affine.scale.as_ptr().add(channel));
                    let shift = load::<S>(affine.shift.as_ptr().add(channel));
                    let y = load::<S>(from.values.as_ptr().add(row * from.stride + channel));
                    let mut value = curve.at(simd, multiply_add(simd, y, scale, shift));
                    if let Some(factors) = factors {
                        value = simd.mul_f32s(value, load::<S>(factors.as_ptr().add(channel)));
                    }
                    let at = rows * panel + row * panel_width + lane;
                    store::<S>(to.as_mut_ptr().add(at), value);
                }
            }
        }
    }
}

/// `to = scale * g * m + slope * y + offset`: the gradient of a stored map from the gradient `g` of what was read.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Three operands with their strides, and the two sets of factors.
pub fn gradient_rows<S: Simd>(
    simd: S,
    g: Rows<'_>,
    y: Rows<'_>,
    to: &mut [f32],
    to_stride: usize,
    rows: usize,
    channels: usize,
    affine: &Affine,
    gradient: &Gradient,
) {
    g.check(rows, channels);
    y.check(rows, channels);
    Rows { values: to, stride: to_stride }.check(rows, channels);
    assert!(
        affine.scale.len() >= channels
            && affine.shift.len() >= channels
            && channels.is_multiple_of(lanes::<S>())
    );
    assert!(gradient.slope.len() >= channels && gradient.offset.len() >= channels);
    let curve = CurveRegisters::new(simd, affine.curve);
    for row in 0..rows {
        for channel in (0..channels).step_by(lanes::<S>()) {
            // SAFETY: row < rows and channel + lanes <= channels: within what was checked above.
            unsafe {
                let scale = load::<S>(affine.scale.as_ptr().add(channel));
                let shift = load::<S>(affine.shift.as_ptr().add(channel));
                let slope = load::<S>(gradient.slope.as_ptr().add(channel));
                let offset = load::<S>(gradient.offset.as_ptr().add(channel));
                let y = load::<S>(y.values.as_ptr().add(row * y.stride + channel));
                let g = load::<S>(g.values.as_ptr().add(row * g.stride + channel));
                let g = curve.times_slope(simd, g, multiply_add(simd, y, scale, shift));
                let value = multiply_add(simd, g, scale, multiply_add(simd, y, slope, offset));
                store::<S>(to.as_mut_ptr().add(row * to_stride + channel), value);
            }
        }
    }
}

/// `first += y`, `second += y * y`: what [`super::moments`] needs.
#[inline(always)]
pub fn sum_rows<S: Simd>(
    simd: S,
    y: Rows<'_>,
    rows: usize,
    channels: usize,
    first: &mut [f32],
    second: &mut [f32],
) {
    y.check(rows, channels);
    assert!(first.len() >= channels && second.len() >= channels && channels.is_multiple_of(lanes::<S>()));
    for channel in (0..channels).step_by(lanes::<S>()) {
        // SAFETY: row < rows and channel + lanes <= channels: within what was checked above.
        unsafe {
            let mut sum = load::<S>(first.as_ptr().add(channel));
            let mut squares = load::<S>(second.as_ptr().add(channel));
            for row in 0..rows {
                let y = load::<S>(y.values.as_ptr().add(row * y.stride + channel));
                sum = simd.add_f32s(sum, y);
                squares = multiply_add(simd, y, y, squares);
            }
            store::<S>(first.as_mut_ptr().add(channel), sum);
            store::<S>(second.as_mut_ptr().add(channel), squares);
        }
    }
}

/// `first += g m`, `second += g m (y - mean)`: what [`Gradient::set`] needs.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Two operands with their strides, and the two sums.
pub fn sum_gradient_rows<S: Simd>(
    simd: S,
    g: Rows<'_>,
    y: Rows<'_>,
    rows: usize,
    channels: usize,
    affine: &Affine,
    first: &mut [f32],
    second: &mut [f32],
) {
    g.check(rows, channels);
    y.check(rows, channels);
    assert!(first.len() >= channels && second.len() >= channels && channels.is_multiple_of(lanes::<S>()));
    assert!(
        affine.scale.len() >= channels && affine.shift.len() >= channels && affine.mean.len() >= channels
    );
    let curve = CurveRegisters::new(simd, affine.curve);
    for channel in (0..channels).step_by(lanes::<S>()) {
        // SAFETY: row < rows and channel + lanes <= channels: within what was checked above.
        unsafe {
            let scale = load::<S>(affine.scale.as_ptr().add(channel));
            let shift = load::<S>(affine.shift.as_ptr().add(channel));
            let mean = load::<S>(affine.mean.as_ptr().add(channel));
            let mut sum = load::<S>(first.as_ptr().add(channel));
            let mut products = load::<S>(second.as_ptr().add(channel));
            for row in 0..rows {
                let y = load::<S>(y.values.as_ptr().add(row * y.stride + channel));
                let g = load::<S>(g.values.as_ptr().add(row * g.stride + channel));
                let g = curve.times_slope(simd, g, multiply_add(simd, y, scale, shift));
                sum = simd.add_f32s(sum, g);
                products = multiply_add(simd, g, simd.sub_f32s(y, mean), products);
            }
            store::<S>(first.as_mut_ptr().add(channel), sum);
            store::<S>(second.as_mut_ptr().add(channel), products);
        }
    }
}

/// `rows = curve(rows)`, rows `stride` floats apart.
///
/// # Safety
/// `rows` must be writable for `channels` floats every `stride` floats, `count` times; `channels` is a multiple of
/// [`lanes`].
#[inline(always)]
pub unsafe fn curve_rows<S: Simd>(
    simd: S,
    rows: *mut f32,
    stride: usize,
    count: usize,
    channels: usize,
    curve: Curve,
) {
    let curve = CurveRegisters::new(simd, curve);
    for row in 0..count {
        for channel in (0..channels).step_by(lanes::<S>()) {
            // SAFETY: the caller's promise.
            unsafe {
                let at = rows.add(row * stride + channel);
                store::<S>(at, curve.at(simd, load::<S>(at)));
            }
        }
    }
}

/// [`super::Finish`] for one register's channels, or nothing.
#[derive(Clone, Copy)]
pub struct FinishRegister<S: Simd> {
    factors: Option<(S::f32s, CurveRegisters<S>)>,
}

impl<S: Simd> FinishRegister<S> {
    /// For the channels from `channel` on.
    ///
    /// # Safety
    /// The bias must hold [`lanes`] floats from there on.
    #[inline(always)]
    pub unsafe fn load(simd: S, finish: Option<Finish<'_>>, channel: usize) -> Self {
        let Some(Finish { bias, curve }) = finish else { return Self { factors: None } };
        // SAFETY: the caller's promise.
        let bias = unsafe { load::<S>(bias.as_ptr().add(channel)) };
        Self { factors: Some((bias, CurveRegisters::new(simd, curve))) }
    }

    /// `curve(sum + bias)`.
    #[inline(always)]
    pub fn apply(self, simd: S, sum: S::f32s) -> S::f32s {
        match self.factors {
            Some((bias, curve)) => curve.at(simd, simd.add_f32s(sum, bias)),
            None => sum,
        }
    }
    /// [`Self::apply`] of a curve that cuts, and only of one: without a word of the other in it.
    #[inline(always)]
    pub fn apply_cut(self, simd: S, sum: S::f32s) -> S::f32s {
        match self.factors {
            Some((bias, curve)) => curve.cut(simd, simd.add_f32s(sum, bias)),
            None => sum,
        }
    }
}
