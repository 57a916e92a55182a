//! A network a line a layer, with its costs.

use super::network::{Layer, Network, Operation};
use super::tensors::specs;
use serde::Serialize;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerSummary {
    /// Its name in the state dict.
    pub name: String,
    /// What it computes, for people.
    pub kind: String,
    /// Channels, height and width of what comes out.
    pub output: [usize; 3],
    /// Trained values, those of its batch norm included.
    pub parameters: usize,
    /// Multiplications with an addition for one picture; batch norm, activation and pooling not counted.
    pub multiply_adds: usize,
}

/// All layers, in the order of the forward pass.
pub fn layers(network: &Network) -> Vec<LayerSummary> {
    let mut parameters = vec![0; network.layers.len()];
    for spec in specs(network).iter().filter(|spec| spec.role.is_parameter()) {
        parameters[spec.layer] += spec.count();
    }
    let summary = |(index, layer): (usize, &Layer)| {
        let stride = if layer.stride > 1 { format!(" /{}", layer.stride) } else { String::new() };
        let convolution = |kind: &str| format!("{kind} {0}x{0}{stride}", layer.kernel);
        let side = layer.output_side();
        LayerSummary {
            name: layer.name.clone(),
            kind: match layer.operation {
                Operation::Stem => convolution("convolution"),
                Operation::Depthwise => convolution("depthwise"),
                Operation::Pointwise => convolution("pointwise"),
                Operation::Linear => "linear".into(),
                Operation::Pool => "average pool".into(),
                Operation::Add { .. } => "shortcut".into(),
            },
            output: [layer.outputs, side, side],
            parameters: parameters[index],
            multiply_adds: layer.multiply_adds(),
        }
    };
    network.layers.iter().enumerate().map(summary).collect()
}
