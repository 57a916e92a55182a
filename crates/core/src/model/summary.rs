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

#[cfg(test)]
mod tests {
    use crate::config::{Layout, ModelOptions};

    #[test]
    fn multiply_adds_are_the_papers() {
        // Table 6 and 7 of the paper, in millions, which leave out the classifier's rounding.
        for (width, resolution, millions) in [
            (1.0, 224, 569),
            (0.75, 224, 325),
            (0.5, 224, 149),
            (0.25, 224, 41),
            (1.0, 192, 418),
            (1.0, 160, 290),
            (1.0, 128, 186),
        ] {
            let options = ModelOptions {
                layout: Some(Layout::Imagenet),
                width: Some(width),
                resolution: Some(resolution),
                ..Default::default()
            };
            let network = crate::model::network(&options.resolve().unwrap());
            let total: usize = super::layers(&network).iter().map(|layer| layer.multiply_adds).sum();
            assert!(total.abs_diff(millions * 1_000_000) < 1_000_000, "{width} {resolution}: {total}");
        }
    }
}
