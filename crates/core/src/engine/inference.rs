//! The plan for inference: batch norm folded into the weights, a depthwise convolution and the product behind it in one
//! pass, and maps that are kept only until they were read.

use super::fold::{Folded, fold};
use super::lifetimes::{Lifetime, share_buffers};
use super::parameters::Parameters;
use super::timings::{Timings, lap};
use crate::kernels::batch_norm::{Affine, Curve, Factors};
use crate::kernels::buffer::{Buffer, Scratch};
use crate::kernels::loss::{Loss, cross_entropy};
use crate::kernels::separable::{Separable, Source};
use crate::kernels::simd::Isa;
use crate::kernels::stem::{self, PATCH};
use crate::kernels::{depthwise, padded, pooling};
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
    passes: Vec<Pass>,
    /// Activated outputs.
    maps: Vec<Buffer>,
    /// A layer's weight while it is folded, before it is packed.
    folded_weight: Buffer,
    scratch: Scratch,
    /// Where the time went so far: a pass's under its last layer that has a weight.
    pub timings: Timings,
}

/// One pass: one to three layers. Numbers are indices of layers.
#[derive(Debug, Clone, Copy)]
struct Pass {
    /// Computed before the product, and never stored.
    depthwise: Option<usize>,
    /// The layer that makes the pass.
    layer: usize,
    /// What is added to its output.
    shortcut: Option<usize>,
    /// The layer whose map is read, `None` for the picture; and the one whose output multiplies it.
    input: Option<usize>,
    excitation: Option<usize>,
    /// The layer whose map is written.
    output: usize,
    /// The buffers: read, multiplied by, added, written.
    places: [usize; 4],
}

impl Pass {
    /// The layers that it reads.
    fn reads(&self) -> impl Iterator<Item = usize> {
        [self.input, self.excitation, self.shortcut].into_iter().flatten()
    }
}

/// The passes of a network, and the floats of the buffers that they share.
fn passes(network: &Network, capacity: usize) -> (Vec<Pass>, Vec<usize>) {
    let layers = &network.layers;
    let mut passes: Vec<Pass> = Vec::new();
    let mut index = 0;
    while let Some(layer) = layers.get(index) {
        let first = index;
        let next = |index: usize| layers.get(index + 1).filter(|next| next.input == Some(index));
        // A depthwise convolution that is read by its product alone.
        let fused = layer.operation == Operation::Depthwise && next(index).is_some_and(Layer::is_product);
        index += usize::from(fused);
        let own = index;
        let mut shortcut = None;
        if let Some(Operation::Add { shortcut: from }) = next(index).map(|layer| layer.operation) {
            shortcut = Some(from);
            index += 1;
        }
        passes.push(Pass {
            depthwise: fused.then_some(first),
            layer: own,
            shortcut,
            input: layer.input,
            excitation: layers[own].excitation,
            output: index,
            places: [0; 4],
        });
        index += 1;
    }
    let lifetimes: Vec<Lifetime> = passes
        .iter()
        .enumerate()
        .map(|(made, pass)| Lifetime {
            made,
            // The logits are read after the last pass.
            used: passes
                .iter()
                .rposition(|later| later.reads().any(|read| read == pass.output))
                .unwrap_or(passes.len()),
            floats: capacity * layers[pass.output].map_floats(),
        })
        .collect();
    let (places, floats) = share_buffers(&lifetimes);
    let outputs: Vec<usize> = passes.iter().map(|pass| pass.output).collect();
    let place = |layer: Option<usize>| {
        let made = outputs.iter().position(|output| Some(*output) == layer);
        made.map_or(usize::MAX, |made| places[made])
    };
    for (made, pass) in passes.iter_mut().enumerate() {
        pass.places = [place(pass.input), place(pass.excitation), place(pass.shortcut), places[made]];
    }
    (passes, floats)
}

impl InferencePlan {
    /// Compiles `network` for batches of at most `capacity` pictures.
    pub fn new(network: Network, capacity: usize, isa: Isa) -> Self {
        let layers = &network.layers;
        let (passes, floats) = passes(&network, capacity);
        let scratch_floats = layers.iter().map(|layer| match layer.operation {
            Operation::Stem => PATCH * layer.output_side(),
            _ => Separable::scratch(layer.output_side(), padded(layer.inputs)),
        });
        let weight_floats = layers.iter().map(|layer| match layer.operation {
            Operation::Pointwise | Operation::Linear => padded(layer.inputs) * padded(layer.outputs),
            _ => PATCH.max(layer.kernel * layer.kernel) * padded(layer.outputs),
        });
        Self {
            parameters: Parameters::new(&network),
            isa,
            capacity,
            layers: layers.iter().map(Folded::new).collect(),
            passes,
            maps: floats.into_iter().map(Buffer::zeros).collect(),
            folded_weight: Buffer::zeros(weight_floats.max().unwrap_or(0)),
            scratch: Scratch::new(scratch_floats.max().unwrap_or(0)),
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
        let eps = self.network.batch_norm_eps;
        for ((layer, slot), folded) in
            self.network.layers.iter().zip(&self.parameters.slots).zip(&mut self.layers)
        {
            fold(self.isa, layer, slot, eps, parameters, statistics, &mut self.folded_weight, folded);
        }
        lap(&mut start, &mut self.timings.prepare);
    }

    /// Runs `pictures` pictures, `[pictures, resolution, resolution, 3]`, up to the logits.
    pub fn forward(&mut self, input: &[f32], pictures: usize) {
        assert!(pictures > 0 && pictures <= self.capacity, "a batch of 1 to {} pictures", self.capacity);
        assert_eq!(input.len(), pictures * self.picture_floats());
        let mut start = Instant::now();
        self.scratch.cover_threads();
        for index in 0..self.passes.len() {
            let pass = self.passes[index];
            // The buffer that is written is taken out meanwhile, so that the others can be read.
            let mut output = std::mem::replace(&mut self.maps[pass.places[3]], Buffer::zeros(0));
            self.run(pass, input, pictures, &mut output);
            self.maps[pass.places[3]] = output;
            lap(&mut start, &mut self.timings.forward[pass.layer]);
        }
    }

    fn run(&self, pass: Pass, input: &[f32], pictures: usize, output: &mut [f32]) {
        let Self { network, isa, layers: folded, maps, scratch, .. } = self;
        let (layer, own) = (&network.layers[pass.layer], &folded[pass.layer]);
        let [from, excitation, shortcut, _] = pass.places;
        let output = &mut output[..pictures * layer.map_floats()];
        match layer.operation {
            Operation::Stem => forward_stem(*isa, layer, own, input, output, scratch),
            Operation::Depthwise => {
                forward_depthwise(*isa, layer, own, &maps[from], output);
            }
            Operation::Pool => {
                let (pixels, channels) = (layer.input_side * layer.input_side, padded(layer.inputs));
                let as_it_is = Affine::identity(channels, Curve::NONE);
                pooling::forward(
                    *isa,
                    &maps[from][..pictures * pixels * channels],
                    &as_it_is,
                    pixels,
                    channels,
                    output,
                );
            }
            Operation::Pointwise | Operation::Linear => {
                let pixels = layer.output_side() * layer.output_side();
                let source = match pass.depthwise {
                    Some(index) => Source::Depthwise {
                        shape: network.layers[index].depthwise_shape(),
                        input: &maps[from],
                        weight: folded[index].plain(),
                        finish: folded[index].finish(),
                    },
                    None => Source::Rows {
                        rows: &maps[from],
                        factors: pass.excitation.map(|_| Factors {
                            values: &maps[excitation],
                            pixels,
                            skipped: 0,
                        }),
                    },
                };
                let block = Separable {
                    rows: pictures * pixels,
                    inputs: padded(layer.inputs),
                    outputs: padded(layer.outputs),
                    source,
                    weight: own.packed(),
                    finish: own.finish(),
                    shortcut: pass.shortcut.map(|_| &maps[shortcut][..]),
                };
                block.run(*isa, output, scratch);
            }
            Operation::Add { .. } => unreachable!("a shortcut is added by the pass of the layer before it"),
        }
    }

    /// Loss of the last forward pass against `labels`.
    pub fn loss(&self, labels: &[u32]) -> Loss {
        let classes = self.network.classes();
        cross_entropy(self.logits_map(), padded(classes), classes, labels, None)
    }

    /// The logits of the last forward pass: `[pictures, classes]`.
    pub fn logits(&self, pictures: usize) -> Vec<f32> {
        super::logits(self.logits_map(), pictures, self.network.classes())
    }

    fn logits_map(&self) -> &[f32] {
        &self.maps[self.passes[self.passes.len() - 1].places[3]]
    }
}

/// The stem, output row by output row.
fn forward_stem(
    isa: Isa,
    layer: &Layer,
    folded: &Folded,
    input: &[f32],
    output: &mut [f32],
    scratch: &Scratch,
) {
    let row_floats = layer.output_side() * padded(layer.outputs);
    output.par_chunks_exact_mut(row_floats).enumerate().for_each(|(row, output)| {
        let mut patches = scratch.take();
        isa.run(stem::forward::Forward {
            shape: layer.stem_shape(),
            rows: row..row + 1,
            input,
            weight: folded.plain(),
            finish: Some(folded.finish()),
            output,
            sums: None,
            patches: &mut patches[..],
        });
    });
}

/// A depthwise convolution whose map is stored, output row by output row.
fn forward_depthwise(isa: Isa, layer: &Layer, folded: &Folded, input: &[f32], output: &mut [f32]) {
    let shape = layer.depthwise_shape();
    let row_floats = layer.output_side() * padded(layer.outputs);
    output.par_chunks_exact_mut(row_floats).enumerate().for_each(|(row, output)| {
        isa.run(depthwise::inference::OutputRow {
            shape,
            input,
            weight: folded.plain(),
            finish: folded.finish(),
            row,
            output,
        });
    });
}
