//! What one part of a training pass works with, alone.

use crate::kernels::buffer::Buffer;
use crate::kernels::crew::Crew;
use crate::kernels::padded;
use crate::kernels::product::backward::leaves_operands;
use crate::kernels::product::forward::scratch;
use crate::kernels::segments::{ROW_BLOCK, SEGMENTS, Sums, split_mut};
use crate::kernels::stem::PATCH;
use crate::model::network::{Layer, Network, Operation};

/// A part's sums and scratch.
#[derive(Debug)]
pub(super) struct Part {
    pub sums: Sums,
    pub weight_gradient: Buffer,
    /// The ring of inputs, a block of inputs, or a row of patches.
    pub input: Buffer,
    /// The ring of gradients, a block of gradients, or a row of gradients.
    pub gradient: Buffer,
    /// A block of inputs in panels.
    pub panels: Buffer,
    /// A block of gradients in tiles.
    pub tiles: Buffer,
}

impl Part {
    /// Bytes of its buffers.
    pub fn bytes(&self) -> usize {
        let Self { weight_gradient, input, gradient, panels, tiles, sums: _ } = self;
        Buffer::bytes_of([weight_gradient, input, gradient, panels, tiles])
    }
}

/// Runs `pass(index, part, its share of map)` for every part, side by side. `map` holds `count` things of `size`.
pub(super) fn for_each_part(
    crew: &Crew<'_>,
    parts: &mut [Part],
    map: &mut [f32],
    count: usize,
    size: usize,
    pass: impl Fn(usize, &mut Part, &mut [f32]) + Sync,
) {
    debug_assert_eq!(parts.len(), SEGMENTS);
    let shares = split_mut(map, count, size);
    crew.for_each(parts.iter_mut().zip(shares), |index, (part, share)| pass(index, part, share));
}

/// Whether a product's parts leave their operands for the weight gradient.
pub(super) fn keeps_operands(layer: &Layer, capacity: usize) -> bool {
    let rows = capacity * layer.output_side() * layer.output_side();
    leaves_operands(rows, padded(layer.inputs), padded(layer.outputs))
}

/// The largest that any layer asks of a part.
#[derive(Default)]
pub(super) struct PartSizes {
    channels: usize,
    weight_gradient: usize,
    input: usize,
    gradient: usize,
    panels: usize,
    tiles: usize,
    /// Zeros that all parts read.
    pub zeros: usize,
}

impl PartSizes {
    pub fn new(network: &Network, capacity: usize) -> Self {
        let mut sizes = Self::default();
        for layer in &network.layers {
            sizes.grow(layer, capacity);
        }
        sizes
    }

    fn grow(&mut self, layer: &Layer, capacity: usize) {
        let (inputs, outputs, side) = (padded(layer.inputs), padded(layer.outputs), layer.output_side());
        let mut part = Self { channels: inputs.max(outputs), ..Self::default() };
        match layer.operation {
            Operation::Stem => {
                part.weight_gradient = PATCH * outputs;
                part.input = PATCH * side;
                part.gradient = outputs * side;
                part.panels = outputs * side;
                part.tiles = PATCH * side;
            }
            Operation::Depthwise => {
                let shape = layer.depthwise_shape();
                part.weight_gradient = shape.kernel * shape.kernel * outputs;
                (part.input, part.gradient, part.zeros) = shape.scratch();
            }
            Operation::Pointwise | Operation::Linear => {
                let leaves = keeps_operands(layer, capacity);
                // Of the largest part's pictures, or of a block.
                let kept_rows = if leaves { capacity.div_ceil(SEGMENTS) * side * side } else { ROW_BLOCK };
                part.weight_gradient = if leaves { 0 } else { outputs * inputs };
                part.input = scratch(inputs);
                part.gradient = scratch(outputs);
                part.panels = kept_rows * inputs;
                part.tiles = kept_rows * outputs;
            }
            Operation::Pool | Operation::Add { .. } => {}
        }
        for (largest, asked) in [
            (&mut self.channels, part.channels),
            (&mut self.weight_gradient, part.weight_gradient),
            (&mut self.input, part.input),
            (&mut self.gradient, part.gradient),
            (&mut self.panels, part.panels),
            (&mut self.tiles, part.tiles),
            (&mut self.zeros, part.zeros),
        ] {
            *largest = asked.max(*largest);
        }
    }

    pub fn part(&self) -> Part {
        Part {
            sums: Sums::new(self.channels),
            weight_gradient: Buffer::zeros(self.weight_gradient),
            input: Buffer::zeros(self.input),
            gradient: Buffer::zeros(self.gradient),
            panels: Buffer::zeros(self.panels),
            tiles: Buffer::zeros(self.tiles),
        }
    }
}
