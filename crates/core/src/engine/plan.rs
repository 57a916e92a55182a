//! The training plan's buffers and how they come to be.

use super::lifetimes::{Lifetime, share_buffers};
use super::parameters::Parameters;
use super::part::{Part, PartSizes};
use super::timings::Timings;
use crate::kernels::batch_norm::{Affine, Gradient};
use crate::kernels::buffer::Buffer;
use crate::kernels::loss::{Loss, Targets, cross_entropy};
use crate::kernels::product::PackedWeight;
use crate::kernels::product::bfloat16::Bfloat16;
use crate::kernels::segments::SEGMENTS;
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
    /// Set if products are of bfloat16.
    pub(super) bfloat16: Option<Bfloat16>,
    pub(super) capacity: usize,
    /// A layer's, if it is a product. Stems and depthwise weights are used as they lie.
    pub(super) packed: Vec<Option<PackedWeight>>,
    pub(super) stem_weight: Buffer,
    /// How a layer's map is read.
    pub(super) affines: Vec<Affine>,
    pub(super) gradients: Vec<Gradient>,
    /// Stored outputs, before batch norm: one a layer.
    pub(super) maps: Vec<Buffer>,
    /// What a layer's input is multiplied by, `[capacity, inputs]`: squeeze-and-excitation's factors, or dropout's.
    pub(super) factors: Vec<Option<Buffer>>,
    /// Gradients of what is read from the maps.
    pub(super) map_gradients: Vec<Buffer>,
    /// Which of them is a layer's.
    pub(super) gradient_places: Vec<usize>,
    pub(super) parts: Vec<Part>,
    pub(super) zeros: Buffer,
    /// Running statistics, as [`Parameters`] lays them out.
    pub statistics: Vec<f32>,
    /// What dropout leaves out in the next step follows from these two: a seed, and the number of the step.
    pub dropout_stream: (u64, u64),
    /// Where the time went so far.
    pub timings: Timings,
}

impl TrainingPlan {
    /// Compiles `network` for batches of at most `capacity` pictures.
    pub fn new(network: Network, capacity: usize, isa: Isa) -> Self {
        let parameters = Parameters::new(&network);
        let layers = &network.layers;
        let packed = layers.iter().map(|layer| {
            let weight = || PackedWeight::new(padded(layer.outputs), padded(layer.inputs), true);
            layer.is_product().then(weight)
        });
        let sizes = PartSizes::new(&network, capacity);
        let (gradient_places, gradient_floats) =
            place_gradients(&network, |index| capacity * layers[index].map_floats());
        let last = layers.len() - 1;
        let factors = layers.iter().enumerate().map(|(index, layer)| {
            let dropout = index == last && network.dropout > 0.0;
            (dropout || layer.excitation.is_some()).then(|| Buffer::zeros(capacity * padded(layer.inputs)))
        });
        Self {
            packed: packed.collect(),
            stem_weight: Buffer::zeros(PATCH * padded(layers[0].outputs)),
            affines: layers.iter().map(|layer| Affine::of(padded(layer.outputs), layer.activation)).collect(),
            gradients: layers.iter().map(|layer| Gradient::new(padded(layer.outputs))).collect(),
            maps: layers.iter().map(|layer| Buffer::zeros(capacity * layer.map_floats())).collect(),
            factors: factors.collect(),
            map_gradients: gradient_floats.into_iter().map(Buffer::zeros).collect(),
            gradient_places,
            parts: (0..SEGMENTS).map(|_| sizes.part()).collect(),
            zeros: Buffer::zeros(sizes.zeros),
            statistics: vec![0.0; parameters.statistic_floats],
            dropout_stream: (0, 0),
            timings: Timings::new(layers.len()),
            network,
            parameters,
            isa,
            bfloat16: None,
            capacity,
        }
    }

    /// The same with products of bfloat16, if they are to be. All else stays float32, and so does the stem, which is a
    /// small part of the work.
    pub fn in_bfloat16(self, bfloat16: impl Into<Option<Bfloat16>>) -> Self {
        let Some(bfloat16) = bfloat16.into() else { return self };
        let rounded =
            |PackedWeight { outputs, inputs, .. }| PackedWeight::rounded(outputs, inputs, true, bfloat16);
        let packed = self.packed.into_iter().map(|packed| packed.map(rounded)).collect();
        Self { packed, bfloat16: Some(bfloat16), ..self }
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

    /// Bytes of its buffers: maps, their gradients, packed weights, scratch. Not counted are the few values a channel
    /// beside them.
    pub fn bytes(&self) -> usize {
        let packed = self.packed.iter().flatten().flat_map(|weight| [&weight.forward, &weight.backward]);
        let maps = self.maps.iter().chain(&self.map_gradients).chain(self.factors.iter().flatten());
        let parts: usize = self.parts.iter().map(Part::bytes).sum();
        Buffer::bytes_of(packed.chain(maps).chain([&self.stem_weight, &self.zeros])) + parts
    }

    /// Loss of the last forward pass against `targets`; sets the gradient that the backward pass starts from.
    pub fn loss<'a>(&mut self, targets: impl Into<Targets<'a>>) -> Loss {
        let (classes, last) = (self.network.classes(), self.network.layers.len() - 1);
        let gradient = &mut self.map_gradients[self.gradient_places[last]];
        cross_entropy(&self.maps[last], padded(classes), classes, targets, Some(gradient))
    }

    /// The logits of the last forward pass: `[pictures, classes]`.
    pub fn logits(&self, pictures: usize) -> Vec<f32> {
        super::unpadded(&self.maps[self.network.layers.len() - 1], pictures, self.network.classes())
    }
}

/// Which buffer holds the gradient of what is read from each layer's map, and how large the buffers are, as `size` says it
/// of each layer's. A shortcut's sum, its two summands and their sums before share one: what flows back along the shortcuts
/// is added up in place.
pub fn place_gradients(network: &Network, size: impl Fn(usize) -> usize) -> (Vec<usize>, Vec<usize>) {
    let layers = &network.layers;
    // The layer that stands for all that share its buffer.
    let mut group: Vec<usize> = (0..layers.len()).collect();
    for (index, layer) in layers.iter().enumerate().rev() {
        if let Operation::Add { .. } = layer.operation {
            layer.reads().for_each(|read| group[read] = group[index]);
        }
    }
    // The backward pass goes from the last layer to the first: its moment t works on layer `layers - 1 - t`.
    let moment = |index: usize| layers.len() - 1 - index;
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; layers.len()];
    for index in (0..layers.len()).rev() {
        // The last layer's is made by the loss; the others' by the first layer, from behind, that reads them.
        let made = layers.iter().rposition(|reader| reader.reads().any(|read| read == index));
        let made = moment(made.unwrap_or(index));
        let lifetime = lifetimes[group[index]].get_or_insert(Lifetime { made, used: 0, floats: 0 });
        lifetime.used = moment(index);
        lifetime.floats = lifetime.floats.max(size(index));
    }
    let mut order: Vec<usize> = (0..layers.len()).filter(|index| lifetimes[*index].is_some()).collect();
    order.sort_by_key(|index| lifetimes[*index].map(|lifetime| lifetime.made));
    let ordered: Vec<Lifetime> = order.iter().filter_map(|index| lifetimes[*index]).collect();
    let (buffers, floats) = share_buffers(&ordered);
    let mut places = vec![0; layers.len()];
    for (index, buffer) in order.into_iter().zip(buffers) {
        places[index] = buffer;
    }
    (group.iter().map(|group| places[*group]).collect(), floats)
}

impl Layer {
    /// Values of the map of one picture, padding included.
    pub fn map_floats(&self) -> usize {
        self.output_side() * self.output_side() * padded(self.outputs)
    }

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
