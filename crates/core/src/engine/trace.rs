//! A network layer by layer, in evaluation mode, for whoever wants to see what lies between: nothing is fused, and every
//! map is kept.

use super::InferencePlan;
use super::parameters::Parameters;
use crate::config::Activation;
use crate::kernels::buffer::Buffer;
use crate::kernels::padded;
use crate::kernels::simd::Isa;
use crate::kernels::stem::PICTURE_CHANNELS;
use crate::model::network::{Network, Operation};
use crate::model::tensors::NamedTensor;

/// Something that a layer reads or gives. Numbers are indices of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// The normalised picture.
    Picture,
    /// The input of a layer, multiplied by its excitation.
    Excited(usize),
    /// What a layer gives before an activation that is a step of its own; see [`is_step`].
    Sum(usize),
    /// What a layer gives.
    Output(usize),
}

/// Whether an activation is computed for itself, where others only cut off what a layer gives.
pub fn is_step(activation: Activation) -> bool {
    matches!(activation, Activation::HardSwish | Activation::HardSigmoid)
}

/// All of a value for some pictures: `[rows, stride]`, of which each row's first `channels` count.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Whoever looks may change them; what follows reads what was left there.
    pub values: &'a mut [f32],
    /// What counts of a row.
    pub channels: usize,
    /// Values from one row to the next.
    pub stride: usize,
}

impl Seen<'_> {
    /// The values that count.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.stride).map(|row| &row[..self.channels])
    }
}

/// A network compiled to be looked at.
#[derive(Debug)]
pub struct Trace {
    /// Activations that are steps are left out of its layers.
    plan: InferencePlan,
    network: Network,
    /// Of each layer.
    maps: Vec<Buffer>,
    /// A picture, or the excited input of a layer.
    input: Buffer,
}

impl Trace {
    /// Compiles `network`, whose tensors are in the order of [`specs`](crate::model::tensors::specs), for batches of at most
    /// `capacity` pictures.
    pub fn new(network: &Network, tensors: &[NamedTensor], capacity: usize) -> Self {
        let mut without_steps = network.clone();
        for layer in without_steps.layers.iter_mut().filter(|layer| is_step(layer.activation)) {
            layer.activation = Activation::Identity;
        }
        let (parameters, statistics) = Parameters::new(network).gather(tensors);
        let mut plan = InferencePlan::new(without_steps, capacity, Isa::best());
        plan.prepare(&parameters, &statistics);
        let maps = network.layers.iter().map(|layer| Buffer::zeros(capacity * layer.map_floats())).collect();
        let largest = network.layers.iter().map(|layer| layer.map_floats()).max().unwrap_or(0);
        let input = Buffer::zeros(capacity * largest.max(network.picture_floats()));
        Self { plan, network: network.clone(), maps, input }
    }

    /// How many pictures it runs at a time.
    pub fn capacity(&self) -> usize {
        self.plan.capacity()
    }

    /// Height and width of a picture, in pixels.
    pub fn resolution(&self) -> usize {
        self.network.resolution
    }

    /// Runs `pictures` normalised pictures `[pictures, resolution, resolution, 3]`; `look` sees each value when it is
    /// there, in the order of the forward pass. Gives the logits `[pictures, classes]`.
    pub fn run(&mut self, input: &[f32], pictures: usize, mut look: impl FnMut(Value, Seen<'_>)) -> Vec<f32> {
        let Self { plan, network, maps, input: room } = self;
        let mut picture = input.to_vec();
        let stride = PICTURE_CHANNELS;
        look(Value::Picture, Seen { values: &mut picture, channels: PICTURE_CHANNELS, stride });
        for (index, layer) in network.layers.iter().enumerate() {
            let (before, own) = maps.split_at_mut(index);
            let (floats, stride) = (pictures * layer.map_floats(), padded(layer.outputs));
            let output = &mut own[0][..floats];
            let size = |index: usize| pictures * network.layers[index].map_floats();
            let read = layer.input.map_or(&picture[..], |index| &before[index][..size(index)]);
            match (layer.operation, layer.excitation) {
                (Operation::Add { shortcut }, _) => {
                    for ((output, a), b) in output.iter_mut().zip(read).zip(&before[shortcut][..floats]) {
                        *output = a + b;
                    }
                }
                (_, Some(factors)) => {
                    let width = padded(layer.inputs);
                    let excited = &mut room[..read.len()];
                    excite(read, &before[factors][..pictures * width], width, excited);
                    let seen = Seen { values: &mut *excited, channels: layer.inputs, stride: width };
                    look(Value::Excited(index), seen);
                    plan.run_layer(index, excited, pictures, output);
                }
                (_, None) => plan.run_layer(index, read, pictures, output),
            }
            if is_step(layer.activation) {
                look(Value::Sum(index), Seen { values: &mut *output, channels: layer.outputs, stride });
                output.iter_mut().for_each(|value| *value = step(layer.activation, *value));
            }
            look(Value::Output(index), Seen { values: output, channels: layer.outputs, stride });
        }
        let last = network.layers.len() - 1;
        super::unpadded(&maps[last], pictures, network.classes())
    }
}

/// Every pixel of a picture times its picture's factors `[pictures, width]`.
fn excite(read: &[f32], factors: &[f32], width: usize, output: &mut [f32]) {
    let picture = read.len() / (factors.len() / width);
    let pictures = read.chunks_exact(picture).zip(output.chunks_exact_mut(picture));
    for ((read, output), factors) in pictures.zip(factors.chunks_exact(width)) {
        for (read, output) in read.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
            for ((output, value), factor) in output.iter_mut().zip(read).zip(factors) {
                *output = value * factor;
            }
        }
    }
}

fn step(activation: Activation, value: f32) -> f32 {
    let sixth = (value / 6.0 + 0.5).clamp(0.0, 1.0);
    if activation == Activation::HardSwish { value * sixth } else { sixth }
}

#[cfg(test)]
mod tests {
    use super::{Trace, Value};
    use crate::config::{Layout, ModelOptions, Variant};
    use crate::mobilenet::MobileNet;

    #[test]
    fn it_gives_what_inference_gives() {
        for variant in Variant::ALL {
            let options = ModelOptions {
                variant: Some(variant),
                layout: Some(Layout::Cifar),
                width: Some(0.5),
                ..Default::default()
            };
            let model = MobileNet::create(&options, 3).unwrap();
            let input: Vec<f32> = (0..3 * 32 * 32 * 3).map(|i| ((i * i) % 101) as f32 / 50.0 - 1.0).collect();
            let mut trace = Trace::new(model.network(), &model.tensors(), 4);
            let mut seen = Vec::new();
            let logits = trace.run(&input, 3, |value, _| seen.push(value));
            let expected = model.with_evaluator(|engine| engine.logits(&input, 3)).unwrap();
            let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            for (ours, theirs) in logits.iter().zip(&expected) {
                // The same products in another order of layers: only roundings of float32 differ.
                assert!((ours - theirs).abs() <= 1e-4 * largest, "{variant:?}: {ours} and {theirs}");
            }
            assert_eq!(seen[0], Value::Picture);
            assert_eq!(seen.last(), Some(&Value::Output(model.network().layers.len() - 1)));
        }
    }
}
