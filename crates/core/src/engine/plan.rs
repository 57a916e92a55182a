//! The plan's buffers and how they come to be.

use super::parameters::Parameters;
use super::timings::Timings;
use crate::kernels::batch_norm::{Affine, Bounds, Gradient};
use crate::kernels::buffer::Buffer;
use crate::kernels::loss::{Loss, cross_entropy};
use crate::kernels::product::PackedWeight;
use crate::kernels::product::forward::{block_stride, scratch};
use crate::kernels::segments::{ROW_BLOCK, SEGMENTS, Sums};
use crate::kernels::simd::Isa;
use crate::kernels::stem::{PATCH, PICTURE_CHANNELS};
use crate::kernels::{depthwise, padded, stem};
use crate::model::network::{Layer, Network, Operation};

/// What a plan is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Forward with batch statistics, and backward: every map is kept.
    Training,
    /// Forward with running statistics: two maps take turns.
    Evaluation,
}

/// A compiled network.
#[derive(Debug)]
pub struct Plan {
    pub(super) network: Network,
    pub(super) parameters: Parameters,
    pub(super) purpose: Purpose,
    pub(super) isa: Isa,
    pub(super) capacity: usize,
    /// A layer's; the classifier's behind them. Stems and depthwise weights are used as they lie.
    pub(super) packed: Vec<Option<PackedWeight>>,
    pub(super) stem_weight: Buffer,
    pub(super) affines: Vec<Affine>,
    pub(super) gradients: Vec<Gradient>,
    /// Stored outputs: one a layer in training, two in all otherwise.
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

impl Plan {
    /// Compiles `network` for batches of at most `capacity` pictures.
    pub fn new(network: Network, purpose: Purpose, capacity: usize, isa: Isa) -> Self {
        let parameters = Parameters::new(&network);
        let trained = purpose == Purpose::Training;
        let layers = &network.layers;
        let features = padded(network.features());
        let classes = padded(network.classes);

        let packed = layers
            .iter()
            .map(|layer| {
                let pointwise = layer.operation == Operation::Pointwise;
                pointwise.then(|| PackedWeight::new(padded(layer.outputs), padded(layer.inputs), trained))
            })
            .chain([Some(PackedWeight::new(classes, features, trained))])
            .collect();

        let map_floats =
            |layer: &Layer| capacity * layer.output_side() * layer.output_side() * padded(layer.outputs);
        let largest_map = layers.iter().map(map_floats).max().unwrap_or(0);
        let maps = if trained {
            layers.iter().map(|layer| Buffer::zeros(map_floats(layer))).collect()
        } else {
            (0..2).map(|_| Buffer::zeros(largest_map)).collect()
        };
        let gradient_map = if trained { largest_map } else { 0 };

        let sizes = PartSizes::new(&network, trained);
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
            map_gradients: [Buffer::zeros(gradient_map), Buffer::zeros(gradient_map)],
            features: Buffer::zeros(capacity * features),
            features_gradient: Buffer::zeros(if trained { capacity * features } else { 0 }),
            logits: Buffer::zeros(capacity * classes),
            logits_gradient: Buffer::zeros(if trained { capacity * classes } else { 0 }),
            parts,
            zeros: Buffer::zeros(sizes.zeros),
            statistics: vec![0.0; parameters.statistic_floats],
            timings: Timings::new(layers.len()),
            network,
            parameters,
            purpose,
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
        self.network.resolution * self.network.resolution * PICTURE_CHANNELS
    }

    /// Loss of the last forward pass against `labels`; in training, sets the gradient that the backward pass starts from.
    pub fn loss(&mut self, labels: &[u32]) -> Loss {
        let (classes, stride) = (self.network.classes, padded(self.network.classes));
        let gradient = (self.purpose == Purpose::Training).then_some(&mut *self.logits_gradient);
        cross_entropy(&self.logits, stride, classes, labels, gradient)
    }

    /// The logits of the last forward pass: `[pictures, classes]`.
    pub fn logits(&self, pictures: usize) -> Vec<f32> {
        let (classes, stride) = (self.network.classes, padded(self.network.classes));
        self.logits[..pictures * stride]
            .chunks_exact(stride)
            .flat_map(|row| &row[..classes])
            .copied()
            .collect()
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
    fn new(network: &Network, trained: bool) -> Self {
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
                Operation::Pointwise => sizes.grow_product(inputs, outputs),
            }
        }
        sizes.grow_product(padded(network.features()), padded(network.classes));
        if !trained {
            sizes = Self { weight_gradient: 0, gradient: 0, panels: 0, tiles: 0, ..sizes };
        }
        sizes
    }

    fn grow_product(&mut self, inputs: usize, outputs: usize) {
        let channels = inputs.max(outputs);
        let gradient = ROW_BLOCK * block_stride(outputs);
        self.grow(
            channels,
            outputs * inputs,
            scratch(inputs),
            gradient,
            ROW_BLOCK * inputs,
            ROW_BLOCK * outputs,
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
