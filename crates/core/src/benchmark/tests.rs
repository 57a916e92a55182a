use super::{Progress, Work, run};
use crate::config::{BenchmarkOptions, Preset};
use crate::error::ErrorCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// As short as it gets: three runs of everything, with the smallest network. On one thread, whose peak other programs
/// disturb the least.
fn short() -> BenchmarkOptions {
    BenchmarkOptions { presets: Some(vec![Preset::Quick]), seconds: Some(1e-3), threads: Some(1) }
}

#[test]
fn measures_what_can_be() {
    let mut told: Vec<Progress> = Vec::new();
    let report =
        run(&short(), &AtomicBool::new(false), &mut |progress| told.push(progress)).unwrap().unwrap();
    let quick = &report.presets[0];
    let (training, evaluation, prediction) = (&quick.training, &quick.evaluation, &quick.prediction);
    let numbers = [
        report.multiply_adds_per_second,
        report.bytes_per_second,
        report.seconds,
        training.step_seconds,
        training.images_per_second,
        evaluation.batch_seconds,
        evaluation.images_per_second,
        prediction.latency_seconds,
        quick.preset_seconds,
    ];
    assert!(numbers.iter().all(|number| number.is_finite() && *number > 0.0), "{report:?}");
    for share in [training.share_of_peak, evaluation.share_of_peak, prediction.share_of_peak] {
        assert!(share > 0.0 && share < 1.5, "{report:?}");
    }
    assert!([training.repetitions, evaluation.repetitions, prediction.repetitions].iter().all(|n| *n >= 2));
    assert_eq!((report.threads, report.presets.len(), quick.preset), (1, 1, Preset::Quick));
    // Epochs of 45,000 pictures and 15,000 more.
    let epochs = Preset::Quick.options().1.epochs.unwrap() as f64;
    let expected = epochs * (45e3 / training.images_per_second + 15e3 / evaluation.images_per_second);
    assert!((quick.preset_seconds / expected - 1.0).abs() < 1e-9);

    let mut works: Vec<Work> = told.iter().map(|progress| progress.work).collect();
    works.dedup();
    assert_eq!(works, [Work::Peak, Work::Memory, Work::Training, Work::Evaluation, Work::Prediction]);
    assert!(told.is_sorted_by(|a, b| a.share <= b.share), "{told:?}");
    assert!(told.iter().all(|progress| (0.0..1.0).contains(&progress.share)), "{told:?}");
}

#[test]
fn ends_when_it_is_cancelled() {
    assert_eq!(run(&short(), &AtomicBool::new(true), &mut |_| {}).unwrap(), None);
    for work in [Work::Memory, Work::Training, Work::Prediction] {
        let cancelled = AtomicBool::new(false);
        let report = run(&short(), &cancelled, &mut |progress| {
            assert!(!cancelled.load(Ordering::Relaxed), "work after the end");
            if progress.work == work {
                cancelled.store(true, Ordering::Relaxed);
            }
        });
        assert_eq!(report.unwrap(), None);
    }
}

#[test]
fn refuses_what_makes_no_sense() {
    let wrong = [
        (BenchmarkOptions { presets: Some(vec![]), ..short() }, "presets"),
        (BenchmarkOptions { seconds: Some(0.0), ..short() }, "seconds"),
        (BenchmarkOptions { seconds: Some(f64::NAN), ..short() }, "seconds"),
        (BenchmarkOptions { threads: Some(0), ..short() }, "threads"),
    ];
    for (options, word) in wrong {
        let error = run(&options, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.starts_with(word), "{error}");
    }
}
