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

#[cfg(test)]
mod tests {
    use super::cross_entropy;

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
