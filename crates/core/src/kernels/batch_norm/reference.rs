//! Batch norm with activation as the paper says it, in float64, on `[rows, channels]`.

use super::Curve;

/// What batch norm makes of a map, channel by channel.
pub struct Normalized {
    pub output: Vec<f64>,
    pub mean: Vec<f64>,
    /// Biased.
    pub variance: Vec<f64>,
}

pub const EPS: f64 = 1e-5;

pub fn forward(y: &[f64], channels: usize, weight: &[f64], bias: &[f64], curve: Curve) -> Normalized {
    let rows = (y.len() / channels) as f64;
    let mean: Vec<f64> =
        (0..channels).map(|channel| y.iter().skip(channel).step_by(channels).sum::<f64>() / rows).collect();
    let variance: Vec<f64> = (0..channels)
        .map(|channel| {
            y.iter().skip(channel).step_by(channels).map(|y| (y - mean[channel]).powi(2)).sum::<f64>() / rows
        })
        .collect();
    let value = |(index, y): (usize, &f64)| {
        let channel = index % channels;
        let n = weight[channel] * (y - mean[channel]) / (variance[channel] + EPS).sqrt() + bias[channel];
        match curve {
            Curve::Cut { low, high } => n.clamp(f64::from(low), f64::from(high)),
            Curve::HardSwish => n * (n + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    };
    let output = y.iter().enumerate().map(value).collect();
    Normalized { output, mean, variance }
}
