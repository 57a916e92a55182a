//! What a run that goes on refuses to change, and what it clears away.

mod common;
mod runs;

use mobilenet_core::ErrorCode;
use mobilenet_core::config::{Augmentation, Freeze, TrainOptions};
use mobilenet_core::data::{Dataset, Pictures};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::{self, Control};
use runs::{data, recipe, run, small};
use std::path::Path;
use std::sync::Arc;

/// A run of one epoch in this folder, so that there is a state to go on from.
fn begin(folder: &Path, options: TrainOptions) -> MobileNet {
    let out = Some(folder.to_path_buf());
    let (report, _) = run(&small(), &TrainOptions { epochs: Some(1), out, ..options }, false).unwrap();
    MobileNet::load(&report.checkpoint.unwrap()).unwrap()
}

#[test]
fn what_decides_which_pictures_come_next_cannot_change() {
    let refused = |begun: TrainOptions, changed: TrainOptions, name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let model = begin(folder.path(), begun);
        let out = Some(folder.path().to_path_buf());
        let error = run(&model, &TrainOptions { epochs: Some(2), out, ..changed.clone() }, true).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption, "{name}: {}", error.message);
        let expected = format!("{name} can't change when a run is resumed");
        assert!(error.message.starts_with(&expected), "{name}: {}", error.message);
        let before = train::check(&model, &TrainOptions { epochs: Some(2), ..changed }, true).unwrap_err();
        assert_eq!((before.code, before.message), (error.code, error.message));
    };
    let none = TrainOptions::default;
    for (changed, name) in [
        (TrainOptions { batch_size: Some(8), ..none() }, "batchSize"),
        (TrainOptions { validation_fraction: Some(0.2), ..none() }, "validationFraction"),
        (TrainOptions { seed: Some(2), ..none() }, "seed"),
        (TrainOptions { augment: Some(vec![Augmentation::Flip]), ..none() }, "augment"),
        (TrainOptions { freeze: Some(Freeze::Backbone), ..none() }, "freeze"),
        (TrainOptions { shuffle: Some(false), ..none() }, "shuffle"),
        (TrainOptions { limit: Some(48), ..none() }, "limit"),
    ] {
        refused(TrainOptions { limit: Some(32), ..recipe() }, changed, name);
    }
    let begun = TrainOptions { freeze: Some(Freeze::Backbone), limit: Some(32), ..recipe() };
    // It would thaw later.
    refused(
        TrainOptions { freeze_epochs: Some(1), ..begun },
        TrainOptions { freeze_epochs: Some(2), ..none() },
        "freeze",
    );
}

#[test]
fn other_pictures_are_a_mismatch() {
    let folder = tempfile::tempdir().unwrap();
    let model = begin(folder.path(), recipe());
    let resume = |data: &Dataset| {
        let out = Some(folder.path().to_path_buf());
        let options = TrainOptions { epochs: Some(2), out, ..Default::default() };
        train::run(&model, data, &options, true, &Control::default(), &mut |_| {})
    };
    let first = |pictures: &Pictures, count: usize| {
        let (bytes, (height, width)) = pictures.bytes().unwrap();
        let pixels = bytes[..count * height * width * 3].to_vec();
        Arc::new(Pictures::of_one_size(pixels, pictures.labels[..count].to_vec(), (height, width)))
    };
    let whole = data();
    // With the limit as many are trained on as before, but one of another split.
    let fewer_to_train_on = Dataset { train: first(&whole.train, whole.train.len() - 1), ..data() };
    let fewer_to_test_with = Dataset { test: first(&whole.test, 71), ..data() };
    for changed in [fewer_to_train_on, fewer_to_test_with] {
        let error = resume(&changed).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointMismatch, "{}", error.message);
        let words = "the run to resume used 72 training, 25 validation and 72 test pictures";
        assert!(error.message.contains(words), "{}", error.message);
    }
    resume(&whole).unwrap();
}

/// Whether they have, who asks before there are pictures doesn't know.
#[test]
fn a_share_to_validate_with_means_nothing_to_pictures_that_have_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = Dataset { validation: Some(data().test), ..data() };
    let train = |model: &MobileNet, epochs, validation_fraction, resume| {
        let out = Some(folder.path().to_path_buf());
        let options = TrainOptions { epochs: Some(epochs), validation_fraction, out, ..recipe() };
        train::run(model, &data, &options, resume, &Control::default(), &mut |_| {}).unwrap()
    };
    let begun = train(&small(), 1, None, false);
    let model = MobileNet::load(&begun.checkpoint.unwrap()).unwrap();
    assert_eq!(train(&model, 2, Some(0.2), true).epochs, 2);
}

/// What a kill in the middle of writing leaves.
#[test]
fn unfinished_files_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let model = begin(folder.path(), recipe());
    let unfinished = folder.path().join(".unfinished-x.tmp");
    let strangers = [".unfinished-x", "x.tmp"].map(|name| folder.path().join(name));
    for path in strangers.iter().chain([&unfinished]) {
        std::fs::write(path, "half").unwrap();
    }
    let out = Some(folder.path().to_path_buf());
    run(&model, &TrainOptions { epochs: Some(2), out, ..Default::default() }, true).unwrap();
    assert!(!unfinished.exists());
    assert!(strangers.iter().all(|path| path.exists()), "somebody else's");
}
