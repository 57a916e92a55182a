//! Softmax cross-entropy: the mean over the batch, as in PyTorch, in float64 within.

use rayon::prelude::*;

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
///
/// Many logits are divided among the threads of the current pool, by pictures. A picture's sums are its own, and those of the
/// pictures are added in order: the bits don't depend on the threads.
pub fn cross_entropy<'a>(
    logits: &[f32],
    stride: usize,
    classes: usize,
    targets: impl Into<Targets<'a>>,
    mut gradient: Option<&mut [f32]>,
) -> Loss {
    let targets = targets.into();
    let count = targets.labels.len();
    let softmax = Softmax::new(classes, targets);
    let logits = |row: usize| &logits[row * stride..][..classes];
    let mut loss = Loss { sum: 0.0, correct: 0 };
    let mut add = |picture: Loss| {
        loss.sum += picture.sum;
        loss.correct += picture.correct;
    };
    let scratch = || vec![0.0; classes];
    let together = (SMALL_TASK / classes).max(1);
    if count < 2 * together {
        let mut exponentials = scratch();
        for row in 0..count {
            let gradient = gradient.as_deref_mut().map(|gradient| &mut gradient[row * stride..][..stride]);
            add(softmax.picture(row, logits(row), &mut exponentials, gradient));
        }
    } else {
        let gradients: Vec<_> = match gradient {
            Some(gradient) => gradient[..count * stride].chunks_exact_mut(stride).map(Some).collect(),
            None => (0..count).map(|_| None).collect(),
        };
        let pictures = gradients.into_par_iter().enumerate().with_min_len(together);
        let losses = pictures.map_init(scratch, |exponentials, (row, gradient)| {
            softmax.picture(row, logits(row), exponentials, gradient)
        });
        losses.collect::<Vec<_>>().into_iter().for_each(add);
    }
    // So that divided by the number of pictures it is the mean.
    loss.sum *= count as f64 / softmax.divisor;
    loss
}

/// Logits that one thread takes at least: some 25 microseconds, where waking it takes 10.
const SMALL_TASK: usize = 4096;

/// What the pictures of a batch have in common.
struct Softmax<'a> {
    targets: Targets<'a>,
    divisor: f64,
    /// A class's share of what is spread evenly.
    even: f64,
    /// Sum of all classes' weights, where something is spread over them.
    weights: f64,
}

impl<'a> Softmax<'a> {
    fn new(classes: usize, targets: Targets<'a>) -> Self {
        let smoothed = if targets.smoothing > 0.0 { classes } else { 0 };
        Self {
            targets,
            divisor: targets.divisor(),
            even: targets.smoothing / classes as f64,
            weights: (0..smoothed).map(|class| targets.weight(class)).sum(),
        }
    }

    /// The loss of picture `row`, as it counts, and its share of the gradient; `exponentials` is scratch.
    fn picture(
        &self,
        row: usize,
        logits: &[f32],
        exponentials: &mut [f64],
        gradient: Option<&mut [f32]>,
    ) -> Loss {
        let classes = self.targets.classes(row);
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
        let (whole, expected) = self.target(logits, classes);
        if let Some(gradient) = gradient {
            self.gradient(classes, exponentials, (whole, sum), gradient);
        }
        Loss { sum: whole * (sum.ln() + largest) - expected, correct: usize::from(best == classes.0) }
    }

    /// A picture's share of the gradient; `exponentials` have this sum.
    fn gradient(
        &self,
        (label, second, share): (usize, usize, f64),
        exponentials: &[f64],
        (whole, sum): (f64, f64),
        gradient: &mut [f32],
    ) {
        let Self { targets, divisor, even, .. } = *self;
        gradient[exponentials.len()..].fill(0.0);
        let of = |class: usize, share: f64, is: usize| if class == is { share } else { 0.0 };
        for (class, (to, exponential)) in gradient.iter_mut().zip(exponentials).enumerate() {
            let target = of(class, share, label) + of(class, 1.0 - share, second);
            let target = targets.weight(class) * ((1.0 - targets.smoothing) * target + even);
            *to = ((whole * exponential / sum - target) / divisor) as f32;
        }
    }

    /// The sum of a target's shares, weighted, and that of their products with the logits.
    fn target(&self, logits: &[f32], (label, second, share): (usize, usize, f64)) -> (f64, f64) {
        let Targets { smoothing, weights, .. } = self.targets;
        let weight = |class: usize| self.targets.weight(class);
        // What is not in the target has no part in the sum: not even as zero times an infinite logit.
        let mut whole = weight(label);
        let mut expected = whole * f64::from(logits[label]);
        if share < 1.0 {
            let weight = weight(second);
            expected = share * expected + (1.0 - share) * weight * f64::from(logits[second]);
            whole = share * whole + (1.0 - share) * weight;
        }
        if smoothing > 0.0 {
            let weighted = |(class, logit): (usize, &f32)| weight(class) * f64::from(*logit);
            let all: f64 = logits.iter().enumerate().map(weighted).sum();
            expected = (1.0 - smoothing) * expected + self.even * all;
            whole = (1.0 - smoothing) * whole + self.even * self.weights;
        }
        // Rounding must not make a sum of shares other than 1.
        if weights.is_none() { (1.0, expected) } else { (whole, expected) }
    }
}

#[cfg(test)]
mod tests;
