//! MobileNet V1 (Howard et al. 2017, arXiv 1704.04861), table 1, in three layouts. Names are timm's.

use super::network::{Layer, Network, Operation};
use super::width::scaled;
use crate::config::{Layout, ModelConfig};

/// Channels of the stem.
const STEM: usize = 32;

/// Table 1: the depthwise separable blocks, by stage; of each its outputs and its stride.
const STAGES: [&[(usize, usize)]; 5] = [
    &[(64, 1)],
    &[(128, 2), (128, 1)],
    &[(256, 2), (256, 1)],
    &[(512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)],
    // The paper prints stride 2 for the last block, too; its own output sizes say 1.
    &[(1024, 2), (1024, 1)],
];

/// The network of a configuration.
pub fn network(config: &ModelConfig) -> Network {
    let unpadded = config.layout == Layout::Unpadded;
    let padding = if unpadded { 0 } else { 1 };
    let activation = config.activation;
    let mut channels = scaled(STEM, config.width);
    let mut layers = vec![Layer {
        operation: Operation::Stem,
        name: "conv_stem".into(),
        norm: (!unpadded).then(|| "bn1".into()),
        inputs: 3,
        outputs: channels,
        kernel: 3,
        stride: if config.layout == Layout::Imagenet { 2 } else { 1 },
        padding,
        activation,
        input_side: config.resolution,
    }];
    let mut side = layers[0].output_side();
    for (stage, blocks) in STAGES.iter().enumerate() {
        for (block, &(outputs, stride)) in blocks.iter().enumerate() {
            let name = format!("blocks.{stage}.{block}");
            let outputs = scaled(outputs, config.width);
            let depthwise = Layer {
                operation: Operation::Depthwise,
                name: format!("{name}.conv_dw"),
                norm: Some(format!("{name}.bn1")),
                inputs: channels,
                outputs: channels,
                kernel: 3,
                stride: if unpadded { 1 } else { stride },
                padding,
                activation,
                input_side: side,
            };
            side = depthwise.output_side();
            let pointwise = Layer {
                operation: Operation::Pointwise,
                name: format!("{name}.conv_pw"),
                norm: Some(format!("{name}.bn2")),
                inputs: channels,
                outputs,
                kernel: 1,
                stride: 1,
                padding: 0,
                activation,
                input_side: side,
            };
            channels = outputs;
            layers.extend([depthwise, pointwise]);
        }
    }
    Network {
        layers,
        classifier: "classifier".into(),
        classes: config.classes,
        resolution: config.resolution,
        batch_norm_eps: 1e-5,
        batch_norm_momentum: 0.1,
    }
}
