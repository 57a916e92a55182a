//! The kernels with the instruction itself: rounding, packing, and the micro-kernel.

use crate::kernels::batch_norm::{Curve, Finish};
use crate::kernels::product::tile::{Left, To};
use crate::kernels::simd::prefetch;
use std::arch::x86_64::{
    __m256i, __m512, __m512bh, __m512i, _mm256_storeu_si256, _mm512_add_ps, _mm512_castsi512_si256,
    _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_extracti64x4_epi64, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_max_ps, _mm512_min_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps, _mm512_storeu_si512,
};
use std::mem::transmute;

/// Floats, or pairs, of one register.
pub const LANES: usize = 16;

/// Whether this processor has what the kernels need.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bf16")
}

/// Rounds rows of `channels` floats; neighbours become pairs. A stride is the floats from one row to the next.
///
/// # Safety
/// The processor has the instructions. Each row of `from` is readable for `channels` floats, a multiple of [`LANES`],
/// and each of `to` writable for half as many; `to`'s rows may lie in the same memory, but none behind its `from`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub unsafe fn round(
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
    rows: usize,
    channels: usize,
) {
    let whole = channels - channels % (2 * LANES);
    for row in 0..rows {
        // SAFETY: the caller's promise; a register type is plain data.
        unsafe {
            let (from, to) = (from.add(row * from_stride), to.add(row * to_stride));
            for channel in (0..whole).step_by(2 * LANES) {
                let first = _mm512_loadu_ps(from.add(channel));
                let second = _mm512_loadu_ps(from.add(channel + LANES));
                let pairs = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                _mm512_storeu_si512(to.add(channel / 2).cast(), pairs);
            }
            if whole < channels {
                let pairs = round_register(_mm512_loadu_ps(from.add(whole)));
                _mm256_storeu_si256(to.add(whole / 2).cast(), pairs);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[inline]
fn round_register(values: __m512) -> __m256i {
    // SAFETY: both are 32 bytes of plain data.
    unsafe { transmute(_mm512_cvtneps_pbh(values)) }
}

/// Rounds rows of `channels` floats; values of the same channel in two rows become pairs (a last odd row is paired with
/// zeros). They go to rows `first..` of `pairs` in panels of WIDTH channels: `to[channel / WIDTH][pair][channel %
/// WIDTH]`. The last panel may be narrower.
///
/// # Safety
/// The processor has the instructions. `channels` is a multiple of [`LANES`], WIDTH of half of it; the rows, `stride`
/// floats apart, are readable for `channels`, and `to` writable for `pairs * channels`; `first + rows / 2`, rounded up,
/// is at most `pairs`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
#[allow(clippy::too_many_arguments)] // Two matrices, and where in the second.
pub unsafe fn interleave<const WIDTH: usize>(
    from: *const f32,
    stride: usize,
    rows: usize,
    channels: usize,
    to: *mut f32,
    first: usize,
    pairs: usize,
) {
    const HALF: usize = LANES / 2;
    /// The even row's values lie in the lower half, the odd row's in the upper one.
    const ORDER: [u16; 2 * LANES] = {
        let mut order = [0; 2 * LANES];
        let mut at = 0;
        while at < LANES {
            order[2 * at] = at as u16;
            order[2 * at + 1] = (LANES + at) as u16;
            at += 1;
        }
        order
    };
    // SAFETY: the caller's promise; a panel begins at its first channel times `pairs`.
    unsafe {
        let order = _mm512_loadu_si512(ORDER.as_ptr().cast());
        for row in (0..rows).step_by(2) {
            let (pair, even) = (first + row / 2, from.add(row * stride));
            for channel in (0..channels).step_by(LANES) {
                let odd = if row + 1 < rows {
                    _mm512_loadu_ps(even.add(stride + channel))
                } else {
                    _mm512_setzero_ps()
                };
                let rounded = _mm512_cvtne2ps_pbh(odd, _mm512_loadu_ps(even.add(channel)));
                let rounded = _mm512_permutexvar_epi16(order, transmute::<__m512bh, __m512i>(rounded));
                let low = _mm512_castsi512_si256(rounded);
                let high = _mm512_extracti64x4_epi64::<1>(rounded);
                for (channel, value) in [(channel, low), (channel + HALF, high)] {
                    let panel = channel / WIDTH * WIDTH;
                    let at = pairs * panel + pair * WIDTH.min(channels - panel) + channel - panel;
                    _mm256_storeu_si256(to.add(at).cast(), value);
                }
            }
        }
    }
}

/// One panel of a weight's rows: `[columns, depth]` becomes pairs `[depth / 2][columns]`.
///
/// # Safety
/// The processor has the instructions. `depth` is a multiple of [`LANES`]; `from` is readable for `columns * depth`
/// floats, `to` writable for half as many.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub unsafe fn transpose(from: *const f32, columns: usize, depth: usize, to: *mut f32) {
    // SAFETY: the caller's promise; a register type is plain data.
    unsafe {
        for start in (0..depth).step_by(LANES) {
            for column in 0..columns {
                let pairs = round_register(_mm512_loadu_ps(from.add(column * depth + start)));
                let pairs = transmute::<__m256i, [f32; LANES / 2]>(pairs);
                for (step, pair) in pairs.into_iter().enumerate() {
                    *to.add((start / 2 + step) * columns + column) = pair;
                }
            }
        }
    }
}

/// Tiles of one panel, as [`crate::kernels::product::tile`] has them.
///
/// # Safety
/// The processor has the instructions. `left` is readable for rows x pairs, `right` for pairs x `panel_width` (one or
/// two registers), `to` writable for rows x `panel_width`, and its bias readable for as many; its curve is a cut.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub unsafe fn tiles(
    rows: usize,
    panel_width: usize,
    pairs: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
) {
    let mut row = 0;
    macro_rules! tall {
        ($rows:literal) => {{
            // SAFETY: the caller's promise; `row` never passes `rows`.
            unsafe {
                let left = Left { at: left.at.add(row * left.row), ..left };
                let to = To { at: to.at.add(row * to.row), ..to };
                if panel_width == 2 * LANES {
                    tile::<$rows, 2>(pairs, left, right, to);
                } else {
                    tile::<$rows, 1>(pairs, left, right, to);
                }
            }
            row += $rows;
        }};
    }
    while rows - row >= 12 && rows - row != 16 {
        tall!(12);
    }
    while rows - row >= 8 {
        tall!(8);
    }
    while rows - row >= 4 {
        tall!(4);
    }
    while rows - row >= 1 {
        tall!(1);
    }
}

/// The micro-kernel: ROWS x (COLUMNS registers) of the result stay in registers.
///
/// # Safety
/// As for [`tiles`], with ROWS rows and a panel of COLUMNS registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn tile<const ROWS: usize, const COLUMNS: usize>(
    pairs: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
) {
    // SAFETY: the caller's promise; a register type is plain data.
    unsafe {
        // The result's lines lie in an outer cache or in memory; they arrive while the depth is walked.
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                prefetch(to.at.add(row * to.row + column * LANES));
            }
        }
        let mut sums = [[_mm512_setzero_ps(); COLUMNS]; ROWS];
        let (mut left_at, mut right_at) = (left.at, right);
        for _ in 0..pairs {
            let mut columns = [_mm512_setzero_si512(); COLUMNS];
            for (column, value) in columns.iter_mut().enumerate() {
                *value = _mm512_loadu_si512(right_at.add(column * LANES).cast());
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_epi32(left_at.add(row * left.row).cast::<i32>().read());
                let value = transmute::<__m512i, __m512bh>(value);
                for (sum, column) in sums.iter_mut().zip(columns) {
                    let column = transmute::<__m512i, __m512bh>(column);
                    *sum = _mm512_dpbf16_ps(*sum, value, column);
                }
            }
            left_at = left_at.add(left.step);
            right_at = right_at.add(COLUMNS * LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (column, sum) in sums.iter().enumerate() {
                let to_at = to.at.add(row * to.row + column * LANES);
                let sum = if to.add { _mm512_add_ps(_mm512_loadu_ps(to_at), *sum) } else { *sum };
                _mm512_storeu_ps(to_at, sum);
            }
        }
        if to.finish.is_some() {
            finish(ROWS, COLUMNS * LANES, to);
        }
    }
}

/// Bias and bounds of a tile that was just stored. In its registers it would make the micro-kernel so long that the
/// compiler keeps the sums in memory (2.4 times the time).
///
/// # Safety
/// As for [`tiles`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn finish(rows: usize, panel_width: usize, to: To<'_>) {
    let Some(Finish { bias, curve: Curve::Cut { low, high } }) = to.finish else { return };
    let (low, high) = (_mm512_set1_ps(low), _mm512_set1_ps(high));
    for column in (0..panel_width).step_by(LANES) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = _mm512_loadu_ps(bias.as_ptr().add(column));
            for row in 0..rows {
                let at = to.at.add(row * to.row + column);
                let sum = _mm512_add_ps(_mm512_loadu_ps(at), bias);
                // The value stands second, where x86 keeps a NaN, so that a diverged run shows as one.
                _mm512_storeu_ps(at, _mm512_min_ps(high, _mm512_max_ps(low, sum)));
            }
        }
    }
}

/// Dense rows of a panel to where they go, or added to what lies there, with bias and bounds, as in [`finish`].
/// One function for both made products without AMX 4 % slower.
///
/// # Safety
/// As for [`tiles`]; `from` is readable for rows x `panel_width`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub unsafe fn finish_from(from: *const f32, rows: usize, panel_width: usize, finish: Finish<'_>, to: To<'_>) {
    let Finish { bias, curve: Curve::Cut { low, high } } = finish else { return };
    let (low, high) = (_mm512_set1_ps(low), _mm512_set1_ps(high));
    for column in (0..panel_width).step_by(LANES) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = _mm512_loadu_ps(bias.as_ptr().add(column));
            for row in 0..rows {
                let at = to.at.add(row * to.row + column);
                let mut sum = _mm512_loadu_ps(from.add(row * panel_width + column));
                if to.add {
                    sum = _mm512_add_ps(_mm512_loadu_ps(at), sum);
                }
                let sum = _mm512_add_ps(sum, bias);
                // The value stands second, where x86 keeps a NaN, so that a diverged run shows as one.
                _mm512_storeu_ps(at, _mm512_min_ps(high, _mm512_max_ps(low, sum)));
            }
        }
    }
}
