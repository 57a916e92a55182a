//! The walk over a product's tiles, in float32 and in bfloat16.

use super::bfloat16::{self, Products};
use super::tile::{Left, To, gradient_tile, gradient_tile_rows, tiles, width};
use crate::kernels::batch_norm::cpu::curve_rows;
use crate::kernels::batch_norm::{Curve, Finish};
use crate::kernels::simd::{Isa, lanes};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Depth that is walked before the result is stored: a panel of 256 x 16 floats (AVX2) is half of a 32 KB L1 cache.
/// The same for every instruction set, so that AVX2 and AVX-512 give the same bits. In pairs of bfloat16, where a panel
/// of AVX-512 fills the L1 cache, it is still 2 to 6 % faster than half of it.
const DEPTH_BLOCK: usize = 256;

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

/// Steps of a walk through so much depth: a step takes one value, or a pair in bfloat16.
const fn steps(bfloat16: Option<&Products>, depth: usize) -> usize {
    match bfloat16 {
        None => depth,
        Some(_) => depth.div_ceil(2),
    }
}

/// `to = left * right`, with `left` `[rows, depth]` (rows `left_stride` floats apart) and `right` packed, `[depth,
/// columns]`. `to`'s rows are `to_stride` apart. With `add` the result is added to what lies there. `finish` is done to
/// the result. With `bfloat16` both operands lie in pairs along the depth.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Three matrices with their strides.
pub fn multiply<S: Simd>(
    simd: S,
    bfloat16: Option<&Products>,
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
        multiply_into(
            simd,
            bfloat16,
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
        )
    }
}

/// [`multiply`] to rows of which other threads may write other columns at the same time.
///
/// # Safety
/// `to` must be writable for `columns` floats every `to_stride` floats, `rows` times.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // As its caller.
pub unsafe fn multiply_into<S: Simd>(
    simd: S,
    bfloat16: Option<&Products>,
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
    let depth = steps(bfloat16, depth);
    assert!((rows - 1) * left_stride + depth <= left.len() && depth * columns <= right.len());
    assert!(columns.is_multiple_of(lanes::<S>()));
    assert!(bfloat16.is_none() || width::<S>() == bfloat16::WIDTH);
    assert!(finish.is_none_or(|finish| finish.bias.len() >= columns));
    // A tile cuts its sums while they are in registers. A longer curve there makes the tile so long that the compiler
    // keeps the sums in memory (2.3 times the time), so that one is done to the rows afterwards.
    let (finish, curve) = match finish {
        Some(Finish { bias, curve: Curve::HardSwish }) => {
            (Some(Finish { bias, curve: Curve::NONE }), Some(Curve::HardSwish))
        }
        finish => (finish, None),
    };
    let readable_rows = (left.len() - depth) / left_stride.max(1) + 1;
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
                match bfloat16 {
                    None => tiles(simd, rows, panel_width, depth_here, left, right, to),
                    Some(products) => {
                        products.tiles(rows, readable_rows, panel_width, depth_here, left, right, to);
                    }
                }
            }
        }
    }
    if let Some(curve) = curve {
        // SAFETY: the caller's promise for `to`; the columns were checked above.
        unsafe { curve_rows(simd, to, to_stride, rows, columns, curve) }
    }
}

/// Rows `at` of `left^T * right`, with `left` `[depth, rows]` in tiles ([`super::pack::pack_tiles`]) and `right` in panels, `[depth,
/// columns]`, set or added to the rows of `to`, `[rows of at, columns]`, dense. `at` begins at a tile. With `bfloat16`
/// both operands lie in pairs along the depth ([`bfloat16::Bfloat16::interleave`]), `left` in tiles of [`bfloat16::TILE_ROWS`], and
/// `at` ends at one, too.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // Three matrices.
pub fn multiply_tiles<S: Simd>(
    simd: S,
    bfloat16: Option<&Products>,
    at: Range<usize>,
    columns: Range<usize>,
    depth: usize,
    tiles_of_left: &[f32],
    right: &[f32],
    to: &mut [f32],
    to_stride: usize,
    add: bool,
) {
    let depth = steps(bfloat16, depth);
    let tile = bfloat16.map_or(gradient_tile_rows::<S>(), |_| bfloat16::TILE_ROWS);
    assert!(bfloat16.is_none() || (at.end.is_multiple_of(tile) && width::<S>() == bfloat16::WIDTH));
    assert!(at.start.is_multiple_of(tile) && at.end * depth <= tiles_of_left.len());
    assert!(columns.start.is_multiple_of(width::<S>()) && columns.end * depth <= right.len());
    assert!(columns.len().is_multiple_of(lanes::<S>()));
    assert!(at.is_empty() || (at.len() - 1) * to_stride + columns.end <= to.len());
    for panel in columns.clone().step_by(width::<S>()) {
        let panel_width = width::<S>().min(columns.end - panel);
        // SAFETY: the panel begins at panel * depth, a tile at row * depth, which holds tile_rows * depth floats; the rest
        // was checked above.
        unsafe {
            let right = right.as_ptr().add(panel * depth);
            let to = To { at: to.as_mut_ptr().add(panel), row: to_stride, add, finish: None };
            if let Some(products) = bfloat16 {
                let left = tiles_of_left.as_ptr().add(at.start * depth);
                products.gradient_tiles(at.len(), panel_width, depth, left, right, to);
                continue;
            }
            for row in at.clone().step_by(tile) {
                let tile_rows = tile.min(at.end - row);
                let left = Left { at: tiles_of_left.as_ptr().add(row * depth), row: 1, step: tile_rows };
                let to = To { at: to.at.add((row - at.start) * to_stride), ..to };
                gradient_tile(simd, tile_rows, panel_width, depth, left, right, to);
            }
        }
    }
}
