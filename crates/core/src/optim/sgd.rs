//! Stochastic gradient descent as PyTorch writes it: the learning rate multiplies the momentum, not what goes into it;
//! Nesterov's momentum as in Sutskever et al. 2013. No dampening.

use super::chunk::Chunk;

/// Without momentum.
pub(super) fn apply(chunk: Chunk<'_>, learning_rate: f64, decay: f64) {
    let (rate, pull) = (learning_rate as f32, chunk.pull(decay));
    for (parameter, g) in chunk.parameters.iter_mut().zip(chunk.gradients) {
        *parameter -= rate * pull(*g, *parameter);
    }
}

/// With momentum.
pub(super) fn apply_momentum(
    chunk: Chunk<'_>,
    learning_rate: f64,
    decay: f64,
    momentum: f32,
    nesterov: bool,
) {
    let (rate, pull) = (learning_rate as f32, chunk.pull(decay));
    for ((parameter, g), velocity) in chunk.parameters.iter_mut().zip(chunk.gradients).zip(chunk.first) {
        let g = pull(*g, *parameter);
        *velocity = momentum * *velocity + g;
        let along = if nesterov { g + momentum * *velocity } else { *velocity };
        *parameter -= rate * along;
    }
}
