//! Whole runs: core's trainer on the card.

use crate::setup::mock;
use mobilenet_core::Result;
use mobilenet_core::config::{Layout, ModelOptions, OptimizerOptions, TrainOptions, Variant};
use mobilenet_core::data::{Dataset, cifar10};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::event::{Event, Report};
use mobilenet_core::train::{self, Control};
use std::path::Path;
use std::sync::Arc;

fn data() -> Dataset {
    let sample = "__test__/fixtures/cifar-10-sample";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(sample);
    // Carried to a machine with a card, the test runs in the repository's root there.
    cifar10::open(if built.exists() { &built } else { Path::new(sample) }).unwrap()
}

fn model() -> MobileNet {
    let options = ModelOptions {
        variant: Some(Variant::V3Small),
        layout: Some(Layout::Cifar),
        width: Some(0.25),
        ..Default::default()
    };
    MobileNet::create(&options, 1).unwrap()
}

/// Two epochs of two steps, the last of 2 pictures; crop and flip, an average of the weights.
fn recipe() -> TrainOptions {
    TrainOptions {
        epochs: Some(2),
        batch_size: Some(8),
        limit: Some(10),
        log_every: Some(2),
        optimizer: Some(OptimizerOptions { learning_rate: Some(1e-3), ..Default::default() }),
        ema: Some(mobilenet_core::config::EmaOptions { decay: Some(0.9), ..Default::default() }),
        ..Default::default()
    }
}

fn run(model: &MobileNet, options: &TrainOptions, resume: bool) -> Result<(Report, Vec<Event>)> {
    let (data, mut events) = (data(), Vec::new());
    let report =
        train::run(model, &data, options, resume, &Control::default(), &mut |event| events.push(event))?;
    Ok((report, events))
}

fn losses(events: &[Event]) -> Vec<f64> {
    let loss = |event: &Event| if let Event::Step { loss, .. } = event { Some(*loss) } else { None };
    events.iter().filter_map(loss).collect()
}

#[test]
fn a_run_on_the_card_is_that_of_the_processor() {
    let Some(mock) = mock() else { return };
    let (here, there) = (model(), model().on(Arc::new(mock.card())));
    let (report, events) = run(&here, &recipe(), false).unwrap();
    let (on_card, heard) = run(&there, &recipe(), false).unwrap();
    let Event::Start { config } = &heard[0] else { panic!("a run begins with its start") };
    assert_eq!(config.device, "cuda:0");
    let (losses, heard) = (losses(&events), losses(&heard));
    println!("{losses:?} and {heard:?}");
    assert_eq!(losses.len(), heard.len());
    for (loss, on_card) in losses.iter().zip(&heard) {
        assert!((loss - on_card).abs() < 1e-3 * loss, "{losses:?} and {heard:?}");
    }
    let close = |a: Option<train::event::Metrics>, b: Option<train::event::Metrics>| {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a.loss - b.loss).abs() < 1e-3 * a.loss && a.count == b.count, "{a:?} and {b:?}");
    };
    close(report.train, on_card.train);
    close(report.validation, on_card.validation);
    close(report.test, on_card.test);
    drop(there);
    assert_eq!(mock.leaks(), 0);
}

#[test]
fn a_run_goes_on_on_the_other_device() {
    let Some(mock) = mock() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let one = TrainOptions { epochs: Some(1), out: Some(out.clone()), ..recipe() };
    run(&model().on(Arc::new(mock.card())), &one, false).unwrap();
    let two = TrainOptions { epochs: Some(2), ..one };
    let resumed = MobileNet::load(&out.join("last.safetensors")).unwrap();
    let (report, events) = run(&resumed, &two, true).unwrap();
    assert_eq!((report.epochs, report.steps), (2, 4));
    let Event::Start { config } = &events[0] else { panic!("a run begins with its start") };
    assert_eq!((config.device.as_str(), config.resumed_epochs), ("cpu", Some(1)));
    let (_, whole) = run(&model(), &recipe(), false).unwrap();
    let (last, expected) = (losses(&events), losses(&whole));
    assert!((last[0] - expected[1]).abs() < 1e-3 * expected[1], "{last:?} and {expected:?}");
    // And back to the card.
    let three = TrainOptions { epochs: Some(3), ..two };
    let again = MobileNet::load(&out.join("last.safetensors")).unwrap().on(Arc::new(mock.card()));
    assert_eq!(run(&again, &three, true).unwrap().0.epochs, 3);
}

/// A step is told when the next one is in work, but what is told of a step comes before what is told of later ones.
#[test]
fn events_come_in_the_order_of_the_steps() {
    let Some(mock) = mock() else { return };
    let options = TrainOptions { log_every: Some(1), batch_size: Some(3), ..recipe() };
    let (data, control, mut events) = (data(), Control::default(), Vec::new());
    let model = model().on(Arc::new(mock.card()));
    train::run(&model, &data, &options, false, &control, &mut |event| {
        if matches!(event, Event::Step { epoch: 2, step: 1, .. }) {
            control.set_learning_rate(0.5).unwrap();
        }
        events.push(event);
    })
    .unwrap();
    let told = events.iter().filter_map(|event| match event {
        Event::Step { epoch, step, learning_rate, .. } => {
            Some((*epoch, *step, if *learning_rate > 0.01 { "high" } else { "low" }))
        }
        Event::LearningRate { epoch, step, .. } => Some((*epoch, *step, "set")),
        Event::Epoch { epoch, .. } => Some((*epoch, 4, "end")),
        _ => None,
    });
    let low = |epoch| (1..=4).map(move |step| (epoch, step, "low"));
    let first = low(1).chain([(1, 4, "end")]).chain(low(2).take(2));
    // Heard of when the second step is in work already.
    let rest = [(2, 3, "set"), (2, 3, "high"), (2, 4, "high"), (2, 4, "end")];
    assert_eq!(told.collect::<Vec<_>>(), first.chain(rest).collect::<Vec<_>>());
}

#[test]
fn a_frozen_backbone_is_the_processors_too() {
    let Some(mock) = mock() else { return };
    let options = TrainOptions {
        freeze: Some(mobilenet_core::config::Freeze::Backbone),
        freeze_epochs: Some(1),
        ..recipe()
    };
    let (here, there) = (model(), model().on(Arc::new(mock.card())));
    let (_, events) = run(&here, &options, false).unwrap();
    let (_, heard) = run(&there, &options, false).unwrap();
    let (losses, heard) = (losses(&events), losses(&heard));
    assert_eq!(losses.len(), 2);
    for (loss, on_card) in losses.iter().zip(&heard) {
        assert!((loss - on_card).abs() < 1e-3 * loss, "{losses:?} and {heard:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_where_it_came() {
    let Some(mock) = mock() else { return };
    let optimizer = OptimizerOptions {
        kind: Some(mobilenet_core::config::OptimizerKind::Sgd),
        learning_rate: Some(1e30),
        ..Default::default()
    };
    let options = TrainOptions { optimizer: Some(optimizer), epochs: Some(5), ..recipe() };
    let error = run(&model().on(Arc::new(mock.card())), &options, false).unwrap_err();
    assert!(error.message.starts_with("the loss is no number any more at step 2 of epoch 1"), "{error}");
}
