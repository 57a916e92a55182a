//! Softmax cross-entropy: the mean over the batch, as in PyTorch, in float64 within.

/// What the loss of a batch gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Sum of the pictures' losses: the mean loss, times their number.
    pub sum: f64,
    /// How many logits were largest at the right class (the first of equal ones counts). Of a mixture that is the class
    /// with the larger share, of equal shares the first.
    pub correct: usize,
}

/// The second pictures of a batch in which each picture is a mixture of two.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Their labels, `[n]`.
    pub labels: Vec<u32>,
    /// Share of the first picture, from 0 to 1; the second has the rest.
    pub share: f64,
}

/// What the logits of a batch are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// `[n]`.
    pub labels: &'a [u32],
    /// What else is in the pictures, if they are mixtures.
    pub mixture: Option<&'a Mixture>,
    /// Share of a target that is spread evenly over all classes (Szegedy et al. 2016, section 7): `label_smoothing` of
    /// PyTorch's `CrossEntropyLoss`.
    pub smoothing: f64,
    /// What each class counts, `[classes]`: `weight` of PyTorch's `CrossEntropyLoss`. The mean is divided by the sum of the
    /// pictures' weights; of mixtures, as in PyTorch, by their number.
    pub weights: Option<&'a [f64]>,
}

impl<'a> From<&'a [u32]> for Targets<'a> {
    fn from(labels: &'a [u32]) -> Self {
        Self { labels, mixture: None, smoothing: 0.0, weights: None }
    }
}

impl<'a> From<&'a Vec<u32>> for Targets<'a> {
    fn from(labels: &'a Vec<u32>) -> Self {
        Self::from(labels.as_slice())
    }
}

impl<'a, const N: usize> From<&'a [u32; N]> for Targets<'a> {
    fn from(labels: &'a [u32; N]) -> Self {
        Self::from(labels.as_slice())
    }
}

impl Targets<'_> {
    /// Both classes of picture `row`, the one with the larger share first, and that share.
    fn classes(&self, row: usize) -> (usize, usize, f64) {
        let label = self.labels[row] as usize;
        match self.mixture {
            None => (label, label, 1.0),
            Some(Mixture { labels, share }) if *share < 0.5 => (labels[row] as usize, label, 1.0 - share),
            Some(Mixture { labels, share }) => (label, labels[row] as usize, *share),
        }
    }

    fn weight(&self, class: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[class])
    }

    /// What the sum over the batch is divided by.
    pub fn divisor(&self) -> f64 {
        match (self.weights, self.mixture) {
            (Some(weights), None) => self.labels.iter().map(|label| weights[*label as usize]).sum(),
            _ => self.labels.len() as f64,
        }
    }
}

/// Loss of `logits` (rows `stride` floats apart, `classes` of them used) against `targets`. Where `gradient` is given
/// (as `logits` lies) it is set to the gradient of the mean; the surplus columns are set to 0.
pub fn cross_entropy<'a>(
    logits: &[f32],
    stride: usize,
    classes: usize,
    targets: impl Into<Targets<'a>>,
    mut gradient: Option<&mut [f32]>,
) -> Loss {
    let targets = targets.into();
    let (count, even) = (targets.labels.len(), targets.smoothing / classes as f64);
    let divisor = targets.divisor();
    let mut loss = Loss { sum: 0.0, correct: 0 };
    let mut exponentials = vec![0.0f64; classes];
    for row in 0..count {
        let logits = &logits[row * stride..][..classes];
        let (label, second, share) = targets.classes(row);
        let mut best = 0;
        for (class, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = class;
            }
        }
        let largest = f64::from(logits[best]);
        for (to, logit) in exponentials.iter_mut().zip(logits) {
            *to = (f64::from(*logit) - largest).exp();
        }
        let sum: f64 = exponentials.iter().sum();
        // What is not in the target has no part in the sum: not even as zero times an infinite logit.
        let mut whole = targets.weight(label);
        let mut expected = whole * f64::from(logits[label]);
        if share < 1.0 {
            let weight = targets.weight(second);
            expected = share * expected + (1.0 - share) * weight * f64::from(logits[second]);
            whole = share * whole + (1.0 - share) * weight;
        }
        if targets.smoothing > 0.0 {
            let weighted = |(class, logit): (usize, &f32)| targets.weight(class) * f64::from(*logit);
            let all: f64 = logits.iter().enumerate().map(weighted).sum();
            expected = (1.0 - targets.smoothing) * expected + even * all;
            let weights: f64 = (0..classes).map(|class| targets.weight(class)).sum();
            whole = (1.0 - targets.smoothing) * whole + even * weights;
        }
        if targets.weights.is_none() {
            // Rounding must not make a sum of shares other than 1.
            whole = 1.0;
        }
        loss.sum += whole * (sum.ln() + largest) - expected;
        loss.correct += usize::from(best == label);
        if let Some(gradient) = gradient.as_deref_mut() {
            let gradient = &mut gradient[row * stride..][..stride];
            gradient[classes..].fill(0.0);
            let of = |class: usize, share: f64, is: usize| if class == is { share } else { 0.0 };
            for (class, (to, exponential)) in gradient.iter_mut().zip(&exponentials).enumerate() {
                let target = of(class, share, label) + of(class, 1.0 - share, second);
                let target = targets.weight(class) * ((1.0 - targets.smoothing) * target + even);
                *to = ((whole * exponential / sum - target) / divisor) as f32;
            }
        }
    }
    // So that divided by the number of pictures it is the mean.
    loss.sum *= count as f64 / divisor;
    loss
}

#[cfg(test)]
mod tests {
    use super::{Mixture, Targets, cross_entropy};

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
        let read =
            |value: &serde_json::Value| serde_json::from_value::<Vec<Vec<f64>>>(value.clone()).unwrap();
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
}
