//! The plan for inference: batch norm folded into the weights, a depthwise convolution and the product behind it in one
//! pass, and maps that are kept only until they were read.

use super::fold::{Folded, fold};
use super::parameters::Parameters;
use super::stages::{Pass, Place, Route, Stage};
use super::timings::{Timings, lap};
use crate::kernels::batch_norm::{Affine, Curve, Factors};
use crate::kernels::buffer::{Buffer, Scratch};
use crate::kernels::crew::{self, Crew};
use crate::kernels::depthwise::inference::Depthwise;
use crate::kernels::product::bfloat16::Bfloat16;
use crate::kernels::separable::{Separable, Source};
use crate::kernels::simd::Isa;
use crate::kernels::stem::PATCH;
use crate::kernels::stem::inference::Stem;
use crate::kernels::{padded, pooling};
use crate::model::network::{Layer, Network, Operation};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// A network compiled for inference.
#[derive(Debug)]
pub struct InferencePlan {
    pub(super) network: Network,
    parameters: Parameters,
    isa: Isa,
    capacity: usize,
    layers: Vec<Folded>,
    /// Shared, so that it can be followed while the maps change.
    route: Arc<Route>,
    /// Activated outputs of stages; the one that is being written is taken out.
    maps: Vec<Option<Buffer>>,
    /// Reads a map as it is.
    as_it_is: Affine,
    /// What lies between the passes of a stage.
    local: Scratch,
    /// A layer's weight while it is folded, before it is packed.
    folded_weight: Buffer,
    scratch: Scratch,
    /// Where the time went so far: a stage's under its last layer that has a weight.
    pub timings: Timings,
}

/// Multiply-adds below which a pass is not worth dividing: one core takes 3 microseconds for them, handing it to a second core
/// one, and each line that one core wrote and the other reads 5 ns. From 100,000 to 400,000 it makes no difference.
const SMALL_PASS: usize = 200_000;

/// What a pass reads, for some pictures.
struct Operands<'a> {
    /// The picture, or the map that is read.
    input: &'a [f32],
    excitation: Option<&'a [f32]>,
    shortcut: Option<&'a [f32]>,
}

impl InferencePlan {
    /// Compiles `network` for batches of at most `capacity` pictures.
    pub fn new(network: Network, capacity: usize, isa: Isa) -> Self {
        let layers = &network.layers;
        let route = Route::new(&network);
        let scratch_floats = layers.iter().map(|layer| match layer.operation {
            Operation::Stem => PATCH * layer.output_side(),
            _ => Separable::scratch(layer.output_side(), padded(layer.inputs)),
        });
        let weight_floats = layers.iter().map(|layer| match layer.operation {
            Operation::Pointwise | Operation::Linear => padded(layer.inputs) * padded(layer.outputs),
            _ => PATCH.max(layer.kernel * layer.kernel) * padded(layer.outputs),
        });
        let pools = layers.iter().filter(|layer| layer.operation == Operation::Pool);
        let pooled = pools.map(|layer| padded(layer.inputs));
        Self {
            parameters: Parameters::new(&network),
            isa,
            capacity,
            layers: layers.iter().map(Folded::new).collect(),
            maps: route.batch_floats.iter().map(|floats| Some(Buffer::zeros(capacity * floats))).collect(),
            as_it_is: Affine::identity(pooled.max().unwrap_or(0), Curve::NONE),
            local: Scratch::new(route.stages.iter().map(|stage| stage.scratch(capacity)).max().unwrap_or(0)),
            route: Arc::new(route),
            folded_weight: Buffer::zeros(weight_floats.max().unwrap_or(0)),
            scratch: Scratch::new(scratch_floats.max().unwrap_or(0)),
            timings: Timings::new(layers.len()),
            network,
        }
    }

    /// The same with products of bfloat16, if they are to be. All else stays float32, and so does the stem.
    pub fn in_bfloat16(self, bfloat16: impl Into<Option<Bfloat16>>) -> Self {
        let Some(bfloat16) = bfloat16.into() else { return self };
        let layers = self.layers.into_iter().map(|layer| layer.in_bfloat16(bfloat16)).collect();
        Self { layers, ..self }
    }

    /// Batches hold at most this many pictures.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where every tensor lies.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Height and width of a picture, in pixels.
    pub fn resolution(&self) -> usize {
        self.network.resolution
    }

    /// Floats of one picture: `[resolution, resolution, 3]`.
    pub fn picture_floats(&self) -> usize {
        self.network.picture_floats()
    }

    /// Bytes of its buffers: maps, folded weights, and what the threads that have run it have of their own. Not counted are
    /// the few values a channel beside them.
    pub fn bytes(&self) -> usize {
        let weights = self.layers.iter().filter_map(Folded::buffer);
        let maps = self.maps.iter().flatten();
        let shared = Buffer::bytes_of(weights.chain(maps).chain([&self.folded_weight]));
        shared + self.scratch.bytes() + self.local.bytes()
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
        self.run_stages(input, pictures, self.route.stages.len());
    }

    /// The pooled features of the pictures, `[pictures, features]`: what the classifier, in V3 its first layer, reads.
    pub fn features(&mut self, input: &[f32], pictures: usize) -> Vec<f32> {
        let pool = self.network.features();
        let ends_there = |stage: &Stage| self.route.passes[stage.passes.end - 1].output == pool;
        let last = self.route.stages.iter().position(ends_there).expect("a stage ends before a linear layer");
        self.run_stages(input, pictures, last + 1);
        super::unpadded(self.layer_map(pool), pictures, self.network.layers[pool].outputs)
    }

    /// Runs one layer, which is no sum, by itself: of its input for some pictures, without what may stand beside it.
    pub(super) fn run_layer(&mut self, layer: usize, input: &[f32], pictures: usize, output: &mut [f32]) {
        self.scratch.cover_threads();
        let pass =
            Pass { depthwise: None, layer, input: None, excitation: None, shortcut: None, output: layer };
        let operands = Operands { input, excitation: None, shortcut: None };
        crew::together(|crew| self.run_pass(&pass, &operands, pictures, output, Some(crew)));
    }

    /// Runs the first `count` stages.
    fn run_stages(&mut self, input: &[f32], pictures: usize, count: usize) {
        assert!(pictures > 0 && pictures <= self.capacity, "a batch of 1 to {} pictures", self.capacity);
        assert_eq!(input.len(), pictures * self.picture_floats());
        self.scratch.cover_threads();
        self.local.cover_threads();
        crew::together(|crew| self.run_first_stages(input, pictures, count, crew));
    }

    fn run_first_stages(&mut self, input: &[f32], pictures: usize, count: usize, crew: &Crew<'_>) {
        let route = self.route.clone();
        for stage in &route.stages[..count] {
            let mut start = Instant::now();
            let last = &route.passes[stage.passes.end - 1];
            let Some(Place::Batch(place)) = route.places[last.output] else {
                unreachable!("a stage's output is a map of the batch")
            };
            let mut map = self.maps[place].take().expect("a map is put back where it was");
            let floats = self.network.layers[last.output].map_floats();
            self.run_stage(stage, input, pictures, &mut map[..pictures * floats], floats, crew);
            self.maps[place] = Some(map);
            lap(&mut start, &mut self.timings.forward[last.layer]);
        }
    }

    /// A stage for all pictures; its output has `floats` a picture.
    fn run_stage(
        &self,
        stage: &Stage,
        input: &[f32],
        pictures: usize,
        output: &mut [f32],
        floats: usize,
        crew: &Crew<'_>,
    ) {
        let threads = crew.threads();
        if stage.local_floats.is_empty() && stage.passes.len() == 1 {
            // Nothing lies between: the pass divides its work by itself.
            self.run_pictures(stage, input, 0..pictures, output, Some(crew));
        } else if pictures < threads {
            // Too few to give every thread one: all threads work on one after the other.
            for (picture, output) in output.chunks_exact_mut(floats).enumerate() {
                self.run_pictures(stage, input, picture..picture + 1, output, Some(crew));
            }
        } else {
            let group = stage.group(pictures.div_ceil(threads));
            crew::for_each_chunk(Some(crew), output, group * floats, |index, output| {
                let first = index * group;
                let pictures = first..first + output.len() / floats;
                self.run_pictures(stage, input, pictures, output, None);
            });
        }
    }

    /// A stage for some pictures, each pass divided among the threads or not.
    fn run_pictures(
        &self,
        stage: &Stage,
        input: &[f32],
        pictures: Range<usize>,
        output: &mut [f32],
        crew: Option<&Crew<'_>>,
    ) {
        let layers = &self.network.layers;
        let mut memory = (!stage.local_floats.is_empty()).then(|| self.local.take());
        let mut rest: &mut [f32] = memory.as_mut().map_or(&mut [], |memory| &mut memory[..]);
        let mut local: Vec<&mut [f32]> = Vec::with_capacity(stage.local_floats.len());
        for floats in &stage.local_floats {
            let (map, behind) = rest.split_at_mut(floats * pictures.len());
            local.push(map);
            rest = behind;
        }
        for pass in &self.route.passes[stage.passes.clone()] {
            let size = pictures.len() * layers[pass.output].map_floats();
            let place = self.route.places[pass.output];
            // The map that is written is taken out meanwhile, so that the others can be read.
            let taken = match place {
                Some(Place::Local(place)) => std::mem::take(&mut local[place]),
                _ => &mut [],
            };
            let to = if let Some(Place::Local(_)) = place { &mut taken[..size] } else { &mut output[..size] };
            let read = |layer: usize| match self.route.places[layer] {
                Some(Place::Local(place)) => &*local[place],
                Some(Place::Batch(place)) => &self.map(place)[pictures.start * layers[layer].map_floats()..],
                None => unreachable!("what is read was stored"),
            };
            let operands = Operands {
                input: pass.input.map_or(&input[pictures.start * self.picture_floats()..], read),
                excitation: pass.excitation.map(read),
                shortcut: pass.shortcut.map(read),
            };
            self.run_pass(pass, &operands, pictures.len(), to, crew);
            if let Some(Place::Local(place)) = place {
                local[place] = taken;
            }
        }
    }

    fn run_pass(
        &self,
        pass: &Pass,
        operands: &Operands<'_>,
        pictures: usize,
        output: &mut [f32],
        crew: Option<&Crew<'_>>,
    ) {
        let Self { network, isa, layers: folded, scratch, .. } = self;
        let (layer, own) = (&network.layers[pass.layer], &folded[pass.layer]);
        let work: usize =
            pass.depthwise.into_iter().chain([pass.layer]).map(|layer| work(&network.layers[layer])).sum();
        let crew = crew.filter(|_| work * pictures > SMALL_PASS);
        match layer.operation {
            Operation::Stem => {
                let (shape, input) = (layer.stem_shape(), operands.input);
                let stem = Stem { shape, input, weight: own.plain(), finish: own.finish() };
                stem.run(*isa, output, scratch, crew);
            }
            Operation::Depthwise => {
                let (shape, input) = (layer.depthwise_shape(), operands.input);
                let depthwise = Depthwise { shape, input, weight: own.plain(), finish: own.finish() };
                depthwise.run(*isa, output, crew);
            }
            Operation::Pool => {
                let (pixels, channels) = (layer.input_side * layer.input_side, padded(layer.inputs));
                let map = &operands.input[..pictures * pixels * channels];
                pooling::forward(*isa, map, &self.as_it_is, pixels, channels, output, crew);
            }
            Operation::Pointwise | Operation::Linear => {
                let pixels = layer.output_side() * layer.output_side();
                let factors = |values| Factors { values, pixels, skipped: 0 };
                let source = match pass.depthwise {
                    Some(index) => Source::Depthwise {
                        shape: network.layers[index].depthwise_shape(),
                        input: operands.input,
                        weight: folded[index].plain(),
                        finish: folded[index].finish(),
                    },
                    None => Source::Rows { rows: operands.input, factors: operands.excitation.map(factors) },
                };
                let block = Separable {
                    rows: pictures * pixels,
                    inputs: padded(layer.inputs),
                    outputs: padded(layer.outputs),
                    source,
                    weight: &own.packed().forward,
                    bfloat16: own.packed().bfloat16,
                    finish: own.finish(),
                    shortcut: operands.shortcut,
                };
                block.run(*isa, output, scratch, crew);
            }
            Operation::Add { .. } => unreachable!("a shortcut is added by the pass of the layer before it"),
        }
    }

    /// The logits of the last forward pass: `[pictures, classes]`.
    pub fn logits(&self, pictures: usize) -> Vec<f32> {
        super::unpadded(self.logits_map(), pictures, self.network.classes())
    }

    fn map(&self, place: usize) -> &[f32] {
        self.maps[place].as_deref().expect("a map is not read while it is written")
    }

    fn logits_map(&self) -> &[f32] {
        self.layer_map(self.network.layers.len() - 1)
    }

    /// The map of a layer that a stage ends with.
    fn layer_map(&self, layer: usize) -> &[f32] {
        match self.route.places[layer] {
            Some(Place::Batch(place)) => self.map(place),
            _ => unreachable!("a stage's output is a map of the batch"),
        }
    }
}

/// A layer's multiply-adds for one picture, those of slower passes counted as often as they are slower than a product.
fn work(layer: &Layer) -> usize {
    match layer.operation {
        // It gathers its patches.
        Operation::Stem => 6 * layer.multiply_adds(),
        // Each weight is used once a pixel.
        Operation::Depthwise => 4 * layer.multiply_adds(),
        // Each weight is read for one row.
        _ if layer.output_side() == 1 => 8 * layer.multiply_adds(),
        _ => layer.multiply_adds(),
    }
}
