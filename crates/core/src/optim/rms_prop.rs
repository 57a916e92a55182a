//! RMSprop (Tieleman and Hinton 2012, lecture 6e), not centered, in two forms that differ in where eps stands, in the
//! first square, and in whether the momentum holds learning rates: PyTorch's, and TensorFlow's, with which MobileNet V2
//! and V3 were trained, as timm's `RMSpropTF` writes it.

use super::chunk::Chunk;

/// The numbers of one step.
pub(super) struct Step {
    keep: f32,
    new: f32,
    momentum: f32,
    eps: f32,
    rate: f32,
    decay: f64,
}

impl Step {
    pub fn new(alpha: f64, momentum: f64, eps: f64, learning_rate: f64, decay: f64) -> Self {
        Self {
            keep: alpha as f32,
            new: (1.0 - alpha) as f32,
            momentum: momentum as f32,
            eps: eps as f32,
            rate: learning_rate as f32,
            decay,
        }
    }

    /// PyTorch's.
    pub fn apply(&self, chunk: Chunk<'_>) {
        let Self { keep, new, momentum, eps, rate, .. } = *self;
        let pull = chunk.pull(self.decay);
        let direction = |parameter: f32, g: f32, square: &mut f32| {
            let g = pull(g, parameter);
            *square = keep * *square + new * g * g;
            g / (square.sqrt() + eps)
        };
        let parameters = chunk.parameters.iter_mut().zip(chunk.gradients).zip(chunk.first);
        if momentum == 0.0 {
            for ((parameter, g), square) in parameters {
                *parameter -= rate * direction(*parameter, *g, square);
            }
            return;
        }
        for (((parameter, g), square), velocity) in parameters.zip(chunk.second) {
            *velocity = momentum * *velocity + direction(*parameter, *g, square);
            *parameter -= rate * *velocity;
        }
    }

    /// TensorFlow's.
    pub fn apply_as_tensorflow(&self, chunk: Chunk<'_>) {
        let Self { new, momentum, eps, rate, .. } = *self;
        let pull = chunk.pull(self.decay);
        let step = |parameter: f32, g: f32, square: &mut f32| {
            let g = pull(g, parameter);
            *square += new * (g * g - *square);
            rate * g / (*square + eps).sqrt()
        };
        let parameters = chunk.parameters.iter_mut().zip(chunk.gradients).zip(chunk.first);
        if momentum == 0.0 {
            for ((parameter, g), square) in parameters {
                *parameter -= step(*parameter, *g, square);
            }
            return;
        }
        for (((parameter, g), square), velocity) in parameters.zip(chunk.second) {
            *velocity = momentum * *velocity + step(*parameter, *g, square);
            *parameter -= *velocity;
        }
    }
}
