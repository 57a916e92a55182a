//! A network as an ONNX file, for every program that runs such.

mod graph;
#[allow(missing_docs)] // The fields are ONNX's, whose own description is the one that holds.
mod proto;
#[cfg(test)]
mod tests;

use crate::config::{ModelConfig, Normalization};
use crate::error::{Error, Result};
use crate::mobilenet::MobileNet;
use prost::Message;
use proto::{Entry, Model, OperatorSet};
use std::path::Path;

/// The version of the file's layout.
const IR_VERSION: i64 = 10;
/// The version of the operators: the newest that ONNX Runtime knows since 1.18 (2024). What came after it for these
/// operators is bfloat16.
const OPSET: i64 = 21;

/// What is in the graph beside the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// The output is `probabilities`, which add up to 1, instead of `logits`.
    pub softmax: bool,
    /// The input is `pixels`, bytes `[N, resolution, resolution, 3]`, instead of `input`, normalised floats
    /// `[N, 3, resolution, resolution]`.
    pub preprocess: bool,
}

/// Writes a model as an ONNX file, in one rename. Batch norm is folded into the weights. Any number of pictures can be run at
/// a time. The metadata hold the configuration, the names of the classes, and how pictures become the input.
///
/// # Errors
/// `IO` when the file can't be written.
pub fn export(model: &MobileNet, options: ExportOptions, path: &Path) -> Result<()> {
    crate::files::write_whole(path, &encode(model, options)?)
}

/// The file's content.
fn encode(model: &MobileNet, options: ExportOptions) -> Result<Vec<u8>> {
    let (config, normalization) = (model.config(), model.normalization());
    let graph = graph::graph(model.network(), &model.tensors(), &normalization, options)?;
    let whole = Model {
        ir_version: IR_VERSION,
        producer_name: "mobilenet-native".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata(&config, &normalization, &model.class_names(), model.resize())?,
    };
    Ok(whole.encode_to_vec())
}

fn metadata(
    config: &ModelConfig,
    normalization: &Normalization,
    classes: &[String],
    resize: usize,
) -> Result<Vec<Entry>> {
    let json = |value: serde_json::Result<String>| value.map_err(Error::internal);
    Ok([
        ("config", json(serde_json::to_string(config))?),
        ("classes", json(serde_json::to_string(classes))?),
        ("normalization", json(serde_json::to_string(normalization))?),
        ("resize", resize.to_string()),
        ("crop", config.resolution.to_string()),
    ]
    .map(|(key, value)| Entry { key: key.into(), value })
    .into())
}
