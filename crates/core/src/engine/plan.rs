//! The training plan's buffers and how they come to be.

use super::parameters::Parameters;
use super::timings::Timings;
use crate::kernels::batch_norm::{Affine, Bounds, Gradient};
use crate::kernels::buffer::Buffer;
use crate::kernels::loss::{Loss, cross_entropy};
use crate::kernels::product::PackedWeight;
use crate::kernels::product::backward::leaves_operands;
use crate::kernels::product::forward::scratch;
use crate::kernels::segments::{ROW_BLOCK, SEGMENTS, Sums};
use crate::kernels::simd::Isa;
use crate::kernels::stem::PATCH;
use crate::kernels::{depthwise, padded, stem};
use crate::model::network::{Layer, Network, Operation};

/// A network compiled for training: forward with batch statistics, and backward.
#[derive(Debug)]
pub struct TrainingPlan {
    pub(super) network: Network,
    pub(super) parameters: Parameters,
    pub(super) isa: Isa,
    pub(super) capacity: usize,
    /// A layer's; the classifier's behind them. Stems and depthwise weights are used as they lie.
    pub(super) packed: Vec<Option<PackedWeight>>,
    pub(super) stem_weight: Buffer,
    pub(super) affines: Vec<Affine>,
    pub(super) gradients: Vec<Gradient>,
    /// Stored outputs, before batch norm: one a layer.
    pub(super) maps: Vec<Buffer>,
    /// Gradients of what is read from a map: of the layer in work, and of the one before it.
    pub(super) map_gradients: [Buffer; 2],
    pub(super) features: Buffer,
    pub(super) features_gradient: Buffer,
    pub(super) logits: Buffer,
    pub(super) logits_gradient: Buffer,
    pub(super) parts: Vec<Part>,
    pub(super) zeros: Buffer,
    /// Running statistics, as [`Parameters`] lays them out.
    pub statistics: Vec<f32>,
    /// Where the time went so far.
    pub timings: Timings,
}

/// What one part of a pass works with, alone.
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

impl TrainingPlan {
    /// Compiles `network` for batches of at most `capacity` pictures.
    pub fn new(network: Network, capacity: usize, isa: Isa) -> Self {
        let parameters = Parameters::new(&network);
        let layers = &network.layers;
        let features = padded(network.features());
        let classes = padded(network.classes);

        let packed = layers
            .iter()
            .map(|layer| {
                let pointwise = layer.operation == Operation::Pointwise;
                pointwise.then(|| PackedWeight::new(padded(layer.outputs), padded(layer.inputs), true))
            })
            .chain([Some(PackedWeight::new(classes, features, true))])
            .collect();

        let map_floats =
            |layer: &Layer| capacity * layer.output_side() * layer.output_side() * padded(layer.outputs);
        let largest_map = layers.iter().map(map_floats).max().unwrap_or(0);
        let maps = layers.iter().map(|layer| Buffer::zeros(map_floats(layer))).collect();

        let sizes = PartSizes::new(&network, capacity);
        let parts = (0..SEGMENTS).map(|_| sizes.part()).collect();
        Self {
            packed,
            stem_weight: Buffer::zeros(PATCH * padded(layers[0].outputs)),
            affines: layers
                .iter()
                .map(|layer| Affine::identity(padded(layer.outputs), Bounds::of(layer.activation)))
                .chain([Affine::identity(features, Bounds::NONE)])
                .collect(),
            gradients: layers
                .iter()
                .map(|layer| Gradient::new(padded(layer.outputs)))
                .chain([Gradient::new(classes)])
                .collect(),
            maps,
            map_gradients: [Buffer::zeros(largest_map), Buffer::zeros(largest_map)],
            features: Buffer::zeros(capacity * features),
            features_gradient: Buffer::zeros(capacity * features),
            logits: Buffer::zeros(capacity * classes),
            logits_gradient: Buffer::zeros(capacity * classes),
            parts,
            zeros: Buffer::zeros(sizes.zeros),
            statistics: vec![0.0; parameters.statistic_floats],
            timings: Timings::new(layers.len()),
            network,
            parameters,
            isa,
            capacity,
        }
    }

    /// Batches hold at most this many pictures.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where every tensor lies.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Floats of one picture: `[resolution, resolution, 3]`.
    pub fn picture_floats(&self) -> usize {
        self.network.picture_floats()
    }

    /// Loss of the last forward pass against `labels`; sets the gradient that the backward pass starts from.
    pub fn loss(&mut self, labels: &[u32]) -> Loss {
        let (classes, stride) = (self.network.classes, padded(self.network.classes));
        cross_entropy(&self.logits, stride, classes, labels, Some(&mut self.logits_gradient))
    }

    /// The logits of the last forward pass: `[pictures, classes]`.
    pub fn logits(&self, pictures: usize) -> Vec<f32> {
        super::logits(&self.logits, pictures, self.network.classes)
    }
}

impl Layer {
    pub(super) fn depthwise_shape(&self) -> depthwise::Shape {
        depthwise::Shape {
            channels: self.outputs,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            input_side: self.input_side,
        }
    }

    pub(super) fn stem_shape(&self) -> stem::Shape {
        stem::Shape {
            outputs: self.outputs,
            stride: self.stride,
            padding: self.padding,
            input_side: self.input_side,
        }
    }
}

/// The largest that any layer asks of a part.
#[derive(Default)]
struct PartSizes {
    channels: usize,
    weight_gradient: usize,
    input: usize,
    gradient: usize,
    panels: usize,
    tiles: usize,
    zeros: usize,
}

impl PartSizes {
    fn new(network: &Network, capacity: usize) -> Self {
        let mut sizes = Self::default();
        for layer in &network.layers {
            let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
            match layer.operation {
                Operation::Stem => {
                    let side = layer.output_side();
                    sizes.grow(
                        outputs,
                        PATCH * outputs,
                        PATCH * side,
                        outputs * side,
                        outputs * side,
                        PATCH * side,
                    );
                }
                Operation::Depthwise => {
                    let shape = layer.depthwise_shape();
                    let (ring, gradient_ring, zeros) = shape.scratch();
                    sizes.grow(outputs, shape.kernel * shape.kernel * outputs, ring, gradient_ring, 0, 0);
                    sizes.zeros = sizes.zeros.max(zeros);
                }
                Operation::Pointwise => {
                    sizes.grow_product(capacity * layer.output_side() * layer.output_side(), inputs, outputs);
                }
            }
        }
        sizes.grow_product(capacity, padded(network.features()), padded(network.classes));
        sizes
    }

    /// For a product of `rows` rows in all.
    fn grow_product(&mut self, rows: usize, inputs: usize, outputs: usize) {
        let leaves = leaves_operands(rows, inputs, outputs);
        let kept_rows = if leaves { rows.div_ceil(SEGMENTS) } else { ROW_BLOCK };
        self.grow(
            inputs.max(outputs),
            if leaves { 0 } else { outputs * inputs },
            scratch(inputs),
            scratch(outputs),
            kept_rows * inputs,
            kept_rows * outputs,
        );
    }

    fn grow(
        &mut self,
        channels: usize,
        weight_gradient: usize,
        input: usize,
        gradient: usize,
        panels: usize,
        tiles: usize,
    ) {
        self.channels = self.channels.max(channels);
        self.weight_gradient = self.weight_gradient.max(weight_gradient);
        self.input = self.input.max(input);
        self.gradient = self.gradient.max(gradient);
        self.panels = self.panels.max(panels);
        self.tiles = self.tiles.max(tiles);
    }

    fn part(&self) -> Part {
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
