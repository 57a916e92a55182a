//! Times training steps or evaluation batches of one network: what `bench/` compares with other libraries.
//!
//! `cargo run --release --example step -- train|evaluate unpadded|cifar|imagenet [batch] [threads] [steps]`, one JSON
//! object.

mod common;

use candle_core::{Device, Tensor, Var};
use common::Case;
use mobilenet_core::engine::step::TrainingStep;
use mobilenet_core::engine::{InferencePlan, TrainingPlan};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::v1;
use mobilenet_core::optim::adam::{Adam, Moments};
use serde_json::json;

/// Steps that don't count: they touch the buffers and start the threads.
const WARM_UP: usize = 2;

fn main() {
    let case = Case::from_arguments();
    case.set_threads();
    let config = case.config();
    let network = v1::network(&config);
    let mut number = common::numbers();
    let tensors = common::tensors(&network, &mut number);
    let seconds = if case.work == "train" {
        let mut plan = TrainingPlan::new(network, case.batch, Isa::best());
        let (parameters, statistics) = plan.parameters().gather(&tensors);
        plan.statistics = statistics;
        let (floats, side) = (parameters.len(), config.resolution);
        let pictures = (0..case.batch * plan.picture_floats()).map(|_| number()).collect();
        let pictures = Tensor::from_vec(pictures, (case.batch, side, side, 3), &Device::Cpu).unwrap();
        let parameters = Var::from_vec(parameters, floats, &Device::Cpu).unwrap();
        let (training, adam) = (TrainingStep::new(plan).unwrap(), Adam::new(Moments::new(floats)));
        let labels = case.labels();
        case.time(WARM_UP, || {
            training.run(&pictures, &labels, &parameters).unwrap();
            adam.step(&parameters, training.gradients(), 0.01).unwrap();
        })
    } else {
        let mut plan = InferencePlan::new(network, case.batch, Isa::best());
        let (parameters, statistics) = plan.parameters().gather(&tensors);
        plan.prepare(&parameters, &statistics);
        let pictures: Vec<f32> = (0..case.batch * plan.picture_floats()).map(|_| number()).collect();
        case.time(WARM_UP, || plan.forward(&pictures, case.batch))
    };
    case.report(&seconds, json!({ "simd": Isa::best().name() }));
}
