//! Losses and augmentation against the numbers of PyTorch, torchvision and Pillow: see make_augment.py.

mod common;
mod uniform;

use common::fixture;
use mobilenet_core::data::augment::Canvas;
use mobilenet_core::data::augment::cutout::Hole;
use mobilenet_core::data::augment::mix::Mix;
use mobilenet_core::data::augment::operation::{MAGNITUDES, Operation, Space};
use mobilenet_core::kernels::loss::{Mixture, Targets, cross_entropy};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uniform::uniform;

fn figures(what: &str) -> Value {
    let text = std::fs::read_to_string(fixture("augment/augment.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[what].take()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn whole(value: &Value) -> usize {
    number(value) as usize
}

/// The first four bytes of the SHA-256.
fn digest(bytes: impl IntoIterator<Item = u8>) -> String {
    let bytes: Vec<u8> = bytes.into_iter().collect();
    Sha256::digest(bytes)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of_floats(values: &[f32]) -> String {
    digest(values.iter().flat_map(|value| value.to_le_bytes()))
}

type Picture = (Vec<u8>, (usize, usize));

/// `sources` of make_augment.py.
fn sources() -> Vec<Picture> {
    let records = std::fs::read(fixture("cifar-10-sample/test_batch.bin")).unwrap();
    let mut pictures: Vec<Picture> = records
        .chunks_exact(3073)
        .take(2)
        .map(|record| {
            let pixel = |at: usize| [1 + at, 1025 + at, 2049 + at].map(|at| record[at]);
            ((0..1024).flat_map(pixel).collect(), (32, 32))
        })
        .collect();
    let made = |name: &str, count: usize, values: f64| {
        uniform(name, count).into_iter().map(|u| (u * values) as u8).collect::<Vec<u8>>()
    };
    pictures.push((made("noise", 21 * 34 * 3, 256.0), (21, 34)));
    let flat = made("flat", 32 * 32 * 3, 9.0);
    pictures.push((flat.into_iter().map(|value| value + 100).collect(), (32, 32)));
    pictures
}

#[test]
fn operations_are_torchvisions_to_the_bit() {
    let spaces = figures("operations");
    let mut compared = 0;
    for (name, space) in [("RandAugment", Space::RandAugment), ("TrivialAugmentWide", Space::Wide)] {
        assert_eq!(spaces[name].as_object().unwrap().len(), Operation::ALL.len());
        for operation in Operation::ALL {
            let expected = &spaces[name][format!("{operation:?}")];
            assert_eq!(expected["signed"], operation.is_signed(), "{operation:?}");
            for ((pixels, size), results) in sources().iter().zip(list(&expected["results"])) {
                for (at, result) in list(results).iter().enumerate() {
                    let magnitude = operation.magnitude(space, at % MAGNITUDES, *size);
                    let magnitude = if at < MAGNITUDES { magnitude } else { -magnitude };
                    let mut canvas = Canvas::default();
                    canvas.set(pixels, *size);
                    operation.apply(magnitude, &mut canvas);
                    assert_eq!(
                        digest(canvas.pixels),
                        *result,
                        "{name}: {operation:?} by {magnitude} of {size:?}"
                    );
                    compared += 1;
                }
            }
        }
    }
    // Nine operations have two signs, two have one, and three have no magnitude; two spaces, four pictures.
    assert_eq!(compared, (9 * 62 + 2 * 31 + 3) * 2 * 4);
}

#[test]
fn magnitudes_are_torchvisions() {
    let spaces = figures("operations");
    for (name, space) in [("RandAugment", Space::RandAugment), ("TrivialAugmentWide", Space::Wide)] {
        for operation in Operation::ALL {
            for (size, key) in [((32, 32), "32x32"), ((21, 34), "21x34")] {
                let expected = &spaces[name][format!("{operation:?}")]["magnitudes"][key];
                if expected.is_null() {
                    continue;
                }
                let ours: Vec<f64> =
                    (0..MAGNITUDES).map(|step| operation.magnitude(space, step, size)).collect();
                assert_eq!(ours, numbers(expected), "{name}: {operation:?}");
            }
        }
    }
}

#[test]
fn batches_are_mixed_as_by_torchvision_to_the_bit() {
    let (count, side) = (5, 12);
    let values = uniform("batch:5x3x12x12", count * 3 * side * side);
    let channels_last: Vec<f32> = (0..count)
        .flat_map(|picture| (0..side * side).map(move |pixel| (picture, pixel)))
        .flat_map(|(picture, pixel)| [0, 1, 2].map(|channel| (picture * 3 + channel) * side * side + pixel))
        .map(|at| values[at] as f32)
        .collect();
    let labels: Vec<u32> = (0..count as u32).map(|picture| picture * 2 % 10).collect();
    let cases = figures("mixing");
    for case in list(&cases) {
        let share = number(&case["share"]);
        let mix = match case["type"].as_str().unwrap() {
            "MixUp" => Mix::Average { share },
            _ => Mix::in_box(share, [whole(&case["place"][0]), whole(&case["place"][1])], side),
        };
        let mut pictures = channels_last.clone();
        let mixture = mix.apply(&mut pictures, &labels, side);
        let what = format!("{} {share} {}", case["type"], case["place"]);
        assert_eq!(digest_of_floats(&pictures), case["pictures"], "{what}");
        for (row, expected) in list(&case["targets"]).iter().enumerate() {
            let mut target = [0.0; 10];
            target[labels[row] as usize] += mixture.share;
            target[mixture.labels[row] as usize] += 1.0 - mixture.share;
            for (ours, expected) in target.iter().zip(numbers(expected)) {
                // Theirs are float32.
                assert!(
                    (ours - expected).abs() <= f64::from(f32::EPSILON) / 2.0,
                    "{what}: {ours} for {expected}"
                );
            }
        }
    }
    assert_eq!(list(&cases).len(), 20);
}

#[test]
fn holes_are_where_the_papers_code_cuts_them() {
    for case in list(&figures("holes")) {
        let hole = Hole { y: whole(&case["y"]), x: whole(&case["x"]), size: whole(&case["size"]) };
        let mut picture = vec![1.0; 32 * 32 * 3];
        hole.cut(&mut picture, 32);
        let mask: Vec<f32> = picture.chunks_exact(3).map(|pixel| pixel[0]).collect();
        assert_eq!(digest_of_floats(&mask), case["mask"], "{hole:?}");
    }
}

/// The loss is computed in float64 here as there, so only the last digits may differ; the gradient is rounded once.
#[test]
fn losses_with_soft_targets_are_pytorchs() {
    const STRIDE: usize = 16;
    let figures = figures("losses");
    let values = uniform("logits:6x10", 60);
    let mut logits = vec![9.0f32; 6 * STRIDE];
    for (at, value) in values.into_iter().enumerate() {
        logits[at / 10 * STRIDE + at % 10] = (8.0 * value - 4.0) as f32;
    }
    let labels: Vec<u32> = list(&figures["labels"]).iter().map(|label| whole(label) as u32).collect();
    let others: Vec<u32> = list(&figures["others"]).iter().map(|label| whole(label) as u32).collect();
    for case in list(&figures["cases"]) {
        let mixture = case["share"].as_f64().map(|share| Mixture { labels: others.clone(), share });
        let smoothing = number(&case["smoothing"]);
        let targets = Targets { labels: &labels, mixture: mixture.as_ref(), smoothing, weights: None };
        let mut gradient = vec![f32::NAN; logits.len()];
        let loss = cross_entropy(&logits, STRIDE, 10, targets, Some(&mut gradient));
        let what = format!("smoothing {smoothing}, share {}", case["share"]);
        let expected = number(&case["loss"]);
        assert!(
            (loss.sum / 6.0 - expected).abs() < 1e-13 * expected,
            "{what}: {} for {expected}",
            loss.sum / 6.0
        );
        for (at, expected) in numbers(&case["gradient"]).into_iter().enumerate() {
            let ours = gradient[at / 10 * STRIDE + at % 10];
            // Where exponential and target nearly meet, their last digits are all that is left.
            let near = f64::from(f32::EPSILON) / 2.0 * expected.abs() + 1e-15;
            assert!((f64::from(ours) - expected).abs() <= near, "{what}: {ours} for {expected}");
        }
        assert!(gradient.chunks_exact(STRIDE).all(|row| row[10..].iter().all(|value| *value == 0.0)));
    }
}

#[test]
fn the_right_class_of_a_mixture_is_the_larger_part() {
    let correct = |share| {
        let mixture = Mixture { labels: vec![1], share };
        cross_entropy(
            &[0.0, 5.0],
            2,
            2,
            Targets { labels: &[0], mixture: Some(&mixture), smoothing: 0.0, weights: None },
            None,
        )
        .correct
    };
    assert_eq!([0.2, 0.49, 0.5, 0.9].map(correct), [1, 1, 0, 0]);
}
