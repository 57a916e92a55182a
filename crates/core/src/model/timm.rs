//! timm's names for V2 and V3 (for V1 ours are timm's).

use super::network::{Layer, Network, Operation};
use crate::config::{ModelConfig, Variant};
use std::collections::HashMap;

/// What timm's V3 adds to a variance before the root is taken; torchvision, and so this library, adds more.
pub const V3_BATCH_NORM_EPS: f64 = 1e-5;

/// timm's name of every module (a convolution, a batch norm, a matrix) of V2 or V3, by ours.
pub fn module_names(config: &ModelConfig) -> HashMap<String, String> {
    let network = super::network(config);
    // A narrow network has neighbouring stages with the same channels, which only the whole one tells apart.
    let places = places(&super::network(&ModelConfig { width: 1.0, ..config.clone() }));
    let v3 = config.variant != Variant::V2;
    let mut names = HashMap::new();
    for layers in parts(&network) {
        let last = layers[layers.len() - 1];
        let mut name = |layer: &Layer, theirs: String, norm: String| {
            if let Some(ours) = &layer.norm {
                names.insert(ours.clone(), norm);
            }
            names.insert(layer.name.clone(), theirs);
        };
        match feature(last) {
            Some(0) => name(last, "conv_stem".into(), "bn1".into()),
            Some(block) if block <= places.len() => {
                let (stage, index) = places[block - 1];
                let inside = |part: &str| format!("blocks.{stage}.{index}.{part}");
                for (layer, (theirs, norm)) in layers.iter().zip(block_names(&layers)) {
                    name(layer, inside(theirs), inside(norm));
                }
            }
            // V3's last convolution is a stage of its own there.
            Some(_) if v3 => {
                let stage = format!("blocks.{}.0", places[places.len() - 1].0 + 1);
                name(last, format!("{stage}.conv"), format!("{stage}.bn1"));
            }
            Some(_) => name(last, "conv_head".into(), "bn2".into()),
            None if last.name == network.classifier().name => {
                name(last, "classifier".into(), String::new());
            }
            None => name(last, "conv_head".into(), String::new()),
        }
    }
    names
}

/// The layers with weights: those of a block of torchvision's `features` together, a matrix by itself.
fn parts(network: &Network) -> Vec<Vec<&Layer>> {
    let weighted: Vec<&Layer> = network.layers.iter().filter(|layer| layer.has_weight()).collect();
    let together = |a: &&Layer, b: &&Layer| feature(a).is_some() && feature(a) == feature(b);
    weighted.chunk_by(together).map(<[&Layer]>::to_vec).collect()
}

/// The place in `features` of the block that a layer belongs to.
fn feature(layer: &Layer) -> Option<usize> {
    layer.name.strip_prefix("features.")?.split('.').next()?.parse().ok()
}

/// The stage of each bottleneck, and its place in the stage: a stage is bottlenecks with the same output channels.
fn places(network: &Network) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut channels = 0;
    let blocks = parts(network).into_iter().filter(|layers| layers.len() > 1);
    for outputs in blocks.map(|layers| layers[layers.len() - 1].outputs) {
        places.push(match places.last() {
            Some((stage, index)) if outputs == channels => (*stage, index + 1),
            Some((stage, _)) => (stage + 1, 0),
            None => (0, 0),
        });
        channels = outputs;
    }
    places
}

/// timm's names of the layers of a bottleneck and of their batch norms.
fn block_names(layers: &[&Layer]) -> Vec<(&'static str, &'static str)> {
    let expands = layers[0].operation == Operation::Pointwise;
    let mut norms = ["bn1", "bn2", "bn3"].into_iter();
    let mut squeezes = ["se.conv_reduce", "se.conv_expand"].into_iter();
    let mut products = if expands { ["conv_pw", "conv_pwl"] } else { ["conv_pw", ""] }.into_iter();
    let one = |layer: &&Layer| match (layer.operation, layer.norm.is_some()) {
        (Operation::Depthwise, _) => ("conv_dw", norms.next().unwrap_or_default()),
        (_, true) => (products.next().unwrap_or_default(), norms.next().unwrap_or_default()),
        (_, false) => (squeezes.next().unwrap_or_default(), ""),
    };
    layers.iter().map(one).collect()
}
