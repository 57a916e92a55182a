//! The mean over the rows of one picture.

use crate::kernels::CHANNEL_BLOCK;
use crate::kernels::batch_norm::cpu::Rows;
use crate::kernels::batch_norm::{Affine, CurveRegisters};
use crate::kernels::simd::{lanes, load, multiply_add, store};
use pulp::Simd;
use std::ops::Range;

/// `to = mean over the rows of curve(scale * from + shift)`: in float32 over [`MEAN_ROWS`] rows, and in float64 beyond.
#[inline(always)]
pub(super) fn mean_rows<S: Simd>(
    simd: S,
    from: Rows<'_>,
    rows: usize,
    channels: usize,
    affine: &Affine,
    to: &mut [f32],
) {
    from.check(rows, channels);
    assert!(to.len() >= channels && channels.is_multiple_of(lanes::<S>()));
    assert!(affine.scale.len() >= channels && affine.shift.len() >= channels);
    let several = MEANS * lanes::<S>();
    let whole = channels / several * several;
    // SAFETY: channel and the registers' lanes <= channels, which were checked above with the rows.
    unsafe {
        for channel in (0..whole).step_by(several) {
            means::<S, MEANS>(simd, from, rows, channel, affine, to);
        }
        for channel in (whole..channels).step_by(lanes::<S>()) {
            means::<S, 1>(simd, from, rows, channel, affine, to);
        }
    }
}

/// Registers of means that are summed side by side: one sum alone waits four cycles for every row, and reads one line of
/// the cache of each.
const MEANS: usize = 4;

/// Rows that are summed in float32: a chain of so many additions is off by a few units in the last place, one over a map of
/// 256x256 pixels by more than a hundred. Maps of up to 8x8 pixels are a single chain.
const MEAN_ROWS: usize = 64;

/// N registers of means.
///
/// # Safety
/// From `channel` on there are N registers of channels in `from`'s rows, in `affine` and in `to`.
#[inline(always)]
unsafe fn means<S: Simd, const N: usize>(
    simd: S,
    from: Rows<'_>,
    rows: usize,
    channel: usize,
    affine: &Affine,
    to: &mut [f32],
) {
    // SAFETY: the caller's promise.
    unsafe {
        if rows <= MEAN_ROWS {
            let share = simd.splat_f32s(1.0 / rows as f32);
            let sums = sums::<S, N>(simd, from, 0..rows, channel, affine);
            for (n, sum) in sums.into_iter().enumerate() {
                let to = to.as_mut_ptr().add(channel + n * lanes::<S>());
                store::<S>(to, simd.mul_f32s(sum, share));
            }
            return;
        }
        let mut part = [0.0f32; MEANS * CHANNEL_BLOCK];
        let mut totals = [0.0f64; MEANS * CHANNEL_BLOCK];
        for start in (0..rows).step_by(MEAN_ROWS) {
            let sums = sums::<S, N>(simd, from, start..rows.min(start + MEAN_ROWS), channel, affine);
            for (n, sum) in sums.into_iter().enumerate() {
                store::<S>(part.as_mut_ptr().add(n * lanes::<S>()), sum);
            }
            for lane in 0..N * lanes::<S>() {
                totals[lane] += f64::from(part[lane]);
            }
        }
        for lane in 0..N * lanes::<S>() {
            to[channel + lane] = (totals[lane] / rows as f64) as f32;
        }
    }
}

/// N registers of sums over some rows.
///
/// # Safety
/// As for [`means`]; these are among its rows.
#[inline(always)]
unsafe fn sums<S: Simd, const N: usize>(
    simd: S,
    from: Rows<'_>,
    rows: Range<usize>,
    channel: usize,
    affine: &Affine,
) -> [S::f32s; N] {
    let curve = CurveRegisters::new(simd, affine.curve);
    let zero = simd.splat_f32s(0.0);
    let (mut scale, mut shift, mut sums) = ([zero; N], [zero; N], [zero; N]);
    // SAFETY: the caller's promise.
    unsafe {
        for n in 0..N {
            scale[n] = load::<S>(affine.scale.as_ptr().add(channel + n * lanes::<S>()));
            shift[n] = load::<S>(affine.shift.as_ptr().add(channel + n * lanes::<S>()));
        }
        for row in rows {
            let row = from.values.as_ptr().add(row * from.stride + channel);
            for (n, sum) in sums.iter_mut().enumerate() {
                let y = load::<S>(row.add(n * lanes::<S>()));
                *sum = simd.add_f32s(*sum, curve.at(simd, multiply_add(simd, y, scale[n], shift[n])));
            }
        }
    }
    sums
}
