//! The benchmark on a card: what it measures is nothing here, but it is measured to the end.

use crate::setup::mock;
use mobilenet_core::benchmark::run;
use mobilenet_core::config::{ComparisonOptions, ModelOptions, TrainOptions, Variant};
use std::sync::atomic::AtomicBool;

#[test]
fn a_card_is_measured_against_its_makers_numbers() {
    let Some(mock) = mock() else { return };
    let options = ComparisonOptions {
        variants: Some(vec![Variant::V3Small]),
        model: ModelOptions { width: Some(0.25), ..Default::default() },
        train: TrainOptions { batch_size: Some(2), ..Default::default() },
        seconds: Some(1e-3),
        threads: Some(1),
    };
    let config = options.resolve().unwrap();
    let mut works = Vec::new();
    let report = run(&config, &mock.card(), &AtomicBool::new(false), &mut |progress| {
        works.push(progress.work.name());
    });
    let report = report.unwrap().unwrap();
    // 4 multiprocessors of 128 units at 1.98 GHz; 5120 bits at 2.619 GHz, twice a clock.
    assert!((report.multiply_adds_per_second / (4.0 * 128.0 * 1.98e9) - 1.0).abs() < 1e-9);
    assert!((report.bytes_per_second / (2.0 * 2.619e9 * 5120.0 / 8.0) - 1.0).abs() < 1e-9);
    works.dedup();
    assert!(!works.contains(&"peak") && works.contains(&"training"), "{works:?}");
    let network = &report.networks[0];
    assert!(network.training.repetitions >= 2 && network.training_bytes > 0 && network.inference_bytes > 0);
    assert_eq!(network.training.batch_size, 2);
    assert_eq!(mock.leaks(), 0);
}
