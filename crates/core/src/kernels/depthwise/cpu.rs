//! The row kernels: a sum of taps (forward, and each phase of the input gradient), and the weight gradient of a row.

use crate::kernels::batch_norm::Finish;
use crate::kernels::batch_norm::cpu::FinishRegister;
use crate::kernels::simd::{lanes, load, multiply_add, prefetch, store};
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
            9 if !add && finish.is_some() && slides::<S>(taps, step) => {
                slide(simd, taps, step, count, channels, to, to_step, finish);
            }
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

/// Whether each filter row's taps lie a step apart, as at stride 1, so that an output shares two of three columns with the one
/// before it. Only AVX-512 has the registers for it.
#[inline(always)]
fn slides<S: Simd>(taps: &[Tap<'_>], step: usize) -> bool {
    let apart = |pair: &[Tap<'_>]| pair[1].pixels.as_ptr() == pair[0].pixels.as_ptr().wrapping_add(step);
    lanes::<S>() == 16 && taps.chunks_exact(3).all(|row| row.windows(2).all(apart))
}

/// [`few`] for a 3x3 filter that [`slides`], in inference: each column is loaded once and stays in registers for three outputs.
/// The additions are the same, in the same order. From L1, an output takes 2.4 ns instead of 3.5. (In training, where rows are
/// in the cache and maps wait for memory, it gains nothing.)
///
/// # Safety
/// `taps` has nine entries, which slide, and all sizes are as [`sum_taps`] checks them.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
unsafe fn slide<S: Simd>(
    simd: S,
    taps: &[Tap<'_>],
    step: usize,
    count: usize,
    channels: usize,
    to: &mut [f32],
    to_step: usize,
    finish: Option<Finish<'_>>,
) {
    for channel in (0..channels).step_by(lanes::<S>()) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut weight = [simd.splat_f32s(0.0); 9];
            for (weight, tap) in weight.iter_mut().zip(taps) {
                *weight = load::<S>(tap.weight.as_ptr().add(channel));
            }
            let rows = [0, 3, 6].map(|first| taps[first].pixels.as_ptr().add(channel));
            // The map's row below, which the next output row will read from an outer cache or from memory.
            let below = rows[2].wrapping_offset(rows[2].offset_from(rows[1]));
            let to = to.as_mut_ptr().add(channel);
            let finish = FinishRegister::load(simd, finish, channel);
            let mut columns = [[simd.splat_f32s(0.0); 3]; 3];
            for (column, values) in columns.iter_mut().enumerate().take(2) {
                for (value, row) in values.iter_mut().zip(rows) {
                    *value = load::<S>(row.add(column * step));
                }
            }
            for i in 0..count {
                for (value, row) in columns[2].iter_mut().zip(rows) {
                    *value = load::<S>(row.add((i + 2) * step));
                }
                prefetch(below.wrapping_add((i + 2) * step));
                // Two chains, because one multiply-add waits four cycles for the one before it.
                let mut even = simd.mul_f32s(weight[0], columns[0][0]);
                let mut odd = simd.mul_f32s(weight[1], columns[1][0]);
                for t in 2..9 {
                    let sum = if t % 2 == 0 { &mut even } else { &mut odd };
                    *sum = multiply_add(simd, weight[t], columns[t % 3][t / 3], *sum);
                }
                let sum = simd.add_f32s(even, odd);
                store::<S>(to.add(i * to_step), finish.apply(simd, sum));
                columns = [columns[1], columns[2], columns[2]];
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
    let block = Block { taps, step, to: to.as_mut_ptr(), to_step, add, finish };
    // SAFETY: the caller's promise; no block reaches beyond the channels or the outputs.
    unsafe {
        if count == 1 {
            // An output at a picture's edge has its taps to itself.
            let several = TOGETHER * lanes::<S>();
            let whole = channels / several * several;
            for channel in (0..whole).step_by(several) {
                block.run::<S, TOGETHER, 1>(simd, channel, 0);
            }
            for channel in (whole..channels).step_by(lanes::<S>()) {
                block.run::<S, 1, 1>(simd, channel, 0);
            }
            return;
        }
        let whole = count / TOGETHER * TOGETHER;
        for channel in (0..channels).step_by(lanes::<S>()) {
            for i in (0..whole).step_by(TOGETHER) {
                block.run::<S, 1, TOGETHER>(simd, channel, i);
            }
            match count - whole {
                0 => {}
                1 => block.run::<S, 1, 1>(simd, channel, whole),
                2 => block.run::<S, 1, 2>(simd, channel, whole),
                3 => block.run::<S, 1, 3>(simd, channel, whole),
                _ => unreachable!("fewer than TOGETHER are left"),
            }
        }
    }
}

/// Sums that a tap is loaded for once, those of outputs side by side or of registers of one output: a sum alone takes four
/// loads for each multiply-add, of which a core does two a cycle, and waits four cycles for the one before it.
const TOGETHER: usize = 4;

/// What the blocks of a row have in common, as [`sum_taps`] is given it.
struct Block<'a> {
    taps: &'a [Tap<'a>],
    step: usize,
    to: *mut f32,
    to_step: usize,
    add: bool,
    finish: Option<Finish<'a>>,
}

impl Block<'_> {
    /// R registers from `channel` on of N outputs from `i` on.
    ///
    /// # Safety
    /// These channels and outputs are among those that [`sum_taps`] has checked.
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize, const N: usize>(&self, simd: S, channel: usize, i: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut even = [[simd.splat_f32s(0.0); N]; R];
            let mut odd = even;
            let (pairs, rest) = self.taps.as_chunks::<2>();
            for [first, second] in pairs {
                self.add_tap(simd, first, channel, i, &mut even);
                self.add_tap(simd, second, channel, i, &mut odd);
            }
            if let [last] = rest {
                self.add_tap(simd, last, channel, i, &mut even);
            }
            for r in 0..R {
                let channel = channel + r * lanes::<S>();
                let finish = FinishRegister::load(simd, self.finish, channel);
                for n in 0..N {
                    let to = self.to.add((i + n) * self.to_step + channel);
                    let mut sum = simd.add_f32s(even[r][n], odd[r][n]);
                    if self.add {
                        sum = simd.add_f32s(load::<S>(to), sum);
                    }
                    store::<S>(to, finish.apply(simd, sum));
                }
            }
        }
    }

    /// Adds a tap's products.
    ///
    /// # Safety
    /// As for [`Self::run`].
    #[inline(always)]
    unsafe fn add_tap<S: Simd, const R: usize, const N: usize>(
        &self,
        simd: S,
        tap: &Tap<'_>,
        channel: usize,
        i: usize,
        sums: &mut [[S::f32s; N]; R],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let weight = tap.weight.as_ptr().add(channel);
            let pixels = tap.pixels.as_ptr().add(i * self.step + channel);
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = load::<S>(weight.add(r * lanes::<S>()));
                for (n, sum) in sums.iter_mut().enumerate() {
                    let value = load::<S>(pixels.add(n * self.step + r * lanes::<S>()));
                    *sum = multiply_add(simd, weight, value, *sum);
                }
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
