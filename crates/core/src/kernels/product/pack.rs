//! Operands in the order in which the micro-kernel reads them.

use super::tile::gradient_tile_rows;
use pulp::Simd;

/// `[depth, columns]` into panels `[columns / width][depth][width]`; the last may be narrower.
pub fn pack(matrix: &[f32], depth: usize, columns: usize, width: usize, to: &mut [f32]) {
    for panel in (0..columns).step_by(width) {
        let panel_width = width.min(columns - panel);
        pack_panel(&matrix[panel..], depth, columns, &mut to[panel * depth..][..panel_width * depth]);
    }
}

/// One panel, `[depth, to.len() / depth]`, of a matrix whose rows are `columns` apart.
pub fn pack_panel(matrix: &[f32], depth: usize, columns: usize, to: &mut [f32]) {
    let panel_width = to.len() / depth;
    for (row, to) in to.chunks_exact_mut(panel_width).enumerate() {
        to.copy_from_slice(&matrix[row * columns..][..panel_width]);
    }
}

/// `[columns, depth]` into panels `[columns / width][depth][width]`; the last may be narrower.
pub fn pack_transposed(matrix: &[f32], columns: usize, depth: usize, width: usize, to: &mut [f32]) {
    // Eight deep at a time: a column's eight floats share a cache line, and a panel's eight rows stay in L1.
    const DEPTH: usize = 8;
    for panel in (0..columns).step_by(width) {
        let panel_width = width.min(columns - panel);
        let to = &mut to[panel * depth..][..panel_width * depth];
        for start in (0..depth).step_by(DEPTH) {
            for column in 0..panel_width {
                let from = &matrix[(panel + column) * depth..][start..(start + DEPTH).min(depth)];
                for (step, value) in from.iter().enumerate() {
                    to[(start + step) * panel_width + column] = *value;
                }
            }
        }
    }
}

/// `left`, `[depth, rows]` with rows `left_stride` floats apart, into tiles `[rows / tile][depth][tile]`, tile being
/// [`gradient_tile_rows`]; the last may be narrower.
#[inline(always)]
pub fn pack_tiles<S: Simd>(rows: usize, depth: usize, left: &[f32], left_stride: usize, to: &mut [f32]) {
    let tile = gradient_tile_rows::<S>();
    assert!(depth == 0 || (depth - 1) * left_stride + rows <= left.len());
    for step in 0..depth {
        let (whole, rest) = left[step * left_stride..][..rows].split_at(rows - rows % tile);
        for (index, from) in whole.chunks_exact(tile).enumerate() {
            // The length is known when this is compiled, so that it is a move and no call.
            to[index * tile * depth + step * tile..][..tile].copy_from_slice(&from[..tile]);
        }
        to[whole.len() * depth + step * rest.len()..][..rest.len()].copy_from_slice(rest);
    }
}
