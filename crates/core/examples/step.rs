//! Times training steps and evaluation batches of one network: what `bench/` compares with PyTorch.
//!
//! `cargo run --release --example step -- unpadded|cifar [batch] [threads] [steps]`, one JSON object a line.

use candle_core::{Device, Tensor, Var};
use mobilenet_core::config::{Layout, ModelOptions};
use mobilenet_core::engine::step::TrainingStep;
use mobilenet_core::engine::{InferencePlan, TrainingPlan};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::v1;
use mobilenet_core::optim::adam::{Adam, Moments};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize, default: usize| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let layout = match arguments.first().map(String::as_str) {
        Some("cifar") => Layout::Cifar,
        _ => Layout::Unpadded,
    };
    let (batch, threads, steps) = (number(1, 64), number(2, 2), number(3, 5));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| run(layout, batch, threads, steps));
}

fn run(layout: Layout, batch: usize, threads: usize, steps: usize) {
    let config = ModelOptions { layout: Some(layout), ..Default::default() }.resolve().unwrap();
    let network = v1::network(&config);
    let plan = TrainingPlan::new(network.clone(), batch, Isa::best());
    // Any values will do: He-sized weights, ones for batch norm.
    let mut random = 1u32;
    let mut uniform = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let tensors: Vec<_> = mobilenet_core::model::tensors::specs(&network)
        .into_iter()
        .map(|spec| {
            let fan_in: usize = spec.shape[1..].iter().product();
            let count = spec.count();
            let values = match spec.shape.len() {
                1 if spec.name.ends_with("bias") || spec.name.ends_with("mean") => vec![0.0; count],
                1 => vec![1.0; count],
                _ => (0..count).map(|_| uniform() * (6.0 / fan_in as f32).sqrt()).collect(),
            };
            mobilenet_core::model::tensors::NamedTensor { name: spec.name, shape: spec.shape, values }
        })
        .collect();
    let (parameters, statistics) = plan.parameters().gather(&tensors);
    let floats = parameters.len();
    let parameters = Var::from_vec(parameters, floats, &Device::Cpu).unwrap();
    let input: Vec<f32> = (0..batch * plan.picture_floats()).map(|_| uniform()).collect();
    let labels: Vec<u32> = (0..batch as u32).map(|index| index % 10).collect();
    let side = config.resolution;
    let pictures = Tensor::from_vec(input.clone(), (batch, side, side, 3), &Device::Cpu).unwrap();
    let training = TrainingStep::new(plan).unwrap();
    let adam = Adam::new(Moments::new(floats));
    let report = |what: &str, seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        println!(
            "{{\"work\":\"{what}\",\"batch\":{batch},\"threads\":{threads},\"simd\":\"{}\",\"n\":{},\"minimum\":{:.6},\"median\":{:.6}}}",
            Isa::best().name(),
            seconds.len(),
            seconds[0],
            seconds[seconds.len() / 2]
        );
    };
    let mut seconds = Vec::new();
    for step in 0..steps + 1 {
        let start = Instant::now();
        training.run(&pictures, &labels, &parameters).unwrap();
        adam.step(&parameters, training.gradients(), 0.01).unwrap();
        if step > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    report("train", &mut seconds);

    let mut plan = InferencePlan::new(network, batch, Isa::best());
    let parameters = parameters.to_vec1::<f32>().unwrap();
    plan.prepare(&parameters, &statistics);
    let mut seconds = Vec::new();
    for step in 0..steps + 1 {
        let start = Instant::now();
        plan.forward(&input, batch);
        if step > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    report("evaluate", &mut seconds);
}
