//! How inference goes through a network: passes of one to three layers, and stages of several passes that a few pictures
//! go through together, so that what lies between the passes stays in a core's cache.

use super::lifetimes::{Lifetime, share_buffers};
use crate::model::network::{Layer, Network, Operation};
use std::ops::Range;

/// Bytes of what lies between a stage's passes for the pictures that go through it together: about a core's L2 cache.
const LOCAL_BYTES: usize = 1 << 20;

/// Where a map lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In one of the buffers that hold maps of the whole batch.
    Batch(usize),
    /// In one of the maps that a thread has for a stage.
    Local(usize),
}

/// One pass. Numbers are indices of layers.
#[derive(Debug)]
pub(super) struct Pass {
    /// Computed before the product, and never stored.
    pub depthwise: Option<usize>,
    /// The layer that makes the pass.
    pub layer: usize,
    /// The layer whose map is read, `None` for the picture.
    pub input: Option<usize>,
    /// The layer whose output multiplies it.
    pub excitation: Option<usize>,
    /// The layer whose map is added to the output.
    pub shortcut: Option<usize>,
    /// The layer whose map is written.
    pub output: usize,
}

impl Pass {
    fn reads(&self) -> impl Iterator<Item = usize> {
        [self.input, self.excitation, self.shortcut].into_iter().flatten()
    }
}

/// Passes that some pictures go through together.
#[derive(Debug)]
pub(super) struct Stage {
    /// Which passes.
    pub passes: Range<usize>,
    /// Floats, for one picture, of each map that a thread has.
    pub local_floats: Vec<usize>,
}

impl Stage {
    /// How many pictures go through it together: as many as their maps fit the cache, but `most` at most, so that every
    /// thread gets some.
    pub fn group(&self, most: usize) -> usize {
        let bytes = self.picture_floats() * size_of::<f32>();
        (LOCAL_BYTES / bytes.max(1)).clamp(1, most)
    }

    /// Floats that a thread needs for its maps.
    pub fn scratch(&self, capacity: usize) -> usize {
        self.group(capacity) * self.picture_floats()
    }

    fn picture_floats(&self) -> usize {
        self.local_floats.iter().sum()
    }
}

/// A network as inference goes through it.
#[derive(Debug)]
pub(super) struct Route {
    pub passes: Vec<Pass>,
    pub stages: Vec<Stage>,
    /// Where a layer's map lies, if it is stored.
    pub places: Vec<Option<Place>>,
    /// Floats, for one picture, of every buffer for the whole batch.
    pub batch_floats: Vec<usize>,
}

impl Route {
    pub fn new(network: &Network) -> Self {
        let passes = passes(network);
        let floats = |pass: &Pass| network.layers[pass.output].map_floats();
        let last_reader = |made: usize| {
            let output = passes[made].output;
            passes.iter().rposition(|pass| pass.reads().any(|read| read == output)).unwrap_or(passes.len())
        };
        let lifetime =
            |made: usize| Lifetime { made, used: last_reader(made), floats: floats(&passes[made]) };
        // Where the maps within a stage lie, and the floats of the buffers that they share.
        let shared = |range: &Range<usize>| {
            let lifetimes: Vec<Lifetime> = (range.start..range.end - 1).map(lifetime).collect();
            share_buffers(&lifetimes)
        };
        let ranges = join(network, &passes, stage_ranges(network, &passes), |range| {
            shared(range).1.iter().sum::<usize>() * size_of::<f32>()
        });
        let mut places = vec![None; network.layers.len()];
        let mut stages = Vec::new();
        for range in ranges {
            let (buffers, local_floats) = shared(&range);
            for (made, buffer) in range.clone().zip(buffers) {
                places[passes[made].output] = Some(Place::Local(buffer));
            }
            stages.push(Stage { passes: range, local_floats });
        }
        // A stage is one moment for the maps between stages.
        let stage_of = |pass: usize| stages.iter().position(|stage| stage.passes.contains(&pass));
        let between: Vec<Lifetime> = stages
            .iter()
            .enumerate()
            .map(|(made, stage)| {
                let last = lifetime(stage.passes.end - 1);
                Lifetime { made, used: stage_of(last.used).unwrap_or(stages.len()), floats: last.floats }
            })
            .collect();
        let (buffers, batch_floats) = share_buffers(&between);
        for (stage, buffer) in stages.iter().zip(buffers) {
            places[passes[stage.passes.end - 1].output] = Some(Place::Batch(buffer));
        }
        Self { passes, stages, places, batch_floats }
    }
}

fn passes(network: &Network) -> Vec<Pass> {
    let layers = &network.layers;
    let mut passes = Vec::new();
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
            input: layer.input,
            excitation: layers[own].excitation,
            shortcut,
            output: index,
        });
        index += 1;
    }
    passes
}

/// A stage ends where one map alone goes on. Where that map is larger than those before and behind it, as between an
/// expansion and its depthwise convolution, it doesn't: such a map is what should stay in the cache. A linear layer is a
/// stage of its own: its weights are large, and all pictures should go by them together.
fn stage_ranges(network: &Network, passes: &[Pass]) -> Vec<Range<usize>> {
    let floats = |pass: &Pass| network.layers[pass.output].map_floats();
    let linear = |pass: &Pass| network.layers[pass.layer].operation == Operation::Linear;
    let may_end = |index: usize| {
        let alone = passes[index + 1..].iter().all(|later| {
            later.reads().all(|read| {
                let made = passes.iter().position(|pass| pass.output == read);
                made.is_none_or(|made| made >= index)
            })
        });
        alone || index + 1 == passes.len()
    };
    let ends: Vec<usize> = (0..passes.len()).filter(|index| may_end(*index)).collect();
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut before = usize::MAX;
    for (position, &end) in ends.iter().enumerate() {
        let here = floats(&passes[end]);
        let behind = ends.get(position + 1).map(|next| &passes[*next]);
        let beside_linear = linear(&passes[end]) || behind.is_some_and(linear);
        let peak = behind.is_some_and(|behind| here > before && here > floats(behind));
        if beside_linear || !peak {
            ranges.push(start..end + 1);
            start = end + 1;
            before = here;
        }
    }
    ranges
}

/// Joins stages whose map between them is worth keeping in the cache: going to memory and back it costs twice its bytes for
/// each picture, and picture by picture instead of all at once the later stage's weights pass by each time. V1 `unpadded` in
/// bfloat16 takes 0.9 of the time. `local_bytes` are those of the maps within a stage, for one picture.
fn join(
    network: &Network,
    passes: &[Pass],
    ranges: Vec<Range<usize>>,
    local_bytes: impl Fn(&Range<usize>) -> usize,
) -> Vec<Range<usize>> {
    let linear = |range: &Range<usize>| {
        passes[range.clone()].iter().any(|pass| network.layers[pass.layer].operation == Operation::Linear)
    };
    let weights = |pass: &Pass| {
        let layers = pass.depthwise.into_iter().chain([pass.layer]).map(|layer| &network.layers[layer]);
        layers.map(|layer| layer.weight_shape().iter().product::<usize>()).sum::<usize>()
    };
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let passing_by: usize = passes[range.clone()].iter().map(weights).sum();
        if let Some(before) = joined.last_mut() {
            let between = network.layers[passes[before.end - 1].output].map_floats();
            let both = before.start..range.end;
            let fits = local_bytes(&both) <= LOCAL_BYTES;
            if !linear(before) && !linear(&range) && fits && passing_by < 2 * between {
                *before = both;
                continue;
            }
        }
        joined.push(range);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::{Place, Route};
    use crate::config::{Layout, ModelOptions, Variant};
    use crate::model::network;

    #[test]
    fn every_map_is_there_when_it_is_read() {
        for variant in [Variant::V1, Variant::V2, Variant::V3Large, Variant::V3Small] {
            for layout in [Layout::Cifar, Layout::Imagenet] {
                let options =
                    ModelOptions { variant: Some(variant), layout: Some(layout), ..Default::default() };
                let network = network(&options.resolve().unwrap());
                let route = Route::new(&network);
                assert_eq!(route.stages.first().unwrap().passes.start, 0);
                assert_eq!(route.stages.last().unwrap().passes.end, route.passes.len());
                assert!(route.stages.windows(2).all(|pair| pair[0].passes.end == pair[1].passes.start));
                // Which layer's map stands in a place: as a run would find it.
                let mut batch = vec![None; route.batch_floats.len()];
                for stage in &route.stages {
                    let mut local = vec![None; stage.local_floats.len()];
                    for pass in &route.passes[stage.passes.clone()] {
                        for read in pass.reads() {
                            let found = match route.places[read].unwrap() {
                                Place::Batch(buffer) => batch[buffer],
                                Place::Local(buffer) => local[buffer],
                            };
                            assert_eq!(found, Some(read), "{variant:?} {layout:?}: {pass:?}");
                        }
                        match route.places[pass.output].unwrap() {
                            Place::Batch(buffer) => batch[buffer] = Some(pass.output),
                            Place::Local(buffer) => local[buffer] = Some(pass.output),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn large_maps_with_small_weights_between_them_stay_in_the_cache() {
        let ends = |layout| {
            let options = ModelOptions { layout: Some(layout), ..Default::default() };
            let network = network(&options.resolve().unwrap());
            let route = Route::new(&network);
            let last =
                |stage: &super::Stage| network.layers[route.passes[stage.passes.end - 1].output].name.clone();
            route.stages.iter().map(last).collect::<Vec<_>>()
        };
        // 20x20 pixels of 256 channels: all before them goes through the cache. Then weights are larger than maps.
        assert_eq!(ends(Layout::Unpadded)[0], "blocks.2.1.conv_pw");
        // 112x112 pixels of 64 channels don't fit.
        assert_eq!(ends(Layout::Imagenet)[0], "conv_stem");
    }

    #[test]
    fn an_inverted_residual_is_not_divided() {
        let options = ModelOptions { variant: Some(Variant::V3Small), ..Default::default() };
        let network = network(&options.resolve().unwrap());
        let route = Route::new(&network);
        let last_layers: Vec<&str> = route
            .stages
            .iter()
            .map(|stage| &*network.layers[route.passes[stage.passes.end - 1].output].name)
            .collect();
        let block = |name: &str| name.split('.').take(2).collect::<Vec<_>>().join(".");
        for stage in &route.stages[..route.stages.len() - 1] {
            let last = route.passes[stage.passes.end - 1].output;
            let (name, next) = (&network.layers[last].name, &network.layers[last + 1].name);
            assert_ne!(block(name), block(next), "{last_layers:?}");
        }
        assert_eq!(last_layers[last_layers.len() - 2..], ["classifier.0", "classifier.3"]);
    }
}
