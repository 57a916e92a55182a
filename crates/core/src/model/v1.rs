//! MobileNet V1 (Howard et al. 2017, arXiv 1704.04861), table 1, in three layouts. Names are timm's.

use super::build::Builder;
use super::network::{Initialization, Network};
use super::width::scaled;
use crate::config::{Activation, Layout, ModelConfig};

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
    let mut builder = Builder::new(config.resolution);

    let stride = if config.layout == Layout::Imagenet { 2 } else { 1 };
    let norm = if unpadded { None } else { Some("bn1") };
    builder.stem("conv_stem", norm, scaled(STEM, config.width), stride, padding, activation);
    for (stage, blocks) in STAGES.iter().enumerate() {
        for (block, &(outputs, stride)) in blocks.iter().enumerate() {
            let name = |part: &str| format!("blocks.{stage}.{block}.{part}");
            let stride = if unpadded { 1 } else { stride };
            builder.depthwise(&name("conv_dw"), &name("bn1"), 3, stride, padding, activation);
            builder.pointwise(&name("conv_pw"), &name("bn2"), scaled(outputs, config.width), activation);
        }
    }
    builder.pool("global_pool");
    builder.linear("classifier", config.classes, Activation::Identity);
    Network {
        layers: builder.finish(),
        resolution: config.resolution,
        batch_norm_eps: 1e-5,
        batch_norm_momentum: 0.1,
        dropout: config.dropout,
        initialization: Initialization::Uniform,
    }
}
