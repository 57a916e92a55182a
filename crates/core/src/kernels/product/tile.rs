//! The micro-kernel in float32, and the tiles of a panel that it computes.

use crate::kernels::batch_norm::Finish;
use crate::kernels::batch_norm::cpu::FinishRegister;
use crate::kernels::simd::{lanes, load, multiply_add, prefetch_to_write, store};
use pulp::{Simd, WithSimd};

/// Registers side by side in a tile.
const TILE_REGISTERS: usize = 2;

/// Columns of a panel.
pub const fn width<S: Simd>() -> usize {
    TILE_REGISTERS * lanes::<S>()
}

/// Where the left operand lies: element (row, depth) at `at + row * self.row + depth * step`.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub at: *const f32,
    pub row: usize,
    pub step: usize,
}

/// Where the result goes, whether it is added to what lies there, and what is done to it then.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    pub at: *mut f32,
    pub row: usize,
    pub add: bool,
    pub finish: Option<Finish<'a>>,
}

/// Rows of a tile of the weight gradient: `left` is packed into such tiles. 8 x 2 registers of 32, or 6 x 2 of 16.
pub const fn gradient_tile_rows<S: Simd>() -> usize {
    match S::F32_LANES {
        16 => 8,
        8 => 6,
        _ => 4,
    }
}

/// Rows of a tile at most: so many that its sums, a row of the panel and a value of the left fit the registers.
const fn most_rows<S: Simd>() -> usize {
    match S::F32_LANES {
        16 => 12,
        8 => 6,
        _ => 4,
    }
}

/// One panel, in as few tiles as there can be, of rows as equal as they can be: a tile of one row reads the whole panel for a
/// twelfth of the sums.
///
/// # Safety
/// `left` is readable for rows x depth, `right` for depth x panel width, `to` writable for rows x panel width.
#[inline(always)]
pub(super) unsafe fn tiles<S: Simd>(
    simd: S,
    rows: usize,
    panel_width: usize,
    depth: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
) {
    let most = most_rows::<S>();
    let tiles = rows.div_ceil(most);
    if rows.is_multiple_of(most) {
        // As in blocks of 96 rows. In the caller itself, such tiles take 1 % less of a training step than in a function.
        match S::F32_LANES {
            16 => Tiles::<12> { count: tiles, panel_width, depth, left, right, to }.with_simd(simd),
            8 => Tiles::<6> { count: tiles, panel_width, depth, left, right, to }.with_simd(simd),
            _ => Tiles::<4> { count: tiles, panel_width, depth, left, right, to }.with_simd(simd),
        }
        return;
    }
    let (low, higher) = (rows / tiles, rows % tiles);
    let mut row = 0;
    for (count, tile_rows) in [(higher, low + 1), (tiles - higher, low)] {
        if count == 0 {
            continue;
        }
        // SAFETY: the caller's promise; the rows of all tiles together are `rows`.
        let (left, to) = unsafe {
            let left = Left { at: left.at.add(row * left.row), ..left };
            (left, To { at: to.at.add(row * to.row), ..to })
        };
        macro_rules! of_rows {
            ($($rows:literal)*) => {
                match tile_rows {
                    $($rows if $rows <= most_rows::<S>() => {
                        simd.vectorize(Tiles::<$rows> { count, panel_width, depth, left, right, to });
                    })*
                    _ => unreachable!("a tile has one row or more, and not more than fit the registers"),
                }
            };
        }
        of_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
        row += count * tile_rows;
    }
}

/// So many tiles of ROWS rows, one below the other, which [`tiles`] has checked. A function of its own, so that the compiler
/// keeps the sums of each in registers: with tiles of all heights in one function it doesn't (2.6 times the time).
struct Tiles<'a, const ROWS: usize> {
    count: usize,
    panel_width: usize,
    depth: usize,
    left: Left,
    right: *const f32,
    to: To<'a>,
}

impl<const ROWS: usize> WithSimd for Tiles<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { count, panel_width, depth, left, right, to } = self;
        for index in 0..count {
            // SAFETY: what `tiles` was promised, of whose rows these are some.
            unsafe {
                let left = Left { at: left.at.add(index * ROWS * left.row), ..left };
                let to = To { at: to.at.add(index * ROWS * to.row), ..to };
                if panel_width == width::<S>() {
                    tile::<S, ROWS, TILE_REGISTERS>(simd, depth, left, right, panel_width, to);
                    continue;
                }
                // Narrower: the columns are a multiple of one register, so a panel has one or all.
                for register in 0..panel_width / lanes::<S>() {
                    let column = register * lanes::<S>();
                    let finish = to.finish.map(|finish| Finish { bias: &finish.bias[column..], ..finish });
                    let to = To { at: to.at.add(column), finish, ..to };
                    tile::<S, ROWS, 1>(simd, depth, left, right.add(column), panel_width, to);
                }
            }
        }
    }
}

/// A tile of the weight gradient, of [`gradient_tile_rows`] rows or, at the end, fewer. Its depth is often a block of 96, for
/// which calling a function would cost 4 % of its time.
///
/// # Safety
/// As for [`tiles`].
#[inline(always)]
pub(super) unsafe fn gradient_tile<S: Simd>(
    simd: S,
    rows: usize,
    panel_width: usize,
    depth: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
) {
    match (S::F32_LANES, rows) {
        (16, 8) => Tiles::<8> { count: 1, panel_width, depth, left, right, to }.with_simd(simd),
        (8, 6) => Tiles::<6> { count: 1, panel_width, depth, left, right, to }.with_simd(simd),
        (4, 4) => Tiles::<4> { count: 1, panel_width, depth, left, right, to }.with_simd(simd),
        // SAFETY: the caller's promise.
        _ => unsafe { tiles(simd, rows, panel_width, depth, left, right, to) },
    }
}

/// The micro-kernel: ROWS x (COLUMNS registers) of the result stay in registers.
///
/// # Safety
/// As for [`tiles`], with ROWS rows and COLUMNS registers of the panel.
#[inline(always)]
unsafe fn tile<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    depth: usize,
    left: Left,
    right: *const f32,
    panel_width: usize,
    to: To<'_>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        // The result's lines lie in an outer cache or in memory; they arrive while the depth is walked.
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                prefetch_to_write(to.at.add(row * to.row + column * lanes::<S>()));
            }
        }
        let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
        let mut right_at = right;
        // The left operand's rows in threes, whose addresses are a register and a multiple of another one.
        let mut left_at: [*const f32; 4] =
            std::array::from_fn(|three| left.at.wrapping_add(3 * three * left.row));
        for _ in 0..depth {
            let mut columns = [simd.splat_f32s(0.0); COLUMNS];
            for (column, value) in columns.iter_mut().enumerate() {
                *value = load::<S>(right_at.add(column * lanes::<S>()));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = simd.splat_f32s(*left_at[row / 3].add(row % 3 * left.row));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = multiply_add(simd, value, column, *sum);
                }
            }
            for left_at in &mut left_at {
                *left_at = opaque(left_at.wrapping_add(left.step));
            }
            right_at = right_at.add(panel_width);
        }
        for column in 0..COLUMNS {
            let channel = column * lanes::<S>();
            let finish = FinishRegister::load(simd, to.finish, channel);
            for (row, sums) in sums.iter().enumerate() {
                let to_at = to.at.add(row * to.row + channel);
                let sum = if to.add { simd.add_f32s(load::<S>(to_at), sums[column]) } else { sums[column] };
                store::<S>(to_at, finish.apply_cut(simd, sum));
            }
        }
    }
}

/// The pointer itself. The compiler doesn't know that: otherwise it computes each row's address from the one before it, and
/// such a chain of additions, from step to step, takes as long as the products themselves.
#[inline(always)]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(unused_mut))]
fn opaque(mut pointer: *const f32) -> *const f32 {
    // SAFETY: no instruction at all.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    unsafe {
        std::arch::asm!("/* {} */", inout(reg) pointer, options(pure, readonly, nostack, preserves_flags));
    }
    pointer
}
