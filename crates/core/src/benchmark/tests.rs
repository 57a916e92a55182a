use super::{Progress, Work, run};
use crate::config::{
    BenchmarkConfig, BenchmarkOptions, ComparisonOptions, ModelOptions, Precision, Preset, TrainOptions,
    Variant,
};
use crate::engine::processor::Processor;
use crate::error::ErrorCode;
use crate::model;
use std::sync::atomic::{AtomicBool, Ordering};

/// As short as it gets: three runs of everything, with the smallest network. On one thread, whose peak other programs
/// disturb the least.
fn short() -> BenchmarkOptions {
    let presets = Some(vec![Preset::Quick]);
    BenchmarkOptions { presets, precision: None, seconds: Some(1e-3), threads: Some(1) }
}

fn short_config() -> BenchmarkConfig {
    short().resolve().unwrap()
}

#[test]
fn measures_what_can_be() {
    let mut told: Vec<Progress> = Vec::new();
    let report =
        run(&short_config(), &Processor, &AtomicBool::new(false), &mut |progress| told.push(progress))
            .unwrap()
            .unwrap();
    let quick = &report.networks[0];
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
        quick.run_seconds,
    ];
    assert!(numbers.iter().all(|number| number.is_finite() && *number > 0.0), "{report:?}");
    for share in [training.share_of_peak, evaluation.share_of_peak, prediction.share_of_peak] {
        assert!(share > 0.0 && share < 1.5, "{report:?}");
    }
    assert!([training.repetitions, evaluation.repetitions, prediction.repetitions].iter().all(|n| *n >= 2));
    assert_eq!((report.threads, report.networks.len(), quick.name), (1, 1, "quick"));
    // Epochs of 45,000 pictures and 15,000 more.
    let epochs = Preset::Quick.options().1.epochs.unwrap() as f64;
    let expected = epochs * (45e3 / training.images_per_second + 15e3 / evaluation.images_per_second);
    assert!((quick.run_seconds / expected - 1.0).abs() < 1e-9);

    let mut works: Vec<Work> = told.iter().map(|progress| progress.work).collect();
    works.dedup();
    assert_eq!(works, [Work::Peak, Work::Memory, Work::Training, Work::Evaluation, Work::Prediction]);
    assert!(told.is_sorted_by(|a, b| a.share <= b.share), "{told:?}");
    assert!(told.iter().all(|progress| (0.0..1.0).contains(&progress.share)), "{told:?}");
}

#[test]
fn a_precision_is_that_of_every_preset() {
    let asked = BenchmarkOptions { presets: None, precision: Some(Precision::Tf32), ..short() };
    let precisions = |options: BenchmarkOptions| {
        options
            .resolve()
            .unwrap()
            .subjects
            .into_iter()
            .map(|subject| subject.train.precision)
            .collect::<Vec<_>>()
    };
    assert_eq!(precisions(asked), [Precision::Tf32; 3]);
    assert_eq!(precisions(short()), [Precision::Float32]);
}

#[test]
fn what_the_device_cannot_do_is_told_before_anything_is_measured() {
    let config = BenchmarkOptions { precision: Some(Precision::Tf32), ..short() }.resolve().unwrap();
    let error =
        run(&config, &Processor, &AtomicBool::new(false), &mut |_| panic!("it measures")).unwrap_err();
    assert!(error.message.contains("not tf32, which only NVIDIA cards have"), "{}", error.message);
}

#[test]
fn ends_when_it_is_cancelled() {
    assert_eq!(run(&short_config(), &Processor, &AtomicBool::new(true), &mut |_| {}).unwrap(), None);
    for work in [Work::Memory, Work::Training, Work::Prediction] {
        let cancelled = AtomicBool::new(false);
        let report = run(&short_config(), &Processor, &cancelled, &mut |progress| {
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
        let error = options.resolve().unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.starts_with(word), "{error}");
    }
}

/// Two small networks at batches of 4.
fn comparison() -> ComparisonOptions {
    ComparisonOptions {
        variants: Some(vec![Variant::V3Small, Variant::V1]),
        model: ModelOptions { width: Some(0.25), ..Default::default() },
        train: TrainOptions { batch_size: Some(4), limit: Some(100), epochs: Some(2), ..Default::default() },
        seconds: Some(1e-3),
        threads: Some(1),
    }
}

#[test]
fn a_comparison_comes_back_to_each_network_in_turn() {
    let config = comparison().resolve().unwrap();
    let mut turns: Vec<usize> = Vec::new();
    let report =
        run(&config, &Processor, &AtomicBool::new(false), &mut |progress| turns.extend(progress.network));
    turns.dedup();
    assert_eq!(turns, [0, 1].repeat(config.rounds));
    let networks = report.unwrap().unwrap().networks;
    assert_eq!(networks.iter().map(|network| network.name).collect::<Vec<_>>(), ["v3-small", "v1"]);
    for network in networks {
        assert!(network.training.repetitions >= 2 * config.rounds);
        assert_eq!(network.training.batch_size, 4);
        // A run of at most 100 pictures of each part.
        let epoch = 100.0 / network.training.images_per_second + 200.0 / network.evaluation.images_per_second;
        assert!((network.run_seconds / (2.0 * epoch) - 1.0).abs() < 1e-9);
    }
}

/// A recipe's precision is that of its steps: packed weights take half the memory, or the machine can't do it.
#[test]
fn precision_is_the_recipes() {
    let measure = |precision| {
        let train = TrainOptions { precision: Some(precision), ..comparison().train };
        let config = ComparisonOptions { train, ..comparison() }.resolve().unwrap();
        run(&config, &Processor, &AtomicBool::new(false), &mut |_| {})
    };
    let float32 = measure(Precision::Float32).unwrap().unwrap().networks;
    match measure(Precision::Bfloat16) {
        Ok(report) => {
            for (float32, bfloat16) in float32.iter().zip(report.unwrap().networks) {
                assert!(bfloat16.training_bytes < float32.training_bytes);
                assert!(bfloat16.inference_bytes < float32.inference_bytes);
            }
        }
        Err(error) => assert_eq!(error.code, ErrorCode::DeviceUnavailable),
    }
}

#[test]
fn memory_grows_with_the_batch() {
    let config = |batch_size| {
        let train = TrainOptions { batch_size: Some(batch_size), ..Default::default() };
        ComparisonOptions { train, ..comparison() }.resolve().unwrap()
    };
    let measure = |batch_size| {
        let report = run(&config(batch_size), &Processor, &AtomicBool::new(false), &mut |_| {});
        report.unwrap().unwrap().networks
    };
    let subjects = config(4).subjects;
    for ((small, large), subject) in measure(4).iter().zip(measure(32)).zip(subjects) {
        // The maps of 28 more pictures, of which the stem's alone has 16 padded channels of 32x32.
        assert!(large.training_bytes - small.training_bytes > 28 * 16 * 32 * 32 * 4);
        assert_eq!(large.inference_bytes, small.inference_bytes);
        // The weights of its products, and what the classifier reads of 64 pictures, are there as a whole.
        let network = model::network(&subject.model);
        let products = network.layers.iter().filter(|layer| layer.is_product());
        let weights: usize = products.map(|layer| layer.inputs * layer.outputs).sum();
        assert!(small.inference_bytes > (weights + 64 * network.classifier().inputs) * size_of::<f32>());
    }
}

#[test]
fn a_comparison_refuses_what_makes_no_sense() {
    let unpadded = ModelOptions { layout: Some(crate::config::Layout::Unpadded), ..Default::default() };
    let wrong = [
        (ComparisonOptions { variants: Some(vec![]), ..comparison() }, "variants must name"),
        (
            ComparisonOptions { variants: Some(vec![Variant::V2; 2]), ..comparison() },
            "variants names v2 twice",
        ),
        (ComparisonOptions { model: unpadded, ..comparison() }, "layout unpadded is V1's"),
        (
            ComparisonOptions {
                train: TrainOptions { batch_size: Some(1), ..Default::default() },
                ..comparison()
            },
            "batchSize",
        ),
        (ComparisonOptions { seconds: Some(-1.0), ..comparison() }, "seconds"),
    ];
    for (options, words) in wrong {
        let error = options.resolve().unwrap_err();
        assert!(error.message.starts_with(words), "{error}");
    }
    assert_eq!(ComparisonOptions::default().resolve().unwrap().subjects.len(), 4);
}
