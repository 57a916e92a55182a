//! The loss, against core's.

use crate::card::{Card, NULL, at, card};
use crate::numbers::numbers;
use mobilenet_core::kernels::loss::{Mixture, Targets, cross_entropy};
use mobilenet_core::kernels::padded;
use mobilenet_cuda::driver::{Arguments, DeviceBuffer, Element};

/// `StepScalars` of `kernels/README.md`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct StepScalars {
    pub share: f64,
    pub divisor: f64,
    pub rate: [f32; 2],
    pub root2: [f32; 2],
    pub keep: [f32; 2],
    pub average_weight: f32,
    pub average_rest: f32,
    pub average_near: i32,
    pub mix_kind: i32,
    pub mix_weight: f32,
    pub mix_rest: f32,
    pub mix_rows: [i32; 2],
    pub mix_columns: [i32; 2],
}

// SAFETY: 80 bytes of numbers without padding.
unsafe impl Element for StepScalars {}

fn check(
    card: &Card,
    pictures: usize,
    classes: usize,
    mixture: Option<Mixture>,
    smoothing: f64,
    weighted: bool,
) {
    let stride = padded(classes);
    let logits: Vec<f32> = numbers(1, pictures * stride).into_iter().map(|logit| logit * 6.0).collect();
    let labels: Vec<u32> = (0..pictures).map(|picture| (picture * 7 % classes) as u32).collect();
    let weights: Vec<f64> = (0..classes).map(|class| 0.5 + class as f64).collect();
    let targets = Targets {
        labels: &labels,
        mixture: mixture.as_ref(),
        smoothing,
        weights: weighted.then_some(&weights[..]),
    };
    let mut gradient = vec![f32::NAN; logits.len()];
    let expected = cross_entropy(&logits, stride, classes, targets, Some(&mut gradient));

    let divisor = match (weighted, &mixture) {
        (true, None) => labels.iter().map(|label| weights[*label as usize]).sum(),
        _ => pictures as f64,
    };
    let share = mixture.as_ref().map_or(1.0, |mixture| mixture.share);
    let step = card.array(&[StepScalars { share, divisor, ..StepScalars::default() }]);
    let logits = card.array(&logits);
    let labels = card.array(&labels);
    let seconds = mixture.map(|mixture| card.array(&mixture.labels));
    let weights = weighted.then(|| card.array(&weights));
    let (ours, losses, correct) =
        (card.room(pictures * stride), card.room64(pictures), card.array(&vec![u32::MAX; pictures]));
    fn address<T: Element>(buffer: &Option<DeviceBuffer<T>>) -> u64 {
        buffer.as_ref().map_or(NULL, at)
    }
    let arguments = Arguments::new()
        .with(at(&logits))
        .int(stride)
        .int(classes)
        .with(at(&labels))
        .with(address(&seconds))
        .with(address(&weights))
        .with(smoothing)
        .with(at(&step))
        .with(at(&ours))
        .with(at(&losses))
        .with(at(&correct));
    card.run("cross_entropy", (pictures, [32, 1]), arguments);
    let (last, totals) = (card.room64(2), card.array(&[100.0f64, 10.0]));
    let arguments = Arguments::new()
        .with(at(&losses))
        .with(at(&correct))
        .int(pictures)
        .with(at(&step))
        .with(at(&last))
        .with(at(&totals));
    card.run("loss_finish", (1, [256, 1]), arguments);
    let (last, totals) = (card.read(&last), card.read(&totals));
    assert!((last[0] / expected.sum - 1.0).abs() < 1e-12, "{last:?}, expected {expected:?}");
    assert_eq!(last[1], expected.correct as f64);
    assert_eq!(totals, [100.0 + last[0], 10.0 + last[1]]);
    for (ours, expected) in card.read(&ours).into_iter().zip(gradient) {
        // Both are made in float64 and rounded once.
        assert!((ours - expected).abs() <= expected.abs() * f32::EPSILON, "{ours}, expected {expected}");
    }
}

#[test]
pub fn loss_and_gradient_are_cores() {
    let Some(card) = card() else { return };
    let mixture = |pictures: usize, classes: usize, share: f64| {
        let labels = (0..pictures).map(|picture| (picture * 5 % classes) as u32).collect();
        Some(Mixture { labels, share })
    };
    for (pictures, classes) in [(1, 2), (5, 10), (300, 37), (3, 100)] {
        check(&card, pictures, classes, None, 0.0, false);
        check(&card, pictures, classes, None, 0.1, true);
        check(&card, pictures, classes, mixture(pictures, classes, 0.3), 0.0, false);
        check(&card, pictures, classes, mixture(pictures, classes, 0.8), 0.1, true);
    }
}

#[test]
fn the_first_of_equal_logits_is_the_answer() {
    let Some(card) = card() else { return };
    let mut logits = vec![0.0f32; 96];
    // Equal ones with a lane between them, and in another round of lanes.
    (logits[5], logits[37], logits[64]) = (1.0, 1.0, 1.0);
    let step = card.array(&[StepScalars { share: 1.0, divisor: 2.0, ..StepScalars::default() }]);
    let logits = card.array(&[&logits[..], &logits[..]].concat());
    let labels = card.array(&[5u32, 37]);
    let (losses, correct) = (card.room64(2), card.array(&[9u32; 2]));
    let arguments = Arguments::new()
        .with(at(&logits))
        .int(96)
        .int(90)
        .with(at(&labels))
        .with(NULL)
        .with(NULL)
        .with(0.0f64)
        .with(at(&step))
        .with(NULL)
        .with(at(&losses))
        .with(at(&correct));
    card.run("cross_entropy", (2, [32, 1]), arguments);
    assert_eq!(card.read(&correct), [1, 0]);
}
