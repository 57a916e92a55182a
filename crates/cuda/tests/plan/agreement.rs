//! The card's plan against the processor's, from the same state on the same pictures.

use crate::networks::{batch, beginning, engine, every_layer, in_precision, narrow, wide};
use crate::setup::mock;
use mobilenet_core::config::{
    Augmentation, EmaConfig, Layout, Normalization, OptimizerConfig, OptimizerKind, Precision, Rule,
    TrainConfig, Variant,
};
use mobilenet_core::data::Pictures;
use mobilenet_core::data::prepare::{Batch, Place, Preparer};
use mobilenet_core::engine::TrainingPlan;
use mobilenet_core::engine::backend::{Backend, EngineState, KeptPictures, Update, Wait};
use mobilenet_core::engine::processor::Processor;
use mobilenet_core::kernels::loss::{Loss, Mixture};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::network::Network;
use std::ops::ControlFlow;

/// What two float32 plans may differ by, against the larger of two arrays' values: a value goes through up to 2 x 60 layers,
/// forward and backward, each of which rounds it a few times (4 x 2^-24), and the division by a small deviation in batch norm
/// makes of these roundings about ten times as much. The two plans add in different orders, so both have that error.
const FLOAT32: f64 = 2.0 * 120.0 * 4.0 * 10.0 / 16_777_216.0;

fn update(rate: f64, step: u64) -> Update {
    Update { rate, stream: (1, step) }
}

/// Runs steps, of 6 pictures and of 3, as an epoch's end does it; gives the losses and the state after them.
pub fn train(
    backend: &dyn Backend,
    network: &Network,
    config: &TrainConfig,
    steps: u64,
    rate: f64,
) -> (Vec<Loss>, EngineState) {
    let mut engine = engine(backend, network, config, beginning(network, config)).unwrap();
    for step in 0..steps {
        let count = if step % 3 == 2 { 3 } else { 6 };
        engine.step(batch(network, count), update(rate, step)).unwrap();
    }
    (engine.losses(Wait::ForAll).unwrap(), engine.state().unwrap())
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

/// One step of SGD at rate 1 changes the parameters by the gradient.
fn gradients(backend: &dyn Backend, network: &Network, precision: Precision) -> (f64, Vec<f32>, Vec<f32>) {
    let config =
        TrainConfig { optimizer: OptimizerConfig::of(OptimizerKind::Sgd), ..in_precision(precision) };
    let before = beginning(network, &config).parameters;
    let (losses, after) = train(backend, network, &config, 1, 1.0);
    let gradient = before.iter().zip(&after.parameters).map(|(before, after)| before - after).collect();
    (losses[0].sum, gradient, after.statistics)
}

/// The same by the processor's plan in an instruction set, which decides the order of its sums.
fn gradient_in(isa: Isa, network: &Network) -> (f64, Vec<f32>) {
    let mut plan = TrainingPlan::new(network.clone(), 6, isa);
    let EngineState { parameters, statistics, .. } = beginning(network, &TrainConfig::default());
    plan.statistics = statistics;
    plan.dropout_stream = (1, 0);
    let batch = batch(network, 6);
    plan.prepare(&parameters);
    plan.forward(&batch.input, &parameters, 6);
    let loss = plan.loss(&batch.labels).sum;
    let mut gradients = vec![0.0; parameters.len()];
    plan.backward(&batch.input, &parameters, 6, &mut gradients);
    (loss, gradients)
}

/// What roundings do to this network's loss and gradient, by two of the processor's own plans that differ in them alone: where
/// a value lies beside an activation's edge, or a deviation is small, that is far more than a rounding.
fn sensitivity(network: &Network) -> (f64, f64) {
    let [(loss, gradient), (other_loss, other)] =
        [Isa::best(), Isa::Plain].map(|isa| gradient_in(isa, network));
    ((loss - other_loss).abs(), distance(&gradient, &other))
}

#[test]
fn gradients_are_the_processors() {
    let Some(mock) = mock() else { return };
    let networks = [
        ("every layer", every_layer()),
        ("V1 unpadded", narrow(Variant::V1, Layout::Unpadded)),
        ("V1 cifar", narrow(Variant::V1, Layout::Cifar)),
        ("V2 cifar", narrow(Variant::V2, Layout::Cifar)),
        ("V3-small cifar", narrow(Variant::V3Small, Layout::Cifar)),
    ];
    for (name, network) in &networks {
        let (loss, gradient, statistics) = gradients(&Processor, network, Precision::Float32);
        let (on_card, of_card, moved) = gradients(&mock.card(), network, Precision::Float32);
        let (apart, size) = (distance(&gradient, &of_card), norm(&gradient));
        let (loss_apart, gradients_apart) = sensitivity(network);
        println!(
            "{name}: loss {loss} and {on_card}, gradient of {size} apart by {apart}, plans by {gradients_apart}"
        );
        // The larger of what roundings may do anywhere, and eight times what they do here.
        let allowed = |apart: f64, size: f64| (FLOAT32 * size).max(8.0 * apart);
        assert!(
            (loss - on_card).abs() < allowed(loss_apart, loss),
            "{name}: {loss} and {on_card}, {loss_apart}"
        );
        assert!(apart < allowed(gradients_apart, size), "{name}: {apart} of {size}, {gradients_apart}");
        assert!(distance(&statistics, &moved) < FLOAT32 * norm(&statistics), "{name}");
    }
    assert_eq!(mock.leaks(), 0);
}

/// Roundings of 8 bits (bfloat16) and of 11 (TF32) instead of 24: still the same gradient, for the most part.
#[test]
fn rounded_products_give_nearly_the_same_gradient() {
    let Some(mock) = mock() else { return };
    for network in [every_layer(), narrow(Variant::V3Small, Layout::Cifar)] {
        let (loss, gradient, _) = gradients(&Processor, &network, Precision::Float32);
        let mut before = 0.0;
        for (precision, unit) in [(Precision::Tf32, 2048.0), (Precision::Bfloat16, 256.0)] {
            let (on_card, of_card, _) = gradients(&mock.card(), &network, precision);
            let (apart, size) = (distance(&gradient, &of_card), norm(&gradient));
            println!("{precision:?}: loss {loss} and {on_card}, gradient of {size} apart by {apart}");
            // Rounded operands are wrong by up to a unit each, in some 40 layers, independently of each other.
            assert!((loss - on_card).abs() < 40.0 / unit * loss, "{precision:?}: {loss} and {on_card}");
            assert!(apart < 80.0 / unit * size && apart > before, "{precision:?}: {apart} of {size}");
            before = apart;
        }
    }
}

#[test]
fn every_optimizer_moves_as_the_processors() {
    let Some(mock) = mock() else { return };
    let network = every_layer();
    let sgd = OptimizerConfig {
        rule: Rule::Sgd { momentum: 0.9, nesterov: true },
        ..OptimizerConfig::of(OptimizerKind::Sgd)
    };
    let rms = Rule::RmsProp { alpha: 0.9, momentum: 0.5, eps: 1e-8 };
    let optimizers = [
        OptimizerConfig { weight_decay: 0.01, ..OptimizerConfig::of(OptimizerKind::Adam) },
        OptimizerConfig { clip_norm: Some(0.5), ..OptimizerConfig::of(OptimizerKind::AdamW) },
        OptimizerConfig { weight_decay: 0.01, decay_norms_and_biases: true, ..sgd },
        OptimizerConfig { clip_value: Some(0.01), ..OptimizerConfig::of(OptimizerKind::Sgd) },
        OptimizerConfig { rule: rms, ..OptimizerConfig::of(OptimizerKind::RmsProp) },
        OptimizerConfig::of(OptimizerKind::RmsPropTf),
    ];
    for optimizer in optimizers {
        let ema = Some(EmaConfig { decay: 0.9, warmup: true });
        let config =
            TrainConfig { optimizer, ema, backbone_rate: 0.5, label_smoothing: 0.1, ..Default::default() };
        // So small a rate that what is rounded in one step is not much more in the next.
        let before = beginning(&network, &config).parameters;
        let (losses, state) = train(&Processor, &network, &config, 4, 1e-3);
        let (on_card, of_card) = train(&mock.card(), &network, &config, 4, 1e-3);
        for (loss, on_card) in losses.iter().zip(&on_card) {
            assert!(
                (loss.sum - on_card.sum).abs() < 4.0 * FLOAT32 * loss.sum,
                "{optimizer:?}: {losses:?} {on_card:?}"
            );
            assert_eq!(loss.correct, on_card.correct);
        }
        assert_eq!(state.optimizer.steps, of_card.optimizer.steps);
        // By the way that they went. A way is rounded as the parameters are, which are up to a thousand times as large. Where
        // a gradient is almost nothing, Adam and RMSprop make a step of its sign, and one of two that differ by a rounding may
        // go the other way: so a thousandth of the way, which is few of them.
        let apart = |a: &[f32], b: &[f32]| distance(a, b) / norm(a).max(1e-6);
        let way = distance(&state.parameters, &before);
        let moved = distance(&state.parameters, &of_card.parameters) / way;
        println!("{:?}: parameters apart by {moved} of a way of {way}", optimizer.rule.kind());
        assert!(way > 0.0 && moved < 1e-3, "{optimizer:?}: {moved} of {way}");
        let (average, other) = (state.average.unwrap(), of_card.average.unwrap());
        assert_eq!(average.updates, other.updates);
        assert!(apart(&average.parameters, &other.parameters) < 1e-3, "{optimizer:?}");
        assert!(apart(&average.statistics, &other.statistics) < 10.0 * FLOAT32, "{optimizer:?}");
        for (ours, other) in state.optimizer.buffers.iter().zip(&of_card.optimizer.buffers) {
            assert!(apart(ours, other) < 1e-3, "{optimizer:?}");
        }
    }
}

#[test]
fn mixtures_and_class_weights_are_in_the_loss() {
    let Some(mock) = mock() else { return };
    let (network, weights) = (every_layer(), [1.0, 0.5, 2.0, 1.0, 3.0]);
    let config = TrainConfig { label_smoothing: 0.2, ..Default::default() };
    let loss = |backend: &dyn Backend, mixed: bool| {
        let recipe = mobilenet_core::engine::backend::Recipe {
            network: &network,
            config: &config,
            class_weights: Some(&weights),
            capacity: 6,
            frozen_steps: 0,
        };
        let mut engine = backend.training(recipe, beginning(&network, &config)).unwrap();
        let mut batch = batch(&network, 6);
        batch.mixture = mixed.then(|| Mixture { labels: vec![4, 3, 2, 1, 0, 4], share: 0.3 });
        engine.step(batch, update(0.001, 0)).unwrap();
        engine.losses(Wait::ForAll).unwrap()[0]
    };
    for mixed in [false, true] {
        let (here, there) = (loss(&Processor, mixed), loss(&mock.card(), mixed));
        assert!((here.sum - there.sum).abs() < FLOAT32 * here.sum, "{here:?} {there:?}");
        assert_eq!(here.correct, there.correct);
    }
    assert_ne!(loss(&mock.card(), true).sum, loss(&mock.card(), false).sum);
}

#[test]
fn the_same_seed_gives_the_same_bits_recorded_or_not() {
    let Some(mock) = mock() else { return };
    let network = every_layer();
    for precision in [Precision::Float32, Precision::Bfloat16] {
        let config = in_precision(precision);
        let recorded = train(&mock.card(), &network, &config, 5, 0.01);
        assert_eq!(recorded, train(&mock.card(), &network, &config, 5, 0.01));
        assert_eq!(recorded, train(&mock.card().without_graphs(), &network, &config, 5, 0.01));
    }
}

/// Pictures that the card keeps, placed, cut and mixed by it, are those that the processor prepares, to the bit.
#[test]
fn batches_made_on_the_card_are_those_that_are_sent() {
    let Some(mock) = mock() else { return };
    let (network, card) = (every_layer(), mock.card());
    let bytes = (0..9 * 8 * 8 * 3).map(|at| (at * 7 % 251) as u8).collect();
    let pictures = Pictures::of_one_size(bytes, (0..9).map(|label| label % 5).collect(), (8, 8));
    let mixes = [
        vec![],
        vec![Augmentation::Mixup { alpha: 1.0, probability: 0.7 }],
        vec![Augmentation::Cutmix { alpha: 1.0, probability: 0.7 }],
    ];
    for mix in mixes {
        let steps = [
            Augmentation::Crop { padding: 2 },
            Augmentation::Flip,
            Augmentation::Cutout { size: 4 },
            Augmentation::Cutout { size: 2 },
        ];
        let config = TrainConfig { augment: steps.into_iter().chain(mix).collect(), ..Default::default() };
        let normalization = Normalization::default();
        let preparer = Preparer::new(&normalization, 8, &config.augment);
        let run = |drawn: bool| {
            let mut engine = engine(&card, &network, &config, beginning(&network, &config)).unwrap();
            assert!(!drawn || engine.keep(&pictures, &normalization).unwrap());
            for (step, indices) in
                [[8, 1, 2, 3, 4, 5], [0, 7, 6, 5, 4, 1], [2, 2, 3, 8, 0, 1]].iter().enumerate()
            {
                let place = Place { seed: 3, epoch: 1, position: 6 * step as u64 };
                let batch = match drawn {
                    true => preparer.draw(&pictures, indices, place),
                    false => preparer.batch(&pictures, indices, place).unwrap(),
                };
                engine.step(batch, update(0.01, step as u64)).unwrap();
            }
            (engine.losses(Wait::ForAll).unwrap(), engine.state().unwrap())
        };
        assert_eq!(run(true), run(false), "{:?}", config.augment);
    }
    let (sent, kept) = (TrainConfig::default(), Pictures::default());
    let mut engine = engine(&card, &network, &sent, beginning(&network, &sent)).unwrap();
    assert!(!engine.keep(&kept, &Normalization::default()).unwrap(), "of another size");
}

/// Where the card keeps the pictures, no room is locked in the machine's memory for sending any.
#[test]
fn only_pictures_that_are_sent_have_room_in_locked_memory() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    let locked = || {
        let report: serde_json::Value = serde_json::from_str(&books.report()).unwrap();
        report["left"]["hostBytes"].as_u64().unwrap() as usize
    };
    let (network, config, card) = (every_layer(), TrainConfig::default(), mock.card());
    let pictures = Pictures::of_one_size(vec![7; 4 * 8 * 8 * 3], vec![0, 1, 2, 3], (8, 8));
    let normalization = Normalization::default();
    let preparer = Preparer::new(&normalization, 8, &[]);
    let (indices, place) = ([0, 1, 2, 3], Place { seed: 1, epoch: 0, position: 0 });
    let before = locked();
    let mut engine = engine(&card, &network, &config, beginning(&network, &config)).unwrap();
    assert!(engine.keep(&pictures, &normalization).unwrap());
    let mut takes = |batches: [Batch; 3]| {
        for (step, batch) in batches.into_iter().enumerate() {
            engine.step(batch, update(0.01, step as u64)).unwrap();
        }
        engine.losses(Wait::ForAll).unwrap();
        locked() - before
    };
    let numbers = takes([(); 3].map(|()| preparer.draw(&pictures, &indices, place)));
    let batch = || preparer.batch(&pictures, &indices, place).unwrap();
    let all = takes([(); 3].map(|()| batch()));
    // Two batches are on their way at most.
    assert!(all - numbers >= 2 * size_of_val(&batch().input[..]), "{numbers} and {all}");
    assert_eq!(takes([(); 3].map(|()| batch())), all);
}

/// Pictures that are kept for evaluations are those that are sent, to the bit, in batches as large as there is room for.
#[test]
fn kept_pictures_get_the_answers_of_sent_ones() {
    let Some(mock) = mock() else { return };
    let (network, config) = (every_layer(), TrainConfig::default());
    let side = network.resolution;
    let state = beginning(&network, &config);
    let mut engine = mock.card().inference(&network, Precision::Float32).unwrap();
    engine.prepare(&state.parameters, &state.statistics).unwrap();
    let (capacity, normalization) = (engine.capacity(), Normalization::default());
    let count = 2 * capacity + 3;
    let bytes = (0..count * side * side * 3).map(|at| (at * 7 % 251) as u8).collect();
    let pictures = Pictures::of_one_size(bytes, vec![0; count], (side, side));
    // Backwards, so that places and indices differ; and a part that is one small batch.
    let parts: [Vec<u32>; 2] = [(0..count as u32).rev().collect(), vec![5, 3]];
    let kept = parts.each_ref().map(|part| engine.keep(&pictures, part, &normalization).unwrap().unwrap());
    let bytes_kept: usize = parts.iter().map(|part| part.len() * side * side * 3).sum();
    assert!(engine.bytes() >= bytes_kept);
    let preparer = Preparer::new(&normalization, side, &[]);
    let place = Place { seed: 0, epoch: 0, position: 0 };
    // The second time from records, and after an evaluation that was broken off.
    for _ in 0..2 {
        for (part, kept) in parts.iter().zip(kept) {
            let sent = part.chunks(capacity).map(|indices| {
                let batch = preparer.batch(&pictures, indices, place).unwrap();
                engine.logits(&batch.input, batch.count).unwrap()
            });
            let sent: Vec<Vec<f32>> = sent.collect();
            let mut heard = Vec::new();
            let mut hear = |logits: &[f32]| {
                heard.push(logits.to_vec());
                ControlFlow::Continue(())
            };
            engine.logits_of_kept(kept, &mut hear).unwrap();
            assert!(heard == sent, "{} pictures", part.len());
        }
        let mut batches = 0;
        let mut hear = |_: &[f32]| {
            batches += 1;
            ControlFlow::Break(())
        };
        engine.logits_of_kept(kept[0], &mut hear).unwrap();
        assert_eq!(batches, 1);
    }
    let of_another_size = Pictures::of_one_size(vec![0; 4 * 4 * 3], vec![0], (4, 4));
    assert_eq!(engine.keep(&of_another_size, &[0], &normalization).unwrap(), None);
    assert_eq!(engine.keep(&pictures, &[], &normalization).unwrap(), None);
    assert!(engine.logits_of_kept(KeptPictures(2), &mut |_| ControlFlow::Continue(())).is_err());
    drop(engine);
    assert_eq!(mock.leaks(), 0);
}

/// While the last step is still in work, the losses of those before it are there.
#[test]
fn earlier_losses_come_while_the_last_step_is_in_work() {
    let Some(mock) = mock() else { return };
    let (network, config) = (every_layer(), TrainConfig::default());
    let mut engine = engine(&mock.card(), &network, &config, beginning(&network, &config)).unwrap();
    let mut known = Vec::new();
    for step in 0..4 {
        let count = if step % 3 == 2 { 3 } else { 6 };
        engine.step(batch(&network, count), update(0.01, step)).unwrap();
        let earlier = engine.losses(Wait::ForEarlier).unwrap();
        assert_eq!(earlier.len(), usize::from(step > 0), "after step {step}");
        known.extend(earlier);
    }
    known.extend(engine.losses(Wait::ForAll).unwrap());
    assert_eq!(engine.losses(Wait::ForAll).unwrap(), []);
    assert_eq!(known, train(&mock.card(), &network, &config, 4, 0.01).0);
}

#[test]
fn answers_are_the_processors() {
    let Some(mock) = mock() else { return };
    for network in [every_layer(), narrow(Variant::V3Small, Layout::Cifar)] {
        let config = TrainConfig::default();
        // A few steps, so that running statistics are not those of the beginning.
        let (_, state) = train(&Processor, &network, &config, 2, 1e-3);
        let pictures = batch(&network, 7);
        let ask = |backend: &dyn Backend| {
            let mut engine = backend.inference(&network, Precision::Float32).unwrap();
            engine.prepare(&state.parameters, &state.statistics).unwrap();
            let logits = engine.logits(&pictures.input, 7).unwrap();
            let one = engine.logits(&pictures.input[..network.picture_floats()], 1).unwrap();
            (engine.features(&pictures.input, 7).unwrap(), logits, one)
        };
        let ((features, logits, _), (of_card, on_card, one)) = (ask(&Processor), ask(&mock.card()));
        assert!(distance(&logits, &on_card) < FLOAT32 * norm(&logits), "{}", network.layers.len());
        assert!(distance(&features, &of_card) < FLOAT32 * norm(&features), "{}", network.layers.len());
        let classes = network.classes();
        assert!(distance(&one, &on_card[..classes]) <= FLOAT32 * norm(&one), "a picture by itself");
    }
    assert_eq!(mock.leaks(), 0);
}

#[test]
fn a_state_goes_from_device_to_device() {
    let Some(mock) = mock() else { return };
    let (network, card) = (every_layer(), mock.card());
    let ema = Some(EmaConfig { decay: 0.9, warmup: false });
    let config = TrainConfig { ema, ..Default::default() };
    let (_, state) = train(&Processor, &network, &config, 3, 1e-3);
    let mut there = engine(&card, &network, &config, state.clone()).unwrap();
    assert_eq!(there.state().unwrap(), state, "what was written comes back");
    let mut here = engine(&Processor, &network, &config, state).unwrap();
    for engine in [&mut here, &mut there] {
        engine.step(batch(&network, 6), update(1e-3, 3)).unwrap();
    }
    let (here, there) = (here.state().unwrap(), there.state().unwrap());
    assert!(distance(&here.parameters, &there.parameters) < 1e-3 * norm(&here.parameters));
    assert_eq!(here.optimizer.steps, there.optimizer.steps);
}

/// Products of enough rows, inputs and outputs for the largest tiles, which are launched with shared memory of their own: beside the
/// others of a step, and recorded.
#[test]
fn wide_tiles_are_in_plans() {
    let Some(mock) = mock() else { return };
    let network = wide();
    let (loss, gradient, _) = gradients(&Processor, &network, Precision::Float32);
    for (precision, unit) in [(Precision::Tf32, 2048.0), (Precision::Bfloat16, 256.0)] {
        let config = in_precision(precision);
        let (on_card, of_card, _) = gradients(&mock.card(), &network, precision);
        let (apart, size) = (distance(&gradient, &of_card), norm(&gradient));
        println!("{precision:?}: loss {loss} and {on_card}, gradient of {size} apart by {apart}");
        assert!((loss - on_card).abs() < 10.0 / unit * loss, "{precision:?}: {loss} and {on_card}");
        assert!(apart < 20.0 / unit * size, "{precision:?}: {apart} of {size}");
        let recorded = train(&mock.card(), &network, &config, 2, 0.01);
        assert_eq!(recorded, train(&mock.card().without_graphs(), &network, &config, 2, 0.01));
    }
}
