//! The micro-kernel in float32, and the tiles of a panel that it computes.

use crate::kernels::batch_norm::Finish;
use crate::kernels::batch_norm::cpu::FinishRegister;
use crate::kernels::simd::{lanes, load, multiply_add, prefetch, store};
use pulp::Simd;

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

/// One panel: as many tall tiles as there are, then smaller ones.
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
            let finish = FinishRegister::load(simd, to.finish, channel);
            for (row, sums) in sums.iter().enumerate() {
                let to_at = to.at.add(row * to.row + channel);
                let sum = if to.add { simd.add_f32s(load::<S>(to_at), sums[column]) } else { sums[column] };
                store::<S>(to_at, finish.apply_cut(simd, sum));
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
        let finish = FinishRegister::load(simd, to.finish, 0);
        for (row, sum) in sums.iter().enumerate() {
            let to_at = to.at.add(row * to.row);
            let sum = if to.add { simd.add_f32s(load::<S>(to_at), *sum) } else { *sum };
            store::<S>(to_at, finish.apply_cut(simd, sum));
        }
    }
}
