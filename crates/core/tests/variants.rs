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

/// Along the gradient the loss rises by the gradient's square for every unit of the way.
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
        let mut loss_at = |parameters: &[f32]| {
            plan.prepare(parameters);
            plan.forward(&input, parameters, labels.len());
            plan.loss(&labels).sum / labels.len() as f64
        };
        loss_at(&parameters);
        let mut gradients = vec![0.0; parameters.len()];
        plan.backward(&input, &parameters, labels.len(), &mut gradients);
        let square: f64 = gradients.iter().map(|g| f64::from(*g).powi(2)).sum();
        // So small a change of the loss that its curve is straight, so large that float32 sees it.
        let way = 0.002 / square.max(10.0);
        let mut loss_at = |sign: f64| {
            let moved: Vec<f32> = parameters
                .iter()
                .zip(&gradients)
                .map(|(value, g)| (f64::from(*value) + sign * way * f64::from(*g)) as f32)
                .collect();
            plan.prepare(&moved);
            plan.forward(&input, &moved, labels.len());
            plan.loss(&labels).sum / labels.len() as f64
        };
        let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * way);
        println!("{variant:?} {layout:?}: {slope} for {square}");
        assert!((slope / square - 1.0).abs() < 0.03, "{variant:?} {layout:?}: {slope}, expected {square}");
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
        assert!(after < before - 0.3, "{variant:?} {layout:?}: {losses:?}");

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
    let steps = 400;
    let mut mean = vec![0.0; whole.len()];
    for step in 0..steps {
        for (mean, logit) in mean.iter_mut().zip(logits(0.5, step)) {
            *mean += f64::from(logit) / steps as f64;
        }
    }
    let size = whole.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    for (mean, whole) in mean.iter().zip(&whole) {
        assert!((mean - f64::from(*whole)).abs() < f64::from(size) * 0.1, "{mean}, expected {whole}");
    }
}
