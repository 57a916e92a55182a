//! Products of bfloat16: both operands are rounded to it (to nearest, ties to even), the sums are float32. Zen 4 and
//! Sapphire Rapids multiply twice as many of them in the time of float32.
//!
//! The instruction multiplies pairs: two values that follow each other in depth lie in the room of one float32, so that
//! everything here is as it is in float32, with half the depth. Where a buffer of floats holds pairs, it is said.

#[cfg_attr(not(target_arch = "x86_64"), path = "none.rs")]
mod cpu;
mod read;
#[cfg(test)]
mod tests;

use super::cpu::{Left, To};
use super::forward::block_stride;
use crate::kernels::CHANNEL_BLOCK;
use crate::kernels::batch_norm::cpu::curve_rows;
use crate::kernels::batch_norm::{Curve, Finish};
use crate::kernels::simd::Isa;
use pulp::Simd;
use rayon::prelude::*;
use std::ops::Range;

/// Columns of a panel: two registers.
pub const WIDTH: usize = 32;

/// Rows of a tile of the weight gradient.
pub const TILE_ROWS: usize = 8;

/// Pairs of depth that are walked before the result is stored: a panel of 256 x 32 pairs fills a 32 KB L1 cache, and is
/// still 2 to 6 % faster than half of it.
const DEPTH_BLOCK: usize = 256;

/// The proof that this processor has the instruction.
#[derive(Debug, Clone, Copy)]
pub struct Bfloat16(());

impl Bfloat16 {
    /// Beside the kernels of `isa`, which must be AVX-512; none where the processor lacks the instruction.
    pub fn of(isa: Isa) -> Option<Self> {
        (isa.name() == "avx512" && cpu::is_there()).then_some(Self(()))
    }

    /// Floats from one row of a block of pairs to the next, for so many channels: see [`block_stride`].
    pub const fn stride(channels: usize) -> usize {
        block_stride(channels / 2)
    }

    /// Rounds dense rows of `channels` floats; neighbours become pairs, in rows `to_stride` apart.
    pub fn round(self, from: &[f32], channels: usize, to: &mut [f32], to_stride: usize) {
        let rows = from.len() / channels;
        assert!(channels.is_multiple_of(CHANNEL_BLOCK));
        assert!(rows == 0 || (rows - 1) * to_stride + channels / 2 <= to.len());
        // SAFETY: `self` proves the instructions; the rest was checked just now.
        unsafe { cpu::round(from.as_ptr(), channels, to.as_mut_ptr(), to_stride, rows, channels) }
    }

    /// Rounds rows within one buffer: `channels` floats from `from` on, rows [`block_stride`] apart, become pairs from `to`
    /// on, rows [`Self::stride`] apart; `to` is not behind `from`.
    pub fn round_within(self, values: &mut [f32], from: usize, to: usize, rows: usize, channels: usize) {
        let (stride, to_stride) = (block_stride(channels), Self::stride(channels));
        assert!(channels.is_multiple_of(CHANNEL_BLOCK) && to <= from);
        assert!(rows == 0 || from + (rows - 1) * stride + channels <= values.len());
        let values = values.as_mut_ptr();
        // SAFETY: `self` proves the instructions; both places were checked just now, and rows end up closer together.
        unsafe { cpu::round(values.add(from), stride, values.add(to), to_stride, rows, channels) }
    }

    /// Rounds `rows` rows, `stride` floats apart; values of the same channel in two rows become pairs (a last odd row is
    /// paired with zeros). They go to rows `first..` of `pairs` in panels of WIDTH channels.
    #[allow(clippy::too_many_arguments)] // Two matrices, and where in the second.
    pub fn interleave<const WIDTH: usize>(
        self,
        from: &[f32],
        stride: usize,
        rows: usize,
        channels: usize,
        to: &mut [f32],
        first: usize,
        pairs: usize,
    ) {
        assert!(channels.is_multiple_of(CHANNEL_BLOCK) && WIDTH.is_multiple_of(CHANNEL_BLOCK / 2));
        assert!(rows == 0 || (rows - 1) * stride + channels <= from.len());
        assert!(first + rows.div_ceil(2) <= pairs && pairs * channels <= to.len());
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        // SAFETY: `self` proves the instructions; the rest was checked just now.
        unsafe { cpu::interleave::<WIDTH>(from, stride, rows, channels, to, first, pairs) }
    }

    /// Packs `weight`, `[outputs, inputs]`, for `input * weight^T`: panels of outputs, pairs of inputs.
    pub fn pack_transposed(self, weight: &[f32], inputs: usize, to: &mut [f32]) {
        to.par_chunks_mut(WIDTH * inputs / 2).enumerate().for_each(|(panel, to)| {
            let columns = 2 * to.len() / inputs;
            let weight = &weight[panel * WIDTH * inputs..][..columns * inputs];
            assert!(inputs.is_multiple_of(CHANNEL_BLOCK));
            // SAFETY: `self` proves the instructions; `weight` was cut to size, `to` is half of it.
            unsafe { cpu::transpose(weight.as_ptr(), columns, inputs, to.as_mut_ptr()) }
        });
    }

    /// Packs `weight`, `[outputs, inputs]`, for `gradient * weight`: panels of inputs, pairs of outputs.
    pub fn pack(self, weight: &[f32], outputs: usize, inputs: usize, to: &mut [f32]) {
        to.par_chunks_mut(WIDTH * outputs / 2).enumerate().for_each(|(panel, to)| {
            let columns = 2 * to.len() / outputs;
            let weight = &weight[panel * WIDTH..];
            self.interleave::<WIDTH>(weight, inputs, outputs, columns, to, 0, outputs / 2);
        });
    }

    /// As [`super::cpu::multiply`], with `left` in pairs, rows `left_stride` apart, and `right` packed.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // As there.
    pub fn multiply<S: Simd>(
        self,
        simd: S,
        rows: usize,
        columns: usize,
        depth: usize,
        left: &[f32],
        left_stride: usize,
        right: &[f32],
        to: &mut [f32],
        to_stride: usize,
        add: bool,
        finish: Option<Finish<'_>>,
    ) {
        assert!(rows == 0 || (rows - 1) * to_stride + columns <= to.len());
        let to = to.as_mut_ptr();
        // SAFETY: `to` was checked just now.
        unsafe {
            self.multiply_into(
                simd,
                rows,
                columns,
                depth,
                left,
                left_stride,
                right,
                to,
                to_stride,
                add,
                finish,
            );
        }
    }

    /// As [`super::cpu::multiply_into`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // As there.
    pub unsafe fn multiply_into<S: Simd>(
        self,
        simd: S,
        rows: usize,
        columns: usize,
        depth: usize,
        left: &[f32],
        left_stride: usize,
        right: &[f32],
        to: *mut f32,
        to_stride: usize,
        add: bool,
        finish: Option<Finish<'_>>,
    ) {
        if rows == 0 || columns == 0 {
            return;
        }
        let pairs = depth / 2;
        assert!(depth.is_multiple_of(2) && columns.is_multiple_of(CHANNEL_BLOCK));
        assert!((rows - 1) * left_stride + pairs <= left.len() && pairs * columns <= right.len());
        assert!(finish.is_none_or(|finish| finish.bias.len() >= columns));
        // As in float32: a longer curve is done to the rows afterwards.
        let (finish, curve) = match finish {
            Some(Finish { bias, curve: Curve::HardSwish }) => {
                (Some(Finish { bias, curve: Curve::NONE }), Some(Curve::HardSwish))
            }
            finish => (finish, None),
        };
        for start in (0..pairs).step_by(DEPTH_BLOCK) {
            let pairs_here = DEPTH_BLOCK.min(pairs - start);
            for panel in (0..columns).step_by(WIDTH) {
                let panel_width = WIDTH.min(columns - panel);
                let finish = if start + pairs_here == pairs { finish } else { None };
                let finish = finish.map(|finish| Finish { bias: &finish.bias[panel..], ..finish });
                // SAFETY: `self` proves the instructions; the panel begins at panel * pairs and is panel_width wide;
                // rows and depth were checked above.
                unsafe {
                    let right = right.as_ptr().add(panel * pairs + start * panel_width);
                    let left = Left { at: left.as_ptr().add(start), row: left_stride, step: 1 };
                    let to = To { at: to.add(panel), row: to_stride, add: add || start > 0, finish };
                    cpu::tiles(rows, panel_width, pairs_here, left, right, to);
                }
            }
        }
        if let Some(curve) = curve {
            // SAFETY: the caller's promise for `to`; the columns were checked above.
            unsafe { curve_rows(simd, to, to_stride, rows, columns, curve) }
        }
    }

    /// As [`super::cpu::multiply_tiles`], with both operands in pairs of rows: `left` in tiles of [`TILE_ROWS`], `right` in
    /// panels of [`WIDTH`] ([`Self::interleave`]).
    #[allow(clippy::too_many_arguments)] // As there.
    pub fn multiply_tiles(
        self,
        at: Range<usize>,
        columns: Range<usize>,
        pairs: usize,
        left: &[f32],
        right: &[f32],
        to: &mut [f32],
        to_stride: usize,
        add: bool,
    ) {
        assert!(at.start.is_multiple_of(TILE_ROWS) && at.end.is_multiple_of(TILE_ROWS));
        assert!(at.end * pairs <= left.len() && columns.end * pairs <= right.len());
        assert!(columns.start.is_multiple_of(WIDTH) && columns.len().is_multiple_of(CHANNEL_BLOCK));
        assert!(at.is_empty() || (at.len() - 1) * to_stride + columns.end <= to.len());
        for panel in columns.clone().step_by(WIDTH) {
            let panel_width = WIDTH.min(columns.end - panel);
            for row in at.clone().step_by(TILE_ROWS) {
                // SAFETY: `self` proves the instructions; a tile begins at row * pairs; the rest was checked above.
                unsafe {
                    let left = Left { at: left.as_ptr().add(row * pairs), row: 1, step: TILE_ROWS };
                    let to = to.as_mut_ptr().add((row - at.start) * to_stride + panel);
                    let to = To { at: to, row: to_stride, add, finish: None };
                    let right = right.as_ptr().add(panel * pairs);
                    cpu::tiles(TILE_ROWS, panel_width, pairs, left, right, to);
                }
            }
        }
    }
}
