//! Softmax cross-entropy: the mean over the batch, as in PyTorch, in float64 within.

/// What the loss of a batch gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Sum of the pictures' losses.
    pub sum: f64,
    /// How many logits were largest at the right class (the first of equal ones counts).
    pub correct: usize,
}

/// Loss of `logits` (rows `stride` floats apart, `classes` of them used) against `labels`. Where `gradient` is given
/// (as `logits` lies) it is set to the gradient of the mean; the surplus columns are set to 0.
pub fn cross_entropy(
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u32],
    mut gradient: Option<&mut [f32]>,
) -> Loss {
    let mut loss = Loss { sum: 0.0, correct: 0 };
    let mut exponentials = vec![0.0f64; classes];
    for (row, &label) in labels.iter().enumerate() {
        let logits = &logits[row * stride..][..classes];
        let label = label as usize;
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
        loss.sum += sum.ln() + largest - f64::from(logits[label]);
        loss.correct += usize::from(best == label);
        if let Some(gradient) = gradient.as_deref_mut() {
            let gradient = &mut gradient[row * stride..][..stride];
            gradient[classes..].fill(0.0);
            for (class, (to, exponential)) in gradient.iter_mut().zip(&exponentials).enumerate() {
                let target = f64::from(u8::from(class == label));
                *to = ((exponential / sum - target) / labels.len() as f64) as f32;
            }
        }
    }
    loss
}
