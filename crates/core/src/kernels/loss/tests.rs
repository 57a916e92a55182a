use super::{Mixture, SMALL_TASK, Targets, cross_entropy};
use crate::kernels::testing::numbers;

#[test]
fn loss_and_gradient_are_pytorchs() {
    // F.cross_entropy of [[1, 2, 0.5], [0, 0, 3]] with labels [1, 0] in float64.
    let logits = [1.0, 2.0, 0.5, 9.0, 0.0, 0.0, 3.0, 9.0];
    let mut gradient = [f32::NAN; 8];
    let loss = cross_entropy(&logits, 4, 3, &[1, 0], Some(&mut gradient));
    assert!((loss.sum - 3.559_291_740_528_905_7).abs() < 1e-12, "{}", loss.sum);
    assert_eq!(loss.correct, 1);
    let expected =
        [0.115_611_95, -0.185_734_14, 0.070_122_19, 0.0, -0.477_360_75, 0.022_639_25, 0.454_721_5, 0.0];
    for (ours, expected) in gradient.iter().zip(expected) {
        assert!((ours - expected).abs() < 1e-7, "{gradient:?}");
    }
    for row in gradient.chunks_exact(4) {
        assert!(row.iter().sum::<f32>().abs() < 1e-7, "a row of the gradient sums to 0: {gradient:?}");
    }
}

#[test]
fn weighted_classes_are_pytorchs() {
    let fixture = &crate::data::testing::fixture()["weighted_loss"];
    let read = |value: &serde_json::Value| serde_json::from_value::<Vec<Vec<f64>>>(value.clone()).unwrap();
    let numbers = |value: &serde_json::Value| serde_json::from_value::<Vec<u32>>(value.clone()).unwrap();
    let logits: Vec<f32> = read(&fixture["logits"]).concat().iter().map(|logit| *logit as f32).collect();
    let weights: Vec<f64> = serde_json::from_value(fixture["weights"].clone()).unwrap();
    let labels = numbers(&fixture["labels"]);
    let check = |targets: Targets<'_>, expected: &serde_json::Value| {
        let mut gradient = vec![f32::NAN; logits.len()];
        let loss = cross_entropy(&logits, 4, 4, targets, Some(&mut gradient));
        let mean = expected["loss"].as_f64().unwrap();
        assert!((loss.sum / 6.0 - mean).abs() < 1e-14, "{} and {mean}", loss.sum / 6.0);
        for (ours, expected) in gradient.iter().zip(read(&expected["gradient"]).concat()) {
            assert!((f64::from(*ours) - expected).abs() < 1e-8, "{ours} and {expected}");
        }
    };
    let plain = Targets { weights: Some(&weights), ..Targets::from(&labels) };
    for case in fixture["cases"].as_array().unwrap() {
        check(Targets { smoothing: case["smoothing"].as_f64().unwrap(), ..plain }, case);
    }
    let mixed = &fixture["mixture"];
    let mixture = Mixture { labels: numbers(&mixed["labels"]), share: mixed["share"].as_f64().unwrap() };
    check(Targets { mixture: Some(&mixture), ..plain }, mixed);
    // Equal weights are none.
    let (mut a, mut b) = (vec![0.0; 24], vec![0.0; 24]);
    let even = Targets { weights: Some(&[1.0; 4]), ..plain };
    let with = cross_entropy(&logits, 4, 4, even, Some(&mut a));
    let without = cross_entropy(&logits, 4, 4, &labels, Some(&mut b));
    assert!((with.sum - without.sum).abs() < 1e-14 && a == b);
}

#[test]
fn huge_logits_do_not_overflow() {
    let loss = cross_entropy(&[1e4, -1e4], 2, 2, &[1], None);
    assert_eq!(loss.sum, 2e4);
}

#[test]
fn the_first_of_equal_logits_counts_as_the_answer() {
    assert_eq!(cross_entropy(&[1.0, 1.0], 2, 2, &[0], None).correct, 1);
    assert_eq!(cross_entropy(&[1.0, 1.0], 2, 2, &[1], None).correct, 0);
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    const CLASSES: usize = 1000;
    // So many that several threads are asked to help.
    let count = 5 * SMALL_TASK / CLASSES + 3;
    let logits: Vec<f32> = numbers(1, count * CLASSES).iter().map(|logit| *logit as f32 * 4.0).collect();
    let labels: Vec<u32> = (0..count as u32).map(|picture| picture * 37 % CLASSES as u32).collect();
    let weights: Vec<f64> = numbers(2, CLASSES).iter().map(|weight| weight + 1.5).collect();
    let mixture = Mixture { labels: labels.iter().rev().copied().collect(), share: 0.3 };
    let plain = Targets::from(&labels);
    let smoothed = Targets { smoothing: 0.1, weights: Some(&weights), ..plain };
    for targets in [plain, smoothed, Targets { mixture: Some(&mixture), ..smoothed }] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut gradient = vec![f32::NAN; logits.len()];
            let loss =
                pool.install(|| cross_entropy(&logits, CLASSES, CLASSES, targets, Some(&mut gradient)));
            let without = pool.install(|| cross_entropy(&logits, CLASSES, CLASSES, targets, None));
            assert_eq!(without, loss);
            (loss, gradient)
        };
        let one = run(1);
        assert!([2, 3, 16].into_iter().all(|threads| run(threads) == one));
    }
    // And they are those of the pictures' losses, added in order.
    let alone = logits.chunks_exact(CLASSES).zip(&labels);
    let alone = alone.map(|(logits, label)| cross_entropy(logits, CLASSES, CLASSES, &[*label], None).sum);
    let sum: f64 = alone.sum();
    assert!(cross_entropy(&logits, CLASSES, CLASSES, plain, None).sum == sum);
}
