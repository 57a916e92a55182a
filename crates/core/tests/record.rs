//! What a run leaves in its folder, and how it goes on from there after a kill.

mod common;

use common::fixture;
use mobilenet_core::checkpoint;
use mobilenet_core::config::{Layout, ModelOptions, OptimizerOptions, TrainOptions};
use mobilenet_core::data::{Dataset, cifar10};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::event::{Event, Report};
use mobilenet_core::train::{self, Control, is_running};
use mobilenet_core::{Error, ErrorCode};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn data() -> Dataset {
    cifar10::open(&fixture("cifar-10-sample")).unwrap()
}

fn small() -> MobileNet {
    let options = ModelOptions { layout: Some(Layout::Cifar), width: Some(0.25), ..Default::default() };
    MobileNet::create(&options, 1).unwrap()
}

/// Two epochs of five steps.
fn recipe(out: &Path) -> TrainOptions {
    TrainOptions {
        epochs: Some(2),
        batch_size: Some(16),
        limit: Some(72),
        out: Some(out.to_path_buf()),
        ..Default::default()
    }
}

fn run(model: &MobileNet, options: &TrainOptions, resume: bool) -> Result<Report, Error> {
    train::run(model, &data(), options, resume, &Control::default(), &mut |_| {})
}

/// Goes on with the run whose state is in `checkpoint`.
fn resume(checkpoint: &Path, out: &Path) -> Result<MobileNet, Error> {
    let model = MobileNet::load(checkpoint)?;
    run(&model, &TrainOptions { out: Some(out.to_path_buf()), ..Default::default() }, true)?;
    Ok(model)
}

fn bits(model: &MobileNet) -> Vec<u32> {
    model.tensors().iter().flat_map(|tensor| &tensor.values).map(|value| value.to_bits()).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn log(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Steps and epochs of a log, without what differs from run to run.
fn told(folder: &Path) -> Vec<Value> {
    let mut lines = log(folder);
    lines.retain(|line| line["type"] == "step" || line["type"] == "epoch");
    for line in &mut lines {
        for key in ["time", "seconds", "imagesPerSecond"] {
            line.as_object_mut().unwrap().remove(key);
        }
    }
    lines
}

fn evaluation(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("evaluation.json")).unwrap()).unwrap()
}

#[test]
fn a_run_killed_anywhere_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let mut killed = Vec::<PathBuf>::new();
    let model = small();
    // What lies in the folder at an event is what a kill at that moment leaves.
    train::run(&model, &data(), &recipe(&whole), false, &Control::default(), &mut |_| {
        let moment = killed.len();
        let at = folder.path().join(format!("killed-{moment}"));
        copy(&whole, &at);
        // Every second one in the middle of a line.
        if moment % 2 == 1 {
            let log = at.join("log.jsonl");
            let text = std::fs::read(&log).unwrap();
            std::fs::write(&log, &text[..text.len() - 20]).unwrap();
        }
        killed.push(at);
    })
    .unwrap();
    // Start, ten steps, two epochs with two checkpoints each at most, done.
    assert!(killed.len() >= 16, "{}", killed.len());
    // The first event comes before the first state: a kill then leaves nothing to go on with, and nothing in the way.
    let first = killed.remove(0);
    assert!(!first.join("last.safetensors").exists());
    run(&small(), &recipe(&first), false).unwrap();
    assert_eq!(told(&first), told(&whole));
    // The last came when everything was done.
    let last = killed.pop().unwrap();
    assert!(resume(&last.join("last.safetensors"), &last).unwrap_err().message.contains("are done"));
    for (moment, at) in killed.iter().enumerate() {
        let last = at.join("last.safetensors");
        if let Err(error) = resume(&last, at) {
            // All was done, and only the word of it is missing.
            assert!(error.message.contains("are done"), "{}", error.message);
        }
        assert!(bits(&MobileNet::load(&last).unwrap()) == bits(&model), "killed at event {}", moment + 1);
        assert_eq!(told(at), told(&whole), "killed at event {}", moment + 1);
        let best = |folder: &Path| bits(&MobileNet::load(&folder.join("best.safetensors")).unwrap());
        assert!(best(at) == best(&whole), "killed at event {}", moment + 1);
        assert_eq!(evaluation(at), evaluation(&whole), "killed at event {}", moment + 1);
    }
}

#[test]
fn every_line_of_the_log_is_an_event_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = Vec::new();
    train::run(&small(), &data(), &recipe(folder.path()), false, &Control::default(), &mut |event| {
        // How far an evaluation is, is not kept.
        if !matches!(event, Event::Evaluating { .. }) {
            events.push(event);
        }
    })
    .unwrap();
    let mut times = Vec::new();
    let logged: Vec<Event> = log(folder.path())
        .into_iter()
        .map(|mut line| {
            times.push(line.as_object_mut().unwrap().remove("time").unwrap().as_f64().unwrap());
            serde_json::from_value(line).unwrap()
        })
        .collect();
    assert_eq!(logged, events);
    assert!(times.is_sorted() && times[0] > 1.7e9, "{times:?}");
}

#[test]
fn states_after_epochs_stay_as_asked_and_another_run_can_begin_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let (out, branch) = (folder.path().join("out"), folder.path().join("branch"));
    let recipe = TrainOptions { epochs: Some(7), limit: Some(32), ..recipe(&out) };
    let kept = TrainOptions { save_every: Some(2), keep: Some(2), ..recipe };
    run(&small(), &kept, false).unwrap();
    let mut names: Vec<String> =
        out.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("epoch"));
    names.sort();
    assert_eq!(names, ["epoch-4.safetensors", "epoch-6.safetensors"]);

    let fourth = out.join("epoch-4.safetensors");
    let taken = resume(&fourth, &out).unwrap_err();
    assert!(taken.message.contains("holds a run already"), "{}", taken.message);
    resume(&fourth, &branch).unwrap();
    let end = |folder: &Path| bits(&MobileNet::load(&folder.join("last.safetensors")).unwrap());
    assert!(end(&branch) == end(&out));
    assert_eq!(told(&branch), told(&out));

    // Where the newest state is gone, an earlier one goes on in the same folder, and with its log.
    let whole = (end(&out), told(&out));
    std::fs::remove_file(out.join("last.safetensors")).unwrap();
    resume(&fourth, &out).unwrap();
    assert!((end(&out), told(&out)) == whole);
}

/// The state after an epoch, changed so that epoch `best` was so good that no other is better.
fn with_best(state: &Path, best: usize) {
    let mut checkpoint = checkpoint::read(state).unwrap();
    checkpoint.training.as_mut().unwrap().progress.best = Some((best, 1.0));
    checkpoint::write(&checkpoint, state).unwrap();
}

#[test]
fn a_run_that_goes_on_elsewhere_brings_its_best_weights_along() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let recipe = TrainOptions { epochs: Some(3), limit: Some(32), save_every: Some(1), ..recipe(&out) };
    run(&small(), &recipe, false).unwrap();
    let [first, second] = [1, 2].map(|epoch| out.join(format!("epoch-{epoch}.safetensors")));
    let branch = |name: &str| {
        let out = Some(folder.path().join(name));
        let model = MobileNet::load(&second).unwrap();
        let report = run(&model, &TrainOptions { out, ..Default::default() }, true).unwrap();
        let best = MobileNet::load(&report.best.unwrap()).unwrap();
        assert!(!best.can_resume(), "the best weights are saved without a state");
        (report.best_epoch, bits(&best))
    };
    let state = |path: &Path| bits(&MobileNet::load(path).unwrap());

    // The state itself is the best, whatever the run became afterwards.
    with_best(&second, 2);
    assert!(branch("itself") == (Some(2), state(&second)));
    // An epoch before it is.
    with_best(&second, 1);
    MobileNet::load(&first).unwrap().save(&out.join("best.safetensors")).unwrap();
    assert!(branch("earlier") == (Some(1), state(&first)));
    // The best is of another epoch, or gone: the report names none that there are no weights of.
    MobileNet::load(&second).unwrap().save(&out.join("best.safetensors")).unwrap();
    assert!(branch("another") == (Some(3), state(&out.join("last.safetensors"))));
    std::fs::remove_file(out.join("best.safetensors")).unwrap();
    assert!(branch("gone") == (Some(3), state(&out.join("last.safetensors"))));
}

/// The newest state may have been removed or moved elsewhere: what is left is still a run's.
#[test]
fn what_is_left_of_a_run_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (out, elsewhere) = (folder.path().join("out"), folder.path().join("elsewhere.safetensors"));
    let kept = TrainOptions { save_every: Some(1), limit: Some(32), ..recipe(&out) };
    run(&small(), &kept, false).unwrap();
    std::fs::rename(out.join("last.safetensors"), &elsewhere).unwrap();
    let files = || {
        ["log.jsonl", "best.safetensors", "epoch-2.safetensors"]
            .map(|name| std::fs::read(out.join(name)).ok())
    };
    for left in ["best.safetensors", "epoch-2.safetensors"] {
        let before = files();
        let error = run(&small(), &kept, false).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.contains(&format!("holds the {left} of a run already")), "{error}");
        // Nor does another run go on in there.
        let model = MobileNet::load(&elsewhere).unwrap();
        let more = TrainOptions { epochs: Some(3), out: Some(out.clone()), ..Default::default() };
        let error = run(&model, &more, true).unwrap_err();
        assert!(error.message.contains(&format!("holds the {left} of a run already")), "{error}");
        assert!(files() == before);
        std::fs::remove_file(out.join(left)).unwrap();
    }
    std::fs::remove_file(out.join("epoch-1.safetensors")).unwrap();
    run(&small(), &kept, false).unwrap();
}

#[test]
fn a_state_that_a_run_has_left_behind_does_not_go_on_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (out, other) = (folder.path().join("out"), folder.path().join("other"));
    run(&small(), &TrainOptions { limit: Some(32), ..recipe(&out) }, false).unwrap();
    let last = out.join("last.safetensors");
    let [first, second] = [(); 2].map(|()| MobileNet::load(&last).unwrap());
    let more =
        |out: &Path| TrainOptions { epochs: Some(4), out: Some(out.to_path_buf()), ..Default::default() };
    run(&first, &more(&out), true).unwrap();
    let whole = (told(&out), std::fs::read(&last).unwrap());
    let error = run(&second, &more(&out), true).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    let words =
        "is a state after 8 steps by now, and after 4 when this network was loaded from it; load it again";
    assert!(error.message.contains(words), "{error}");
    assert!((told(&out), std::fs::read(&last).unwrap()) == whole);
    run(&second, &more(&other), true).unwrap();
    assert!(bits(&second) == bits(&first));
}

#[test]
fn a_run_goes_on_without_its_log() {
    for (state, kept) in [("last", None), ("epoch-1", Some(1))] {
        let folder = tempfile::tempdir().unwrap();
        let options = TrainOptions { save_every: kept, limit: Some(32), ..recipe(folder.path()) };
        run(&small(), &options, false).unwrap();
        // As a run that is begun from TypeScript leaves one.
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::fs::remove_file(folder.path().join("log.jsonl")).unwrap();
        let model = MobileNet::load(&folder.path().join(format!("{state}.safetensors"))).unwrap();
        if kept.is_some() {
            std::fs::remove_file(folder.path().join("last.safetensors")).unwrap();
        }
        let more = TrainOptions { epochs: Some(3), out: Some(folder.path().into()), ..Default::default() };
        assert_eq!(run(&model, &more, true).unwrap().epochs, 3);
        assert_eq!(log(folder.path())[0]["type"], "start");
    }
}

#[test]
fn somebody_elses_files_are_not_written_over() {
    for name in ["config.json", "results.csv", "report.html", "best.safetensors", "epoch-3.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), "mine").unwrap();
        let error = run(&small(), &recipe(folder.path()), false).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.contains(&format!("holds a {name} that is no run's")), "{error}");
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"mine");
    }
}

#[test]
fn a_file_for_people_that_cannot_be_written_is_told_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run(&small(), &TrainOptions { epochs: Some(1), ..recipe(&out) }, false).unwrap();
    std::fs::remove_file(out.join("evaluation.json")).unwrap();
    std::fs::create_dir(out.join("evaluation.json")).unwrap();
    let model = MobileNet::load(&out.join("last.safetensors")).unwrap();
    let mut warnings = Vec::new();
    let options = TrainOptions { epochs: Some(4), out: Some(out), ..Default::default() };
    let report = train::run(&model, &data(), &options, true, &Control::default(), &mut |event| {
        if let Event::Warning { message } = event {
            warnings.push(message);
        }
    });
    assert_eq!(report.unwrap().epochs, 4);
    assert!(warnings.len() == 1 && warnings[0].contains("evaluation.json"), "{warnings:?}");
}

#[test]
fn only_a_runs_own_states_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let strangers = ["epoch-007.safetensors", "epoch-+1.safetensors", "epoch-1.safetensors.bak"];
    for name in strangers {
        std::fs::write(folder.path().join(name), "somebody else's").unwrap();
    }
    let recipe = TrainOptions { epochs: Some(3), limit: Some(32), ..recipe(folder.path()) };
    run(&small(), &TrainOptions { save_every: Some(1), keep: Some(1), ..recipe }, false).unwrap();
    for name in strangers.iter().chain(&["epoch-3.safetensors"]) {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    assert!(!folder.path().join("epoch-2.safetensors").exists());
}

#[test]
fn a_folder_takes_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let (model, mut second, mut running) = (small(), None, false);
    train::run(&model, &data(), &recipe, false, &Control::default(), &mut |event| {
        if let Event::Step { epoch: 1, step: 1, .. } = event {
            running = is_running(folder.path());
            second = Some(run(&small(), &recipe, false).unwrap_err());
        }
    })
    .unwrap();
    assert!(running && !is_running(folder.path()) && !is_running(&folder.path().join("other")));
    let second = second.unwrap();
    assert_eq!(second.code, ErrorCode::InvalidOption);
    assert!(second.message.contains("another run is writing"), "{}", second.message);
}

#[test]
fn a_run_that_failed_at_once_is_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let optimizer = Some(OptimizerOptions { learning_rate: Some(1e30), ..Default::default() });
    let error = run(&small(), &TrainOptions { optimizer, ..recipe(folder.path()) }, false).unwrap_err();
    let end = log(folder.path()).pop().unwrap();
    assert_eq!((&end["type"], &end["code"]), (&"error".into(), &"INVALID_OPTION".into()));
    assert_eq!(end["message"], error.message);
    run(&small(), &recipe(folder.path()), false).unwrap();
    assert_eq!(log(folder.path()).iter().filter(|line| line["type"] == "start").count(), 1);
}

#[test]
fn the_evaluation_is_that_of_the_last_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(&small(), &recipe(folder.path()), false).unwrap();
    let found = evaluation(folder.path());
    let test = report.test.unwrap();
    assert_eq!((&found["epoch"], &found["split"]), (&2.into(), &"test".into()));
    assert_eq!(found["metrics"], serde_json::to_value(test).unwrap());
    let rows = found["confusion"].as_array().unwrap();
    let at = |row: usize, column: usize| rows[row][column].as_u64().unwrap() as usize;
    let sum: usize = (0..10).flat_map(|row| (0..10).map(move |column| at(row, column))).sum();
    let right: usize = (0..10).map(|class| at(class, class)).sum();
    assert_eq!((sum, right), (test.count, test.correct));
    assert_eq!(found["mostWrong"].as_array().unwrap().len(), 24.min(test.count - test.correct));
}

#[test]
fn without_test_pictures_those_for_validation_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = data();
    data.test = Default::default();
    let report =
        train::run(&small(), &data, &recipe(folder.path()), false, &Control::default(), &mut |_| {}).unwrap();
    let found = evaluation(folder.path());
    assert_eq!(found["split"], "validation");
    assert_eq!(found["metrics"], serde_json::to_value(report.validation.unwrap()).unwrap());
}
