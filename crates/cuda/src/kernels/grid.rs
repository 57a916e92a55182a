//! How many blocks and threads each kernel takes: `kernels/README.md`, "Grids" and "Which tile".

use super::Product;
use crate::driver::Grid;

/// Threads of a block, except where something else is said.
const THREADS: usize = 256;

/// Outputs of a narrow tile's short side.
const NARROW: usize = 32;

/// A grid, and the partial results that its blocks leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parted {
    pub grid: Grid,
    pub parts: usize,
}

/// The tile of a product: rows and columns of a block's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    pub rows: usize,
    pub columns: usize,
}

/// The dynamic shared memory of a block with a tile of more than 128x128, as in `product_tile.cuh`: three slabs of one operand
/// and two of the other. Below 99 KB, which every card has for a block.
const WIDE_SHARED_BYTES: u32 = 69 << 10;

impl Tile {
    /// How many of them a result takes.
    fn count(self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// Of so many blocks: of four warps where a side is narrow, otherwise of eight.
    fn grid(self, blocks: usize) -> Grid {
        let wide = self.rows * self.columns > 128 * 128;
        let shared_bytes = if wide { WIDE_SHARED_BYTES } else { 0 };
        let threads = if self.rows.min(self.columns) == NARROW { THREADS / 2 } else { THREADS };
        Grid { shared_bytes, ..grid([blocks, 1, 1], [threads, 1, 1]) }
    }

    /// As it ends a kernel's name: `128x64`.
    pub fn name(self) -> String {
        format!("{}x{}", self.rows, self.columns)
    }
}

fn grid(blocks: [usize; 3], threads: [usize; 3]) -> Grid {
    let size = |values: [usize; 3]| values.map(|value| value as u32);
    Grid { blocks: size(blocks), threads: size(threads), shared_bytes: 0 }
}

/// A thread a pair of channels, `units` pieces of work along the other direction; no more than `most_blocks` blocks a
/// multiprocessor.
pub fn channel_pairs(channels: usize, units: usize, multiprocessors: usize, most_blocks: usize) -> Parted {
    let pairs = channels / 2;
    let wide = [32, 16, 8].into_iter().find(|wide| pairs.is_multiple_of(*wide)).unwrap_or(8);
    let (columns, deep) = (pairs / wide, THREADS / wide);
    let most = (most_blocks * multiprocessors / columns).max(1);
    let parts = units.div_ceil(deep).clamp(1, most);
    Parted { grid: grid([columns, parts, 1], [wide, deep, 1]), parts }
}

/// A thread a pair of channels of a picture, whose pixels it shares with the others of its column.
pub fn pictures(channels: usize, pictures: usize) -> Grid {
    // No grid is higher; blocks go on with further pictures.
    const HIGHEST: usize = 65_535;
    let Grid { blocks: [columns, ..], threads, shared_bytes } = channel_pairs(channels, 1, 1, 1).grid;
    Grid { blocks: [columns, pictures.clamp(1, HIGHEST) as u32, 1], threads, shared_bytes }
}

/// A thread a value.
pub fn flat(count: usize) -> Grid {
    grid([count.div_ceil(THREADS).max(1), 1, 1], [THREADS, 1, 1])
}

/// Of the kernels that finish what partial sums began: 16 channels a block.
pub fn finish(channels: usize) -> Grid {
    grid([channels / 16, 1, 1], [16, 32, 1])
}

/// Of `reduce_partials`: four values a thread. Where there are many of them, few lanes fill the card as well.
pub fn reduce(parts: usize, count: usize) -> Grid {
    let deep = parts.next_power_of_two().min(if count < 1 << 16 { 32 } else { 4 });
    let wide = THREADS / deep;
    grid([(count / 4).div_ceil(wide), 1, 1], [wide, deep, 1])
}

/// So many blocks of so many threads.
pub fn blocks(blocks: usize, threads: usize) -> Grid {
    grid([blocks, 1, 1], [threads, 1, 1])
}

/// Rows of the lowest tile that [`product`] takes.
pub const FEWEST_ROWS: usize = 64;

/// Whether the blocks leave no more than a quarter of the multiprocessors idle, where each holds one at a time.
fn fills(blocks: usize, multiprocessors: usize) -> bool {
    4 * blocks >= 3 * blocks.next_multiple_of(multiprocessors)
}

/// A product's depth from which on a wide tile is worth it: alone on its multiprocessor, a block's first slabs and what it does at
/// the end have no other block's product beside them.
const WIDE_DEPTH: usize = 256;

/// Of a product with `rows` and `columns` of the result: the tile with which the busiest multiprocessor has the least to do.
pub fn product(
    product: Product,
    rows: usize,
    depth: usize,
    columns: usize,
    multiprocessors: usize,
) -> (Tile, Parted) {
    let blocks = |tile: Tile| tile.count(rows, columns);
    // What an output costs beside those of 128x128 (smaller tiles load more for each), in tenths; and how many blocks a
    // multiprocessor needs so that one works while others wait. The wide tile's were not measured: kernels/README.md, "Which tile".
    let costs =
        [(128, 256, 8, 1), (128, 128, 10, 2), (128, 64, 12, 2), (64, 64, 15, 3), (128, NARROW, 16, 4)];
    let cost = |(rows, columns, tenths, resident): (usize, usize, usize, usize)| {
        blocks(Tile { rows, columns }).div_ceil(multiprocessors).max(resident) * rows * columns * tenths
    };
    let fits = |of: &(usize, usize, usize, usize)| match of.1 {
        256 => {
            let blocks = blocks(Tile { rows: of.0, columns: of.1 });
            product != Product::Float32
                && columns > 128
                && depth >= WIDE_DEPTH
                && fills(blocks, multiprocessors)
        }
        128 => columns > 64,
        // Each tile of columns reads the whole input, so narrow tiles are for results that have one of them.
        NARROW => columns <= NARROW,
        _ => true,
    };
    let (tile_rows, tile_columns, ..) =
        costs.into_iter().filter(fits).min_by_key(|of| cost(*of)).unwrap_or(costs[1]);
    let tile = Tile { rows: tile_rows, columns: tile_columns };
    (tile, Parted { grid: tile.grid(blocks(tile)), parts: rows.div_ceil(tile.rows) })
}

/// Of a product behind a pool, with `rows` and `columns` of the result: `pooled_tile.cuh`.
pub fn pooled(rows: usize, columns: usize) -> Grid {
    const SIDE: usize = 32;
    blocks(rows.div_ceil(SIDE) * columns.div_ceil(SIDE), THREADS)
}

/// How a product's weight gradient is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightGradient {
    pub tile: Tile,
    pub grid: Grid,
    pub splits: usize,
    pub rows_per_split: usize,
}

/// What a multiprocessor keeps for itself of its shared memory for each block.
const RESERVED_SHARED_BYTES: usize = 1 << 10;

/// The shared memory of a block of a weight gradient's kernel: two slabs of each operand, and of what the card copies three, each as
/// `product_layout.cuh` lays it out.
pub(super) fn weight_shared_bytes(product: Product, Tile { rows, columns }: Tile) -> usize {
    match product {
        // 32 values of the depth, each with its words of two rows or columns.
        Product::Bfloat16 => 32 * 4 * (3 * (rows / 2 + 4) + 2 * (columns / 2 + 4)),
        Product::Float32 | Product::Tf32 => 16 * 4 * (2 * (rows + 8) + 2 * (columns + 2)),
    }
}

/// A weight gradient's tile, and how many of its blocks a multiprocessor holds by their registers and threads.
pub(super) fn weight_tile(inputs: usize, outputs: usize) -> (Tile, usize) {
    // Narrow tiles are as long as those of few channels, and so leave no more over.
    let (rows, columns, blocks) = match (outputs, inputs) {
        (_, ..=NARROW) => (64, NARROW, 6),
        (..=NARROW, _) => (NARROW, 64, 6),
        (..=64, _) | (_, ..=64) => (64, 64, 3),
        _ => (128, 128, 2),
    };
    (Tile { rows, columns }, blocks)
}

/// The one that it may take in its stead.
fn wide_weight_tile(inputs: usize, outputs: usize) -> Option<(Tile, usize)> {
    let (wide, usual) = (Tile { rows: 256, columns: 128 }, weight_tile(inputs, outputs).0);
    // An output of the wide tile costs 0.8 of one of 128x128, and there are twice as many.
    let cheaper = 16 * wide.count(outputs, inputs) < 10 * usual.count(outputs, inputs);
    (usual.rows == 128 && usual.columns == 128 && cheaper).then_some((wide, 1))
}

/// Parts in which `rows` are summed up at most: so many blocks are resident; one more would have a card to itself.
fn wanted_splits(rows: usize, tiles: usize, resident: usize, multiprocessors: usize) -> usize {
    (resident * multiprocessors / tiles).clamp(1, rows.div_ceil(256).max(1))
}

/// How many of a weight gradient's blocks a multiprocessor with so much shared memory holds, which are no more than `resident`.
pub(super) fn weight_blocks(product: Product, (tile, resident): (Tile, usize), shared_bytes: usize) -> usize {
    (shared_bytes / (weight_shared_bytes(product, tile) + RESERVED_SHARED_BYTES)).clamp(1, resident)
}

/// Of a product's weight gradient, the sum over `rows`, on so many multiprocessors, each with so many bytes of shared memory.
pub fn weight_gradient(
    product: Product,
    rows: usize,
    inputs: usize,
    outputs: usize,
    (multiprocessors, shared_bytes): (usize, usize),
) -> WeightGradient {
    let divided = |of: (Tile, usize)| {
        let (tile, resident) = (of.0, weight_blocks(product, of, shared_bytes));
        let tiles = tile.count(outputs, inputs);
        let wanted = wanted_splits(rows, tiles, resident, multiprocessors);
        let rows_per_split = rows.div_ceil(wanted).next_multiple_of(32);
        let splits = rows.div_ceil(rows_per_split);
        WeightGradient { tile, grid: tile.grid(tiles * splits), splits, rows_per_split }
    };
    wide_weight_tile(inputs, outputs)
        .filter(|_| product != Product::Float32)
        .map(divided)
        .filter(|wide| fills(wide.grid.blocks[0] as usize, multiprocessors))
        .unwrap_or_else(|| divided(weight_tile(inputs, outputs)))
}

/// The most parts that the weight gradient has over `rows` or fewer, whichever tile it takes. Fewer rows may have more parts: each
/// part is a multiple of 32.
pub fn most_splits(rows: usize, inputs: usize, outputs: usize, multiprocessors: usize) -> usize {
    let splits = |(tile, resident): (Tile, usize)| {
        wanted_splits(rows, tile.count(outputs, inputs), resident, multiprocessors)
    };
    let usual = splits(weight_tile(inputs, outputs));
    wide_weight_tile(inputs, outputs).map(splits).map_or(usual, |wide| wide.max(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multiprocessor's shared memory: Hopper's.
    const SHARED: usize = 228 << 10;

    #[test]
    fn pairs_fill_a_block_and_no_more_parts_than_there_is_work() {
        for channels in (16..=1280).step_by(16) {
            for units in [1, 7, 100, 1 << 20] {
                let Parted { grid, parts } = channel_pairs(channels, units, 132, 8);
                assert_eq!(grid.threads[0] * grid.threads[1], 256);
                assert_eq!((grid.blocks[0] * grid.threads[0] * 2) as usize, channels);
                assert_eq!(grid.blocks[1] as usize, parts);
                assert!(parts <= units.max(1), "{channels} {units} {parts}");
            }
        }
    }

    #[test]
    fn splits_cover_all_rows_once() {
        let sizes = [(1, 16, 16), (64, 1024, 1024), (50_176, 32, 64), (50_176, 144, 32), (12_544, 128, 256)];
        for (rows, inputs, outputs) in sizes {
            for multiprocessors in [2, 20, 132] {
                for product in [Product::Float32, Product::Bfloat16] {
                    let WeightGradient { splits, rows_per_split, grid, .. } =
                        weight_gradient(product, rows, inputs, outputs, (multiprocessors, SHARED));
                    assert_eq!(rows_per_split % 32, 0);
                    assert!(splits * rows_per_split >= rows && (splits - 1) * rows_per_split < rows);
                    assert_eq!(grid.blocks[0] as usize % splits, 0);
                }
            }
        }
    }

    #[test]
    fn there_is_room_for_the_parts_of_smaller_batches() {
        for (inputs, outputs) in [(16, 64), (96, 272), (160, 320), (512, 1024), (1024, 1024)] {
            for multiprocessors in [4, 132] {
                let rows = (1..1500).map(|pictures| pictures * 49);
                let room = most_splits(1499 * 49, inputs, outputs, multiprocessors);
                for (rows, product) in rows.flat_map(|rows| [(rows, Product::Float32), (rows, Product::Tf32)])
                {
                    let splits =
                        weight_gradient(product, rows, inputs, outputs, (multiprocessors, SHARED)).splits;
                    assert!(splits <= most_splits(rows, inputs, outputs, multiprocessors) && splits <= room);
                }
            }
        }
    }

    #[test]
    fn no_smaller_batch_has_more_splits_than_there_is_room_for() {
        // 1002 pictures are divided by 32 rows without a rest, and have more splits than 1024.
        let splits = |pictures: usize| {
            weight_gradient(Product::Bfloat16, pictures * 28 * 28, 32, 64, (132, SHARED)).splits
        };
        let most = most_splits(1024 * 28 * 28, 32, 64, 132);
        assert_eq!([splits(1024), splits(1002), most], [784, 792, 792]);
        assert!((1..=1024).all(|pictures| splits(pictures) <= most));
    }

    #[test]
    fn few_blocks_are_smaller_ones() {
        let product = |rows, columns| product(Product::Bfloat16, rows, 512, columns, 132);
        let name = |rows, columns| product(rows, columns).0.name();
        assert_eq!(name(100_000, 512), "128x256");
        assert_eq!(super::product(Product::Bfloat16, 100_000, 128, 512, 132).0.name(), "128x128");
        assert_eq!(name(100_000, 128), "128x128");
        assert_eq!(name(100_000, 64), "128x64");
        let (tile, parted) = product(100, 512);
        assert_eq!((tile.name().as_str(), parted.parts, parted.grid.blocks[0]), ("64x64", 2, 16));
        // 128 blocks of 128x128 would leave a block alone on each of 132 multiprocessors; half as many wide ones half of them idle.
        assert_eq!(name(4096, 512), "128x64");
        assert_eq!(name(1024, 1024), "64x64");
        // 144 wide blocks would be two for some and one for most.
        assert_eq!((name(128 * 66, 512).as_str(), name(128 * 72, 512).as_str()), ("128x256", "128x128"));
    }

    #[test]
    fn wide_tiles_are_for_tensor_cores_and_leave_little_of_the_card_idle() {
        for rows in (1..2000).map(|pictures| pictures * 49) {
            for columns in (16..=1280).step_by(48) {
                assert!(product(Product::Float32, rows, 512, columns, 132).0.columns <= 128);
                let (tile, Parted { grid, .. }) = product(Product::Tf32, rows, 512, columns, 132);
                assert_eq!(grid.shared_bytes > 0, tile.columns == 256);
                assert!(tile.columns < 256 || grid.blocks[0] >= 99, "{rows} {columns}");
                let WeightGradient { tile, grid, .. } =
                    weight_gradient(Product::Tf32, rows, 512, columns, (132, SHARED));
                assert_eq!(grid.shared_bytes > 0, tile.rows == 256);
                assert!(tile.rows < 256 || grid.blocks[0] >= 99, "{rows} {columns}");
            }
        }
    }

    #[test]
    fn kernels_have_the_shared_memory_that_they_are_launched_with() {
        let source = include_str!("../../kernels/product_tile.cuh");
        assert_eq!(WIDE_SHARED_BYTES % 1024, 0);
        assert!(source.contains(&format!("WIDE_SHARED_BYTES = {} << 10;", WIDE_SHARED_BYTES >> 10)));
    }

    #[test]
    fn narrow_results_have_narrow_tiles_where_there_are_enough() {
        let product = |rows, columns| product(Product::Bfloat16, rows, 96, columns, 132);
        let (tile, parted) = product(65_536, 32);
        assert_eq!((tile.name().as_str(), parted.parts), ("128x32", 512));
        assert_eq!((parted.grid.blocks[0], parted.grid.threads[0]), (512, 128));
        assert_eq!(product(65_536, 48).0.name(), "128x64");
        assert_eq!(product(16_384, 32).0.name(), "64x64");
        let tile_of = |inputs, outputs| {
            weight_gradient(Product::Bfloat16, 65_536, inputs, outputs, (132, SHARED)).tile.name()
        };
        assert_eq!([tile_of(16, 96), tile_of(144, 32), tile_of(32, 16)], ["64x32", "32x64", "64x32"]);
        assert_eq!([tile_of(48, 96), tile_of(128, 64), tile_of(96, 96)], ["64x64", "64x64", "128x128"]);
    }

    #[test]
    fn less_shared_memory_holds_fewer_blocks() {
        let splits = |product, inputs, outputs, shared_kilobytes: usize| {
            weight_gradient(product, 1 << 20, inputs, outputs, (132, shared_kilobytes << 10)).splits
        };
        for (product, inputs, outputs, on_hopper, on_ada) in [
            (Product::Bfloat16, 32, 64, 6, 5),
            (Product::Bfloat16, 64, 32, 6, 5),
            (Product::Tf32, 32, 64, 6, 6),
            (Product::Bfloat16, 64, 64, 3, 3),
            (Product::Bfloat16, 128, 128, 2, 2),
        ] {
            let least = |blocks: usize| blocks * 132 - blocks * 132 / 50;
            let (many, few) = (splits(product, inputs, outputs, 228), splits(product, inputs, outputs, 100));
            assert!(
                (least(on_hopper)..=on_hopper * 132).contains(&many),
                "{product:?} {inputs} {outputs} {many}"
            );
            assert!((least(on_ada)..=on_ada * 132).contains(&few), "{product:?} {inputs} {outputs} {few}");
        }
    }
}
