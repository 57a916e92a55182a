//! Times training steps or evaluation batches of one network: what `bench/` compares with other libraries.
//!
//! `cargo run --release --example step -- train|evaluate unpadded|cifar|imagenet [batch] [threads] [steps]
//! [float32|bfloat16]`, one JSON object.

mod common;
mod ours;
mod report;

use common::Case;
use mobilenet_core::kernels::simd::Isa;
use ours::{Inference, Training};
use report::report;
use serde_json::json;

/// Steps that don't count: they touch the buffers and start the threads.
const WARM_UP: usize = 2;

fn main() {
    let case = Case::from_arguments();
    case.set_threads();
    let seconds = if case.work == "train" {
        let training = Training::new(&case);
        case.time(WARM_UP, || {
            training.gradients();
            training.update();
        })
    } else {
        let mut inference = Inference::new(&case);
        case.time(WARM_UP, || inference.run())
    };
    report(&case, &seconds, json!({ "simd": Isa::best().name() }));
}
