//! What a run tells and saves is what it did: its losses, its right answers, its best epoch, its number of steps.

mod common;
mod runs;

use mobilenet_core::config::{ClassWeights, TestTimeAugmentation, TrainOptions};
use mobilenet_core::data::prepare::Batch;
use mobilenet_core::kernels::loss::Targets;
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::event::Event;
use mobilenet_core::train::{self, Control};
use runs::{bits, data, first_step, one_step, plan_of_one_step, recipe, run, small};
use safetensors::SafeTensors;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The loss itself is tested where it is; this shows that a run passes the weights on.
#[test]
fn a_step_counts_the_classes_as_their_weights_say() {
    let weights: Vec<f64> = (1..=10).map(f64::from).collect();
    let class_weights = Some(ClassWeights::Each(weights.clone()));
    let (weighted, _) = first_step(&TrainOptions { class_weights, ..one_step() });
    let (plain, _) = first_step(&one_step());
    let (mut plan, Batch { labels, .. }) = plan_of_one_step(&[]);
    let targets = Targets { weights: Some(&weights), ..(&labels).into() };
    assert_eq!(weighted, plan.loss(targets).sum / 16.0);
    assert_eq!(plain, plan.loss(&labels).sum / 16.0);
    assert_ne!(weighted, plain);
}

#[test]
fn a_steps_accuracy_is_its_share_of_right_answers() {
    let (plan, Batch { labels, .. }) = plan_of_one_step(&[]);
    let logits = plan.logits(16);
    let is_right = |(row, label): &(&[f32], &u32)| {
        let label = **label as usize;
        row.iter().enumerate().all(|(class, logit)| class == label || *logit < row[label])
    };
    let right = logits.chunks_exact(10).zip(&labels).filter(is_right).count();
    // With half of them, an accuracy that counts the wrong answers would be the same.
    assert_ne!(right, 8);
    assert_eq!(first_step(&one_step()).1, right as f64 / 16.0);
}

#[test]
fn an_epochs_accuracy_is_that_of_its_steps() {
    let (report, events) = run(&small(), &recipe(), false).unwrap();
    let mut right = [0.0; 2];
    for event in &events {
        if let Event::Step { epoch, step, steps, accuracy, .. } = event {
            // The last of an epoch has 8 pictures.
            right[epoch - 1] += accuracy * if step == steps { 8.0 } else { 16.0 };
        }
    }
    let epochs = events.iter().filter_map(|event| match event {
        Event::Epoch { train, .. } => Some(*train),
        _ => None,
    });
    for (train, right) in epochs.zip(right) {
        assert_eq!((train.correct as f64, train.count), (right, 72));
        assert_eq!(train.accuracy, right / 72.0);
    }
    assert_eq!(report.train.unwrap().correct as f64, right[1]);
}

#[test]
fn the_best_weights_are_those_of_the_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (epochs, indices): (usize, Vec<u32>) = (13, (0..32).collect());
    let mut data = data();
    // On the pictures that it learns from the network soon is right.
    data.validation = Some(data.train.clone());
    let options = TrainOptions {
        augment: Some(Vec::new()),
        shuffle: Some(false),
        epochs: Some(epochs),
        limit: Some(32),
        out: Some(folder.path().to_path_buf()),
        ..recipe()
    };
    let control = Control::default();
    let report = train::run(&small(), &data, &options, false, &control, &mut |event| {
        // The last epoch forgets what the others have learned.
        if matches!(event, Event::Epoch { epoch, .. } if epoch == epochs - 1) {
            control.set_learning_rate(1.0).unwrap();
        }
    })
    .unwrap();
    let accuracy = |model: &MobileNet| {
        let never = AtomicBool::new(false);
        let found =
            model.evaluate(&data.train, &indices, TestTimeAugmentation::None, &never, &mut |_| {}).unwrap();
        found.unwrap().accuracy
    };
    let [best, last] = [report.best, report.checkpoint].map(|path| MobileNet::load(&path.unwrap()).unwrap());
    let best_accuracy = report.best_accuracy.unwrap();
    assert!(report.best_epoch.unwrap() < epochs);
    assert!(accuracy(&last) < best_accuracy);
    assert_eq!(accuracy(&best), best_accuracy);
    assert!(bits(&best.tensors()) != bits(&last.tensors()));
}

/// What a file's batch norms say of how many batches they have seen.
fn batches_tracked(path: &Path) -> Vec<i64> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let counts = file.tensors().into_iter().filter(|(name, _)| name.ends_with(".num_batches_tracked"));
    counts.map(|(_, view)| i64::from_le_bytes(view.data().try_into().unwrap())).collect()
}

#[test]
fn batch_norms_count_the_batches_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = Some(folder.path().to_path_buf());
    let (report, _) = run(&small(), &TrainOptions { out, ..recipe() }, false).unwrap();
    let last = batches_tracked(&report.checkpoint.unwrap());
    assert!(!last.is_empty() && last.iter().all(|count| *count == 10), "{last:?}");
    let best = batches_tracked(&report.best.unwrap());
    let steps = 5 * report.best_epoch.unwrap() as i64;
    assert!(best.iter().all(|count| *count == steps), "{best:?} and not {steps}");
}
