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

use super::forward::block_stride;
use super::tile::{Left, To};
use crate::kernels::CHANNEL_BLOCK;
use crate::kernels::simd::Isa;
use rayon::prelude::*;

/// Columns of a panel: two registers.
pub const WIDTH: usize = 32;

/// Rows of a tile of the weight gradient.
pub const TILE_ROWS: usize = 8;

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

    /// Tiles of one panel, as [`super::tile`] has them; `pairs` is their depth.
    ///
    /// # Safety
    /// `left` is readable for rows x pairs, `right` for pairs x `panel_width` (one or two registers of AVX-512), `to`
    /// writable for rows x `panel_width`, and its bias readable for as many; its curve is a cut.
    pub(super) unsafe fn tiles(
        self,
        rows: usize,
        panel_width: usize,
        pairs: usize,
        left: Left,
        right: *const f32,
        to: To<'_>,
    ) {
        // SAFETY: `self` proves the instructions; the rest is the caller's promise.
        unsafe { cpu::tiles(rows, panel_width, pairs, left, right, to) }
    }
}
