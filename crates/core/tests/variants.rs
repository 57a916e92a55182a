//! Every network that there is: gradients, runs, checkpoints, the same bits whatever the threads.

mod common;

use common::fixture;
use mobilenet_core::config::{Layout, ModelOptions, OptimizerOptions, TrainOptions, Variant};
use mobilenet_core::data::cifar10;
use mobilenet_core::engine::TrainingPlan;
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::model::initial;
use mobilenet_core::train::event::Event;
use mobilenet_core::train::{self, Control};

const ALL: [(Variant, Layout); 9] = [
    (Variant::V1, Layout::Unpadded),
    (Variant::V1, Layout::Cifar),
    (Variant::V1, Layout::Imagenet),
    (Variant::V2, Layout::Cifar),
    (Variant::V2, Layout::Imagenet),
    (Variant::V3Large, Layout::Cifar),
    (Variant::V3Large, Layout::Imagenet),
    (Variant::V3Small, Layout::Cifar),
    (Variant::V3Small, Layout::Imagenet),
];

fn options(variant: Variant, layout: Layout) -> ModelOptions {
    ModelOptions {
        variant: Some(variant),
        layout: Some(layout),
        width: Some(0.35),
        resolution: Some(if layout == Layout::Imagenet { 64 } else { 32 }),
        classes: Some(10),
        dropout: Some(0.25),
        ..Default::default()
    }
}

/// Trains on 32 real pictures; the losses of the steps.
fn train(model: &MobileNet, threads: usize, epochs: usize) -> Vec<f64> {
    let recipe = TrainOptions {
        epochs: Some(epochs),
        batch_size: Some(16),
        limit: Some(32),
        augment: Some(Vec::new()),
        optimizer: Some(OptimizerOptions { learning_rate: Some(0.003), ..Default::default() }),
        threads: Some(threads),
        ..Default::default()
    };
    let data = cifar10::open(&fixture("cifar-10-sample")).unwrap();
    let mut losses = Vec::new();
    train::run(model, &data, &recipe, false, &Control::default(), &mut |event| {
        if let Event::Step { loss, .. } = event {
            losses.push(loss);
        }
    })
    .unwrap();
    losses
}

fn bits(model: &MobileNet) -> Vec<u32> {
    model.tensors().iter().flat_map(|tensor| &tensor.values).map(|value| value.to_bits()).collect()
}

/// By how much the loss is to rise and to fall along the gradient: so little that its curve is nearly straight, so much that
/// float32 sees it.
const CHANGE: f64 = 0.000_25;
/// What float32 rounds off, as a share.
const ROUNDING: f64 = 1.0 / (1 << 24) as f64;

/// Along the gradient the loss rises by the gradient's square for every unit of the way.
///
/// Two things may part the slope from it. float32: as if every layer rounded the loss once, and all in the same direction. The
/// curve: going twice as far moves the slope by as much as the curve, and ReLU's kinks, have moved it already, or by more; twice
/// that is allowed. Measured is at most 0.9 %, where 1.1 % to 5 % are allowed.
#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    for (variant, layout) in ALL {
        let network = mobilenet_core::model::network(&options(variant, layout).resolve().unwrap());
        let mut plan = TrainingPlan::new(network.clone(), 8, Isa::best());
        let (parameters, statistics) = plan.parameters().gather(&initial::tensors(&network, 1));
        plan.statistics = statistics;
        // What dropout leaves out is the same in every pass.
        plan.dropout_stream = (1, 1);
        let labels: Vec<u32> = (0..8).collect();
        let floats = labels.len() * plan.picture_floats();
        let input: Vec<f32> = (0..floats).map(|index| ((index * 7919 % 1009) as f32 / 504.5) - 1.0).collect();
        let loss_at = |plan: &mut TrainingPlan, parameters: &[f32]| {
            plan.prepare(parameters);
            plan.forward(&input, parameters, labels.len());
            plan.loss(&labels).sum / labels.len() as f64
        };
        let loss = loss_at(&mut plan, &parameters);
        let mut gradients = vec![0.0; parameters.len()];
        plan.backward(&input, &parameters, labels.len(), &mut gradients);
        let square: f64 = gradients.iter().map(|g| f64::from(*g).powi(2)).sum();
        // The loss there, and what the gradient says of it: so small a way is not the one that float32 goes.
        let mut at = |way: f64| {
            let moved: Vec<f32> = parameters
                .iter()
                .zip(&gradients)
                .map(|(value, g)| (f64::from(*value) + way * f64::from(*g)) as f32)
                .collect();
            let steps = moved.iter().zip(&parameters).map(|(to, from)| f64::from(*to) - f64::from(*from));
            (
                loss_at(&mut plan, &moved),
                steps.zip(&gradients).map(|(step, g)| step * f64::from(*g)).sum::<f64>(),
            )
        };
        let mut slope = |change: f64| {
            let (up, down) = (at(change / square), at(-change / square));
            (up.0 - down.0) / (up.1 - down.1)
        };
        let (further, slope) = (slope(2.0 * CHANGE), slope(CHANGE));
        let rounding = network.layers.len() as f64 * ROUNDING * loss / (2.0 * CHANGE);
        let allowed = rounding + 2.0 * (further - slope).abs();
        println!("{variant:?} {layout:?}: {slope} of the gradient's square, 1 +- {allowed} expected");
        assert!((slope - 1.0).abs() < allowed, "{variant:?} {layout:?}: {slope}, 1 +- {allowed} expected");
    }
}

#[test]
fn every_network_learns_and_goes_through_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    for (variant, layout) in ALL {
        let model = MobileNet::create(&options(variant, layout), 1).unwrap();
        let losses = train(&model, 2, 12);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (before, after) = (mean(&losses[..4]), mean(&losses[losses.len() - 4..]));
        println!("{variant:?} {layout:?}: {before} to {after}");
        // Measured: 1.37 (V1 unpadded) to 1.9. Half of the least is allowed, as other kernels round otherwise.
        assert!(after < before - 0.7, "{variant:?} {layout:?}: {losses:?}");

        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        let again = MobileNet::load(&path).unwrap();
        assert_eq!(again.config(), model.config());
        assert!(bits(&again) == bits(&model), "{variant:?} {layout:?}: a checkpoint gives other values");
        let side = model.config().resolution;
        let input: Vec<f32> =
            (0..2 * 3 * side * side).map(|index| (index % 101) as f32 / 50.5 - 1.0).collect();
        assert_eq!(again.forward(&input, 2).unwrap(), model.forward(&input, 2).unwrap());
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    for (variant, layout) in ALL {
        let trained = |threads| {
            let model = MobileNet::create(&options(variant, layout), 1).unwrap();
            train(&model, threads, 1);
            bits(&model)
        };
        let one = trained(1);
        for threads in [2, 3] {
            assert!(
                trained(threads) == one,
                "{variant:?} {layout:?} with {threads} threads differs from one"
            );
        }
    }
}

#[test]
fn dropout_leaves_out_its_share_and_evaluation_nothing() {
    let logits = |dropout: f64, step: u64| {
        let options = ModelOptions { dropout: Some(dropout), ..options(Variant::V2, Layout::Cifar) };
        let network = mobilenet_core::model::network(&options.resolve().unwrap());
        let mut plan = TrainingPlan::new(network.clone(), 4, Isa::best());
        let (parameters, statistics) = plan.parameters().gather(&initial::tensors(&network, 1));
        plan.statistics = statistics;
        plan.dropout_stream = (1, step);
        plan.prepare(&parameters);
        let input: Vec<f32> =
            (0..4 * plan.picture_floats()).map(|index| (index % 89) as f32 / 44.5 - 1.0).collect();
        plan.forward(&input, &parameters, 4);
        plan.logits(4)
    };
    assert_ne!(logits(0.5, 1), logits(0.5, 2), "every step leaves out others");
    assert_eq!(logits(0.5, 1), logits(0.5, 1));
    assert_eq!(logits(0.0, 1), logits(0.0, 2));
    // Kept inputs are made larger by as much as is left out: the mean over many steps is the logit without dropout.
    let whole = logits(0.0, 0);
    let samples: Vec<Vec<f32>> = (0..400).map(|step| logits(0.5, step)).collect();
    let count = samples.len() as f64;
    for (index, whole) in whole.iter().enumerate() {
        let values = || samples.iter().map(|logits| f64::from(logits[index]));
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // Five standard errors: chance goes further once in two million times.
        let allowed = 5.0 * (variance / count).sqrt();
        assert!((mean - f64::from(*whole)).abs() < allowed, "{mean}, expected {whole} +- {allowed}");
    }
}
