//! How much room kernels need for what they leave to each other.

use super::grid;
use mobilenet_core::kernels::padded;
use mobilenet_core::kernels::stem::PATCH;
use mobilenet_core::model::network::{Layer, Network, Operation};

/// Floats of the two rooms that all passes share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workspaces {
    /// Partial sums of a map.
    pub sums: usize,
    /// Partial weight gradients.
    pub weight_gradients: usize,
}

impl Workspaces {
    /// The most that a training step of up to `pictures` pictures needs. A smaller batch never needs more: no grid has
    /// more parts for less work.
    pub fn of(network: &Network, pictures: usize, multiprocessors: usize) -> Self {
        let mut rooms = Self::default();
        for layer in &network.layers {
            rooms.grow(layer, pictures, multiprocessors);
        }
        rooms
    }

    fn grow(&mut self, layer: &Layer, pictures: usize, multiprocessors: usize) {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let rows = pictures * layer.output_side() * layer.output_side();
        let input_rows = pictures * layer.input_side * layer.input_side;
        let pairs =
            |channels: usize, units: usize| grid::channel_pairs(channels, units, multiprocessors).parts;
        // Sums of the layer's own map, or of its input's, by a pass of their own.
        let mut sums = (2 * outputs * pairs(outputs, rows)).max(2 * inputs * pairs(inputs, input_rows));
        let mut weights = 0;
        match layer.operation {
            Operation::Stem => {
                let parts = pairs(outputs, stem_units(layer, pictures));
                sums = sums.max(2 * outputs * parts);
                weights = parts * PATCH * outputs;
            }
            Operation::Depthwise => {
                let forward = pairs(outputs, depthwise_units(layer, pictures));
                let backward = pairs(outputs, depthwise_backward_units(layer, pictures));
                sums = sums.max(2 * outputs * forward.max(backward));
                weights = backward * layer.kernel * layer.kernel * outputs;
            }
            Operation::Pointwise | Operation::Linear => {
                let forward = grid::product(rows, outputs, multiprocessors).1.parts;
                let backward = grid::product(rows, inputs, multiprocessors).1.parts;
                // A smaller batch may take a smaller tile, and so more parts of fewer rows.
                let most = rows.div_ceil(64);
                sums = sums.max(2 * outputs * forward.max(most)).max(2 * inputs * backward.max(most));
                let splits = grid::weight_gradient(rows, inputs, outputs, multiprocessors).splits;
                weights = splits * inputs * outputs;
            }
            Operation::Pool | Operation::Add { .. } => {}
        }
        self.sums = self.sums.max(sums);
        self.weight_gradients = self.weight_gradients.max(weights);
    }
}

/// Pieces of the stem's work: eight pixels of a row.
pub fn stem_units(layer: &Layer, pictures: usize) -> usize {
    pictures * layer.output_side() * layer.output_side().div_ceil(8)
}

/// Rows that a thread of a depthwise convolution has in its registers.
fn depthwise_rows(layer: &Layer) -> usize {
    if layer.kernel == 3 && layer.stride == 1 { 4 } else { 2 }
}

/// Pieces of a depthwise convolution's forward pass.
pub fn depthwise_units(layer: &Layer, pictures: usize) -> usize {
    let side = layer.output_side();
    pictures * side.div_ceil(depthwise_rows(layer)) * side.div_ceil(8)
}

/// Pieces of its backward pass.
pub fn depthwise_backward_units(layer: &Layer, pictures: usize) -> usize {
    let side = (layer.padding + layer.input_side - 1) / layer.stride + 1;
    pictures * side.div_ceil(depthwise_rows(layer)) * side.div_ceil(8)
}
