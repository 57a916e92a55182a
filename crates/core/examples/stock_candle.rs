//! The same network from candle's plain operations, as one would write it without this crate's kernels: what candle's
//! own `conv2d`, autograd and tensor operations take for a training step or an evaluation batch.
//!
//! `cargo run --release --example stock_candle -- train|evaluate unpadded|cifar [batch] [threads] [steps]`, one JSON
//! object. A step of 64 pictures takes about a minute and a half. Beside the times stands the loss of the first step,
//! its own and that of this crate's engine on the same weights and pictures.

mod common;
mod report;

use candle_core::{Device, Result, Tensor, Var};
use common::Case;
use mobilenet_core::engine::TrainingPlan;
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::network::{Layer, Network, Operation};
use mobilenet_core::model::tensors::NamedTensor;
use mobilenet_core::model::v1;
use report::report;
use serde_json::json;
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, Var>;

fn main() -> Result<()> {
    let case = Case::from_arguments();
    case.set_threads();
    let config = case.config();
    let network = v1::network(&config);
    let mut number = common::numbers();
    let named = common::tensors(&network, &mut number);
    let side = config.resolution;
    let values: Vec<f32> = (0..case.batch * side * side * 3).map(|_| number()).collect();
    let our_loss = our_loss(&network, &named, &values, &case);

    let pictures = Tensor::from_vec(values, (case.batch, side, side, 3), &Device::Cpu)?;
    // Channels first is the only layout that candle's convolution takes.
    let pictures = pictures.permute((0, 3, 1, 2))?.contiguous()?;
    let labels = Tensor::from_vec(case.labels(), (case.batch, 1), &Device::Cpu)?;
    let mut tensors = Tensors::new();
    for tensor in named {
        tensors.insert(tensor.name, Var::from_vec(tensor.values, tensor.shape, &Device::Cpu)?);
    }
    let mut adam = Adam::default();
    let mut loss = None;
    // Without a step before that doesn't count: what it would save is nothing beside what a step takes.
    let seconds = case.time(0, || {
        if case.work == "train" {
            let logits = forward(&network, &tensors, &pictures, true).unwrap();
            let value = cross_entropy(&logits, &labels).unwrap();
            loss.get_or_insert(value.to_scalar::<f32>().unwrap());
            adam.step(&tensors, &value.backward().unwrap(), 0.01).unwrap();
        } else {
            forward(&network, &tensors, &pictures, false).unwrap();
        }
    });
    report(&case, &seconds, json!({ "loss": loss, "our_loss": our_loss }));
    Ok(())
}

/// The logits, in training mode with the batch's statistics.
fn forward(network: &Network, tensors: &Tensors, pictures: &Tensor, train: bool) -> Result<Tensor> {
    let mut map = pictures.clone();
    let convolution = |layer: &&Layer| layer.has_weight() && layer.operation != Operation::Linear;
    for layer in network.layers.iter().filter(convolution) {
        let groups = if layer.operation == Operation::Depthwise { layer.inputs } else { 1 };
        let weight = &tensors[&format!("{}.weight", layer.name)];
        map = map.conv2d(weight, layer.padding, layer.stride, 1, groups)?;
        let channel = |name: String| tensors[&name].reshape((1, (), 1, 1));
        map = match &layer.norm {
            None => map.broadcast_add(&channel(format!("{}.bias", layer.name))?)?,
            Some(norm) => {
                let mean = |map: &Tensor| map.mean_keepdim(0)?.mean_keepdim(2)?.mean_keepdim(3);
                let running = |name: &str| channel(format!("{norm}.running_{name}"));
                let mean_of_map = if train { mean(&map)? } else { running("mean")? };
                let centred = map.broadcast_sub(&mean_of_map)?;
                let variance = if train { mean(&centred.sqr()?)? } else { running("var")? };
                centred
                    .broadcast_div(&(variance + network.batch_norm_eps)?.sqrt()?)?
                    .broadcast_mul(&channel(format!("{norm}.weight"))?)?
                    .broadcast_add(&channel(format!("{norm}.bias"))?)?
            }
        };
        map = map.relu()?;
    }
    let name = &network.classifier().name;
    let weight = tensors[&format!("{name}.weight")].t()?;
    map.mean((2, 3))?.matmul(&weight)?.broadcast_add(&tensors[&format!("{name}.bias")])
}

/// The mean over the batch.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let all = logits.log_sum_exp(1)?;
    (all - logits.gather(labels, 1)?.squeeze(1)?)?.mean_all()
}

/// Adam from tensor operations.
#[derive(Default)]
struct Adam {
    moments: BTreeMap<String, (Tensor, Tensor)>,
    steps: i32,
}

impl Adam {
    fn step(
        &mut self,
        tensors: &Tensors,
        gradients: &candle_core::backprop::GradStore,
        rate: f64,
    ) -> Result<()> {
        self.steps += 1;
        let corrections = (1.0 - 0.9f64.powi(self.steps), 1.0 - 0.999f64.powi(self.steps));
        for (name, parameter) in tensors {
            let Some(gradient) = gradients.get(parameter) else { continue };
            let (first, second) = match self.moments.remove(name) {
                Some(moments) => moments,
                None => (gradient.zeros_like()?, gradient.zeros_like()?),
            };
            let first = ((first * 0.9)? + (gradient * 0.1)?)?;
            let second = ((second * 0.999)? + (gradient.sqr()? * 0.001)?)?;
            let root = ((&second / corrections.1)?.sqrt()? + 1e-8)?;
            let step = ((&first / corrections.0)? / root)?;
            parameter.set(&(parameter.as_tensor() - (step * rate)?)?)?;
            self.moments.insert(name.clone(), (first, second));
        }
        Ok(())
    }
}

/// The mean loss of the first batch, in training mode, from this crate's engine.
fn our_loss(network: &Network, tensors: &[NamedTensor], pictures: &[f32], case: &Case) -> f64 {
    let mut plan = TrainingPlan::new(network.clone(), case.batch, Isa::best());
    let (parameters, statistics) = plan.parameters().gather(tensors);
    plan.statistics = statistics;
    plan.prepare(&parameters);
    plan.forward(pictures, &parameters, case.batch);
    plan.loss(&case.labels()).sum / case.batch as f64
}
