//! How a new network starts: as PyTorch's modules do, or as torchvision's networks do.

use super::network::{Initialization, Network, Operation};
use super::tensors::{NamedTensor, Role, TensorSpec, specs};
use crate::rng::{Purpose, normal, stream, unit};

/// Standard deviation of a linear layer's weights in torchvision.
const LINEAR_DEVIATION: f64 = 0.01;

/// All tensors of a new network, from `seed`.
pub fn tensors(network: &Network, seed: u64) -> Vec<NamedTensor> {
    let tensor = |(index, spec): (usize, TensorSpec)| {
        let mut random = stream(seed, Purpose::Weights, index as u64, 0);
        let mut draw = |one: &mut dyn FnMut(&mut _) -> f64| -> Vec<f32> {
            (0..spec.count()).map(|_| one(&mut random) as f32).collect()
        };
        let uniform = |fan_in: usize| {
            let bound = 1.0 / (fan_in as f64).sqrt();
            move |random: &mut _| (2.0 * unit(random) - 1.0) * bound
        };
        let deviation = |operation: Operation| match operation {
            Operation::Linear => LINEAR_DEVIATION,
            // Fan-out as PyTorch computes it: outputs times taps, for a depthwise convolution, too.
            _ => (2.0 / (spec.shape[0] * spec.shape[2..].iter().product::<usize>()) as f64).sqrt(),
        };
        let values = match (spec.role, network.initialization) {
            (Role::Weight(_), Initialization::Uniform) => {
                draw(&mut uniform(spec.shape[1..].iter().product()))
            }
            (Role::Bias { fan_in }, Initialization::Uniform) => draw(&mut uniform(fan_in)),
            (Role::Weight(operation), Initialization::Normal) => {
                let deviation = deviation(operation);
                draw(&mut |random| normal(random) * deviation)
            }
            (Role::NormWeight | Role::RunningVar, _) => vec![1.0; spec.count()],
            (Role::Bias { .. } | Role::NormBias | Role::RunningMean, _) => vec![0.0; spec.count()],
        };
        NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), values }
    };
    specs(network).into_iter().enumerate().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::tensors;
    use crate::config::{ModelOptions, Variant};
    use crate::model::network;

    #[test]
    fn torchvisions_networks_start_with_its_deviations() {
        let options = ModelOptions { variant: Some(Variant::V3Small), ..Default::default() };
        let tensors = tensors(&network(&options.resolve().unwrap()), 1);
        let deviation = |name: &str| {
            let values = &tensors.iter().find(|tensor| tensor.name == name).unwrap().values;
            (values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        // nn.init.kaiming_normal_(weight, mode="fan_out") of [576, 1, 5, 5] and [576, 96, 1, 1]; normal_(0, 0.01).
        for (name, expected) in [
            ("features.11.block.1.0.weight", (2.0f64 / (576.0 * 25.0)).sqrt()),
            ("features.12.0.weight", (2.0f64 / 576.0).sqrt()),
            ("classifier.0.weight", 0.01),
        ] {
            let ratio = deviation(name) / expected;
            assert!((0.98..1.02).contains(&ratio), "{name}: {ratio} of what it should be");
        }
        assert_eq!(deviation("features.11.block.2.fc1.bias"), 0.0);
    }
}
