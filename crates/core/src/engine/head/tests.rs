use super::Head;
use crate::kernels::simd::Isa;
use crate::kernels::testing::on_every_isa;
use crate::rng::{Purpose, stream, unit};

/// A classifier, and pictures to train it on.
struct Case {
    head: Head,
    features: Vec<f32>,
    parameters: Vec<f32>,
    labels: Vec<u32>,
}

/// Features and classes that both have padding, all within one tile, and pictures of several blocks whose product has several
/// tiles each way and goes deeper than one walk.
const SIZES: [[usize; 3]; 2] = [[20, 37, 5], [230, 300, 70]];

fn case(isa: Isa, [pictures, features, classes]: [usize; 3], dropout: f64) -> Case {
    let head = Head::new(features, classes, dropout, isa);
    let mut random = stream(1, Purpose::Benchmark, 0, 0);
    let mut draw = |count: usize| (0..count).map(|_| unit(&mut random) as f32 - 0.5).collect::<Vec<_>>();
    let (values, mut parameters) = (draw(pictures * features), draw(head.parameter_floats()));
    // Padding holds zeros.
    let (weight, bias) =
        parameters.split_at_mut(classes.next_multiple_of(16) * features.next_multiple_of(16));
    for (row, values) in weight.chunks_exact_mut(features.next_multiple_of(16)).enumerate() {
        values[if row < classes { features } else { 0 }..].fill(0.0);
    }
    bias[classes..].fill(0.0);
    let labels = (0..pictures).map(|picture| (picture * 3 % classes) as u32).collect();
    Case { head, features: values, parameters, labels }
}

impl Case {
    fn step(&mut self, step: u64) -> (f64, Vec<f32>) {
        let mut gradients = vec![f32::NAN; self.parameters.len()];
        let (features, targets) = (self.features.clone(), (&self.labels).into());
        let loss = self.head.step(features, targets, &self.parameters, (1, step), &mut gradients);
        (loss.sum, gradients)
    }

    /// The same in float64, in plain loops: the logits, the loss, and its gradient.
    fn plainly(&self) -> (Vec<f64>, f64, Vec<f64>) {
        let Head { features: width, classes, .. } = self.head;
        let stride = width.next_multiple_of(16);
        let biases = classes.next_multiple_of(16) * stride;
        let mut gradients = vec![0.0; self.parameters.len()];
        let (mut all, mut loss) = (Vec::new(), 0.0);
        for (features, label) in self.features.chunks_exact(width).zip(&self.labels) {
            let logit = |class: usize| {
                let row = &self.parameters[class * stride..];
                let products = features.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum::<f64>() + f64::from(self.parameters[biases + class])
            };
            let logits: Vec<f64> = (0..classes).map(logit).collect();
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            loss += sum.ln() - logits[*label as usize];
            for (class, logit) in logits.iter().enumerate() {
                let target = f64::from(u8::from(class == *label as usize));
                let slope = (logit.exp() / sum - target) / self.labels.len() as f64;
                gradients[biases + class] += slope;
                for (index, feature) in features.iter().enumerate() {
                    gradients[class * stride + index] += slope * f64::from(*feature);
                }
            }
            all.extend(logits);
        }
        (all, loss, gradients)
    }
}

fn assert_near(ours: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((f64::from(*ours) - expected).abs() < tolerance, "{ours} and {expected}");
    }
}

#[test]
fn logits_loss_and_gradient_are_those_of_plain_loops() {
    on_every_isa(|isa| {
        for size in SIZES {
            let mut case = case(isa, size, 0.0);
            let (logits, loss, gradients) = case.plainly();
            assert_near(&case.head.logits(&case.features, &case.parameters), &logits, 4e-6);
            // What the first step leaves in the buffers is not in the second.
            for step in 1..3 {
                let (ours, our_gradients) = case.step(step);
                assert!((ours / loss - 1.0).abs() < 1e-6, "{ours} and {loss}");
                assert_near(&our_gradients, &gradients, 1e-7);
            }
        }
    });
}

#[test]
fn logits_of_many_pictures_are_those_of_each() {
    let mut case = case(Isa::best(), [2 * super::TOGETHER + 3, 37, 5], 0.0);
    let logits = case.head.logits(&case.features, &case.parameters);
    for (logits, features) in logits.chunks_exact(5).zip(case.features.chunks_exact(37)) {
        assert!(case.head.logits(features, &case.parameters) == logits);
    }
}

#[test]
fn a_smaller_batch_is_not_mixed_with_the_one_before() {
    let (mut large, mut small) = (case(Isa::best(), [230, 37, 5], 0.0), case(Isa::best(), [20, 37, 5], 0.0));
    let alone = small.step(1);
    large.step(1);
    std::mem::swap(&mut large.head, &mut small.head);
    assert!(small.step(1) == alone);
}

#[test]
fn dropout_leaves_its_share_out_and_keeps_the_mean() {
    let mut case = case(Isa::best(), [400, 37, 5], 0.25);
    assert!(case.step(1) == case.step(1) && case.step(1) != case.step(2));
    let (_, whole, _) = case.plainly();
    let (loss, gradients) = case.step(1);
    assert!((loss / whole - 1.0).abs() < 0.05);

    // The loss hardly tells whether the mean is kept: so all of it, with what is left out drawn here.
    let mut left_out = 0;
    for (picture, features) in case.features.chunks_exact_mut(37).enumerate() {
        let mut random = stream(1, Purpose::Dropout, 1, picture as u64);
        for feature in features {
            let out = unit(&mut random) < 0.25;
            left_out += usize::from(out);
            *feature = if out { 0.0 } else { *feature * 4.0 / 3.0 };
        }
    }
    let share = left_out as f64 / case.features.len() as f64;
    assert!((share - 0.25).abs() < 0.02, "{left_out}");
    let (_, expected, expected_gradients) = case.plainly();
    assert!((loss / expected - 1.0).abs() < 1e-6, "{loss} and {expected}");
    assert_near(&gradients, &expected_gradients, 1e-6);
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    for [pictures, features, classes] in SIZES {
        let run = |threads| {
            let mut case = case(Isa::best(), [pictures, features, classes], 0.25);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (case.head.logits(&case.features, &case.parameters), case.step(1)))
        };
        let one = run(1);
        for threads in [2, 3, 5, 16] {
            assert!(run(threads) == one, "{pictures} pictures: {threads} threads differ from one");
        }
    }
}
