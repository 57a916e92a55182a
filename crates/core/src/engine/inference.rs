//! The plan for inference: batch norm folded into the weights, two passes a block instead of four, two maps in all.

use super::parameters::Parameters;
use super::timings::{Timings, lap};
use crate::kernels::batch_norm::{Affine, Bounds, Finish};
use crate::kernels::buffer::{Buffer, Scratch, Values, values};
use crate::kernels::loss::{Loss, cross_entropy};
use crate::kernels::product::PackedWeight;
use crate::kernels::product::cpu::panel_width;
use crate::kernels::product::pack::pack;
use crate::kernels::separable::{Separable, Source};
use crate::kernels::simd::Isa;
use crate::kernels::stem::{self, PATCH};
use crate::kernels::{padded, pooling};
use crate::model::network::{Layer, Network, Operation};
use rayon::prelude::*;
use std::time::Instant;

/// A network compiled for inference.
#[derive(Debug)]
pub struct InferencePlan {
    pub(super) network: Network,
    parameters: Parameters,
    isa: Isa,
    capacity: usize,
    layers: Vec<Folded>,
    classifier: PackedWeight,
    classifier_bias: Values,
    /// Activated outputs; layers write them in turn.
    maps: [Buffer; 2],
    /// Reads the last map as it is.
    as_it_is: Affine,
    features: Buffer,
    logits: Buffer,
    /// A layer's weight while it is folded, before it is packed.
    folded_weight: Buffer,
    scratch: Scratch,
    /// Where the time went so far: a block's under its pointwise layer.
    pub timings: Timings,
}

/// A layer with its batch norm in weight and bias.
#[derive(Debug)]
struct Folded {
    weight: Weight,
    bias: Values,
}

#[derive(Debug)]
enum Weight {
    /// As [`stem::forward::Forward`] or [`Source::Depthwise`] read it.
    Plain(Buffer),
    Packed(PackedWeight),
}

impl Folded {
    fn new(layer: &Layer) -> Self {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let weight = match layer.operation {
            Operation::Stem => Weight::Plain(Buffer::zeros(PATCH * outputs)),
            Operation::Depthwise => Weight::Plain(Buffer::zeros(layer.kernel * layer.kernel * outputs)),
            Operation::Pointwise => Weight::Packed(PackedWeight::new(outputs, inputs, false)),
        };
        Self { weight, bias: values(outputs, 0.0) }
    }

    fn plain(&self) -> &[f32] {
        let Weight::Plain(weight) = &self.weight else {
            unreachable!("stems and depthwise weights are plain")
        };
        weight
    }

    fn packed(&self) -> &[f32] {
        let Weight::Packed(weight) = &self.weight else { unreachable!("pointwise weights are packed") };
        &weight.forward
    }

    fn finish(&self, layer: &Layer) -> Finish<'_> {
        Finish { bias: &self.bias, bounds: Bounds::of(layer.activation) }
    }
}

impl InferencePlan {
    /// Compiles `network` for batches of at most `capacity` pictures.
    pub fn new(network: Network, capacity: usize, isa: Isa) -> Self {
        let layers = &network.layers;
        let (features, classes) = (padded(network.features()), padded(network.classes));
        // A depthwise layer's output goes straight into the product behind it.
        let stored = layers.iter().filter(|layer| layer.operation != Operation::Depthwise);
        let map_floats = stored
            .map(|layer| capacity * layer.output_side() * layer.output_side() * padded(layer.outputs))
            .max()
            .unwrap_or(0);
        let product_scratch = |layer: &Layer| Separable::scratch(layer.output_side(), padded(layer.inputs));
        let scratch_floats = layers.iter().map(product_scratch).max().unwrap_or(0);
        let weight_floats = layers.iter().map(|layer| {
            let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
            match layer.operation {
                Operation::Pointwise => inputs * outputs,
                Operation::Stem | Operation::Depthwise => PATCH.max(layer.kernel * layer.kernel) * outputs,
            }
        });
        let stem_scratch = PATCH * layers[0].output_side();
        Self {
            parameters: Parameters::new(&network),
            isa,
            capacity,
            layers: layers.iter().map(Folded::new).collect(),
            classifier: PackedWeight::new(classes, features, false),
            classifier_bias: values(classes, 0.0),
            maps: [Buffer::zeros(map_floats), Buffer::zeros(map_floats)],
            as_it_is: Affine::identity(features, Bounds::NONE),
            features: Buffer::zeros(capacity * features),
            logits: Buffer::zeros(capacity * classes),
            folded_weight: Buffer::zeros(weight_floats.max().unwrap_or(0)),
            scratch: Scratch::new(scratch_floats.max(Separable::scratch(1, features)).max(stem_scratch)),
            timings: Timings::new(layers.len()),
            network,
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

    /// Takes over new parameters and running statistics: folds and packs them.
    pub fn prepare(&mut self, parameters: &[f32], statistics: &[f32]) {
        let mut start = Instant::now();
        let (isa, eps) = (self.isa, self.network.batch_norm_eps);
        let slots = &self.parameters.slots;
        for ((layer, slot), folded) in self.network.layers.iter().zip(slots).zip(&mut self.layers) {
            let outputs = padded(layer.outputs);
            let mut scale = vec![1.0; outputs];
            if layer.norm.is_some() {
                let mut affine = Affine::identity(outputs, Bounds::NONE);
                let running = |range: &std::ops::Range<usize>| -> Vec<f64> {
                    statistics[range.clone()].iter().map(|value| f64::from(*value)).collect()
                };
                let (mean, variance) = (running(&slot.running_mean), running(&slot.running_var));
                let (weight, bias) =
                    (&parameters[slot.norm_weight.clone()], &parameters[slot.norm_bias.clone()]);
                affine.set(&mean, &variance, weight, bias, eps);
                folded.bias.copy_from_slice(&affine.shift);
                for (channel, scale) in scale.iter_mut().enumerate() {
                    *scale = f64::from(weight[channel]) * affine.inverse_std[channel];
                }
            } else {
                folded.bias.copy_from_slice(&parameters[slot.bias.clone()]);
            }
            let from = &parameters[slot.weight.clone()];
            let weight = &mut self.folded_weight[..from.len()];
            let scaled = |value: &f32, scale: &f64| (f64::from(*value) * scale) as f32;
            // Outputs are the rows of a product's weight, and the columns of the others'.
            if layer.operation == Operation::Pointwise {
                let inputs = padded(layer.inputs);
                let rows = weight.par_chunks_mut(inputs).zip(from.par_chunks(inputs)).zip(&scale);
                rows.for_each(|((to, from), scale)| {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = scaled(from, scale));
                });
            } else {
                for (to, from) in weight.chunks_exact_mut(outputs).zip(from.chunks_exact(outputs)) {
                    to.iter_mut()
                        .zip(from)
                        .zip(&scale)
                        .for_each(|((to, from), scale)| *to = scaled(from, scale));
                }
            }
            let weight = &*weight;
            match &mut folded.weight {
                Weight::Packed(packed) => packed.pack(isa, weight),
                Weight::Plain(to) if layer.operation == Operation::Stem => {
                    pack(weight, PATCH, outputs, panel_width(isa), to);
                }
                Weight::Plain(to) => to.copy_from_slice(weight),
            }
        }
        let slot = &slots[self.network.layers.len()];
        self.classifier.pack(isa, &parameters[slot.weight.clone()]);
        self.classifier_bias.copy_from_slice(&parameters[slot.bias.clone()]);
        lap(&mut start, &mut self.timings.prepare);
    }

    /// Runs `pictures` pictures, `[pictures, resolution, resolution, 3]`, up to the logits.
    pub fn forward(&mut self, input: &[f32], pictures: usize) {
        assert!(pictures > 0 && pictures <= self.capacity, "a batch of 1 to {} pictures", self.capacity);
        assert_eq!(input.len(), pictures * self.picture_floats());
        let mut start = Instant::now();
        self.scratch.cover_threads();
        let Self { network, isa, layers: folded, maps, scratch, timings, .. } = self;
        let layers = &network.layers;
        let [mut from, mut to] = maps.each_mut();
        let mut index = 0;
        while let Some(layer) = layers.get(index) {
            match layer.operation {
                Operation::Stem => {
                    forward_stem(*isa, layer, &folded[index], input, pictures, to, scratch);
                }
                Operation::Depthwise | Operation::Pointwise => {
                    let source = if layer.operation == Operation::Pointwise {
                        Source::Rows(from)
                    } else {
                        index += 1;
                        Source::Depthwise {
                            shape: layer.depthwise_shape(),
                            input: from,
                            weight: folded[index - 1].plain(),
                            finish: folded[index - 1].finish(layer),
                        }
                    };
                    let product = &layers[index];
                    let block = Separable {
                        rows: pictures * product.output_side() * product.output_side(),
                        inputs: padded(product.inputs),
                        outputs: padded(product.outputs),
                        source,
                        weight: folded[index].packed(),
                        finish: folded[index].finish(product),
                    };
                    block.run(*isa, to, scratch);
                }
            }
            lap(&mut start, &mut timings.forward[index]);
            std::mem::swap(&mut from, &mut to);
            index += 1;
        }
        let last = &layers[layers.len() - 1];
        let (pixels, channels) = (last.output_side() * last.output_side(), padded(last.outputs));
        let map = &from[..pictures * pixels * channels];
        pooling::forward(*isa, map, &self.as_it_is, pixels, channels, &mut self.features);
        lap(&mut start, &mut timings.forward[layers.len()]);
        let classifier = Separable {
            rows: pictures,
            inputs: channels,
            outputs: padded(network.classes),
            source: Source::Rows(&self.features),
            weight: &self.classifier.forward,
            finish: Finish { bias: &self.classifier_bias, bounds: Bounds::NONE },
        };
        classifier.run(*isa, &mut self.logits, scratch);
        lap(&mut start, &mut timings.forward[layers.len() + 1]);
    }

    /// Loss of the last forward pass against `labels`.
    pub fn loss(&self, labels: &[u32]) -> Loss {
        cross_entropy(&self.logits, padded(self.network.classes), self.network.classes, labels, None)
    }

    /// The logits of the last forward pass: `[pictures, classes]`.
    pub fn logits(&self, pictures: usize) -> Vec<f32> {
        super::logits(&self.logits, pictures, self.network.classes)
    }
}

/// The stem, output row by output row.
fn forward_stem(
    isa: Isa,
    layer: &Layer,
    folded: &Folded,
    input: &[f32],
    pictures: usize,
    output: &mut [f32],
    scratch: &Scratch,
) {
    let (side, outputs) = (layer.output_side(), padded(layer.outputs));
    let output = &mut output[..pictures * side * side * outputs];
    output.par_chunks_exact_mut(side * outputs).enumerate().for_each(|(row, output)| {
        let mut patches = scratch.take();
        isa.run(stem::forward::Forward {
            shape: layer.stem_shape(),
            rows: row..row + 1,
            input,
            weight: folded.plain(),
            finish: Some(folded.finish(layer)),
            output,
            sums: None,
            patches: &mut patches[..],
        });
    });
}
