//! The engine against PyTorch's numbers.
//!
//! The yardstick is PyTorch's own rounding: for each kind of figure the largest distance between its float32 and its
//! float64 result, relative to the size of the figure's tensor. We may be at most [`FACTOR`] of these away from the
//! float64 result, plus the last digit that the file holds. Where that distance depends on luck, spread.json has the
//! largest of 16 runs (make_spread.py says why).

mod common;
mod figures;
mod reference;
mod uniform;

use candle_core::{Device, Tensor, Var};
use figures::{channels_last, numbers, parity_case, pictures, spread};
use mobilenet_core::config::{Activation, Layout, ModelOptions, OptimizerConfig, OptimizerKind, Variant};
use mobilenet_core::engine::step::TrainingStep;
use mobilenet_core::engine::{InferencePlan, TrainingPlan};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model;
use mobilenet_core::model::names::course_name;
use mobilenet_core::model::network::Network;
use mobilenet_core::model::tensors::{NamedTensor, specs};
use mobilenet_core::optim::{Optimizer, State};
use reference::filled;
use serde_json::Value;
use uniform::uniform;

const FACTOR: f64 = 4.0;
/// The file's figures have nine digits.
const LAST_DIGIT: f64 = 1e-8;
/// Below this the norm of a float64 gradient is rounding alone: it is zero in exact arithmetic, as that of a bias in front
/// of another batch norm, and compared by its size.
const VANISHING: f64 = 1e-12;

struct Case {
    network: Network,
    /// Our tensors, filled by the names that the case calls them by.
    tensors: Vec<NamedTensor>,
    /// Those names.
    names: Vec<String>,
    float32: Value,
    float64: Value,
    /// PyTorch's distances by group where they were measured by several runs, else null.
    spread: Value,
}

impl Case {
    fn new(name: &str, options: ModelOptions) -> Self {
        let network = model::network(&options.resolve().unwrap());
        let course = options == ModelOptions::default();
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
        Self { network, tensors, names, float32, float64, spread: spread(name) }
    }

    /// Checks a group of lists: ours, PyTorch's float32, PyTorch's float64.
    fn check_group(&self, what: &str, group: &[(Vec<f64>, Vec<f64>, Vec<f64>)]) {
        let size = |list: &[f64]| list.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let distance = |a: &[f64], b: &[f64]| {
            // `f64::max` passes over what is no number.
            assert!(a.len() == b.len() && a.iter().chain(b).all(|value| value.is_finite()), "{what}: {a:?}");
            a.iter().zip(b).fold(0.0, |d: f64, (a, b)| d.max((a - b).abs()))
        };
        let torch = group.iter().map(|(_, f32, f64)| distance(f32, f64) / size(f64)).fold(0.0, f64::max);
        let ours = group.iter().map(|(ours, _, f64)| distance(ours, f64) / size(f64)).fold(0.0, f64::max);
        self.check(what, ours, torch);
    }

    /// Checks our distance from float64 against that of PyTorch's float32.
    fn check(&self, what: &str, ours: f64, torch: f64) {
        let torch = self.spread[what].as_f64().map_or(torch, |spread| torch.max(spread));
        println!("{what}: ours {ours:.2e}, PyTorch's float32 {torch:.2e}, ratio {:.2}", ours / torch);
        assert!(
            ours <= FACTOR * torch + LAST_DIGIT,
            "{what}: {ours:e} from float64, PyTorch's float32 {torch:e}"
        );
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

/// Pictures `[n, side, side, 3]` and their labels.
type Pictures = (Vec<f32>, Vec<u32>);

/// Pictures that follow from their size: see `made_up` in make_parity.py.
fn made_up(count: usize, side: usize, classes: usize) -> Pictures {
    let name = format!("input:{count}x3x{side}x{side}");
    let values: Vec<f32> =
        uniform(&name, count * 3 * side * side).into_iter().map(|u| ((2.0 * u - 1.0) * 2.0) as f32).collect();
    let labels = uniform(&format!("label:{count}"), count);
    (channels_last(&values, side), labels.into_iter().map(|u| (u * classes as f64) as u32).collect())
}

/// Evaluation, five steps of Adam, and evaluation again.
fn check_training_case(case: &Case, train: Pictures, evaluated: Pictures, isa: Isa) {
    const STEPS: usize = 5;
    let ((train, labels), (test, test_labels)) = (train, evaluated);
    let tested = test_labels.len();
    let ours = logits(case, &case.tensors, &test, tested, isa);
    case.check_group(
        "eval_logits",
        &[(ours, numbers(&case.float32["eval_logits"]), numbers(&case.float64["eval_logits"]))],
    );

    let count = labels.len() / STEPS;
    let (plan, parameters) = case.training_plan(count, isa);
    let layout = plan.parameters().clone();
    let side = case.network.resolution;
    let parameters = Var::from_vec(parameters, layout.parameter_floats, &Device::Cpu).unwrap();
    let training = TrainingStep::new(plan).unwrap();
    let config = OptimizerConfig::of(OptimizerKind::Adam);
    let state = State::new(config.rule, layout.parameter_floats);
    let adam = Optimizer::new(config, &layout.weights(), layout.parameter_floats, state);
    let mut losses = Vec::new();
    for (step, (input, labels)) in
        train.chunks_exact(count * side * side * 3).zip(labels.chunks_exact(count)).enumerate()
    {
        let input = Tensor::from_slice(input, (count, side, side, 3), &Device::Cpu).unwrap();
        let loss = training.run(&input, labels, &parameters).unwrap();
        losses.push(loss.sum / count as f64);
        if step == 0 {
            check_first_step(case, &training);
        }
        adam.step(&parameters, training.gradients(), 1e-4).unwrap();
    }
    let figures = |key: &str| (numbers(&case.float32[key]), numbers(&case.float64[key]));
    let (float32, float64) = figures("losses");
    case.check_group("losses", &[(losses, float32, float64)]);
    let statistics = training.with_plan(|plan| plan.statistics.clone());
    let after = layout.scatter(&parameters.to_vec1::<f32>().unwrap(), &statistics);
    let (float32, float64) = figures("eval_logits_after");
    case.check_group("eval_logits_after", &[(logits(case, &after, &test, tested, isa), float32, float64)]);
}

fn check_first_step(case: &Case, training: &TrainingStep) {
    let ours = training.with_plan(|plan| f64s(&plan.logits(4)));
    case.check_group(
        "train_logits",
        &[(ours, numbers(&case.float32["train_logits"]), numbers(&case.float64["train_logits"]))],
    );

    let (statistics, layout) =
        training.with_plan(|plan| (plan.statistics.clone(), plan.parameters().clone()));
    let gradients = training.gradients().to_vec1::<f32>().unwrap();
    let tensors = layout.scatter(&gradients, &statistics);
    let (mut norms, mut heads, mut running) = (Vec::new(), Vec::new(), Vec::new());
    let (mut zero, mut torchs_zero) = (0.0f64, 0.0f64);
    for (tensor, name) in tensors.iter().zip(&case.names) {
        let head = f64s(&tensor.values[..4]);
        let both = |key: &str| (numbers(&case.float32[key][name]), numbers(&case.float64[key][name]));
        if name.contains("running") {
            let (float32, float64) = both("running");
            running.push((head, float32, float64));
        } else {
            let (float32, float64) = both("gradient_norms");
            let norm = f64s(&tensor.values).iter().map(|value| value * value).sum::<f64>().sqrt();
            if float64[0] < VANISHING {
                (zero, torchs_zero) = (zero.max(norm), torchs_zero.max(float32[0]));
                continue;
            }
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
    case.check_group("gradient_norms", &norms);
    case.check_group("gradient_heads", &heads);
    case.check_group("running", &running);
    case.check("gradient_zeros", zero, torchs_zero);
}

fn cifar_pictures() -> (Pictures, Pictures) {
    (pictures("data_batch_1.bin", 80), pictures("test_batch.bin", 8))
}

#[test]
fn unpadded_trains_like_pytorch() {
    let (train, test) = cifar_pictures();
    check_training_case(&Case::unpadded(), train, test, Isa::best());
}

#[test]
fn cifar_trains_like_pytorch() {
    let (train, test) = cifar_pictures();
    check_training_case(&Case::cifar(), train, test, Isa::best());
}

fn variant(name: &str, variant: Variant, resolution: usize, classes: usize) -> Case {
    let options = ModelOptions {
        variant: Some(variant),
        layout: Some(Layout::Imagenet),
        resolution: Some(resolution),
        classes: Some(classes),
        dropout: Some(0.0),
        ..Default::default()
    };
    Case::new(name, options)
}

fn check_variant(name: &str, which: Variant) {
    let case = variant(name, which, 64, 10);
    for isa in Isa::all() {
        println!("{}", isa.name());
        check_training_case(&case, made_up(20, 64, 10), made_up(4, 64, 10), isa);
    }
}

#[test]
fn v2_trains_like_pytorch() {
    check_variant("v2-64-10", Variant::V2);
}

#[test]
fn v3_large_trains_like_pytorch() {
    check_variant("v3-large-64-10", Variant::V3Large);
}

#[test]
fn v3_small_trains_like_pytorch() {
    check_variant("v3-small-64-10", Variant::V3Small);
}

#[test]
fn every_instruction_set_evaluates_like_pytorch() {
    let (test, _) = pictures("test_batch.bin", 8);
    for isa in Isa::all() {
        for case in [Case::unpadded(), Case::cifar()] {
            let ours = logits(&case, &case.tensors, &test, 8, isa);
            let figures = |value: &Value| numbers(&value["eval_logits"]);
            case.check_group(isa.name(), &[(ours, figures(&case.float32), figures(&case.float64))]);
        }
    }
}

#[test]
fn imagenet_evaluates_like_pytorch() {
    let v1 = ModelOptions {
        layout: Some(Layout::Imagenet),
        activation: Some(Activation::Relu6),
        ..Default::default()
    };
    let (input, _) = made_up(1, 224, 1000);
    for case in [
        Case::new("v1-224-relu6-1000", v1),
        variant("v2-224-1000", Variant::V2, 224, 1000),
        variant("v3-large-224-1000", Variant::V3Large, 224, 1000),
        variant("v3-small-224-1000", Variant::V3Small, 224, 1000),
    ] {
        let ours = logits(&case, &case.tensors, &input, 1, Isa::best());
        let figures = |value: &Value| numbers(&value["eval_logits"]);
        case.check_group("eval_logits", &[(ours, figures(&case.float32), figures(&case.float64))]);
    }
}
