//! How much room kernels need for what they leave to each other.

use super::{Storage, grid, is_pooled};
use mobilenet_core::kernels::padded;
use mobilenet_core::kernels::stem::PATCH;
use mobilenet_core::model::network::{Layer, Network, Operation};

/// Floats of the rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workspaces {
    /// Partial sums of a map; for all layers.
    pub sums: usize,
    /// Partial weight gradients of products; for all of them.
    pub products: usize,
    /// What each other layer leaves for its weight gradient: partial ones, or, behind a pool, the gradient of its output.
    pub others: Vec<usize>,
}

/// Blocks a multiprocessor of the passes that need few registers.
pub const SMALL_BLOCKS: usize = 8;

/// And of the stem's, whose filter and patch take as many as that leaves.
pub const STEM_BLOCKS: usize = 2;

impl Workspaces {
    /// The most that a training step of up to `pictures` pictures needs. A smaller batch never needs more: for
    /// less work no grid may have more parts.
    pub fn of(network: &Network, pictures: usize, multiprocessors: usize) -> Self {
        let mut rooms = Self::default();
        for (index, layer) in network.layers.iter().enumerate() {
            if layer.is_product() && is_pooled(network, index) {
                rooms.others.push(pictures * padded(layer.outputs));
            } else {
                rooms.grow(layer, pictures, multiprocessors);
            }
        }
        rooms
    }

    fn grow(&mut self, layer: &Layer, pictures: usize, multiprocessors: usize) {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let rows = pictures * layer.output_side() * layer.output_side();
        let input_rows = pictures * layer.input_side * layer.input_side;
        let pairs = |channels: usize, units: usize, most_blocks: usize| {
            grid::channel_pairs(channels, units, multiprocessors, most_blocks).parts
        };
        // Sums of the layer's own map, or of its input's, by a pass of their own.
        let mut sums = (2 * outputs * pairs(outputs, rows, SMALL_BLOCKS))
            .max(2 * inputs * pairs(inputs, input_rows, SMALL_BLOCKS));
        let mut others = 0;
        match layer.operation {
            Operation::Stem => {
                let parts = pairs(outputs, stem_units(layer, pictures), STEM_BLOCKS);
                sums = sums.max(2 * outputs * parts);
                others = parts * PATCH * outputs;
            }
            Operation::Depthwise => {
                // Of whichever storage: in bfloat16 there are fewer pieces, but maybe more blocks for them.
                let most = |units: fn(&Layer, Storage, usize) -> (usize, usize)| {
                    let parts = |storage| {
                        let (units, blocks) = units(layer, storage, pictures);
                        pairs(outputs, units, blocks)
                    };
                    parts(Storage::Float32).max(parts(Storage::Bfloat16))
                };
                let backward = most(depthwise_backward_units);
                sums = sums.max(2 * outputs * backward.max(most(depthwise_units)));
                others = backward * layer.kernel * layer.kernel * outputs;
            }
            Operation::Pointwise | Operation::Linear => {
                // Of whichever tile: a smaller batch may take a smaller one, and so more parts of fewer rows.
                let most = rows.div_ceil(grid::FEWEST_ROWS);
                sums = sums.max(2 * outputs.max(inputs) * most);
                let splits = grid::most_splits(rows, inputs, outputs, multiprocessors);
                self.products = self.products.max(splits * inputs * outputs);
            }
            Operation::Pool | Operation::Add { .. } => {}
        }
        self.sums = self.sums.max(sums);
        self.others.push(others);
    }
}

/// Pieces of the stem's work: eight pixels of a row.
pub fn stem_units(layer: &Layer, pictures: usize) -> usize {
    pictures * layer.output_side() * layer.output_side().div_ceil(8)
}

/// Columns of a piece of a depthwise convolution's work at most: `depthwise_weights.cuh`.
const DEPTHWISE_COLUMNS: usize = 16;

/// Pieces of a depthwise convolution's forward pass, and how many of its blocks a multiprocessor holds.
pub fn depthwise_units(layer: &Layer, storage: Storage, pictures: usize) -> (usize, usize) {
    let (rows, blocks) = forward_shape(layer.kernel, layer.stride, storage);
    let side = layer.output_side();
    (pictures * side.div_ceil(rows) * side.div_ceil(DEPTHWISE_COLUMNS), blocks)
}

/// The same of its backward pass.
pub fn depthwise_backward_units(layer: &Layer, storage: Storage, pictures: usize) -> (usize, usize) {
    let (rows, blocks) = backward_shape(layer.kernel, layer.stride, storage);
    let side = (layer.padding + layer.input_side - 1) / layer.stride + 1 - layer.padding / layer.stride;
    (pictures * side.div_ceil(rows) * side.div_ceil(DEPTHWISE_COLUMNS), blocks)
}

/// A piece's rows, and how many blocks of the kernel a multiprocessor holds: as `depthwise_forward.cu` has them.
pub(super) fn forward_shape(kernel: usize, stride: usize, storage: Storage) -> (usize, usize) {
    match (kernel, stride, storage) {
        (3, 1, _) => (4, 2),
        (5, 1, Storage::Bfloat16) => (2, 2),
        (5, 2, Storage::Float32) => (1, 1),
        _ => (1, 2),
    }
}

/// The same as `depthwise_backward.cu` has them.
pub(super) fn backward_shape(kernel: usize, stride: usize, storage: Storage) -> (usize, usize) {
    match (kernel, stride, storage) {
        (3, 1, Storage::Float32) => (4, 1),
        (3, 1, Storage::Bfloat16) => (2, 2),
        (3, ..) => (1, 2),
        (_, 1, _) => (2, 1),
        _ => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(filter, stride, rows, blocks, storage)` of each kernel that a source makes by a macro of this name; where it makes kernels of
    /// both storages at once, twice.
    fn shapes(source: &str, name: &str) -> Vec<(usize, usize, usize, usize, Storage)> {
        let of = |line: &str| {
            let arguments = line.trim().strip_prefix(name)?.strip_prefix('(')?.split(')').next()?;
            let words: Vec<&str> = arguments.split(',').map(str::trim).collect();
            let numbers: Vec<usize> = words.iter().map_while(|word| word.parse().ok()).collect();
            let &[kernel, stride, rows, blocks] = &numbers[..] else { return None };
            let storages = match words[4] {
                "f32" => vec![Storage::Float32],
                "bf16" => vec![Storage::Bfloat16],
                _ => vec![Storage::Float32, Storage::Bfloat16],
            };
            Some(storages.into_iter().map(move |storage| (kernel, stride, rows, blocks, storage)))
        };
        source.lines().filter_map(of).flatten().collect()
    }

    #[test]
    fn pieces_and_blocks_are_those_that_the_depthwise_kernels_are_made_with() {
        type Shape = fn(usize, usize, Storage) -> (usize, usize);
        let forward = include_str!("../../kernels/depthwise_forward.cu");
        let backward = include_str!("../../kernels/depthwise_backward.cu");
        let passes: [(&str, &str, Shape); 2] =
            [(forward, "DEPTHWISE_FORWARD", forward_shape), (backward, "DEPTHWISE_BACKWARD", backward_shape)];
        for (source, name, shape) in passes {
            let made = shapes(source, name);
            assert_eq!(made.len(), 8, "{made:?}");
            for (kernel, stride, rows, blocks, storage) in made {
                let at = format!("{name} {kernel}x{kernel}, stride {stride}, {storage:?}");
                assert_eq!(shape(kernel, stride, storage), (rows, blocks), "{at}");
            }
        }
    }
}
