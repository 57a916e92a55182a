//! Where the time of training steps or of inference goes: a table a layer and pass, with the rates reached.
//!
//! `cargo run --release --example profile -- train|evaluate NETWORK [batch] [threads] [steps]
//! [float32|bfloat16]`, as Markdown.

mod common;
mod ours;

use common::Case;
use mobilenet_core::engine::Timings;
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model;
use mobilenet_core::model::network::{Layer, Network};
use ours::{Inference, Training};
use std::time::Instant;

fn main() {
    let case = Case::from_arguments();
    case.set_threads();
    let (network, simd) = (model::network(&case.config()), Isa::best().name());
    let Case { work, network: name, batch, threads, steps, precision } = &case;
    println!("{work}, {name}, batch {batch}, {threads} threads, {simd}, {precision}, mean of {steps}\n");
    if work == "train" {
        let training = Training::new(&case);
        // The first step doesn't count: it touches the buffers.
        training.gradients();
        training.update();
        training.step.with_plan(|plan| plan.timings.clear());
        let mut adam_seconds = 0.0;
        let whole = case.time(0, || {
            training.gradients();
            let start = Instant::now();
            training.update();
            adam_seconds += start.elapsed().as_secs_f64();
        });
        let timings = training.step.with_plan(|plan| plan.timings.clone());
        table(&network, &case, &timings, whole.iter().sum(), adam_seconds);
    } else {
        let mut inference = Inference::new(&case);
        inference.run();
        inference.plan.timings.clear();
        let whole = case.time(0, || inference.run());
        table(&network, &case, &inference.plan.timings, whole.iter().sum(), 0.0);
    }
}

/// Times are in seconds, of all steps together.
fn table(network: &Network, case: &Case, timings: &Timings, whole: f64, adam: f64) {
    let Case { batch, steps, .. } = *case;
    let milliseconds = |seconds: f64| seconds / steps as f64 * 1e3;
    // Two operations a multiply-add; backward takes two products for forward's one.
    let rate = |layer: &Layer, times: usize, seconds: f64| {
        (2 * times * layer.multiply_adds() * batch) as f64 / (seconds / steps as f64) / 1e9
    };
    println!("| layer | forward, ms | GFLOP/s | backward, ms | GFLOP/s | share |\n|---|---|---|---|---|---|");
    let row = |name: &str, forward: f64, forward_rate: f64, backward: f64, backward_rate: f64| {
        println!(
            "| {name} | {:.2} | {forward_rate:.0} | {:.2} | {backward_rate:.0} | {:.1} % |",
            milliseconds(forward),
            milliseconds(backward),
            (forward + backward) / whole * 100.0
        );
    };
    for (index, layer) in network.layers.iter().enumerate() {
        let (forward, backward) = (timings.forward[index], timings.backward[index]);
        let name =
            format!("{} {}x{}x{}", layer.name, layer.output_side(), layer.output_side(), layer.outputs);
        row(&name, forward, rate(layer, 1, forward), backward, rate(layer, 2, backward));
    }
    row("prepare", timings.prepare, 0.0, 0.0, 0.0);
    row("Adam", adam, 0.0, 0.0, 0.0);
    let known = timings.forward.iter().chain(&timings.backward).sum::<f64>() + timings.prepare + adam;
    row("the rest", whole - known, 0.0, 0.0, 0.0);
    println!("| **whole** | {:.2} | | | | |", milliseconds(whole));
}
