//! A network as an ONNX file, for every program that runs such.

mod folded;
mod graph;
#[allow(missing_docs)] // The fields are ONNX's, whose own description is the one that holds.
mod proto;
mod quantize;
mod ranges;
#[cfg(test)]
mod tests;

pub use quantize::CALIBRATION_PICTURES;

use crate::config::{ModelConfig, Normalization, TestTimeAugmentation};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::mobilenet::MobileNet;
use folded::FoldedNetwork;
use prost::Message;
use proto::{Entry, Model, OperatorSet};
use quantize::{Gallery, Quantized, quantize};
use std::path::Path;
use std::sync::atomic::AtomicBool;

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
    let folded = folded::fold(model.network(), &model.tensors())?;
    crate::files::write_whole(path, &encode(model, &folded, None, options)?)
}

/// What rounding to whole numbers cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// How many training pictures the ranges were found in.
    pub calibrated: usize,
    /// Over the test pictures, in float32; absent when there are none.
    pub before: Option<Metrics>,
    /// The same in whole numbers.
    pub after: Option<Metrics>,
}

/// Writes a model as [`export`] does, with weights and maps in whole numbers of 8 bits: as `QuantizeLinear` and
/// `DequantizeLinear` round the layers, which runtimes make one of. The ranges of the maps are those with the smallest error
/// in up to [`CALIBRATION_PICTURES`] of the training pictures; weights have a range for each output. `None`, and no file, when
/// `cancelled` was set. `on_batch` hears how many test pictures were done, of twice their number.
///
/// # Errors
/// `INVALID_OPTION` when the data set isn't for this network, or has no training pictures; `IO` when the file can't be
/// written.
pub fn export_quantized(
    model: &MobileNet,
    options: ExportOptions,
    data: &Dataset,
    path: &Path,
    cancelled: &AtomicBool,
    on_batch: &mut dyn FnMut(usize),
) -> Result<Option<Quantization>> {
    data.check_resolution(model.config().resolution)?;
    data.check_classes(&model.class_names())?;
    if data.train.is_empty() {
        return Err(Error::invalid_option("to find the ranges, the data set must have training pictures"));
    }
    // Spread over all of them, which may be sorted by class.
    let calibrated = data.train.len().min(CALIBRATION_PICTURES);
    let indices: Vec<u32> = (0..calibrated).map(|i| (i * data.train.len() / calibrated) as u32).collect();
    let normalization = model.normalization();
    let folded = folded::fold(model.network(), &model.tensors())?;
    let gallery = Gallery { pictures: &data.train, indices: &indices, normalization, cancelled };
    let Some(quantized) = quantize(&folded, &gallery)? else { return Ok(None) };
    let mut report = Quantization { calibrated, before: None, after: None };
    let indices: Vec<u32> = (0..data.test.len() as u32).collect();
    if !indices.is_empty() {
        let tta = TestTimeAugmentation::None;
        report.before = model.evaluate(&data.test, &indices, tta, cancelled, on_batch)?;
        let gallery = Gallery { pictures: &data.test, indices: &indices, normalization, cancelled };
        report.after = quantized.evaluate(&folded, &gallery, &mut |done| on_batch(indices.len() + done))?;
        if report.before.is_none() || report.after.is_none() {
            return Ok(None);
        }
    }
    crate::files::write_whole(path, &encode(model, &folded, Some(&quantized), options)?)?;
    Ok(Some(report))
}

/// The file's content.
fn encode(
    model: &MobileNet,
    folded: &FoldedNetwork,
    quantized: Option<&Quantized>,
    options: ExportOptions,
) -> Result<Vec<u8>> {
    let (config, normalization) = (model.config(), model.normalization());
    let graph = graph::graph(folded, quantized, &normalization, options)?;
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
