//! MobileNet V3 (Howard et al. 2019, arXiv 1905.02244), tables 1 and 2, in two layouts. Names are torchvision's.

use super::build::Builder;
use super::network::{Initialization, Network};
use super::width::scaled;
use crate::config::Activation::{self, HardSwish, Identity, Relu};
use crate::config::{Layout, ModelConfig, Variant};

/// Channels of the stem.
const STEM: usize = 16;
/// How many times wider than the last bottleneck the last convolution is, at every width, as torchvision has it.
const LAST_EXPANSION: usize = 6;

/// One line of the tables: a bottleneck.
#[derive(Debug, Clone, Copy)]
struct Bottleneck {
    /// Height and width of the depthwise filter.
    kernel: usize,
    /// "exp size": channels between expansion and projection.
    expanded: usize,
    /// "#out".
    outputs: usize,
    /// "SE": whether there is a squeeze-and-excitation.
    squeeze: bool,
    /// "NL".
    activation: Activation,
    /// "s".
    stride: usize,
}

const fn bneck(kernel: usize, expanded: usize, outputs: usize) -> Bottleneck {
    Bottleneck { kernel, expanded, outputs, squeeze: false, activation: Relu, stride: 1 }
}

impl Bottleneck {
    const fn squeeze(self) -> Self {
        Self { squeeze: true, ..self }
    }

    const fn hard_swish(self) -> Self {
        Self { activation: HardSwish, ..self }
    }

    const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
}

/// A table, with the sizes of the head behind the bottlenecks.
struct Table {
    bottlenecks: &'static [Bottleneck],
    /// Outputs of the first linear layer.
    hidden: usize,
    /// The bottleneck that keeps its pixels in layout `cifar`, as the stem does: the first with a stride.
    unstrided: usize,
}

/// Table 1.
const LARGE: Table = Table {
    bottlenecks: &[
        bneck(3, 16, 16),
        bneck(3, 64, 24).stride(2),
        bneck(3, 72, 24),
        bneck(5, 72, 40).squeeze().stride(2),
        bneck(5, 120, 40).squeeze(),
        bneck(5, 120, 40).squeeze(),
        bneck(3, 240, 80).hard_swish().stride(2),
        bneck(3, 200, 80).hard_swish(),
        bneck(3, 184, 80).hard_swish(),
        bneck(3, 184, 80).hard_swish(),
        bneck(3, 480, 112).squeeze().hard_swish(),
        bneck(3, 672, 112).squeeze().hard_swish(),
        bneck(5, 672, 160).squeeze().hard_swish().stride(2),
        bneck(5, 960, 160).squeeze().hard_swish(),
        bneck(5, 960, 160).squeeze().hard_swish(),
    ],
    hidden: 1280,
    unstrided: 1,
};

/// Table 2.
const SMALL: Table = Table {
    bottlenecks: &[
        bneck(3, 16, 16).squeeze().stride(2),
        bneck(3, 72, 24).stride(2),
        bneck(3, 88, 24),
        bneck(5, 96, 40).squeeze().hard_swish().stride(2),
        bneck(5, 240, 40).squeeze().hard_swish(),
        bneck(5, 240, 40).squeeze().hard_swish(),
        bneck(5, 120, 48).squeeze().hard_swish(),
        bneck(5, 144, 48).squeeze().hard_swish(),
        bneck(5, 288, 96).squeeze().hard_swish().stride(2),
        bneck(5, 576, 96).squeeze().hard_swish(),
        bneck(5, 576, 96).squeeze().hard_swish(),
    ],
    hidden: 1024,
    unstrided: 0,
};

/// The network of a configuration.
pub fn network(config: &ModelConfig) -> Network {
    let table = if config.variant == Variant::V3Large { LARGE } else { SMALL };
    let cifar = config.layout == Layout::Cifar;
    let width = |channels| scaled(channels, config.width);
    let mut builder = Builder::new(config.resolution);
    let stem_stride = if cifar { 1 } else { 2 };
    builder.stem("features.0.0", Some("features.0.1"), width(STEM), stem_stride, 1, HardSwish);
    for (index, &bottleneck) in table.bottlenecks.iter().enumerate() {
        let stride = if cifar && index == table.unstrided { 1 } else { bottleneck.stride };
        let (expanded, outputs) = (width(bottleneck.expanded), width(bottleneck.outputs));
        // Shortcuts stand where the paper's strides allow them, whatever the layout.
        let shortcut = bottleneck.stride == 1 && builder.channels() == outputs;
        let bottleneck = Bottleneck { expanded, outputs, stride, ..bottleneck };
        inverted_residual(&mut builder, index + 1, bottleneck, shortcut);
    }
    let last = table.bottlenecks.len() + 1;
    let outputs = LAST_EXPANSION * builder.channels();
    builder.pointwise(&format!("features.{last}.0"), &format!("features.{last}.1"), outputs, HardSwish);
    // The cheaper head (section 5.1): pooled before the widest layer, which so has one pixel instead of 7x7.
    builder.pool("avgpool");
    builder.linear("classifier.0", width(table.hidden), HardSwish);
    builder.linear("classifier.3", config.classes, Identity);
    Network {
        layers: builder.finish(),
        resolution: config.resolution,
        batch_norm_eps: 1e-3,
        batch_norm_momentum: 0.01,
        dropout: config.dropout,
        initialization: Initialization::Normal,
    }
}

/// A bottleneck of figure 4: V2's inverted residual, with squeeze-and-excitation before the projection.
fn inverted_residual(builder: &mut Builder, block: usize, bottleneck: Bottleneck, shortcut: bool) {
    let Bottleneck { kernel, expanded, outputs, squeeze, activation, stride } = bottleneck;
    let (input, inputs) = (builder.last(), builder.channels());
    // Parts that a bottleneck hasn't leave no gap in torchvision's names.
    let mut parts = 0..;
    let mut name = || format!("features.{block}.block.{}", parts.next().unwrap_or_default());
    let layer = |part: &str| (format!("{part}.0"), format!("{part}.1"));
    if expanded != inputs {
        let (convolution, norm) = layer(&name());
        builder.pointwise(&convolution, &norm, expanded, activation);
    }
    let (convolution, norm) = layer(&name());
    builder.depthwise(&convolution, &norm, kernel, stride, kernel / 2, activation);
    if squeeze {
        // A quarter of the expansion (section 5.3), rounded as widths are.
        builder.squeeze_and_excite(&name(), scaled(expanded / 4, 1.0));
    }
    let (convolution, norm) = layer(&name());
    builder.pointwise(&convolution, &norm, outputs, Identity);
    if shortcut {
        builder.add(&format!("features.{block}"), input);
    }
}
