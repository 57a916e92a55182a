//! Adam (Kingma and Ba 2014, algorithm 1) and AdamW (Loshchilov and Hutter 2017, algorithm 2) as PyTorch writes them:
//! eps outside the root, both moments bias-corrected.

use super::chunk::Chunk;

/// The numbers of one step.
pub(super) struct Step {
    keep1: f32,
    new1: f32,
    keep2: f32,
    new2: f32,
    step_size: f32,
    root2: f32,
    eps: f32,
}

impl Step {
    /// Number `steps`, from 1.
    pub fn new([beta1, beta2]: [f64; 2], eps: f64, learning_rate: f64, steps: u64) -> Self {
        let (correction1, correction2) = (1.0 - beta1.powf(steps as f64), 1.0 - beta2.powf(steps as f64));
        Self {
            keep1: beta1 as f32,
            new1: (1.0 - beta1) as f32,
            keep2: beta2 as f32,
            new2: (1.0 - beta2) as f32,
            step_size: (learning_rate / correction1) as f32,
            root2: correction2.sqrt() as f32,
            eps: eps as f32,
        }
    }

    /// With `decay` of the weight in its gradient (Adam's), and `shrinkage` of it taken off itself (AdamW's).
    pub fn apply(&self, chunk: Chunk<'_>, decay: f64, shrinkage: f64) {
        let Self { keep1, new1, keep2, new2, step_size, root2, eps } = *self;
        let (pull, keep) = (chunk.pull(decay), (1.0 - chunk.decay(shrinkage)) as f32);
        let moments = chunk.first.iter_mut().zip(chunk.second);
        for ((parameter, g), (first, second)) in chunk.parameters.iter_mut().zip(chunk.gradients).zip(moments)
        {
            let g = pull(*g, *parameter);
            *first = keep1 * *first + new1 * g;
            *second = keep2 * *second + new2 * g * g;
            *parameter = keep * *parameter - step_size * *first / (second.sqrt() / root2 + eps);
        }
    }
}
