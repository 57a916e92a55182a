//! MobileNet V2 (Sandler et al. 2018, arXiv 1801.04381), table 2, in two layouts. Names are torchvision's.

use super::build::Builder;
use super::network::{Initialization, Network};
use super::width::scaled;
use crate::config::Activation::{Identity, Relu6};
use crate::config::{Layout, ModelConfig};

/// Channels of the stem.
const STEM: usize = 32;
/// Channels of the last convolution; not made fewer by a width below 1 (section 3.4, end).
const HEAD: usize = 1280;

/// One line of table 2: `repeats` inverted residuals, the first of them with the stride.
struct Stage {
    /// Expansion factor t.
    expansion: usize,
    /// Output channels c.
    outputs: usize,
    /// Repetitions n.
    repeats: usize,
    /// Stride s.
    stride: usize,
}

const fn stage(expansion: usize, outputs: usize, repeats: usize, stride: usize) -> Stage {
    Stage { expansion, outputs, repeats, stride }
}

/// Table 2: t, c, n, s.
const STAGES: [Stage; 7] = [
    stage(1, 16, 1, 1),
    stage(6, 24, 2, 2),
    stage(6, 32, 3, 2),
    stage(6, 64, 4, 2),
    stage(6, 96, 3, 1),
    stage(6, 160, 3, 2),
    stage(6, 320, 1, 1),
];

/// The stage that keeps its pixels in layout `cifar`, as the stem does.
const UNSTRIDED_STAGE: usize = 1;

/// The network of a configuration.
pub fn network(config: &ModelConfig) -> Network {
    let cifar = config.layout == Layout::Cifar;
    let mut builder = Builder::new(config.resolution);
    let stem_stride = if cifar { 1 } else { 2 };
    builder.stem("features.0.0", Some("features.0.1"), scaled(STEM, config.width), stem_stride, 1, Relu6);
    let mut block = 0;
    for (index, stage) in STAGES.iter().enumerate() {
        for repeat in 0..stage.repeats {
            block += 1;
            let papers_stride = if repeat == 0 { stage.stride } else { 1 };
            let stride = if cifar && index == UNSTRIDED_STAGE { 1 } else { papers_stride };
            let outputs = scaled(stage.outputs, config.width);
            // Shortcuts stand where the paper's strides allow them, whatever the layout.
            let shortcut = papers_stride == 1 && builder.channels() == outputs;
            inverted_residual(&mut builder, block, stage.expansion, outputs, stride, shortcut);
        }
    }
    let head = scaled(HEAD, config.width.max(1.0));
    builder.pointwise("features.18.0", "features.18.1", head, Relu6);
    builder.pool("avgpool");
    builder.linear("classifier.1", config.classes, Identity);
    Network {
        layers: builder.finish(),
        resolution: config.resolution,
        batch_norm_eps: 1e-5,
        batch_norm_momentum: 0.1,
        dropout: config.dropout,
        initialization: Initialization::Normal,
    }
}

/// Table 1: expansion, depthwise convolution, linear projection, and the shortcut round them (figure 4d).
fn inverted_residual(
    builder: &mut Builder,
    block: usize,
    expansion: usize,
    outputs: usize,
    stride: usize,
    shortcut: bool,
) {
    let name = |part: &str| format!("features.{block}.conv{part}");
    let (input, inputs) = (builder.last(), builder.channels());
    // Without an expansion the projection moves up by one in torchvision's names.
    let mut part = 0;
    if expansion > 1 {
        builder.pointwise(&name(".0.0"), &name(".0.1"), inputs * expansion, Relu6);
        part = 1;
    }
    builder.depthwise(&name(&format!(".{part}.0")), &name(&format!(".{part}.1")), 3, stride, 1, Relu6);
    builder.pointwise(&name(&format!(".{}", part + 1)), &name(&format!(".{}", part + 2)), outputs, Identity);
    if shortcut {
        builder.add(&name(""), input);
    }
}
