//! Runs with every recipe: what they keep, how they go on, and when they end.

mod common;
mod runs;

use mobilenet_core::ErrorCode;
use mobilenet_core::config::{EmaOptions, OptimizerOptions, TrainOptions};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::event::{EndedBy, Event};
use runs::{bits, data, recipe, run, run_until, small};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// Optimizers with what they keep of each parameter, and schedules, as configuration files have them.
fn recipes() -> Vec<(Value, &'static [&'static str], Value)> {
    let warmup = json!({ "epochs": 1, "startFactor": 0.1 });
    vec![
        (json!({ "type": "adam" }), &["exp_avg", "exp_avg_sq"], json!({ "type": "step", "stepSize": 1 })),
        (
            json!({ "type": "adamw", "weightDecay": 0.05 }),
            &["exp_avg", "exp_avg_sq"],
            json!({ "type": "cosine", "warmup": warmup }),
        ),
        (json!({ "type": "sgd", "learningRate": 0.1 }), &[], json!({ "type": "constant", "warmup": warmup })),
        (
            json!({ "type": "sgd", "learningRate": 0.1, "momentum": 0.9, "nesterov": true, "weightDecay": 5e-4 }),
            &["momentum_buffer"],
            json!({ "type": "one-cycle" }),
        ),
        (
            json!({ "type": "rmsprop", "momentum": 0.9, "alpha": 0.9 }),
            &["square_avg", "momentum_buffer"],
            json!({ "type": "multi-step", "milestones": [1] }),
        ),
        (
            json!({ "type": "rmsprop-tf", "momentum": 0.0, "weightDecay": 1e-5 }),
            &["square_avg"],
            json!({ "type": "exponential" }),
        ),
    ]
}

fn options(optimizer: &Value, schedule: &Value) -> TrainOptions {
    TrainOptions {
        optimizer: Some(serde_json::from_value(optimizer.clone()).unwrap()),
        schedule: Some(serde_json::from_value(schedule.clone()).unwrap()),
        ..recipe()
    }
}

#[test]
fn every_recipe_goes_on_with_the_same_bits() {
    for (optimizer, kept, schedule) in recipes() {
        let (events, later, found) = check_resuming(&options(&optimizer, &schedule));
        assert_eq!(rates(&later), rates(&events)[3..], "{schedule}");
        assert_eq!(kept_buffers(&found), kept, "{optimizer}");
    }
}

/// Stops a run at its third step, goes on, and compares its end with that of a run that was not stopped. Gives the events
/// of the whole run, those after the stop, and what the last checkpoint holds.
fn check_resuming(recipe: &TrainOptions) -> (Vec<Event>, Vec<Event>, HashMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, out) = (small(), Some(folder.path().join("whole")));
    let (report, events) = run(&whole, &TrainOptions { out, ..recipe.clone() }, false).unwrap();
    let expected = contents(&report.checkpoint.unwrap());

    let out = Some(folder.path().join("broken"));
    let broken = TrainOptions { out: out.clone(), ..recipe.clone() };
    let third = |event: &Event| matches!(event, Event::Step { epoch: 1, step: 3, .. });
    let (report, _) = run_until(&small(), &broken, false, third).unwrap();
    let resumed = MobileNet::load(&report.checkpoint.unwrap()).unwrap();
    let (report, later) = run(&resumed, &TrainOptions { out, ..Default::default() }, true).unwrap();
    assert!(bits(&resumed.tensors()) == bits(&whole.tensors()), "{recipe:?}");
    let found = contents(&report.checkpoint.unwrap());
    assert!(found == expected, "{recipe:?}");
    (events, later, found)
}

#[test]
fn an_average_is_the_network_and_what_is_trained_stands_beside_it() {
    let ema = |decay, warmup| EmaOptions { decay: Some(decay), warmup: Some(warmup) };
    let plain = small();
    run(&plain, &recipe(), false).unwrap();
    for ema in [ema(0.9, false), ema(0.9999, true)] {
        let (_, _, found) = check_resuming(&TrainOptions { ema: Some(ema), ..recipe() });
        for tensor in plain.tensors().iter() {
            // The training itself is that of a run without an average.
            let values: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert!(found[&format!("training.raw.{}", tensor.name)] == values, "{}", tensor.name);
            assert!(found[&tensor.name] != values, "{}", tensor.name);
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().to_path_buf());
    let recipe = TrainOptions { ema: Some(ema(0.8, false)), out: out.clone(), ..recipe() };
    let (report, _) = run(&small(), &recipe, false).unwrap();
    let saved = MobileNet::load(&report.checkpoint.unwrap()).unwrap();
    let indices: Vec<u32> = (0..72).collect();
    let never = AtomicBool::new(false);
    let metrics = saved.evaluate(&data().test, &indices, Default::default(), &never, &mut |_| ()).unwrap();
    assert_eq!(metrics, report.test);

    // An average that ends: the run goes on with what was trained, and as if there had been none.
    let none =
        TrainOptions { ema: Some(ema(0.0, false)), out: out.clone(), epochs: Some(3), ..Default::default() };
    let trained = contents(&folder.path().join("last.safetensors"));
    let beginning = Mutex::new(None);
    let look = |event: &Event| {
        // What a run that is killed now would go on from.
        if let Event::Step { epoch: 3, step: 1, .. } = event {
            *beginning.lock().unwrap() = Some(contents(&folder.path().join("last.safetensors")));
        }
        false
    };
    run_until(&saved, &none, true, look).unwrap();
    let beginning = beginning.into_inner().unwrap().unwrap();
    for tensor in saved.tensors().iter() {
        assert!(
            beginning[&tensor.name] == trained[&format!("training.raw.{}", tensor.name)],
            "{}",
            tensor.name
        );
    }
    let longer = small();
    run(&longer, &TrainOptions { epochs: Some(3), ..runs::recipe() }, false).unwrap();
    assert!(bits(&saved.tensors()) == bits(&longer.tensors()));
    // And one that begins: its first step is what it begins with.
    let again = MobileNet::load(&folder.path().join("last.safetensors")).unwrap();
    let some = TrainOptions { ema: Some(EmaOptions::default()), out, epochs: Some(4), ..Default::default() };
    run(&again, &some, true).unwrap();
    let found = contents(&folder.path().join("last.safetensors"));
    assert!(found["conv_stem.weight"] != found["training.raw.conv_stem.weight"]);
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().to_path_buf());
    let recipe = TrainOptions { patience: Some(2), epochs: Some(30), out: out.clone(), ..recipe() };
    let (report, events) = run(&small(), &recipe, false).unwrap();
    assert_eq!((report.ended_by, report.stopped), (EndedBy::Patience, false));
    assert!(report.epochs < 30);
    assert_eq!(report.epochs - report.best_epoch.unwrap(), 2);
    let accuracies = events.iter().filter_map(|event| match event {
        Event::Epoch { validation, .. } => Some(validation.unwrap().accuracy),
        _ => None,
    });
    let accuracies: Vec<f64> = accuracies.collect();
    // It was better within any two epochs before, and not in the last two.
    let best_until = |epoch: usize| accuracies[..epoch].iter().fold(0.0, |a: f64, b| a.max(*b));
    assert_eq!(accuracies.len(), report.epochs);
    assert_eq!(best_until(report.epochs), best_until(report.epochs - 2));
    assert!((3..report.epochs).all(|epoch| best_until(epoch) > best_until(epoch - 2)));

    let load = || MobileNet::load(&folder.path().join("last.safetensors")).unwrap();
    let error = run(&load(), &TrainOptions { out: out.clone(), ..Default::default() }, true).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert!(error.message.contains("ask for more patience to go on"), "{}", error.message);
    let more = TrainOptions { out, patience: Some(0), epochs: Some(report.epochs + 1), ..Default::default() };
    let (report, _) = run(&load(), &more, true).unwrap();
    assert_eq!(report.ended_by, EndedBy::Epochs);

    let blind = TrainOptions { patience: Some(2), validation_fraction: Some(0.0), ..runs::recipe() };
    let error = run(&small(), &blind, false).unwrap_err();
    assert!(error.message.contains("validationFraction must be above 0"), "{}", error.message);
}

fn rates(events: &[Event]) -> Vec<f64> {
    let rate = |event: &Event| match event {
        Event::Step { learning_rate, .. } => Some(*learning_rate),
        _ => None,
    };
    events.iter().filter_map(rate).collect()
}

/// Every tensor of a checkpoint as its bytes.
fn contents(path: &Path) -> HashMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

/// What the optimizer keeps of the first convolution, in the order of PyTorch's state.
fn kept_buffers(contents: &HashMap<String, Vec<u8>>) -> Vec<&'static str> {
    let all = ["exp_avg", "exp_avg_sq", "square_avg", "momentum_buffer"];
    all.into_iter()
        .filter(|buffer| contents.contains_key(&format!("training.{buffer}.conv_stem.weight")))
        .collect()
}

#[test]
fn the_optimizer_of_a_resumed_run_stays_and_its_numbers_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().to_path_buf());
    let sgd: OptimizerOptions =
        serde_json::from_value(json!({ "type": "sgd", "learningRate": 0.05 })).unwrap();
    run(&small(), &TrainOptions { out: out.clone(), optimizer: Some(sgd), ..recipe() }, false).unwrap();
    let go_on = |more: Value| {
        let optimizer = Some(serde_json::from_value(more).unwrap());
        let options = TrainOptions { out: out.clone(), epochs: Some(3), optimizer, ..Default::default() };
        run(&MobileNet::load(&folder.path().join("last.safetensors")).unwrap(), &options, true)
    };
    let error = go_on(json!({ "type": "adam" })).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert!(
        error.message.contains("can't change from sgd to adam when a run is resumed"),
        "{}",
        error.message
    );
    let (_, events) = go_on(json!({ "momentum": 0.9 })).unwrap();
    let Some(Event::Start { config }) = events.first() else { panic!("no start") };
    let optimizer = serde_json::to_value(config.train.optimizer).unwrap();
    assert_eq!((&optimizer["momentum"], &optimizer["learningRate"]), (&json!(0.9), &json!(0.05)));
    let kept = contents(&folder.path().join("last.safetensors"));
    assert_eq!(kept_buffers(&kept), ["momentum_buffer"]);
}

#[test]
fn a_run_from_before_there_were_recipes_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    let out = Some(folder.path().to_path_buf());
    run(&small(), &TrainOptions { out: out.clone(), ..recipe() }, false).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    let mut training: Value = serde_json::from_str(&metadata["training"]).unwrap();
    // As 0.1.0 wrote them.
    training["config"]["optimizer"] = json!({ "type": "adam", "learningRate": 0.01 });
    training["config"]["schedule"] = json!({ "type": "step", "stepSize": 10, "gamma": 0.5 });
    metadata.insert("training".into(), training.to_string());
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    std::fs::write(&path, safetensors::serialize(tensors.iter(), Some(metadata)).unwrap()).unwrap();

    let old = MobileNet::load(&path).unwrap();
    let options = TrainOptions { out, epochs: Some(3), ..Default::default() };
    let (report, _) = run(&old, &options, true).unwrap();
    assert_eq!((report.epochs, report.steps), (3, 15));
    let longer = small();
    run(&longer, &TrainOptions { epochs: Some(3), ..recipe() }, false).unwrap();
    assert!(bits(&old.tensors()) == bits(&longer.tensors()));
}
