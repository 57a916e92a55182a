//! The row kernels: a sum of taps (forward, and each phase of the input gradient), and the weight gradient of a row.

use crate::kernels::batch_norm::Finish;
use crate::kernels::batch_norm::cpu::FinishRegister;
use crate::kernels::simd::{lanes, load, multiply_add, store};
use pulp::Simd;

/// One filter tap: a weight a channel, and the pixel that it meets at the row's first output.
#[derive(Clone, Copy)]
pub struct Tap<'a> {
    /// `[channels]`.
    pub weight: &'a [f32],
    /// From that pixel on.
    pub pixels: &'a [f32],
}

/// Taps of a filter at most: 5 x 5.
pub const MAXIMUM_TAPS: usize = 25;

/// `to[i] = sum over taps of weight * pixels[i * step]`, for `count` output pixels `to_step` floats apart. With `add`
/// the sum is added to what lies there. `finish` is done to the result.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Taps, two geometries and the end.
pub fn sum_taps<S: Simd>(
    simd: S,
    taps: &[Tap<'_>],
    step: usize,
    count: usize,
    channels: usize,
    to: &mut [f32],
    to_step: usize,
    add: bool,
    finish: Option<Finish<'_>>,
) {
    if count == 0 {
        return;
    }
    assert!((count - 1) * to_step + channels <= to.len() && channels.is_multiple_of(lanes::<S>()));
    assert!(finish.is_none_or(|finish| finish.bias.len() >= channels));
    for tap in taps {
        assert!(tap.weight.len() >= channels && (count - 1) * step + channels <= tap.pixels.len());
    }
    // SAFETY: all sizes were checked above.
    unsafe {
        match taps.len() {
            // The counts that 3x3 filters have: 9 whole, 6 and 4 at a picture's edges, 1, 2 and 4 by the phases of stride
            // 2. Their weights stay in registers. Longer filters (5x5) read them from the cache again.
            9 => few::<S, 9>(simd, taps, step, count, channels, to, to_step, add, finish),
            6 => few::<S, 6>(simd, taps, step, count, channels, to, to_step, add, finish),
            4 => few::<S, 4>(simd, taps, step, count, channels, to, to_step, add, finish),
            2 => few::<S, 2>(simd, taps, step, count, channels, to, to_step, add, finish),
            1 => few::<S, 1>(simd, taps, step, count, channels, to, to_step, add, finish),
            _ => many(simd, taps, step, count, channels, to, to_step, add, finish),
        }
    }
}

/// # Safety
/// `taps` has T entries and all sizes are as [`sum_taps`] checks them.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
unsafe fn few<S: Simd, const T: usize>(
    simd: S,
    taps: &[Tap<'_>],
    step: usize,
    count: usize,
    channels: usize,
    to: &mut [f32],
    to_step: usize,
    add: bool,
    finish: Option<Finish<'_>>,
) {
    for channel in (0..channels).step_by(lanes::<S>()) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut weight = [simd.splat_f32s(0.0); T];
            let mut pixel = [std::ptr::null::<f32>(); T];
            for t in 0..T {
                weight[t] = load::<S>(taps[t].weight.as_ptr().add(channel));
                pixel[t] = taps[t].pixels.as_ptr().add(channel);
            }
            let to = to.as_mut_ptr().add(channel);
            let finish = FinishRegister::load(simd, finish, channel);
            for i in 0..count {
                // Two chains, because one multiply-add waits four cycles for the one before it.
                let mut even = simd.mul_f32s(weight[0], load::<S>(pixel[0].add(i * step)));
                let mut odd = simd.splat_f32s(0.0);
                for t in 1..T {
                    let value = load::<S>(pixel[t].add(i * step));
                    if t % 2 == 0 {
                        even = multiply_add(simd, weight[t], value, even);
                    } else {
                        odd = multiply_add(simd, weight[t], value, odd);
                    }
                }
                let mut sum = simd.add_f32s(even, odd);
                if add {
                    sum = simd.add_f32s(load::<S>(to.add(i * to_step)), sum);
                }
                store::<S>(to.add(i * to_step), finish.apply(simd, sum));
            }
        }
    }
}

/// # Safety
/// All sizes are as [`sum_taps`] checks them.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
unsafe fn many<S: Simd>(
    simd: S,
    taps: &[Tap<'_>],
    step: usize,
    count: usize,
    channels: usize,
    to: &mut [f32],
    to_step: usize,
    add: bool,
    finish: Option<Finish<'_>>,
) {
    for channel in (0..channels).step_by(lanes::<S>()) {
        for i in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let (mut even, mut odd) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
                for (t, tap) in taps.iter().enumerate() {
                    let weight = load::<S>(tap.weight.as_ptr().add(channel));
                    let value = load::<S>(tap.pixels.as_ptr().add(i * step + channel));
                    if t % 2 == 0 {
                        even = multiply_add(simd, weight, value, even);
                    } else {
                        odd = multiply_add(simd, weight, value, odd);
                    }
                }
                let finish = FinishRegister::load(simd, finish, channel);
                let to = to.as_mut_ptr().add(i * to_step + channel);
                let mut sum = simd.add_f32s(even, odd);
                if add {
                    sum = simd.add_f32s(load::<S>(to), sum);
                }
                store::<S>(to, finish.apply(simd, sum));
            }
        }
    }
}

/// Adds one row's share to the weight gradient: `weight_gradient[k] += sum over i of gradient[i] * row[i * step + k]`
/// for the K taps of one filter row. `stride` is the floats from one pixel to the next in both rows.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Two rows with their geometry.
pub fn add_weight_gradient<S: Simd>(
    simd: S,
    kernel: usize,
    row: &[f32],
    gradient: &[f32],
    stride: usize,
    step: usize,
    count: usize,
    channels: usize,
    weight_gradient: &mut [f32],
) {
    if count == 0 {
        return;
    }
    assert!((count - 1) * step + (kernel - 1) * stride + channels <= row.len());
    assert!((count - 1) * stride + channels <= gradient.len() && channels.is_multiple_of(lanes::<S>()));
    assert!(weight_gradient.len() >= kernel * channels);
    // SAFETY: all sizes were checked above.
    unsafe {
        match kernel {
            3 => filter_row::<S, 3>(simd, row, gradient, stride, step, count, channels, weight_gradient),
            5 => filter_row::<S, 5>(simd, row, gradient, stride, step, count, channels, weight_gradient),
            _ => unreachable!("a depthwise filter is 3x3 or 5x5"),
        }
    }
}

/// # Safety
/// All sizes are as [`add_weight_gradient`] checks them.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
unsafe fn filter_row<S: Simd, const K: usize>(
    simd: S,
    row: &[f32],
    gradient: &[f32],
    stride: usize,
    step: usize,
    count: usize,
    channels: usize,
    weight_gradient: &mut [f32],
) {
    for channel in (0..channels).step_by(lanes::<S>()) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [simd.splat_f32s(0.0); K];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = load::<S>(weight_gradient.as_ptr().add(k * channels + channel));
            }
            let (row, gradient) = (row.as_ptr().add(channel), gradient.as_ptr().add(channel));
            for i in 0..count {
                let g = load::<S>(gradient.add(i * stride));
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = multiply_add(simd, g, load::<S>(row.add(i * step + k * stride)), *sum);
                }
            }
            for (k, sum) in sums.iter().enumerate() {
                store::<S>(weight_gradient.as_mut_ptr().add(k * channels + channel), *sum);
            }
        }
    }
}
