//! The classifier by itself, trained on the features that a network which stays as it is gives it.
//!
//! Logits are computed a picture, gradients a class at a time, each sum in a fixed order: the bits don't depend on the
//! threads.

use crate::kernels::loss::{Loss, Targets, cross_entropy};
use crate::kernels::padded;
use crate::model::network::Network;
use crate::rng::{Purpose, stream, unit};
use rayon::prelude::*;

/// Values that are summed side by side.
const LANES: usize = 16;

/// The last layer of a network. Its parameters are the weight `[padded(classes), padded(features)]` and the bias
/// `[padded(classes)]`, one behind the other, as they end the plan's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Values a picture.
    pub features: usize,
    classes: usize,
    dropout: f64,
}

impl Head {
    /// That of a network.
    pub fn of(network: &Network) -> Self {
        let layer = network.classifier();
        Self { features: layer.inputs, classes: layer.outputs, dropout: network.dropout }
    }

    /// Floats of its parameters.
    pub fn parameter_floats(&self) -> usize {
        padded(self.classes) * (padded(self.features) + 1)
    }

    /// The logits `[n, classes]` of features `[n, features]`.
    pub fn logits(&self, features: &[f32], parameters: &[f32]) -> Vec<f32> {
        let (weight, bias) = self.split(parameters);
        let mut logits = vec![0.0; features.len() / self.features * self.classes];
        logits.par_chunks_exact_mut(self.classes).zip(features.par_chunks_exact(self.features)).for_each(
            |(logits, features)| {
                for ((logit, row), bias) in logits.iter_mut().zip(self.rows(weight)).zip(bias) {
                    *logit = dot(row, features) + bias;
                }
            },
        );
        logits
    }

    /// A training step without the update: the loss of features `[n, features]` against `targets`, and in `gradients`, which
    /// lies as `parameters` do, its gradient. What dropout leaves out follows from `seed` and `step`, as in the plan.
    pub fn step(
        &self,
        mut features: Vec<f32>,
        targets: Targets<'_>,
        parameters: &[f32],
        (seed, step): (u64, u64),
        gradients: &mut [f32],
    ) -> Loss {
        if self.dropout > 0.0 {
            let kept = (1.0 / (1.0 - self.dropout)) as f32;
            features.par_chunks_exact_mut(self.features).enumerate().for_each(|(picture, features)| {
                let mut random = stream(seed, Purpose::Dropout, step, picture as u64);
                for feature in features {
                    *feature *= if unit(&mut random) < self.dropout { 0.0 } else { kept };
                }
            });
        }
        let logits = self.logits(&features, parameters);
        let mut logit_gradients = vec![0.0; logits.len()];
        let loss = cross_entropy(&logits, self.classes, self.classes, targets, Some(&mut logit_gradients));
        let (weight, bias) = gradients.split_at_mut(padded(self.classes) * padded(self.features));
        weight.par_chunks_exact_mut(padded(self.features)).zip(bias).enumerate().for_each(
            |(class, (row, bias))| {
                row.fill(0.0);
                *bias = 0.0;
                if class >= self.classes {
                    return;
                }
                let slopes = logit_gradients.iter().skip(class).step_by(self.classes);
                for (slope, features) in slopes.zip(features.chunks_exact(self.features)) {
                    *bias += slope;
                    row.iter_mut().zip(features).for_each(|(sum, feature)| *sum += slope * feature);
                }
            },
        );
        loss
    }

    fn split<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        debug_assert_eq!(parameters.len(), self.parameter_floats());
        parameters.split_at(padded(self.classes) * padded(self.features))
    }

    /// A class's weights each, padding left out.
    fn rows<'a>(&self, weight: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let features = self.features;
        weight.chunks_exact(padded(features)).map(move |row| &row[..features])
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 37 features and 5 classes, so that both have padding.
    fn case(pictures: usize) -> (Head, Vec<f32>, Vec<f32>, Vec<u32>) {
        let head = Head { features: 37, classes: 5, dropout: 0.0 };
        let mut random = stream(1, Purpose::Benchmark, 0, 0);
        let mut draw = |count: usize| (0..count).map(|_| unit(&mut random) as f32 - 0.5).collect::<Vec<_>>();
        let (features, mut parameters) = (draw(pictures * 37), draw(head.parameter_floats()));
        // Padding holds zeros.
        for (row, values) in parameters[..16 * 48].chunks_exact_mut(48).enumerate() {
            values[if row < 5 { 37 } else { 0 }..].fill(0.0);
        }
        parameters[16 * 48 + 5..].fill(0.0);
        let labels = (0..pictures).map(|picture| picture as u32 * 3 % 5).collect();
        (head, features, parameters, labels)
    }

    /// The same in float64, in plain loops.
    fn plainly(features: &[f32], parameters: &[f32], labels: &[u32]) -> (f64, Vec<f64>) {
        let mut gradients = vec![0.0; parameters.len()];
        let mut loss = 0.0;
        for (features, label) in features.chunks_exact(37).zip(labels) {
            let logit = |class: usize| {
                let row = &parameters[class * 48..];
                let products = features.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum::<f64>() + f64::from(parameters[16 * 48 + class])
            };
            let exponentials: Vec<f64> = (0..5).map(|class| logit(class).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            loss -= (exponentials[*label as usize] / sum).ln();
            for class in 0..5 {
                let target = f64::from(u8::from(class == *label as usize));
                let slope = (exponentials[class] / sum - target) / labels.len() as f64;
                gradients[16 * 48 + class] += slope;
                for (index, feature) in features.iter().enumerate() {
                    gradients[class * 48 + index] += slope * f64::from(*feature);
                }
            }
        }
        (loss, gradients)
    }

    #[test]
    fn loss_and_gradient_are_those_of_plain_loops() {
        let (head, features, parameters, labels) = case(20);
        let mut gradients = vec![f32::NAN; parameters.len()];
        let loss = head.step(features.clone(), (&labels).into(), &parameters, (1, 1), &mut gradients);
        let (expected, expected_gradients) = plainly(&features, &parameters, &labels);
        assert!((loss.sum - expected).abs() < 1e-5, "{} and {expected}", loss.sum);
        for (ours, expected) in gradients.iter().zip(expected_gradients) {
            assert!((f64::from(*ours) - expected).abs() < 1e-7, "{ours} and {expected}");
        }
    }

    #[test]
    fn dropout_leaves_its_share_out_and_keeps_the_mean() {
        let (head, features, parameters, labels) = case(400);
        let head = Head { dropout: 0.25, ..head };
        let run = |step| {
            let mut gradients = vec![0.0; parameters.len()];
            let loss = head.step(features.clone(), (&labels).into(), &parameters, (1, step), &mut gradients);
            (loss.sum, gradients)
        };
        assert!(run(1) == run(1) && run(1) != run(2));
        let (whole, _) = plainly(&features, &parameters, &labels);
        assert!((run(1).0 / whole - 1.0).abs() < 0.05);

        // The loss hardly tells whether the mean is kept: so all of it, with what is left out drawn here.
        let (mut thinned, mut left_out) = (features.clone(), 0);
        for (picture, features) in thinned.chunks_exact_mut(37).enumerate() {
            let mut random = stream(1, Purpose::Dropout, 1, picture as u64);
            for feature in features {
                let out = unit(&mut random) < 0.25;
                left_out += usize::from(out);
                *feature = if out { 0.0 } else { *feature * 4.0 / 3.0 };
            }
        }
        assert!((left_out as f64 / thinned.len() as f64 - 0.25).abs() < 0.02, "{left_out}");
        let (expected, expected_gradients) = plainly(&thinned, &parameters, &labels);
        let (loss, gradients) = run(1);
        assert!((loss / expected - 1.0).abs() < 1e-6, "{loss} and {expected}");
        for (ours, expected) in gradients.iter().zip(expected_gradients) {
            assert!((f64::from(*ours) - expected).abs() < 1e-6, "{ours} and {expected}");
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() {
        let (head, features, parameters, labels) = case(50);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut gradients = vec![0.0; parameters.len()];
            pool.install(|| {
                head.step(features.clone(), (&labels).into(), &parameters, (1, 1), &mut gradients)
            });
            gradients
        };
        assert!(run(1) == run(2) && run(1) == run(5));
    }
}
