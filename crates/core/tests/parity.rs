//! The engine against PyTorch's numbers.
//!
//! The yardstick is PyTorch's own rounding: for each kind of figure the largest distance between its float32 and its
//! float64 result, relative to the size of the figure's tensor. We may be at most [`FACTOR`] of these away from the
//! float64 result, plus the last digit that the file holds.

mod common;
mod figures;
mod reference;

use candle_core::{Device, Tensor, Var};
use figures::{channels_last, numbers, parity_case, pictures};
use mobilenet_core::config::{Activation, Layout, ModelOptions};
use mobilenet_core::engine::step::TrainingStep;
use mobilenet_core::engine::{InferencePlan, TrainingPlan};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::names::course_name;
use mobilenet_core::model::network::Network;
use mobilenet_core::model::tensors::{NamedTensor, specs};
use mobilenet_core::model::v1;
use mobilenet_core::optim::adam::{Adam, Moments};
use reference::{filled, uniform};
use serde_json::Value;

const FACTOR: f64 = 4.0;
/// The file's figures have nine digits.
const LAST_DIGIT: f64 = 1e-8;

struct Case {
    network: Network,
    /// Our tensors, filled by the names that the case calls them by.
    tensors: Vec<NamedTensor>,
    /// Those names.
    names: Vec<String>,
    float32: Value,
    float64: Value,
}

impl Case {
    fn new(name: &str, options: ModelOptions) -> Self {
        let network = v1::network(&options.resolve().unwrap());
        let course = options.layout != Some(Layout::Cifar) && options.layout != Some(Layout::Imagenet);
        let names: Vec<String> = specs(&network)
            .iter()
            .map(|spec| if course { course_name(&network, &spec.name).unwrap() } else { spec.name.clone() })
            .collect();
        let tensors = specs(&network)
            .into_iter()
            .zip(&names)
            .map(|(spec, name)| NamedTensor {
                values: filled(name, &spec.shape),
                name: spec.name,
                shape: spec.shape,
            })
            .collect();
        let (float32, float64) = (parity_case(name, "float32"), parity_case(name, "float64"));
        Self { network, tensors, names, float32, float64 }
    }

    fn unpadded() -> Self {
        Self::new("v1-unpadded-10", ModelOptions::default())
    }

    fn cifar() -> Self {
        Self::new("v1-cifar-relu-10", ModelOptions { layout: Some(Layout::Cifar), ..Default::default() })
    }

    fn training_plan(&self, capacity: usize, isa: Isa) -> (TrainingPlan, Vec<f32>) {
        let mut plan = TrainingPlan::new(self.network.clone(), capacity, isa);
        let (parameters, statistics) = plan.parameters().gather(&self.tensors);
        plan.statistics = statistics;
        (plan, parameters)
    }
}

/// Checks a group of lists: ours, PyTorch's float32, PyTorch's float64.
fn check_group(what: &str, group: &[(Vec<f64>, Vec<f64>, Vec<f64>)]) {
    let size = |list: &[f64]| list.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |d: f64, (a, b)| d.max((a - b).abs()));
    let torch = group.iter().map(|(_, f32, f64)| distance(f32, f64) / size(f64)).fold(0.0, f64::max);
    let ours = group.iter().map(|(ours, _, f64)| distance(ours, f64) / size(f64)).fold(0.0, f64::max);
    println!("{what}: ours {ours:.2e}, PyTorch's float32 {torch:.2e}, ratio {:.2}", ours / torch);
    assert!(
        ours <= FACTOR * torch + LAST_DIGIT,
        "{what}: {ours:e} from float64, PyTorch's float32 {torch:e}"
    );
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn logits(case: &Case, tensors: &[NamedTensor], input: &[f32], count: usize, isa: Isa) -> Vec<f64> {
    let mut plan = InferencePlan::new(case.network.clone(), count, isa);
    let (parameters, statistics) = plan.parameters().gather(tensors);
    plan.prepare(&parameters, &statistics);
    plan.forward(input, count);
    f64s(&plan.logits(count))
}

fn check_training_case(case: &Case, isa: Isa) {
    let (test, _) = pictures("test_batch.bin", 8);
    let (train, labels) = pictures("data_batch_1.bin", 80);
    let ours = logits(case, &case.tensors, &test, 8, isa);
    check_group(
        "eval_logits",
        &[(ours, numbers(&case.float32["eval_logits"]), numbers(&case.float64["eval_logits"]))],
    );

    let (plan, parameters) = case.training_plan(16, isa);
    let layout = plan.parameters().clone();
    let parameters = Var::from_vec(parameters, layout.parameter_floats, &Device::Cpu).unwrap();
    let training = TrainingStep::new(plan).unwrap();
    let adam = Adam::new(Moments::new(layout.parameter_floats));
    let mut losses = Vec::new();
    for step in 0..5 {
        let input = train[step * 16 * 3072..][..16 * 3072].to_vec();
        let input = Tensor::from_vec(input, (16, 32, 32, 3), &Device::Cpu).unwrap();
        let loss = training.run(&input, &labels[step * 16..][..16], &parameters).unwrap();
        losses.push(loss.sum / 16.0);
        if step == 0 {
            check_first_step(case, &training);
        }
        adam.step(&parameters, training.gradients(), 1e-4).unwrap();
    }
    let figures = |key: &str| (numbers(&case.float32[key]), numbers(&case.float64[key]));
    let (float32, float64) = figures("losses");
    check_group("losses", &[(losses, float32, float64)]);
    let statistics = training.with_plan(|plan| plan.statistics.clone());
    let after = layout.scatter(&parameters.to_vec1::<f32>().unwrap(), &statistics);
    let (float32, float64) = figures("eval_logits_after");
    check_group("eval_logits_after", &[(logits(case, &after, &test, 8, isa), float32, float64)]);
}

fn check_first_step(case: &Case, training: &TrainingStep) {
    let ours = training.with_plan(|plan| f64s(&plan.logits(4)));
    check_group(
        "train_logits",
        &[(ours, numbers(&case.float32["train_logits"]), numbers(&case.float64["train_logits"]))],
    );

    let (statistics, layout) =
        training.with_plan(|plan| (plan.statistics.clone(), plan.parameters().clone()));
    let gradients = training.gradients().to_vec1::<f32>().unwrap();
    let tensors = layout.scatter(&gradients, &statistics);
    let (mut norms, mut heads, mut running) = (Vec::new(), Vec::new(), Vec::new());
    for (tensor, name) in tensors.iter().zip(&case.names) {
        let head = f64s(&tensor.values[..4]);
        let both = |key: &str| (numbers(&case.float32[key][name]), numbers(&case.float64[key][name]));
        if name.contains("running") {
            let (float32, float64) = both("running");
            running.push((head, float32, float64));
        } else {
            let (float32, float64) = both("gradient_norms");
            let norm = f64s(&tensor.values).iter().map(|value| value * value).sum::<f64>().sqrt();
            // A head is measured against the tensor's size, not against its own four values, which may all be small.
            let typical = float64[0] / (tensor.values.len() as f64).sqrt();
            norms.push((vec![norm], float32, float64));
            let (float32, float64) = both("gradient_heads");
            let with_size = |mut head: Vec<f64>| {
                head.push(typical);
                head
            };
            heads.push((with_size(head), with_size(float32), with_size(float64)));
        }
    }
    check_group("gradient_norms", &norms);
    check_group("gradient_heads", &heads);
    check_group("running", &running);
}

#[test]
fn unpadded_trains_like_pytorch() {
    check_training_case(&Case::unpadded(), Isa::best());
}

#[test]
fn cifar_trains_like_pytorch() {
    check_training_case(&Case::cifar(), Isa::best());
}

#[test]
fn every_instruction_set_evaluates_like_pytorch() {
    let (test, _) = pictures("test_batch.bin", 8);
    for isa in Isa::all() {
        for case in [Case::unpadded(), Case::cifar()] {
            let ours = logits(&case, &case.tensors, &test, 8, isa);
            let figures = |value: &Value| numbers(&value["eval_logits"]);
            check_group(isa.name(), &[(ours, figures(&case.float32), figures(&case.float64))]);
        }
    }
}

#[test]
fn imagenet_evaluates_like_pytorch() {
    let options = ModelOptions {
        layout: Some(Layout::Imagenet),
        activation: Some(Activation::Relu6),
        ..Default::default()
    };
    let case = Case::new("v1-224-relu6-1000", options);
    let input: Vec<f32> = uniform("input:1x3x224x224", 3 * 224 * 224)
        .into_iter()
        .map(|u| ((2.0 * u - 1.0) * 2.0) as f32)
        .collect();
    let ours = logits(&case, &case.tensors, &channels_last(&input, 224), 1, Isa::best());
    check_group(
        "eval_logits",
        &[(ours, numbers(&case.float32["eval_logits"]), numbers(&case.float64["eval_logits"]))],
    );
}
