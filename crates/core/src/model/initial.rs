//! How a new network starts: as PyTorch's modules do, uniform within plus or minus 1 / sqrt(fan-in).

use super::network::Network;
use super::tensors::{NamedTensor, Role, specs};
use crate::rng::{Purpose, stream, unit};

/// All tensors of a new network, from `seed`.
pub fn tensors(network: &Network, seed: u64) -> Vec<NamedTensor> {
    let tensor = |(index, spec): (usize, super::tensors::TensorSpec)| {
        let uniform = |fan_in: usize| {
            let mut random = stream(seed, Purpose::Weights, index as u64, 0);
            let bound = 1.0 / (fan_in as f64).sqrt();
            (0..spec.count()).map(|_| ((2.0 * unit(&mut random) - 1.0) * bound) as f32).collect()
        };
        let values = match spec.role {
            Role::Weight(_) => uniform(spec.shape[1..].iter().product()),
            Role::Bias { fan_in } => uniform(fan_in),
            Role::NormWeight | Role::RunningVar => vec![1.0; spec.count()],
            Role::NormBias | Role::RunningMean => vec![0.0; spec.count()],
        };
        NamedTensor { name: spec.name, shape: spec.shape, values }
    };
    specs(network).into_iter().enumerate().map(tensor).collect()
}
