//! The micro-kernel, and the walk over a product's tiles.

use crate::kernels::batch_norm::cpu::curve_rows;
use crate::kernels::batch_norm::{Curve, Finish};
use crate::kernels::simd::{Isa, lanes, load, multiply_add, prefetch, store};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Registers side by side in a tile.
const TILE_REGISTERS: usize = 2;

/// Depth that is walked before the result is stored: a panel of 256 x 16 floats (AVX2) is half of a 32 KB L1 cache.
/// The same for every instruction set, so that AVX2 and AVX-512 give the same bits.
const DEPTH_BLOCK: usize = 256;

/// Columns of a panel.
pub const fn width<S: Simd>() -> usize {
    TILE_REGISTERS * lanes::<S>()
}

/// Columns of a panel for `isa`.
pub fn panel_width(isa: Isa) -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            width::<S>()
        }
    }
    isa.run(Width)
}

/// `to = left * right`, with `left` `[rows, depth]` (rows `left_stride` floats apart) and `right` packed, `[depth,
/// columns]`. `to`'s rows are `to_stride` apart. With `add` the result is added to what lies there. `finish` is done to
/// the result.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Three matrices with their strides.
pub fn multiply<S: Simd>(
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
    unsafe { multiply_into(simd, rows, columns, depth, left, left_stride, right, to, to_stride, add, finish) }
}

/// [`multiply`] to rows of which other threads may write other columns at the same time.
///
/// # Safety
/// `to` must be writable for `columns` floats every `to_stride` floats, `rows` times.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
pub unsafe fn multiply_into<S: Simd>(
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
    assert!((rows - 1) * left_stride + depth <= left.len() && depth * columns <= right.len());
    assert!(columns.is_multiple_of(lanes::<S>()));
    assert!(finish.is_none_or(|finish| finish.bias.len() >= columns));
    // A tile cuts its sums while they are in registers. A longer curve there makes the tile so long that the compiler
    // keeps the sums in memory (2.3 times the time), so that one is done to the rows afterwards.
    let (finish, curve) = match finish {
        Some(Finish { bias, curve: Curve::HardSwish }) => {
            (Some(Finish { bias, curve: Curve::NONE }), Some(Curve::HardSwish))
        }
        finish => (finish, None),
    };
    for start in (0..depth).step_by(DEPTH_BLOCK) {
        let depth_here = DEPTH_BLOCK.min(depth - start);
        for panel in (0..columns).step_by(width::<S>()) {
            let panel_width = width::<S>().min(columns - panel);
            // SAFETY: the panel begins at panel * depth and is panel_width wide; rows and depth were checked above.
            unsafe {
                let right = right.as_ptr().add(panel * depth + start * panel_width);
                let left = left.as_ptr().add(start);
                let left = Left { at: left, row: left_stride, step: 1 };
                let finish = if start + depth_here == depth { finish } else { None };
                let finish = finish.map(|finish| Finish { bias: &finish.bias[panel..], ..finish });
                let to = To { at: to.add(panel), row: to_stride, add: add || start > 0, finish };
                tiles(simd, rows, panel_width, depth_here, left, right, to);
            }
        }
    }
    if let Some(curve) = curve {
        // SAFETY: the caller's promise for `to`; the columns were checked above.
        unsafe { curve_rows(simd, to, to_stride, rows, columns, curve) }
    }
}

/// Rows of a tile of the weight gradient: `left` is packed into such tiles. 8 x 2 registers of 32, or 6 x 2 of 16.
pub const fn gradient_tile_rows<S: Simd>() -> usize {
    match S::F32_LANES {
        16 => 8,
        8 => 6,
        _ => 4,
    }
}

/// Rows `at` of `left^T * right`, with `left` `[depth, rows]` in tiles ([`super::pack::pack_tiles`]) and `right` in panels, `[depth,
/// columns]`, set or added to the rows of `to`, `[rows of at, columns]`, dense. `at` begins at a tile.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Three matrices.
pub fn multiply_tiles<S: Simd>(
    simd: S,
    at: Range<usize>,
    columns: Range<usize>,
    depth: usize,
    tiles_of_left: &[f32],
    right: &[f32],
    to: &mut [f32],
    to_stride: usize,
    add: bool,
) {
    let tile = gradient_tile_rows::<S>();
    assert!(at.start.is_multiple_of(tile) && at.end * depth <= tiles_of_left.len());
    assert!(columns.start.is_multiple_of(width::<S>()) && columns.end * depth <= right.len());
    assert!(columns.len().is_multiple_of(lanes::<S>()));
    assert!(at.is_empty() || (at.len() - 1) * to_stride + columns.end <= to.len());
    for panel in columns.clone().step_by(width::<S>()) {
        let panel_width = width::<S>().min(columns.end - panel);
        for row in at.clone().step_by(tile) {
            let tile_rows = tile.min(at.end - row);
            // SAFETY: a tile begins at row * depth and holds tile_rows * depth floats; the rest was checked above.
            unsafe {
                let left = Left { at: tiles_of_left.as_ptr().add(row * depth), row: 1, step: tile_rows };
                let to = to.as_mut_ptr().add((row - at.start) * to_stride + panel);
                let to = To { at: to, row: to_stride, add, finish: None };
                tiles(simd, tile_rows, panel_width, depth, left, right.as_ptr().add(panel * depth), to);
            }
        }
    }
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

/// One panel: as many tall tiles as there are, then smaller ones.
///
/// # Safety
/// `left` is readable for rows x depth, `right` for depth x panel width, `to` writable for rows x panel width.
#[inline(always)]
unsafe fn tiles<S: Simd>(
    simd: S,
    rows: usize,
    panel_width: usize,
    depth: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
) {
    // SAFETY: the caller's promise; `rest` never passes `rows`.
    unsafe {
        let mut row = 0;
        macro_rules! tall {
            ($rows:literal) => {{
                let left = Left { at: left.at.add(row * left.row), ..left };
                let to = To { at: to.at.add(row * to.row), ..to };
                if panel_width == width::<S>() {
                    tile::<S, $rows, TILE_REGISTERS>(simd, depth, left, right, to);
                } else {
                    // Narrower: the columns are a multiple of one register, so a panel has one or all.
                    for register in 0..panel_width / lanes::<S>() {
                        let column = register * lanes::<S>();
                        let finish =
                            to.finish.map(|finish| Finish { bias: &finish.bias[column..], ..finish });
                        let to = To { at: to.at.add(column), finish, ..to };
                        narrow::<S, $rows>(simd, depth, left, right.add(column), panel_width, to);
                    }
                }
                row += $rows;
            }};
        }
        if S::F32_LANES == 16 {
            // 16 rows that are left are two tiles of 8: 12 and 4 would read the panel for little the second time.
            while rows - row >= 12 && rows - row != 16 {
                tall!(12);
            }
            while rows - row >= 8 {
                tall!(8);
            }
        } else if S::F32_LANES == 8 {
            while rows - row >= 6 {
                tall!(6);
            }
        }
        while rows - row >= 4 {
            tall!(4);
        }
        while rows - row >= 1 {
            tall!(1);
        }
    }
}

/// The micro-kernel: ROWS x (COLUMNS registers) of the result stay in registers.
///
/// # Safety
/// As for [`tiles`], with ROWS rows and a panel of COLUMNS registers.
#[inline(always)]
unsafe fn tile<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    depth: usize,
    left: Left,
    right: *const f32,
    to: To<'_>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        // The result's lines lie in an outer cache or in memory; they arrive while the depth is walked.
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                prefetch(to.at.add(row * to.row + column * lanes::<S>()));
            }
        }
        let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
        let (mut left_at, mut right_at) = (left.at, right);
        for _ in 0..depth {
            let mut columns = [simd.splat_f32s(0.0); COLUMNS];
            for (column, value) in columns.iter_mut().enumerate() {
                *value = load::<S>(right_at.add(column * lanes::<S>()));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = simd.splat_f32s(*left_at.add(row * left.row));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = multiply_add(simd, value, column, *sum);
                }
            }
            left_at = left_at.add(left.step);
            right_at = right_at.add(COLUMNS * lanes::<S>());
        }
        for column in 0..COLUMNS {
            let channel = column * lanes::<S>();
            let finish = CutRegister::load(simd, to.finish, channel);
            for (row, sums) in sums.iter().enumerate() {
                let to_at = to.at.add(row * to.row + channel);
                let sum = if to.add { simd.add_f32s(load::<S>(to_at), sums[column]) } else { sums[column] };
                store::<S>(to_at, finish.apply(simd, sum));
            }
        }
    }
}

/// The micro-kernel for one register of a panel that is `panel_width` wide.
///
/// # Safety
/// As for [`tiles`], with ROWS rows and one register of the panel.
#[inline(always)]
unsafe fn narrow<S: Simd, const ROWS: usize>(
    simd: S,
    depth: usize,
    left: Left,
    right: *const f32,
    panel_width: usize,
    to: To<'_>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for step in 0..depth {
            let column = load::<S>(right.add(step * panel_width));
            for (row, sum) in sums.iter_mut().enumerate() {
                let value = simd.splat_f32s(*left.at.add(row * left.row + step * left.step));
                *sum = multiply_add(simd, value, column, *sum);
            }
        }
        let finish = CutRegister::load(simd, to.finish, 0);
        for (row, sum) in sums.iter().enumerate() {
            let to_at = to.at.add(row * to.row);
            let sum = if to.add { simd.add_f32s(load::<S>(to_at), *sum) } else { *sum };
            store::<S>(to_at, finish.apply(simd, sum));
        }
    }
}

/// What is done to a tile's sums: a bias and bounds, or nothing.
#[derive(Clone, Copy)]
struct CutRegister<S: Simd> {
    factors: Option<[S::f32s; 3]>,
}

impl<S: Simd> CutRegister<S> {
    /// For the channels from `channel` on.
    ///
    /// # Safety
    /// The bias must hold [`lanes`] floats from there on.
    #[inline(always)]
    unsafe fn load(simd: S, finish: Option<Finish<'_>>, channel: usize) -> Self {
        let Some(Finish { bias, curve }) = finish else { return Self { factors: None } };
        let Curve::Cut { low, high } = curve else { unreachable!("longer curves are done to whole rows") };
        // SAFETY: the caller's promise.
        let bias = unsafe { load::<S>(bias.as_ptr().add(channel)) };
        Self { factors: Some([bias, simd.splat_f32s(low), simd.splat_f32s(high)]) }
    }

    /// The value stands second, where x86 keeps a NaN, so that a diverged run shows as one.
    #[inline(always)]
    fn apply(self, simd: S, sum: S::f32s) -> S::f32s {
        match self.factors {
            Some([bias, low, high]) => simd.min_f32s(high, simd.max_f32s(low, simd.add_f32s(sum, bias))),
            None => sum,
        }
    }
}
