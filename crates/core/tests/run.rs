//! Training runs, end to end on real pictures: resuming, threads, folders, bad calls.

mod common;
mod runs;

use mobilenet_core::ErrorCode;
use mobilenet_core::config::{
    Augmentation, Layout, ModelOptions, OptimizerOptions, ScheduleOptions, TrainOptions,
};
use mobilenet_core::kernels::loss::Targets;
use mobilenet_core::metrics::Metrics;
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::event::{Event, Split};
use mobilenet_core::train::{self, Control};
use runs::{bits, data, first_step, one_step, plan_of_one_step, recipe, run, run_until, small};
use std::path::Path;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    for layout in [Layout::Cifar, Layout::Unpadded] {
        let train = |threads| {
            let options = ModelOptions { layout: Some(layout), width: Some(0.25), ..Default::default() };
            let model = MobileNet::create(&options, 1).unwrap();
            let recipe =
                TrainOptions { epochs: Some(1), limit: Some(40), threads: Some(threads), ..recipe() };
            run(&model, &recipe, false).unwrap();
            bits(&model.tensors())
        };
        let one = train(1);
        for threads in [2, 3, 8] {
            assert!(train(threads) == one, "{layout:?} with {threads} threads differs from one");
        }
    }
}

#[test]
fn another_seed_gives_other_bits() {
    let train = |seed| {
        let model = small();
        run(&model, &TrainOptions { seed: Some(seed), ..recipe() }, false).unwrap();
        bits(&model.tensors())
    };
    assert!(train(1) == train(1) && train(1) != train(2));
}

#[test]
fn a_run_stopped_anywhere_and_resumed_ends_with_the_same_bits() {
    let whole = small();
    let (report, whole_events) = run(&whole, &recipe(), false).unwrap();
    assert_eq!((report.epochs, report.steps, report.stopped), (2, 10, false));
    let steps = whole_events.iter().filter(|event| matches!(event, Event::Step { .. })).count();
    assert_eq!(steps, 10);

    // Within the first epoch, at its last step (so during the evaluation), and within the second.
    for (stop_epoch, stop_step) in [(1, 2), (1, 5), (2, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let out = Some(folder.path().join("run"));
        let recipe = TrainOptions { out: out.clone(), ..recipe() };
        let (report, _) = run_until(&small(), &recipe, false, |event| {
            matches!(event, Event::Step { epoch, step, .. } if (*epoch, *step) == (stop_epoch, stop_step))
        })
        .unwrap();
        assert!(report.stopped);
        let resumed = MobileNet::load(&report.checkpoint.unwrap()).unwrap();
        assert!(resumed.can_resume());
        let (resumed_report, events) =
            run(&resumed, &TrainOptions { out, ..Default::default() }, true).unwrap();
        assert!(bits(&resumed.tensors()) == bits(&whole.tensors()), "stopped at {stop_epoch}.{stop_step}");
        // The resumed epoch's metrics count its steps before the stop, too.
        assert_eq!(
            last_training(&events),
            last_training(&whole_events),
            "stopped at {stop_epoch}.{stop_step}"
        );
        assert_eq!((resumed_report.epochs, resumed_report.steps), (2, 10));
    }
}

#[test]
fn augmented_runs_end_with_the_same_bits_whatever_the_threads_and_stops() {
    let augmented = TrainOptions {
        augment: Some(Augmentation::ALL.to_vec()),
        label_smoothing: Some(0.1),
        threads: Some(1),
        ..recipe()
    };
    let whole = small();
    run(&whole, &augmented, false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().join("run"));
    let two = TrainOptions { threads: Some(2), out: out.clone(), ..augmented };
    let (report, _) =
        run_until(&small(), &two, false, |event| matches!(event, Event::Step { epoch: 2, step: 2, .. }))
            .unwrap();
    let resumed = MobileNet::load(&report.checkpoint.unwrap()).unwrap();
    run(&resumed, &TrainOptions { out, ..Default::default() }, true).unwrap();
    assert!(bits(&resumed.tensors()) == bits(&whole.tensors()));
    let plain = small();
    run(&plain, &recipe(), false).unwrap();
    assert!(bits(&plain.tensors()) != bits(&whole.tensors()));
}

/// What the loader and the loss do is tested where they are; this shows that a run passes all of it on.
#[test]
fn a_step_sees_the_mixed_pictures_and_their_smoothed_targets() {
    let steps = [Augmentation::Mixup { alpha: 1.0, probability: 1.0 }];
    let options = TrainOptions { augment: Some(steps.to_vec()), label_smoothing: Some(0.2), ..one_step() };
    let (loss, _) = first_step(&options);
    let (mut plan, batch) = plan_of_one_step(&steps);
    let targets =
        Targets { labels: &batch.labels, mixture: batch.mixture.as_ref(), smoothing: 0.2, weights: None };
    assert_eq!(loss, plan.loss(targets).sum / 16.0);
    assert_ne!(loss, plan.loss(&batch.labels).sum / 16.0);
}

/// The training metrics of the last `epoch` event.
fn last_training(events: &[Event]) -> Option<Metrics> {
    events.iter().rev().find_map(|event| match event {
        Event::Epoch { train, .. } => Some(*train),
        _ => None,
    })
}

#[test]
fn a_run_tells_how_far_its_evaluations_are() {
    let (_, events) = run(&small(), &recipe(), false).unwrap();
    for wanted in [1, 2] {
        let between = events
            .iter()
            .skip_while(|event| !matches!(event, Event::Step { epoch, step: 5, .. } if *epoch == wanted))
            .skip(1)
            .take_while(|event| !matches!(event, Event::Epoch { .. }));
        let told: Vec<_> = between
            .map(|event| match *event {
                Event::Evaluating { epoch, split, done, count } => (epoch, split, done, count),
                ref other => panic!("{other:?} between the last step and the end of its epoch"),
            })
            .collect();
        let (validation, test) = (Split::Validation, Split::Test);
        let expected = [(validation, 25, 25), (test, 64, 72), (test, 72, 72)];
        assert_eq!(told, expected.map(|(split, done, count)| (wanted, split, done, count)));
    }
}

/// The loss of an epoch's last step is that of the weights before it: what the step did shows only in the evaluation.
#[test]
fn an_epoch_whose_last_step_was_too_large_ends_the_run_and_is_not_kept() {
    for (validation_fraction, words) in
        [(0.1, "validation pictures is no number"), (0.0, "test pictures is no number")]
    {
        let (folder, model) = (tempfile::tempdir().unwrap(), small());
        let before = bits(&model.tensors());
        let recipe = TrainOptions {
            epochs: Some(1),
            limit: Some(16),
            validation_fraction: Some(validation_fraction),
            optimizer: Some(OptimizerOptions { learning_rate: Some(1e30), ..Default::default() }),
            out: Some(folder.path().to_path_buf()),
            ..recipe()
        };
        let error = run(&model, &recipe, false).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.contains(words) && error.message.contains("epoch 1"), "{error}");
        assert!(bits(&model.tensors()) == before, "its weights are published");
        assert!(!names(folder.path()).contains(&"best.safetensors".into()));
        let last = MobileNet::load(&folder.path().join("last.safetensors")).unwrap();
        assert!(bits(&last.tensors()) == before, "its weights are saved");
    }
}

#[test]
fn of_two_runs_the_later_is_refused() {
    let model = small();
    let guard = model.begin_training().unwrap();
    let later = run(&model, &recipe(), false).unwrap_err();
    assert!(later.message.contains("being trained already"), "{later}");
    let control = Control::default();
    train::run_begun(guard, &data(), &recipe(), false, &control, &mut |_| {}).unwrap();
    run(&model, &recipe(), false).unwrap();
}

#[test]
fn without_a_folder_a_checkpoint_is_not_waited_for() {
    let control = Control::default();
    let asked_for = control.checkpoint();
    train::run(&small(), &data(), &recipe(), false, &control, &mut |_| {}).unwrap();
    assert_eq!(control.checkpoints_written(), asked_for);
}

#[test]
fn a_run_leaves_its_checkpoints_and_its_record_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let model = small();
    let recipe = TrainOptions { out: Some(folder.path().to_path_buf()), ..recipe() };
    let (report, events) = run(&model, &recipe, false).unwrap();
    assert_eq!(
        names(folder.path()),
        [".lock", "best.safetensors", "evaluation.json", "last.safetensors", "log.jsonl", "samples.png"]
    );
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| match event {
            Event::Start { .. } => "start",
            Event::Step { .. } => "step",
            Event::Evaluating { .. } => "evaluating",
            Event::Epoch { .. } => "epoch",
            Event::Warning { .. } => "warning",
            Event::LearningRate { .. } => "learningRate",
            Event::Checkpoint { .. } => "checkpoint",
            Event::Done { .. } => "done",
        })
        .filter(|kind| *kind != "step")
        .collect();
    assert_eq!(kinds.first(), Some(&"start"));
    assert_eq!(kinds.last(), Some(&"done"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "epoch").count(), 2);

    let last = MobileNet::load(&report.checkpoint.unwrap()).unwrap();
    assert!(bits(&last.tensors()) == bits(&model.tensors()));
    let again = run(&small(), &recipe, false).unwrap_err();
    assert_eq!(again.code, ErrorCode::InvalidOption);
    assert!(again.message.contains("holds a run already"), "{}", again.message);
}

/// Checkpoints are written while the run goes on, and its end waits for them.
#[test]
fn a_checkpoint_that_cannot_be_written_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let best = folder.path().join("best.safetensors");
    std::fs::create_dir(&best).unwrap();
    for epochs in [1, 3] {
        let out = Some(folder.path().to_path_buf());
        let recipe = TrainOptions { out, epochs: Some(epochs), ..recipe() };
        let error = run(&small(), &recipe, false).unwrap_err();
        assert_eq!(error.code, ErrorCode::Io, "{epochs} epochs");
        assert!(error.message.contains("best.safetensors"), "{}", error.message);
        let last = MobileNet::load(&folder.path().join("last.safetensors")).unwrap();
        assert!(last.can_resume(), "the state that the run began with is there");
    }
}

#[test]
fn a_model_is_free_when_its_run_says_done() {
    let (model, data, control) = (small(), data(), Control::default());
    let mut again = None;
    train::run(&model, &data, &recipe(), false, &control, &mut |event| {
        if let Event::Done { .. } = event {
            again = Some(run(&model, &TrainOptions { epochs: Some(1), ..recipe() }, false));
        }
    })
    .unwrap();
    assert!(again.unwrap().is_ok());
}

#[test]
fn a_finished_run_goes_on_for_more_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().to_path_buf());
    run(&small(), &TrainOptions { out: out.clone(), ..recipe() }, false).unwrap();
    let load = || MobileNet::load(&folder.path().join("last.safetensors")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let there = Some(other.path().to_path_buf());
    run(&small(), &TrainOptions { out: there.clone(), ..recipe() }, false).unwrap();
    let taken =
        run(&load(), &TrainOptions { out: there, epochs: Some(3), ..Default::default() }, true).unwrap_err();
    assert!(taken.message.contains("holds a run already"), "{}", taken.message);
    let done = run(&load(), &TrainOptions { out: out.clone(), ..Default::default() }, true).unwrap_err();
    assert!(done.message.contains("all 2 epochs of this run are done"), "{}", done.message);
    let (report, _) =
        run(&load(), &TrainOptions { out, epochs: Some(3), ..Default::default() }, true).unwrap();
    assert_eq!((report.epochs, report.steps), (3, 15));
}

/// The running variance of a 1x1 map would be pulled towards 0 by each of them.
#[test]
fn no_last_batch_of_one_picture_where_maps_are_single_pixels() {
    let network = |layout| {
        let options = ModelOptions {
            layout: Some(layout),
            width: Some(0.25),
            resolution: Some(32),
            classes: Some(10),
            ..Default::default()
        };
        MobileNet::create(&options, 1).unwrap()
    };
    let ends = |layout, limit| {
        let options =
            TrainOptions { epochs: Some(1), batch_size: Some(8), limit: Some(limit), ..Default::default() };
        run(&network(layout), &options, false).map(|_| ())
    };
    let error = ends(Layout::Imagenet, 17).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption, "{}", error.message);
    assert!(error.message.contains("batchSize 8 leaves one of 17 training pictures"), "{}", error.message);
    ends(Layout::Imagenet, 18).unwrap();
    // The last map is 2x2.
    ends(Layout::Cifar, 17).unwrap();
}

#[test]
fn bad_calls_say_what_to_do() {
    let refused = |options: TrainOptions, resume: bool, words: &str| {
        let error = run(&small(), &options, resume).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption, "{}", error.message);
        assert!(error.message.contains(words), "{}", error.message);
    };
    let optimizer = |rate| Some(OptimizerOptions { learning_rate: Some(rate), ..Default::default() });
    refused(
        TrainOptions { optimizer: optimizer(-1.0), ..recipe() },
        false,
        "learningRate must be a number above 0",
    );
    refused(TrainOptions { optimizer: optimizer(f64::NAN), ..recipe() }, false, "learningRate");
    refused(TrainOptions { batch_size: Some(0), ..recipe() }, false, "batchSize must be at least 1");
    refused(TrainOptions { batch_size: Some(1), ..recipe() }, false, "batchSize must be at least 2");
    refused(TrainOptions { epochs: Some(0), ..recipe() }, false, "epochs must be at least 1");
    refused(TrainOptions { limit: Some(1), ..recipe() }, false, "at least 2 pictures to train on");
    refused(TrainOptions { validation_fraction: Some(1.0), ..recipe() }, false, "validationFraction");
    refused(TrainOptions { threads: Some(0), ..recipe() }, false, "threads");
    let schedule = Some(ScheduleOptions { step_size: Some(0), ..Default::default() });
    refused(TrainOptions { schedule, ..recipe() }, false, "stepSize");
    refused(recipe(), true, "there is no run to resume");
    refused(TrainOptions { keep: Some(2), ..recipe() }, false, "keep is about the states");
    refused(TrainOptions { save_every: Some(0), ..recipe() }, false, "saveEvery must be at least 1");
    refused(TrainOptions { save_every: Some(1), ..recipe() }, false, "give it one by out");
}

#[test]
fn a_diverging_run_ends_with_advice() {
    let optimizer = Some(OptimizerOptions { learning_rate: Some(1e30), ..Default::default() });
    let error = run(&small(), &TrainOptions { optimizer, ..recipe() }, false).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert!(error.message.contains("lower the learning rate"), "{}", error.message);
}

#[test]
fn more_labels_than_classes_are_refused() {
    let options = ModelOptions { classes: Some(5), layout: Some(Layout::Cifar), ..Default::default() };
    let model = MobileNet::create(&options, 1).unwrap();
    let told = "needs at least 10 classes, not 5";
    let error = run(&model, &recipe(), false).unwrap_err();
    assert!(error.code == ErrorCode::InvalidOption && error.message.contains(told), "{error:?}");
    let (pictures, go_on) = (&data().test, std::sync::atomic::AtomicBool::new(false));
    let answers = model.evaluate(pictures, &[0, 1], Default::default(), &go_on, &mut |_| {});
    let error = answers.unwrap_err();
    assert!(error.code == ErrorCode::CheckpointMismatch && error.message.contains(told), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let recipe = TrainOptions { out: Some(file.join("run")), ..recipe() };
    let error = run(&small(), &recipe, false).unwrap_err();
    assert_eq!(error.code, ErrorCode::Io);
    assert_eq!(names(folder.path()), ["file"]);
}
