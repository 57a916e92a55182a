//! The products in tiles of AMX, which Sapphire Rapids and later ones have: an instruction multiplies 16 rows of 16 pairs by
//! 16 pairs of 16 columns. Measured there: 512 multiply-adds a cycle, where AVX512_BF16 does no more than float32's 32.
//!
//! Two by two tiles of the result walk down the depth together, so that each tile that is loaded is used twice. With a block of
//! 96 rows of 512 channels in L2 that is 1350 GFLOP/s a core, of 2380 without any loads; asking for the next tiles or the
//! result's lines ahead, tiles packed one behind the other, and half of the depth at a time were all slower.
//!
//! The compiler's own functions for it are not stable, so that the loops are written in assembly. The compiler itself never
//! uses a register of AMX.

use super::cpu::LANES;
use super::{TILE, Tiled};
use crate::kernels::product::tile::To;
use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, __m512i, _mm512_loadu_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// The proof that this processor has AMX, and that the system lets this process use it.
#[derive(Debug, Clone, Copy)]
pub struct Amx(());

impl Amx {
    /// Asks the processor, and then the system, which gives the registers' room to whom asks for it. Once a process.
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        let found = *FOUND.get_or_init(|| {
            const BF16: u32 = 1 << 22;
            const TILES: u32 = 1 << 24;
            // From the kernel's asm/prctl.h and the processor's list of what it saves.
            const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
            const TILE_DATA: libc::c_long = 18;
            let features = __cpuid_count(7, 0).edx;
            // SAFETY: this call of the system takes two numbers, and changes nothing but what the process may use. A system
            // that doesn't know it answers with an error.
            features & BF16 != 0
                && features & TILES != 0
                && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
        });
        found.then_some(Self(()))
    }

    /// The registers, for one pass.
    pub fn begin(self) -> Registers {
        Registers { rows: Cell::new(0), of_this_thread: PhantomData }
    }

    /// Turns groups of [`TILE`] pairs, each `[pair][row]`, into `[row][pair]`, as tiles have them.
    ///
    /// # Safety
    /// `at` is readable and writable for `groups * TILE * TILE` floats.
    pub unsafe fn turn(self, at: *mut f32, groups: usize) {
        // SAFETY: the caller's promise; who has AMX has AVX-512.
        unsafe { turn(at, groups) }
    }
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Configuration {
    /// All eight registers have rows of 64 bytes: those of the right operand 16, those of the result and of the left operand
    /// so many.
    const fn new(rows: u8) -> Self {
        let mut all = [0; 16];
        let mut register = 0;
        while register < 8 {
            all[register] = if register < FIRST_OF_RIGHT { rows } else { TILE as u8 };
            register += 1;
        }
        let mut row_bytes = [0; 16];
        let mut register = 0;
        while register < 8 {
            row_bytes[register] = 64;
            register += 1;
        }
        Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows: all }
    }
}

/// From this register on they hold the right operand: `tmm6` and `tmm7`.
const FIRST_OF_RIGHT: usize = 6;

/// For 1 to [`TILE`] rows.
static CONFIGURATIONS: [Configuration; TILE] = {
    let mut all = [const { Configuration::new(0) }; TILE];
    let mut rows = 1;
    while rows <= TILE {
        all[rows - 1] = Configuration::new(rows as u8);
        rows += 1;
    }
    all
};

/// The registers of AMX in this thread, until they are dropped. They are there once at a time.
#[derive(Debug)]
pub struct Registers {
    /// The rows for which their shapes are set; 0 before.
    rows: Cell<usize>,
    of_this_thread: PhantomData<*const ()>,
}

impl Registers {
    /// Products of tiles, as [`super::cpu::tiles`] has them, without what `to` has to be done at the end. Rows that fill no
    /// tile are multiplied by the same instruction, in tiles of fewer rows: AVX512_BF16 adds in another order, and how many
    /// rows come together may depend on the number of threads.
    ///
    /// # Safety
    /// `pairs` is a multiple of [`TILE`] and not 0, `panel_width` is [`TILE`] or twice that. `left` is readable for
    /// rows x pairs, `right` for pairs x `panel_width`, `to` writable for rows x `panel_width`.
    pub unsafe fn tiles(
        &self,
        rows: usize,
        panel_width: usize,
        pairs: usize,
        left: Tiled,
        right: *const f32,
        to: To<'_>,
    ) {
        let (whole, rest) = (rows / TILE, rows % TILE);
        // SAFETY: the caller's promise: each tile lies in the rows. `self` proves the instructions, and the registers' shapes
        // are those of the rows.
        unsafe {
            let block = |tile: usize| Block {
                left: left.at.add(tile * left.tile),
                left_row_bytes: left.row * size_of::<f32>(),
                left_step_bytes: left.step * size_of::<f32>(),
                left_tile_bytes: left.tile * size_of::<f32>(),
                right,
                right_row_bytes: panel_width * size_of::<f32>(),
                steps: pairs / TILE,
                to: to.at.add(tile * TILE * to.row),
                to_row_bytes: to.row * size_of::<f32>(),
                add: to.add,
            };
            let wide = panel_width == 2 * TILE;
            for tile in (0..whole).step_by(2) {
                self.shape(TILE);
                match (tile + 1 < whole, wide) {
                    (true, true) => block(tile).two_by_two(),
                    (false, true) => block(tile).one_by_two(),
                    (true, false) => block(tile).two_by_one(),
                    (false, false) => block(tile).one_by_one(),
                }
            }
            if rest > 0 {
                self.shape(rest);
                if wide { block(whole).one_by_two() } else { block(whole).one_by_one() }
            }
        }
    }

    /// Sets the registers' shapes for so many rows, at most [`TILE`], unless they are.
    fn shape(&self, rows: usize) {
        if self.rows.replace(rows) != rows {
            let configuration = &raw const CONFIGURATIONS[rows - 1];
            // SAFETY: `self` proves the instruction, which reads the configuration and changes registers of AMX alone.
            unsafe { asm!("ldtilecfg [{}]", in(reg) configuration, options(nostack, preserves_flags)) };
        }
    }
}

impl Drop for Registers {
    /// Gives the registers back, which the system need not save then.
    fn drop(&mut self) {
        // SAFETY: `self` proves the instruction, and only registers of AMX change.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// Up to 2 x 2 tiles of the result, which stay in registers down the whole depth.
struct Block {
    left: *const f32,
    left_row_bytes: usize,
    left_step_bytes: usize,
    left_tile_bytes: usize,
    right: *const f32,
    right_row_bytes: usize,
    steps: usize,
    to: *mut f32,
    to_row_bytes: usize,
    add: bool,
}

macro_rules! kernel {
    ($name:ident, zero $zero:tt, load $load:tt, multiply $multiply:tt, store $store:tt) => {
        kernel!(@ $name $zero $load $multiply $store);
    };
    (@ $name:ident [$($zero:literal)*] [$($load:literal)*] [$($multiply:literal)*] [$($store:literal)*]) => {
        /// # Safety
        /// The registers are configured; the operands are readable for whole tiles of their shapes, the result is writable.
        #[inline(always)]
        unsafe fn $name(&self) {
            // SAFETY: the caller's promise. Registers of AMX are not the compiler's.
            unsafe {
                asm!(
                    "test {add:e}, {add:e}",
                    "jnz 2f",
                    $($zero,)*
                    "jmp 3f",
                    "2:",
                    $($load,)*
                    "3:",
                    $($multiply,)*
                    "add {left}, {left_step}",
                    "add {second_left}, {left_step}",
                    "add {right}, {right_step}",
                    "dec {steps}",
                    "jnz 3b",
                    $($store,)*
                    "/* {second_to} */",
                    add = in(reg) u32::from(self.add),
                    left = inout(reg) self.left => _,
                    second_left = inout(reg) self.left.wrapping_byte_add(self.left_tile_bytes) => _,
                    left_row = in(reg) self.left_row_bytes,
                    left_step = in(reg) self.left_step_bytes,
                    right = inout(reg) self.right => _,
                    right_row = in(reg) self.right_row_bytes,
                    right_step = in(reg) TILE * self.right_row_bytes,
                    steps = inout(reg) self.steps => _,
                    to = in(reg) self.to,
                    second_to = in(reg) self.to.wrapping_byte_add(TILE * self.to_row_bytes),
                    to_row = in(reg) self.to_row_bytes,
                    options(nostack),
                );
            }
        }
    };
}

impl Block {
    kernel!(
        two_by_two,
        zero ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
        load [
            "tileloadd tmm0, [{to} + {to_row}*1]"
            "tileloadd tmm1, [{to} + {to_row}*1 + 64]"
            "tileloadd tmm2, [{second_to} + {to_row}*1]"
            "tileloadd tmm3, [{second_to} + {to_row}*1 + 64]"
        ],
        multiply [
            "tileloadd tmm4, [{left} + {left_row}*1]"
            "tileloadd tmm6, [{right} + {right_row}*1]"
            "tdpbf16ps tmm0, tmm4, tmm6"
            "tileloadd tmm7, [{right} + {right_row}*1 + 64]"
            "tdpbf16ps tmm1, tmm4, tmm7"
            "tileloadd tmm5, [{second_left} + {left_row}*1]"
            "tdpbf16ps tmm2, tmm5, tmm6"
            "tdpbf16ps tmm3, tmm5, tmm7"
        ],
        store [
            "tilestored [{to} + {to_row}*1], tmm0"
            "tilestored [{to} + {to_row}*1 + 64], tmm1"
            "tilestored [{second_to} + {to_row}*1], tmm2"
            "tilestored [{second_to} + {to_row}*1 + 64], tmm3"
        ]
    );
    kernel!(
        one_by_two,
        zero ["tilezero tmm0" "tilezero tmm1"],
        load ["tileloadd tmm0, [{to} + {to_row}*1]" "tileloadd tmm1, [{to} + {to_row}*1 + 64]"],
        multiply [
            "tileloadd tmm4, [{left} + {left_row}*1]"
            "tileloadd tmm6, [{right} + {right_row}*1]"
            "tdpbf16ps tmm0, tmm4, tmm6"
            "tileloadd tmm7, [{right} + {right_row}*1 + 64]"
            "tdpbf16ps tmm1, tmm4, tmm7"
        ],
        store ["tilestored [{to} + {to_row}*1], tmm0" "tilestored [{to} + {to_row}*1 + 64], tmm1"]
    );
    kernel!(
        two_by_one,
        zero ["tilezero tmm0" "tilezero tmm2"],
        load ["tileloadd tmm0, [{to} + {to_row}*1]" "tileloadd tmm2, [{second_to} + {to_row}*1]"],
        multiply [
            "tileloadd tmm4, [{left} + {left_row}*1]"
            "tileloadd tmm6, [{right} + {right_row}*1]"
            "tdpbf16ps tmm0, tmm4, tmm6"
            "tileloadd tmm5, [{second_left} + {left_row}*1]"
            "tdpbf16ps tmm2, tmm5, tmm6"
        ],
        store ["tilestored [{to} + {to_row}*1], tmm0" "tilestored [{second_to} + {to_row}*1], tmm2"]
    );
    kernel!(
        one_by_one,
        zero ["tilezero tmm0"],
        load ["tileloadd tmm0, [{to} + {to_row}*1]"],
        multiply [
            "tileloadd tmm4, [{left} + {left_row}*1]"
            "tileloadd tmm6, [{right} + {right_row}*1]"
            "tdpbf16ps tmm0, tmm4, tmm6"
        ],
        store ["tilestored [{to} + {to_row}*1], tmm0"]
    );
}

/// Turns squares of 16 x 16 floats, one after the other.
///
/// # Safety
/// The processor has AVX-512; `at` is readable and writable for `squares * 256` floats.
#[target_feature(enable = "avx512f")]
unsafe fn turn(at: *mut f32, squares: usize) {
    for square in 0..squares {
        // SAFETY: the caller's promise.
        unsafe {
            let at = at.add(square * TILE * TILE);
            let mut rows: [__m512i; TILE] =
                std::array::from_fn(|row| _mm512_loadu_si512(at.add(row * LANES).cast()));
            // Pairs of rows by single floats, then by two, then by four and by eight of a register.
            let mut next = rows;
            for pair in 0..TILE / 2 {
                next[2 * pair] = _mm512_unpacklo_epi32(rows[2 * pair], rows[2 * pair + 1]);
                next[2 * pair + 1] = _mm512_unpackhi_epi32(rows[2 * pair], rows[2 * pair + 1]);
            }
            for four in (0..TILE).step_by(4) {
                for half in 0..2 {
                    let (first, second) = (next[four + half], next[four + half + 2]);
                    rows[four + 2 * half] = _mm512_unpacklo_epi64(first, second);
                    rows[four + 2 * half + 1] = _mm512_unpackhi_epi64(first, second);
                }
            }
            // Each register now has column c of four rows in its lanes of four: c, c + 4, c + 8, c + 12.
            for column in 0..4 {
                let [a, b, c, d] = [rows[column], rows[4 + column], rows[8 + column], rows[12 + column]];
                let (low, high) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
                let (low_end, high_end) =
                    (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
                next[column] = _mm512_shuffle_i32x4::<0x88>(low, low_end);
                next[8 + column] = _mm512_shuffle_i32x4::<0xdd>(low, low_end);
                next[4 + column] = _mm512_shuffle_i32x4::<0x88>(high, high_end);
                next[12 + column] = _mm512_shuffle_i32x4::<0xdd>(high, high_end);
            }
            for (row, value) in next.into_iter().enumerate() {
                _mm512_storeu_si512(at.add(row * LANES).cast(), value);
            }
        }
    }
}
