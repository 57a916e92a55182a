//! Optimizers and schedules against PyTorch's (timm's) numbers: see make_optim.py beside the fixture.
#![allow(clippy::single_range_in_vec_init, reason = "ranges are meant")]

mod common;
mod reference;
mod uniform;

use candle_core::{Device, Tensor, Var};
use common::fixture;
use mobilenet_core::config::{
    EmaConfig, OptimizerConfig, OptimizerKind, OptimizerOptions, ScheduleConfig, ScheduleKind,
    ScheduleOptions, Variant,
};
use mobilenet_core::config::{ModelOptions, Rule};
use mobilenet_core::engine::parameters::Parameters;
use mobilenet_core::model;
use mobilenet_core::optim::average::Average;
use mobilenet_core::optim::schedule::{Place, learning_rate};
use mobilenet_core::optim::{Optimizer, State};
use reference::filled;
use serde::Deserialize;
use std::ops::Range;
use uniform::uniform;

/// Of PyTorch's own distance between float32 and float64.
const FACTOR: f64 = 4.0;
/// The file's figures have nine digits.
const LAST_DIGIT: f64 = 1e-8;

#[derive(Deserialize)]
struct Fixture {
    steps: usize,
    shown: Vec<usize>,
    optimizers: Vec<OptimizerCase>,
    averages: Vec<AverageCase>,
    schedules: Vec<ScheduleCase>,
}

#[derive(Deserialize)]
struct OptimizerCase {
    options: OptimizerOptions,
    float32: Vec<Vec<f64>>,
    float64: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct AverageCase {
    options: EmaConfig,
    float32: Vec<Vec<f64>>,
    float64: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct ScheduleCase {
    options: ScheduleOptions,
    epochs: usize,
    steps: usize,
    rates: Vec<f64>,
}

fn read() -> Fixture {
    serde_json::from_str(&std::fs::read_to_string(fixture("optim/optim.json")).unwrap()).unwrap()
}

/// The fixture's tensors. The first is a convolution's weight.
const TENSORS: [(&str, &[usize]); 3] =
    [("conv.weight", &[10, 4, 1, 1]), ("bn.weight", &[10]), ("bn.bias", &[10])];
const WEIGHTS: [Range<usize>; 1] = [0..40];

fn parameters() -> Vec<f32> {
    TENSORS.into_iter().flat_map(|(name, shape)| filled(name, shape)).collect()
}

fn gradients(step: usize) -> Vec<f32> {
    let values = |(name, shape): (&str, &[usize])| {
        let count = shape.iter().product();
        let all = uniform(&format!("gradient:{step}:{name}"), count).into_iter().enumerate();
        all.map(|(place, u)| match place % 7 {
            3 => 0.0,
            _ => ((2.0 * u - 1.0) * 10f64.powi(-((place % 5) as i32))) as f32,
        })
    };
    TENSORS.into_iter().flat_map(values).collect()
}

/// What a case's optimizer makes of the parameters, at the steps that the fixture shows.
fn run(fixture: &Fixture, config: OptimizerConfig) -> Vec<Vec<f64>> {
    let values = parameters();
    let count = values.len();
    let parameters = Var::from_vec(values, count, &Device::Cpu).unwrap();
    let optimizer = Optimizer::new(config, &WEIGHTS, count, State::new(config.rule, count));
    let mut shown = Vec::new();
    for step in 0..fixture.steps {
        let gradients = Tensor::from_vec(gradients(step), count, &Device::Cpu).unwrap();
        let rate = config.learning_rate * 0.9f64.powi(step as i32);
        optimizer.step(&parameters, &gradients, rate).unwrap();
        if fixture.shown.contains(&(step + 1)) {
            let values = parameters.to_vec1::<f32>().unwrap();
            shown.push(values.into_iter().map(f64::from).collect());
        }
    }
    shown
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    // `f64::max` passes over what is no number.
    assert!(a.len() == b.len() && a.iter().chain(b).all(|value| value.is_finite()), "{a:?}");
    a.iter().zip(b).fold(0.0, |distance, (a, b)| distance.max((a - b).abs()))
}

/// Our values at the steps shown, against PyTorch's in both precisions.
fn check(name: &str, shown: &[usize], ours: &[Vec<f64>], float32: &[Vec<f64>], float64: &[Vec<f64>]) {
    assert_eq!([ours.len(), float32.len(), float64.len()], [shown.len(); 3]);
    for (((step, ours), float32), float64) in shown.iter().zip(ours).zip(float32).zip(float64) {
        let (ours, torch) = (distance(ours, float64), distance(float32, float64));
        let ratio = ours / torch;
        println!("{name} after {step}: ours {ours:.2e}, PyTorch's float32 {torch:.2e}, ratio {ratio:.2}");
        assert!(
            ours <= FACTOR * torch + LAST_DIGIT,
            "{name} after {step} steps: {ours:e}, PyTorch {torch:e}"
        );
    }
}

#[test]
fn optimizers_move_parameters_as_pytorchs_do() {
    let fixture = read();
    assert_eq!(fixture.optimizers.len(), 14);
    for case in &fixture.optimizers {
        let config = case.options.resolve(&OptimizerConfig::of(OptimizerKind::Adam)).unwrap();
        let ours = run(&fixture, config);
        let name = serde_json::to_string(&case.options).unwrap();
        check(&name, &fixture.shown, &ours, &case.float32, &case.float64);
    }
}

#[test]
fn averages_of_weights_are_timms() {
    let fixture = read();
    assert_eq!(fixture.averages.len(), 4);
    for AverageCase { options, float32, float64 } in &fixture.averages {
        let config = OptimizerConfig::of(OptimizerKind::Sgd);
        let (values, statistics) = (parameters(), [0.0; 20]);
        let count = values.len();
        let mut average = Average::new(*options, vec![0.0; count], statistics.to_vec(), 0);
        let parameters = Var::from_vec(values, count, &Device::Cpu).unwrap();
        let optimizer = Optimizer::new(config, &WEIGHTS, count, State::new(config.rule, count));
        let mut ours = Vec::new();
        for step in 0..fixture.steps {
            let gradients = Tensor::from_vec(gradients(step), count, &Device::Cpu).unwrap();
            optimizer.step(&parameters, &gradients, 0.1).unwrap();
            let statistics =
                ["running_mean", "running_var"].map(|name| uniform(&format!("{name}:{step}"), 10));
            let statistics: Vec<f32> = statistics.concat().into_iter().map(|value| value as f32).collect();
            average.update(&parameters.to_vec1::<f32>().unwrap(), &statistics);
            if fixture.shown.contains(&(step + 1)) {
                let all = average.parameters.iter().chain(&average.statistics);
                ours.push(all.map(|value| f64::from(*value)).collect::<Vec<_>>());
            }
        }
        check(&format!("{options:?}"), &fixture.shown, &ours, float32, float64);
    }
}

#[test]
fn schedules_move_the_learning_rate_as_pytorchs_do() {
    let fixture = read();
    assert_eq!(fixture.schedules.len(), 18);
    for ScheduleCase { options, epochs, steps, rates } in fixture.schedules {
        let config = options.resolve(&ScheduleConfig::of(ScheduleKind::Step)).unwrap();
        config.check(epochs, 0.1).unwrap();
        assert_eq!(rates.len(), epochs * steps);
        for (index, expected) in rates.into_iter().enumerate() {
            let place = Place { epoch: index / steps, step: index % steps, epochs, steps };
            let ours = learning_rate(&config, 0.1, place);
            // PyTorch computes most of them from the rate before, so its rounding adds up.
            assert!(
                (ours - expected).abs() <= 1e-13 * 0.1,
                "{config:?} at {place:?}: {ours}, PyTorch {expected}"
            );
        }
    }
}

const RULES: [OptimizerKind; 5] = [
    OptimizerKind::Adam,
    OptimizerKind::AdamW,
    OptimizerKind::Sgd,
    OptimizerKind::RmsProp,
    OptimizerKind::RmsPropTf,
];

#[test]
fn weight_decay_pulls_on_weights_alone_unless_asked() {
    for variant in [Variant::V1, Variant::V2, Variant::V3Large, Variant::V3Small] {
        let options = ModelOptions { variant: Some(variant), width: Some(0.25), ..Default::default() };
        let layout = Parameters::new(&model::network(&options.resolve().unwrap()));
        let floats = layout.parameter_floats;
        for (kind, everything) in RULES.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let config = OptimizerConfig {
                weight_decay: 0.1,
                decay_norms_and_biases: everything,
                ..OptimizerConfig::of(kind)
            };
            let state = State::new(config.rule, floats);
            let optimizer = Optimizer::new(config, &layout.weights(), floats, state);
            let parameters = Var::ones(floats, candle_core::DType::F32, &Device::Cpu).unwrap();
            // Without a gradient it is the decay alone that moves anything.
            let gradients = Tensor::zeros(floats, candle_core::DType::F32, &Device::Cpu).unwrap();
            optimizer.step(&parameters, &gradients, 0.1).unwrap();
            let after = parameters.to_vec1::<f32>().unwrap();
            for tensor in layout.scatter_parameters(&after) {
                // As timm decides it, by the number of dimensions.
                let pulled = everything || tensor.shape.len() > 1;
                assert!(
                    tensor.values.iter().all(|value| (*value < 1.0) == pulled),
                    "{variant:?} {kind:?}: {}",
                    tensor.name
                );
            }
        }
    }
}

#[test]
fn the_bits_of_a_step_do_not_depend_on_the_threads() {
    let count = 100_000;
    let at = |name: &str| uniform(name, count).into_iter().map(|u| (u - 0.5) as f32).collect::<Vec<f32>>();
    let (values, gradients) =
        (at("parameters"), Tensor::from_vec(at("gradients"), count, &Device::Cpu).unwrap());
    for kind in RULES {
        let config = OptimizerConfig { weight_decay: 0.01, ..OptimizerConfig::of(kind) };
        let steps = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let parameters = Var::from_slice(&values, count, &Device::Cpu).unwrap();
                let state = State::new(config.rule, count);
                let optimizer = Optimizer::new(config, &[10..50_000, 50_003..90_000], count, state);
                for _ in 0..3 {
                    optimizer.step(&parameters, &gradients, 0.01).unwrap();
                }
                (parameters.to_vec1::<f32>().unwrap(), optimizer.state())
            })
        };
        assert!(steps(1) == steps(5), "{kind:?}");
    }
}

#[test]
fn an_optimizer_goes_on_from_its_state() {
    let fixture = read();
    for case in &fixture.optimizers {
        let config = case.options.resolve(&OptimizerConfig::of(OptimizerKind::Adam)).unwrap();
        let count = parameters().len();
        let parameters = Var::from_vec(parameters(), count, &Device::Cpu).unwrap();
        let mut state = State::new(config.rule, count);
        for step in 0..fixture.steps {
            let optimizer = Optimizer::new(config, &WEIGHTS, count, state);
            let gradients = Tensor::from_vec(gradients(step), count, &Device::Cpu).unwrap();
            optimizer.step(&parameters, &gradients, config.learning_rate * 0.9f64.powi(step as i32)).unwrap();
            state = optimizer.state();
        }
        let ours: Vec<f64> = parameters.to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
        assert_eq!(&ours, run(&fixture, config).last().unwrap());
        assert_eq!(state.steps, fixture.steps as u64);
    }
    let momentum = |momentum| Rule::Sgd { momentum, nesterov: false };
    assert_eq!([0.0, 0.9].map(|share| State::new(momentum(share), 1).buffers.len()), [0, 1]);
}
