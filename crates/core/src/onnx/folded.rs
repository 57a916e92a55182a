//! Batch norm in weights and biases.

use crate::error::{Error, Result};
use crate::model::network::Network;
use crate::model::tensors::NamedTensor;
use std::collections::HashMap;

/// A network without batch norm, and its state dict in the order of [`specs`](crate::model::tensors::specs): a weight and a
/// bias for each layer that has any.
#[derive(Debug)]
pub(super) struct FoldedNetwork {
    pub network: Network,
    pub tensors: Vec<NamedTensor>,
}

impl FoldedNetwork {
    /// A layer's weight and bias.
    pub fn tensors_of(&self, layer: usize) -> Result<&[NamedTensor; 2]> {
        let weighted = self.network.layers[..layer].iter().filter(|layer| layer.has_weight()).count();
        let pair = self.tensors.as_chunks::<2>().0.get(weighted);
        pair.filter(|_| self.network.layers[layer].has_weight())
            .ok_or_else(|| Error::internal(format!("layer {layer} has no weight")))
    }
}

/// Folds in float64, and rounds once.
pub(super) fn fold(network: &Network, tensors: &[NamedTensor]) -> Result<FoldedNetwork> {
    let by_name: HashMap<&str, &NamedTensor> = tensors.iter().map(|tensor| (&*tensor.name, tensor)).collect();
    let read = |name: String| {
        let found = by_name.get(&*name).copied();
        found.ok_or_else(|| Error::internal(format!("the network has no tensor {name}")))
    };
    let mut folded = Vec::new();
    for layer in network.layers.iter().filter(|layer| layer.has_weight()) {
        let weight = read(format!("{}.weight", layer.name))?;
        let per_output = weight.values.len() / layer.outputs;
        let (values, bias) = match &layer.norm {
            None => (weight.values.clone(), read(format!("{}.bias", layer.name))?.values.clone()),
            Some(norm) => {
                let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
                    .map(|part| read(format!("{norm}.{part}")).map(|tensor| &tensor.values));
                let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
                let scale = |output: usize| {
                    f64::from(gamma[output]) / (f64::from(variance[output]) + network.batch_norm_eps).sqrt()
                };
                let values = weight.values.iter().enumerate();
                let folded = |(i, value): (usize, &f32)| (f64::from(*value) * scale(i / per_output)) as f32;
                let bias = |output: usize| {
                    (f64::from(beta[output]) - f64::from(mean[output]) * scale(output)) as f32
                };
                (values.map(folded).collect(), (0..layer.outputs).map(bias).collect())
            }
        };
        let tensor = |part: &str, shape: Vec<usize>, values| NamedTensor {
            name: format!("{}.{part}", layer.name),
            shape,
            values,
        };
        folded.push(tensor("weight", weight.shape.clone(), values));
        folded.push(tensor("bias", vec![layer.outputs], bias));
    }
    let mut network = network.clone();
    network.layers.iter_mut().for_each(|layer| layer.norm = None);
    Ok(FoldedNetwork { network, tensors: folded })
}
