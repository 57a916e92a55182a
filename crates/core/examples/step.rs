//! Times training steps or evaluation batches of one network: what `bench/` compares with other libraries.
//!
//! `cargo run --release --example step -- train|evaluate unpadded|cifar|imagenet [batch] [threads] [steps]`, one JSON
//! object.

mod common;

use candle_core::{Device, Tensor, Var};
use common::Case;
use mobilenet_core::engine::step::TrainingLoss;
use mobilenet_core::engine::{Plan, Purpose};
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
    let purpose = if case.work == "train" { Purpose::Training } else { Purpose::Evaluation };
    let mut plan = Plan::new(network.clone(), purpose, case.batch, Isa::best());
    let mut number = common::numbers();
    let (parameters, statistics) = plan.parameters().gather(&common::tensors(&network, &mut number));
    let pictures: Vec<f32> = (0..case.batch * plan.picture_floats()).map(|_| number()).collect();
    let seconds = match purpose {
        Purpose::Training => {
            let floats = parameters.len();
            let parameters = Var::from_vec(parameters, floats, &Device::Cpu).unwrap();
            let side = config.resolution;
            let pictures = Tensor::from_vec(pictures, (case.batch, side, side, 3), &Device::Cpu).unwrap();
            let (loss, adam, labels) =
                (TrainingLoss::new(plan), Adam::new(Moments::new(floats)), case.labels());
            case.time(WARM_UP, || {
                let value = loss.apply(&pictures, &labels, &parameters).unwrap();
                let gradients = value.backward().unwrap();
                adam.step(&parameters, gradients.get(&parameters).unwrap(), 0.01).unwrap();
            })
        }
        Purpose::Evaluation => {
            plan.statistics = statistics;
            plan.prepare(&parameters);
            case.time(WARM_UP, || plan.forward(&pictures, &parameters, case.batch))
        }
    };
    case.report(&seconds, json!({ "simd": Isa::best().name() }));
}
