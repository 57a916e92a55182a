//! The benchmark on a card. What it measures is nothing here, so it ends after the first step.

use crate::setup::mock;
use mobilenet_core::benchmark::{Work, run};
use mobilenet_core::config::{ComparisonOptions, ModelOptions, TrainOptions, Variant};
use mobilenet_core::engine::backend::Backend;
use std::sync::atomic::{AtomicBool, Ordering};

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
    let (config, card, cancelled) = (options.resolve().unwrap(), mock.card(), AtomicBool::new(false));
    let mut works = Vec::new();
    let report = run(&config, &card, &cancelled, &mut |progress| {
        works.push(progress.work);
        cancelled.store(true, Ordering::Relaxed);
    });
    assert_eq!(report.unwrap(), None, "it was cancelled");
    assert_eq!(works, [Work::Training], "what a card could do at most is known without measuring");
    let peak = card.peak().unwrap();
    if mock.books().is_none() {
        assert!(peak.multiply_adds_per_second > 1e12 && peak.bytes_per_second > 1e11, "{peak:?}");
        return;
    }
    // 4 multiprocessors of 128 units at 1.98 GHz; 5120 bits at 2.619 GHz, twice a clock.
    assert!((peak.multiply_adds_per_second / (4.0 * 128.0 * 1.98e9) - 1.0).abs() < 1e-9);
    assert!((peak.bytes_per_second / (2.0 * 2.619e9 * 5120.0 / 8.0) - 1.0).abs() < 1e-9);
    drop(card);
    assert_eq!(mock.leaks(), 0);
}
