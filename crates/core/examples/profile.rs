//! Where a training step's and an evaluation's time goes: a table a layer and pass, with the rates reached.
//!
//! `cargo run --release --example profile -- unpadded|cifar|imagenet [batch] [threads] [steps]`, as Markdown.

use candle_core::{Device, Tensor, Var};
use mobilenet_core::config::{Layout, ModelOptions};
use mobilenet_core::engine::step::TrainingStep;
use mobilenet_core::engine::{InferencePlan, Timings, TrainingPlan};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::network::{Layer, Network};
use mobilenet_core::model::v1;
use mobilenet_core::optim::adam::{Adam, Moments};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize, default: usize| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let layout = match arguments.first().map(String::as_str) {
        Some("cifar") => Layout::Cifar,
        Some("imagenet") => Layout::Imagenet,
        _ => Layout::Unpadded,
    };
    let (batch, threads, steps) = (number(1, 64), number(2, 2), number(3, 5));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let network =
            v1::network(&ModelOptions { layout: Some(layout), ..Default::default() }.resolve().unwrap());
        println!(
            "V1 {layout:?}, batch {batch}, {threads} threads, {}, mean of {steps}\n",
            Isa::best().name()
        );
        let parameters = train(&network, batch, steps);
        evaluate(&network, batch, steps, &parameters);
    });
}

fn train(network: &Network, batch: usize, steps: usize) -> Vec<f32> {
    let plan = TrainingPlan::new(network.clone(), batch, Isa::best());
    let floats = plan.parameters().parameter_floats;
    // Weights of about the right size, from a fixed sequence; batch norm's factors near 0 do no harm to times.
    let values: Vec<f32> =
        (0..floats as u32).map(|i| (i.wrapping_mul(2_654_435_761) as f32 / 4e9 - 0.5) * 0.1).collect();
    let parameters = Var::from_vec(values, floats, &Device::Cpu).unwrap();
    let side = network.resolution;
    let pictures = Tensor::ones((batch, side, side, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let labels: Vec<u32> = (0..batch as u32).map(|index| index % 10).collect();
    let training = TrainingStep::new(plan).unwrap();
    let adam = Adam::new(Moments::new(floats));
    let (mut adam_seconds, mut start) = (0.0, Instant::now());
    for step in 0..=steps {
        if step == 1 {
            training.with_plan(|plan| plan.timings.clear());
            (adam_seconds, start) = (0.0, Instant::now());
        }
        training.run(&pictures, &labels, &parameters).unwrap();
        let before = Instant::now();
        adam.step(&parameters, training.gradients(), 0.001).unwrap();
        adam_seconds += before.elapsed().as_secs_f64();
    }
    let whole = start.elapsed().as_secs_f64();
    let timings = training.with_plan(|plan| plan.timings.clone());
    println!("## Training\n");
    table(network, batch, steps, &timings, whole, &[("Adam", adam_seconds)]);
    parameters.to_vec1::<f32>().unwrap()
}

fn evaluate(network: &Network, batch: usize, steps: usize, parameters: &[f32]) {
    let mut plan = InferencePlan::new(network.clone(), batch, Isa::best());
    plan.prepare(parameters, &vec![1.0; plan.parameters().statistic_floats]);
    let input = vec![0.5; batch * plan.picture_floats()];
    plan.forward(&input, batch);
    plan.timings.clear();
    let start = Instant::now();
    for _ in 0..steps {
        plan.forward(&input, batch);
    }
    println!("\n## Evaluation\n");
    table(network, batch, steps, &plan.timings, start.elapsed().as_secs_f64(), &[]);
}

fn table(network: &Network, batch: usize, steps: usize, timings: &Timings, whole: f64, more: &[(&str, f64)]) {
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
    let layers = network.layers.len();
    for (index, layer) in network.layers.iter().enumerate() {
        let (forward, backward) = (timings.forward[index], timings.backward[index]);
        let name =
            format!("{} {}x{}x{}", layer.name, layer.output_side(), layer.output_side(), layer.outputs);
        row(&name, forward, rate(layer, 1, forward), backward, rate(layer, 2, backward));
    }
    row("pool", timings.forward[layers], 0.0, timings.backward[layers], 0.0);
    row("classifier", timings.forward[layers + 1], 0.0, timings.backward[layers + 1], 0.0);
    row("prepare", timings.prepare, 0.0, 0.0, 0.0);
    for (name, seconds) in more {
        row(name, *seconds, 0.0, 0.0, 0.0);
    }
    let known: f64 = timings.forward.iter().chain(&timings.backward).sum::<f64>()
        + timings.prepare
        + more.iter().map(|(_, seconds)| seconds).sum::<f64>();
    row("the rest", whole - known, 0.0, 0.0, 0.0);
    println!("| **whole** | {:.2} | | | | |", milliseconds(whole));
}
