//! Batch normalisation with the activation behind it (Ioffe and Szegedy 2015, arXiv 1502.03167), never as a pass of
//! its own: whoever reads a map normalises and activates it on the way, by [`Affine`].
//!
//! Forward, a channel: `n = scale * y + shift`, `a = curve(n)`, with `scale = weight / sqrt(var + eps)` and
//! `shift = bias - scale * mean`. Backward, with `g` the gradient of `a` and `m` the curve's slope at `n`:
//! `bias' = sum(g m)`, `weight' = sum(g m (y - mean)) / std`, and `y' = scale g m + slope y + offset` ([`Gradient`]),
//! where slope and offset carry the two means that batch norm subtracts.

pub mod cpu;
mod curve;
pub mod factors;
#[cfg(test)]
mod reference;
pub mod sum;
#[cfg(test)]
mod tests;

use super::buffer::{Values, values};
use crate::config::Activation;
pub use curve::{Curve, CurveRegisters};
pub use factors::Factors;

/// What is done to a finished sum before it is stored, in inference: `curve(sum + bias)`. Batch norm's factor is in the
/// weights by then.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// A channel's summand.
    pub bias: &'a [f32],
    /// The activation.
    pub curve: Curve,
}

/// How a stored map is to be read: scaled, shifted, cut.
#[derive(Debug, Clone)]
pub struct Affine {
    /// A channel's factor.
    pub scale: Values,
    /// A channel's summand.
    pub shift: Values,
    /// A channel's mean in this batch; 0 where there is no batch norm.
    pub mean: Values,
    /// `1 / sqrt(var + eps)`, in float64.
    pub inverse_std: Vec<f64>,
    /// The activation.
    pub curve: Curve,
}

impl Affine {
    /// Reads a map as it is, but for the activation.
    pub fn of(channels: usize, activation: Activation) -> Self {
        let (curve, scale, shift) = Curve::of(activation);
        Self {
            scale: values(channels, scale),
            shift: values(channels, shift),
            ..Self::identity(channels, curve)
        }
    }

    /// Reads a map as it is, but for the curve.
    pub fn identity(channels: usize, curve: Curve) -> Self {
        Self {
            scale: values(channels, 1.0),
            shift: values(channels, 0.0),
            mean: values(channels, 0.0),
            inverse_std: vec![1.0; channels],
            curve,
        }
    }

    /// Sets the factors from a mean and a biased variance a channel.
    pub fn set(&mut self, mean: &[f64], variance: &[f64], weight: &[f32], bias: &[f32], eps: f64) {
        for channel in 0..self.scale.len() {
            let inverse_std = 1.0 / (variance[channel] + eps).sqrt();
            let scale = f64::from(weight[channel]) * inverse_std;
            self.scale[channel] = scale as f32;
            self.shift[channel] = (f64::from(bias[channel]) - scale * mean[channel]) as f32;
            self.mean[channel] = mean[channel] as f32;
            self.inverse_std[channel] = inverse_std;
        }
    }
}

/// Mean and biased variance a channel, from the sums of `y` and of `y * y` over `count` values.
pub fn moments(sum: &[f64], sum_of_squares: &[f64], count: usize) -> (Vec<f64>, Vec<f64>) {
    let count = count as f64;
    let mean: Vec<f64> = sum.iter().map(|sum| sum / count).collect();
    let variance = sum_of_squares
        .iter()
        .zip(&mean)
        .map(|(squares, mean)| (squares / count - mean * mean).max(0.0))
        .collect();
    (mean, variance)
}

/// Moves the running statistics as PyTorch does: by `momentum` of the way, towards the unbiased variance.
pub fn update_running(
    running_mean: &mut [f32],
    running_var: &mut [f32],
    mean: &[f64],
    variance: &[f64],
    count: usize,
    momentum: f64,
) {
    // A single value has no unbiased variance (PyTorch refuses it); its biased one, 0, stands in.
    let unbiased = count as f64 / (count as f64 - 1.0).max(1.0);
    let step = |running: &mut f32, new: f64| {
        *running = ((1.0 - momentum) * f64::from(*running) + momentum * new) as f32
    };
    for channel in 0..mean.len() {
        step(&mut running_mean[channel], mean[channel]);
        step(&mut running_var[channel], variance[channel] * unbiased);
    }
}

/// How the gradient of a stored map follows from the gradient of what was read from it: `scale g m + slope y + offset`.
#[derive(Debug, Clone)]
pub struct Gradient {
    /// A channel's factor of the map itself.
    pub slope: Values,
    /// A channel's summand.
    pub offset: Values,
}

impl Gradient {
    /// Room for `channels` channels; as it is, that of a map without batch norm.
    pub fn new(channels: usize) -> Self {
        Self { slope: values(channels, 0.0), offset: values(channels, 0.0) }
    }

    /// Sets the factors from the sums of `g m` and of `g m (y - mean)` over `count` values, and writes the gradients
    /// of batch norm's weight and bias.
    pub fn set(
        &mut self,
        affine: &Affine,
        sum: &[f64],
        sum_of_products: &[f64],
        count: usize,
        weight_gradient: &mut [f32],
        bias_gradient: &mut [f32],
    ) {
        let count = count as f64;
        for channel in 0..self.slope.len() {
            let inverse_std = affine.inverse_std[channel];
            let scale = f64::from(affine.scale[channel]);
            let slope = -scale * inverse_std * inverse_std * sum_of_products[channel] / count;
            self.slope[channel] = slope as f32;
            self.offset[channel] =
                (-scale * sum[channel] / count - slope * f64::from(affine.mean[channel])) as f32;
            weight_gradient[channel] = (inverse_std * sum_of_products[channel]) as f32;
            bias_gradient[channel] = sum[channel] as f32;
        }
    }
}
