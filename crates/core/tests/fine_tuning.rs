//! Beginning with other weights: a new classifier, a backbone that stays as it is, one that learns more slowly.

mod common;

use common::fixture;
use mobilenet_core::config::{
    Augmentation, Freeze, Layout, ModelOptions, OptimizerOptions, ScheduleKind, ScheduleOptions,
    TrainOptions, Variant,
};
use mobilenet_core::data::{Dataset, cifar10};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::model::tensors::NamedTensor;
use mobilenet_core::train::event::Event;
use mobilenet_core::train::{self, Control};
use mobilenet_core::{Error, ErrorCode};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

fn data() -> Dataset {
    cifar10::open(&fixture("cifar-10-sample")).unwrap()
}

fn options(variant: Variant) -> ModelOptions {
    ModelOptions {
        variant: Some(variant),
        layout: Some(Layout::Cifar),
        width: Some(0.25),
        dropout: Some(0.0),
        ..Default::default()
    }
}

/// A checkpoint of a network of 7 classes.
fn checkpoint(variant: Variant) -> (TempDir, PathBuf, MobileNet) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.safetensors");
    let source = MobileNet::create(&ModelOptions { classes: Some(7), ..options(variant) }, 5).unwrap();
    source.save(&path).unwrap();
    (folder, path, source)
}

fn recipe() -> TrainOptions {
    TrainOptions {
        epochs: Some(2),
        batch_size: Some(16),
        limit: Some(40),
        augment: Some(Vec::new()),
        optimizer: Some(OptimizerOptions { learning_rate: Some(0.003), ..Default::default() }),
        schedule: Some(ScheduleOptions { kind: Some(ScheduleKind::Constant), ..Default::default() }),
        ..Default::default()
    }
}

fn frozen(epochs: Option<usize>) -> TrainOptions {
    TrainOptions { freeze: Some(Freeze::Backbone), freeze_epochs: epochs, ..recipe() }
}

fn run_until(
    model: &MobileNet,
    options: &TrainOptions,
    resume: bool,
    stop: impl Fn(&Event) -> bool + Send + Sync,
) -> Result<Vec<Event>, Error> {
    let (control, mut events) = (Control::default(), Vec::new());
    train::run(model, &data(), options, resume, &control, &mut |event| {
        if stop(&event) {
            control.stop();
        }
        events.push(event);
    })?;
    Ok(events)
}

fn run(model: &MobileNet, options: &TrainOptions) -> Vec<Event> {
    run_until(model, options, false, |_| false).unwrap()
}

/// Names of the tensors that differ.
fn changed(before: &[NamedTensor], after: &[NamedTensor]) -> Vec<String> {
    before.iter().zip(after).filter(|(a, b)| a != b).map(|(a, _)| a.name.clone()).collect()
}

#[test]
fn only_the_classifier_is_new() {
    for variant in Variant::ALL {
        let (_folder, path, source) = checkpoint(variant);
        let asked = ModelOptions { classes: Some(10), resolution: Some(48), ..Default::default() };
        let model = MobileNet::create_from(&path, &asked, 3).unwrap();
        let config = model.config();
        assert_eq!((config.variant, config.layout, config.classes), (variant, Layout::Cifar, 10));
        assert_eq!((config.width, config.resolution), (0.25, 48));
        let classifier = model.network().classifier().name.clone();
        for (ours, theirs) in model.tensors().iter().zip(source.tensors().iter()) {
            assert_eq!(ours.name, theirs.name);
            assert_eq!(ours == theirs, !ours.name.starts_with(&classifier), "{}", ours.name);
        }
        // As many classes are other classes.
        let same = MobileNet::create_from(&path, &ModelOptions::default(), 3).unwrap();
        assert_eq!(
            changed(&source.tensors(), &same.tensors())[0],
            format!("{classifier}.weight"),
            "{variant:?}"
        );
        assert!(!same.can_resume());
    }
    let (_folder, path, _) = checkpoint(Variant::V2);
    let wrong = ModelOptions { variant: Some(Variant::V1), ..Default::default() };
    assert_eq!(MobileNet::create_from(&path, &wrong, 1).unwrap_err().code, ErrorCode::CheckpointMismatch);
    let one = ModelOptions { classes: Some(1), ..Default::default() };
    assert_eq!(MobileNet::create_from(&path, &one, 1).unwrap_err().code, ErrorCode::InvalidOption);
}

#[test]
fn a_frozen_backbone_stays_and_the_classifier_learns() {
    for variant in Variant::ALL {
        let model = MobileNet::create(&options(variant), 1).unwrap();
        let before = model.tensors();
        let all = TrainOptions { batch_size: Some(40), shuffle: Some(false), ..frozen(None) };
        let split = data().split(0.1);
        let mut indices = split.train;
        indices.sort_unstable();
        let loss = model.evaluate(
            &data().train,
            &indices[..40],
            Default::default(),
            &AtomicBool::new(false),
            &mut |_| (),
        );
        let events = run(&model, &all);
        let classifier = model.network().classifier().name.clone();
        let names = changed(&before, &model.tensors());
        assert_eq!(names, ["weight", "bias"].map(|name| format!("{classifier}.{name}")), "{variant:?}");
        // The first step sees what evaluation sees: running statistics, not the batch's.
        let Event::Step { loss: first, .. } = &events[1] else { panic!("a step follows the start") };
        let expected = loss.unwrap().unwrap().loss;
        assert!((first - expected).abs() < 1e-5, "{variant:?}: {first} and {expected}");
        // And what is said of the validation pictures is what the trained network says of them.
        let Some(Event::Epoch { validation: Some(validation), .. }) =
            events.iter().rev().find(|event| matches!(event, Event::Epoch { .. }))
        else {
            panic!("an epoch validates")
        };
        let never = AtomicBool::new(false);
        let asked = model.evaluate(&data().train, &split.validation, Default::default(), &never, &mut |_| ());
        let asked = asked.unwrap().unwrap();
        assert_eq!(asked.correct, validation.correct, "{variant:?}");
        assert!((asked.loss - validation.loss).abs() < 1e-5);
    }
}

/// Of a backbone that was asked once, batches are features; the pictures are shown all the same.
#[test]
fn the_first_pictures_are_shown_also_where_features_are_kept() {
    let sheet = |options: TrainOptions| {
        let folder = tempfile::tempdir().unwrap();
        let out = Some(folder.path().to_path_buf());
        run(&MobileNet::create(&self::options(Variant::V1), 1).unwrap(), &TrainOptions { out, ..options });
        std::fs::read(folder.path().join("samples.png")).unwrap()
    };
    assert!(sheet(frozen(None)) == sheet(recipe()));
}

#[test]
fn augmented_pictures_go_through_the_frozen_backbone_anew() {
    let train = |augment: Vec<Augmentation>, seed| {
        let model = MobileNet::create(&options(Variant::V1), 1).unwrap();
        let before = model.tensors();
        run(&model, &TrainOptions { augment: Some(augment), seed: Some(seed), ..frozen(None) });
        assert_eq!(changed(&before, &model.tensors()), ["classifier.weight", "classifier.bias"]);
        // The bias alone would not do: of a network that has learnt nothing, features are next to nothing.
        let tensors = model.tensors();
        tensors[tensors.len() - 2].values.clone()
    };
    let course = train(Augmentation::course(), 1);
    assert_eq!(course, train(Augmentation::course(), 1));
    assert_ne!(course, train(Vec::new(), 1));
}

fn bits(model: &MobileNet) -> Vec<u32> {
    model.tensors().iter().flat_map(|tensor| &tensor.values).map(|value| value.to_bits()).collect()
}

#[test]
fn bits_do_not_depend_on_threads_or_on_where_a_run_was_stopped() {
    let dropout = ModelOptions { dropout: Some(0.3), ..options(Variant::V3Small) };
    let new = || MobileNet::create(&dropout, 1).unwrap();
    let recipe = |threads| TrainOptions {
        epochs: Some(3),
        backbone_rate: Some(0.5),
        threads: Some(threads),
        ..frozen(Some(1))
    };
    let whole = new();
    run(&whole, &recipe(1));
    let again = new();
    run(&again, &recipe(3));
    assert!(bits(&again) == bits(&whole));
    // Frozen, at the end of that, and behind it. An epoch has three steps.
    for stop in [(1, 2), (1, 3), (2, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let out = Some(folder.path().join("run"));
        let options = TrainOptions { out: out.clone(), ..recipe(2) };
        run_until(
            &new(),
            &options,
            false,
            |event| matches!(event, Event::Step { epoch, step, .. } if (*epoch, *step) == stop),
        )
        .unwrap();
        let resumed = MobileNet::load(&folder.path().join("run/last.safetensors")).unwrap();
        let rest = TrainOptions { out, ..Default::default() };
        run_until(&resumed, &rest, true, |_| false).unwrap();
        assert!(bits(&resumed) == bits(&whole), "stopped at {stop:?}");
    }
}

#[test]
fn the_backbone_learns_as_much_more_slowly_as_it_is_told() {
    // Adam's first step goes as far as the learning rate, whatever the gradient.
    let one = |rate| {
        let model = MobileNet::create(&options(Variant::V1), 1).unwrap();
        let before = model.tensors();
        let options = TrainOptions { epochs: Some(1), batch_size: Some(40), backbone_rate: rate, ..recipe() };
        run(&model, &options);
        let moved = |index: usize| {
            let (a, b) = (&before[index].values, &model.tensors()[index].values);
            a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
        };
        (moved(0), moved(before.len() - 2))
    };
    let (backbone, head) = one(None);
    assert!((backbone / 0.003 - 1.0).abs() < 0.01 && (head / 0.003 - 1.0).abs() < 0.01);
    let (slower, same) = one(Some(0.1));
    assert!((slower / 0.0003 - 1.0).abs() < 0.01, "{slower}");
    assert_eq!(same, head);
}

#[test]
fn what_makes_no_sense_is_told() {
    let refused = |options: TrainOptions, words: &str| {
        let model = MobileNet::create(&self::options(Variant::V1), 1).unwrap();
        let error = run_until(&model, &options, false, |_| false).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.contains(words), "{}", error.message);
    };
    refused(TrainOptions { freeze_epochs: Some(2), ..recipe() }, "freezeEpochs is for freeze");
    refused(TrainOptions { backbone_rate: Some(0.0), ..recipe() }, "backboneRate must be above 0");
    refused(TrainOptions { backbone_rate: Some(2.0), ..recipe() }, "at most 1, not 2");
}
