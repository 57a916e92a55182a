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
                // In float32 there are as many pieces or more.
                let (units, blocks) = depthwise_units(layer, Storage::Float32, pictures);
                let forward = pairs(outputs, units, blocks);
                let (units, blocks) = depthwise_backward_units(layer, pictures);
                let backward = pairs(outputs, units, blocks);
                sums = sums.max(2 * outputs * forward.max(backward));
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
    // As many as `depthwise_forward.cu` has for each.
    let rows = match (layer.kernel, layer.stride, storage) {
        (3, 1, _) => 4,
        (5, 1, Storage::Bfloat16) => 2,
        _ => 1,
    };
    let side = layer.output_side();
    (pictures * side.div_ceil(rows) * side.div_ceil(DEPTHWISE_COLUMNS), 2)
}

/// The same of its backward pass.
pub fn depthwise_backward_units(layer: &Layer, pictures: usize) -> (usize, usize) {
    let side = (layer.padding + layer.input_side - 1) / layer.stride + 1 - layer.padding / layer.stride;
    let (rows, blocks) = (if layer.stride == 1 { 2 } else { 1 }, if layer.kernel == 3 { 2 } else { 1 });
    (pictures * side.div_ceil(rows) * side.div_ceil(DEPTHWISE_COLUMNS), blocks)
}
