//! Products of bfloat16: both operands are rounded to it (to nearest, ties to even), the sums are float32. Zen 4 and
//! Sapphire Rapids multiply twice as many of them in the time of float32.
//!
//! The instruction multiplies pairs: two values that follow each other in depth lie in the room of one float32, so that
//! everything here is as it is in float32, with half the depth. Where a buffer of floats holds pairs, it is said.
//!
//! Sapphire Rapids and later ones have AMX as well, whose instruction multiplies whole tiles; it takes the greater part of a
//! product there, and AVX512_BF16 the end of a depth that doesn't fill a tile. The two add in different orders, so which of them
//! multiplies what follows from the depth alone, never from how many rows come together: that may depend on the threads.

#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), path = "no_amx.rs")]
mod amx;
#[cfg_attr(not(target_arch = "x86_64"), path = "none.rs")]
mod cpu;
mod read;
#[cfg(test)]
mod tests;

use super::forward::block_stride;
use super::tile::{Left, To};
use crate::kernels::CHANNEL_BLOCK;
use crate::kernels::batch_norm::Finish;
use crate::kernels::simd::Isa;
use amx::{Amx, Registers};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Columns of a panel: two registers.
pub const WIDTH: usize = 32;

/// Rows, and pairs of a row, that one register of AMX holds.
const TILE: usize = 16;

/// Rows of a tile of the weight gradient: one of AMX, two of AVX-512.
pub const TILE_ROWS: usize = TILE;

/// Where a left operand in tiles lies: the pair `(row, step)` of tile `t` and step `s` at `at + t * tile + s * step + row *
/// self.row`, and `TILE` of them follow each other from there. All are floats, that is to say pairs.
#[derive(Clone, Copy)]
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), allow(dead_code))] // Only AMX reads it.
struct Tiled {
    at: *const f32,
    row: usize,
    step: usize,
    tile: usize,
}

/// The proof that this processor has the instruction.
#[derive(Debug, Clone, Copy)]
pub struct Bfloat16 {
    amx: Option<Amx>,
}

impl Bfloat16 {
    /// All that there are beside the kernels of `isa`, which must be AVX-512, the fastest first: with AMX, and without.
    pub fn all(isa: Isa) -> Vec<Self> {
        if isa.name() != "avx512" || !cpu::is_there() {
            return Vec::new();
        }
        let with_amx = Amx::find().map(|amx| Self { amx: Some(amx) });
        with_amx.into_iter().chain([Self { amx: None }]).collect()
    }

    /// The fastest of them; without AMX if [`Isa::limit`] names AVX-512.
    pub fn of(isa: Isa) -> Option<Self> {
        let limited = Isa::limit().as_deref() == Some(isa.name());
        Self::all(isa).into_iter().find(|bfloat16| !limited || bfloat16.amx.is_none())
    }

    /// `amx` or `avx512`.
    pub fn name(self) -> &'static str {
        if self.amx.is_some() { "amx" } else { "avx512" }
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

    /// Gradient tiles of `rows` rows that [`Self::interleave`] has filled, `pairs` pairs deep, into the order in which
    /// [`Products`] reads them.
    pub fn turn(self, tiles: &mut [f32], rows: usize, pairs: usize) {
        let Some(amx) = self.amx else { return };
        assert!(rows.is_multiple_of(TILE) && rows * pairs <= tiles.len());
        for tile in (0..rows).step_by(TILE) {
            // SAFETY: the tile lies within `tiles`, which was checked just now.
            unsafe { amx.turn(tiles.as_mut_ptr().add(tile * pairs), pairs / TILE) }
        }
    }

    /// Gets the processor ready for products. Not while it is: what this gives lives as long as one pass.
    pub(in crate::kernels) fn begin(self) -> Products {
        Products { amx: self.amx.map(Amx::begin) }
    }
}

/// The processor, ready for products.
#[derive(Debug)]
pub struct Products {
    amx: Option<Registers>,
}

impl Products {
    /// Tiles of one panel, as [`super::tile`] has them; `pairs` is their depth, and those of a row follow each other.
    ///
    /// # Safety
    /// `left` is readable for `readable_rows` x pairs, which are at least `rows`, `right` for pairs x `panel_width` (one or
    /// two registers of AVX-512), `to` writable for rows x `panel_width`, and its bias readable for as many; its curve is a
    /// cut.
    #[allow(clippy::too_many_arguments)] // Three matrices.
    pub(super) unsafe fn tiles(
        &self,
        rows: usize,
        readable_rows: usize,
        panel_width: usize,
        pairs: usize,
        left: Left,
        right: *const f32,
        to: To<'_>,
    ) {
        let whole_pairs = pairs - pairs % TILE;
        // SAFETY: `self` proves the instructions; the rest is the caller's promise.
        unsafe {
            let Some(amx) = self.amx.as_ref().filter(|_| whole_pairs > 0) else {
                return cpu::tiles(rows, panel_width, pairs, left, right, to);
            };
            if let (Some(finish), true) = (to.finish, whole_pairs == pairs) {
                return finished_tiles(amx, rows, readable_rows, panel_width, pairs, left, right, to, finish);
            }
            let tiled = Tiled { at: left.at, row: left.row, step: TILE, tile: TILE * left.row };
            amx.tiles(rows, panel_width, whole_pairs, tiled, right, to);
            if whole_pairs < pairs {
                let left = Left { at: left.at.add(whole_pairs), ..left };
                let right = right.add(whole_pairs * panel_width);
                cpu::tiles(rows, panel_width, pairs - whole_pairs, left, right, To { add: true, ..to });
            }
        }
    }

    /// Tiles of a weight gradient, [`TILE_ROWS`] rows each, one panel wide; `left` are `pairs` deep and follow each other.
    ///
    /// # Safety
    /// As for [`Self::tiles`]; `rows` is a multiple of [`TILE_ROWS`].
    pub(super) unsafe fn gradient_tiles(
        &self,
        rows: usize,
        panel_width: usize,
        pairs: usize,
        left: *const f32,
        right: *const f32,
        to: To<'_>,
    ) {
        let whole_pairs = if self.amx.is_some() { pairs - pairs % TILE } else { 0 };
        // SAFETY: `self` proves the instructions; the rest is the caller's promise.
        unsafe {
            if let Some(amx) = self.amx.as_ref().filter(|_| whole_pairs > 0) {
                let tiled = Tiled { at: left, row: TILE, step: TILE * TILE, tile: TILE * pairs };
                amx.tiles(rows, panel_width, whole_pairs, tiled, right, to);
            }
            if whole_pairs == pairs {
                return;
            }
            let right = right.add(whole_pairs * panel_width);
            for row in (0..rows).step_by(TILE) {
                let at = left.add(row * pairs + whole_pairs * TILE);
                let to = To { at: to.at.add(row * to.row), add: to.add || whole_pairs > 0, ..to };
                let left = Left { at, row: 1, step: TILE };
                cpu::tiles(TILE, panel_width, pairs - whole_pairs, left, right, to);
            }
        }
    }
}

/// Where AMX, which stores whole tiles and does nothing else to them, leaves two by two of a result that is to be finished: in
/// L1, from where it goes to its rows. Those may lie 4 KB apart, and few of such rows fit L1 together.
#[repr(align(64))]
#[allow(dead_code)] // Only its place is used.
struct Room([f32; 2 * TILE * WIDTH]);

/// [`Products::tiles`] with AMX, for a whole number of its tiles in depth, and with what is done at the end.
///
/// # Safety
/// As there.
#[allow(clippy::too_many_arguments)] // As there.
unsafe fn finished_tiles(
    amx: &Registers,
    rows: usize,
    readable_rows: usize,
    panel_width: usize,
    pairs: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
    finish: Finish<'_>,
) {
    let mut room = MaybeUninit::<Room>::uninit();
    let room: *mut f32 = room.as_mut_ptr().cast();
    for row in (0..rows).step_by(2 * TILE) {
        let here = (2 * TILE).min(rows - row);
        // Rows that fill no tile are multiplied together with what lies behind them, whatever that is: setting the registers
        // to fewer rows and back, panel after panel, took a tenth of a forward pass.
        let whole = here.next_multiple_of(TILE);
        let multiplied = if rows > TILE && row + whole <= readable_rows { whole } else { here };
        // SAFETY: the caller's promise; the room holds two tiles of rows, and `multiplied` of the left ones are readable.
        unsafe {
            let at = left.at.add(row * left.row);
            let tiled = Tiled { at, row: left.row, step: TILE, tile: TILE * left.row };
            let result = To { at: room, row: panel_width, add: false, finish: None };
            amx.tiles(multiplied, panel_width, pairs, tiled, right, result);
            cpu::finish_from(room, here, panel_width, finish, To { at: to.at.add(row * to.row), ..to });
        }
    }
}
