//! A network: made, loaded, asked and saved.

use crate::dataset::{Dataset, part};
use crate::device::backend;
use crate::error::{Result, thrown};
use crate::job::{Promise, start};
use crate::number::number;
use crate::options::{ModelOptions, choice, seed, whole};
use crate::progress::listener;
use mobilenet_core::onnx::{self, ExportOptions};
use mobilenet_core::{self as core, Error, config};
use napi::bindgen_prelude::{Float32Array, Float32ArraySlice, Function, Uint32ArraySlice};
use napi_derive::napi;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A network with its weights.
#[napi]
pub struct Model {
    pub(crate) inner: core::mobilenet::MobileNet,
}

/// One layer of a network.
#[napi(object)]
pub struct Layer {
    /// Its name in a checkpoint.
    pub name: String,
    /// What it computes.
    pub kind: String,
    /// Channels, height, width of its output.
    #[napi(ts_type = "[channels: number, height: number, width: number]")]
    pub output: Vec<u32>,
    /// Trainable values in it.
    pub parameters: f64,
    /// Multiplications with addition for one picture.
    pub multiply_adds: f64,
}

/// A tensor in PyTorch's shape and order.
#[napi(object)]
pub struct NamedTensor {
    /// Its name in a checkpoint.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<u32>,
    /// Its values, row-major.
    pub data: Float32Array,
}

/// What `backward` gives.
#[napi(object)]
pub struct Backward {
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// `[N, classes]`, in training mode.
    pub logits: Float32Array,
    /// One for each trainable tensor.
    pub gradients: Vec<NamedTensor>,
}

/// Mean loss and accuracy over some pictures.
#[napi(object)]
pub struct Metrics {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of right answers, from 0 to 1.
    pub accuracy: f64,
    /// How many were right.
    pub correct: u32,
    /// Of how many.
    pub count: u32,
}

/// How far an evaluation is.
#[napi(object)]
pub struct EvaluationProgress {
    /// Pictures evaluated so far.
    pub done: u32,
    /// Pictures in all.
    pub count: u32,
}

/// What an ONNX file holds beside the network.
#[napi(object)]
pub struct OnnxOptions {
    /// The output is `probabilities`, which add up to 1, instead of `logits`; default false.
    #[napi(ts_type = "boolean | null")]
    pub softmax: Option<bool>,
    /// The input is `pixels`, bytes `[N, resolution, resolution, 3]`, instead of `input`, normalised floats
    /// `[N, 3, resolution, resolution]`; default false.
    #[napi(ts_type = "boolean | null")]
    pub preprocess: Option<bool>,
}

/// What rounding a network to whole numbers of 8 bits cost.
#[napi(object)]
pub struct QuantizationReport {
    /// How many training pictures the ranges of the maps were found in.
    pub calibrated: u32,
    /// Over the test pictures, in float32; absent when there are none.
    pub before: Option<Metrics>,
    /// Over the test pictures, in whole numbers; absent when there are none.
    pub after: Option<Metrics>,
}

/// Ends a long evaluation, prediction or benchmark early.
#[napi]
#[derive(Default)]
pub struct Cancel {
    pub(crate) inner: Arc<AtomicBool>,
}

#[napi]
impl Cancel {
    /// Not cancelled.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The work fails after the current batch.
    #[napi]
    pub fn cancel(&self) {
        self.inner.store(true, Ordering::Relaxed);
    }
}

#[napi]
impl Model {
    /// A new network, initialised as PyTorch does it.
    #[napi(ts_return_type = "Promise<Model>")]
    pub fn create(options: ModelOptions, seed_value: Option<f64>) -> Result<Promise<Model>> {
        let options = config::ModelOptions::try_from(options).map_err(thrown)?;
        let seed = seed(seed_value).map_err(thrown)?.unwrap_or(config::TrainConfig::default().seed);
        Ok(start(move || Ok(Model { inner: core::mobilenet::MobileNet::create(&options, seed)? })))
    }

    /// With the weights of a file, a checkpoint or another program's, and a new classifier.
    #[napi(ts_return_type = "Promise<Model>")]
    pub fn create_from(
        path: String,
        options: ModelOptions,
        seed_value: Option<f64>,
    ) -> Result<Promise<Model>> {
        let options = config::ModelOptions::try_from(options).map_err(thrown)?;
        let seed = seed(seed_value).map_err(thrown)?.unwrap_or(config::TrainConfig::default().seed);
        Ok(start(move || {
            let inner = core::mobilenet::MobileNet::create_from(Path::new(&path), &options, seed)?;
            Ok(Model { inner })
        }))
    }

    /// From a checkpoint.
    #[napi(ts_return_type = "Promise<Model>")]
    pub fn load(path: String) -> Promise<Model> {
        start(move || Ok(Model { inner: core::mobilenet::MobileNet::load(Path::new(&path))? }))
    }

    /// From the weights that another program saved.
    #[napi(ts_return_type = "Promise<Model>")]
    pub fn import(path: String, options: ModelOptions, resize: Option<f64>) -> Result<Promise<Model>> {
        let options = config::ModelOptions::try_from(options).map_err(thrown)?;
        let resize = whole("resize", resize).map_err(thrown)?;
        Ok(start(move || {
            Ok(Model { inner: core::mobilenet::MobileNet::import(Path::new(&path), &options, resize)? })
        }))
    }

    /// The same network with the same weights on a device that was selected.
    #[napi]
    pub fn on(&self, device: String) -> Result<Model> {
        Ok(Model { inner: self.inner.on(backend(&device).map_err(thrown)?) })
    }

    /// Writes a checkpoint, in one rename.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn save(&self, path: String) -> Promise<()> {
        let model = self.inner.clone();
        start(move || model.save(Path::new(&path)))
    }

    /// Writes an ONNX file, in one rename.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn export_onnx(&self, path: String, options: OnnxOptions) -> Promise<()> {
        let (model, options) = (self.inner.clone(), ExportOptions::from(options));
        start(move || onnx::export(&model, options, Path::new(&path)))
    }

    /// Writes an ONNX file in whole numbers of 8 bits, whose ranges are found in the data set's training pictures.
    /// `onProgress` hears of the evaluation of its test pictures, before and after, and may still be called after the
    /// promise has settled.
    #[napi(ts_return_type = "Promise<QuantizationReport>")]
    pub fn export_quantized(
        &self,
        path: String,
        options: OnnxOptions,
        dataset: &Dataset,
        cancel: &Cancel,
        on_progress: Function<EvaluationProgress, ()>,
    ) -> Result<Promise<QuantizationReport>> {
        let (model, options) = (self.inner.clone(), ExportOptions::from(options));
        let (data, cancelled) = (dataset.inner.clone(), cancel.inner.clone());
        let tell = listener(on_progress)?;
        Ok(start(move || {
            let count = number(2 * data.test.len());
            let mut on_batch = |done| tell(EvaluationProgress { done: number(done), count });
            let report =
                onnx::export_quantized(&model, options, &data, Path::new(&path), &cancelled, &mut on_batch)?;
            let report = report.ok_or_else(|| Error::invalid_option("the export was cancelled"))?;
            Ok(QuantizationReport {
                calibrated: number(report.calibrated),
                before: report.before.map(Metrics::from),
                after: report.after.map(Metrics::from),
            })
        }))
    }

    /// The network, complete.
    #[napi(getter, ts_return_type = "object")]
    pub fn config(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self.inner.config()).map_err(|error| thrown(Error::internal(error)))
    }

    /// Names of the classes, in the order of the logits.
    #[napi(getter)]
    pub fn class_names(&self) -> Vec<String> {
        self.inner.class_names()
    }

    /// What pictures are normalised with.
    #[napi(getter, ts_return_type = "object")]
    pub fn normalization(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self.inner.normalization()).map_err(|error| thrown(Error::internal(error)))
    }

    /// What a picture's shorter side is resized to, in pixels, before the middle is cut out.
    #[napi(getter)]
    pub fn resize(&self) -> u32 {
        self.inner.resize() as u32
    }

    /// How the pictures were divided that it was trained on; null when it wasn't, or by a version that didn't say.
    #[napi(getter, ts_return_type = "object | null")]
    pub fn trained_on(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self.inner.trained_on()).map_err(|error| thrown(Error::internal(error)))
    }

    /// Trainable values.
    #[napi(getter)]
    pub fn parameters(&self) -> f64 {
        self.inner.parameters() as f64
    }

    /// True when its checkpoint holds an unfinished run's training state.
    #[napi(getter)]
    pub fn can_resume(&self) -> bool {
        self.inner.can_resume()
    }

    /// Every layer, from the picture to the logits.
    #[napi]
    pub fn layers(&self) -> Vec<Layer> {
        let row = |layer: core::model::summary::LayerSummary| Layer {
            name: layer.name,
            kind: layer.kind,
            output: dimensions(&layer.output),
            parameters: layer.parameters as f64,
            multiply_adds: layer.multiply_adds as f64,
        };
        self.inner.layers().into_iter().map(row).collect()
    }

    /// A copy of every tensor.
    #[napi]
    pub fn tensors(&self) -> Vec<NamedTensor> {
        self.inner.tensors().iter().cloned().map(NamedTensor::from).collect()
    }

    /// Logits `[count, classes]` in evaluation mode of normalised pictures `[count, 3, resolution, resolution]`.
    #[napi(ts_return_type = "Promise<Float32Array>")]
    pub fn forward(&self, input: Float32ArraySlice, count: f64) -> Result<Promise<Float32Array>> {
        let count = whole("count", Some(count)).map_err(thrown)?.unwrap_or_default();
        // A copy, because JavaScript may write to its array while the work goes on.
        let (model, input) = (self.inner.clone(), input.to_vec());
        Ok(start(move || Ok(model.forward(&input, count)?.into())))
    }

    /// One training step without the update.
    #[napi(ts_return_type = "Promise<Backward>")]
    pub fn backward(&self, input: Float32ArraySlice, labels: Uint32ArraySlice) -> Promise<Backward> {
        let (model, input, labels) = (self.inner.clone(), input.to_vec(), labels.to_vec());
        start(move || {
            let out = model.backward(&input, &labels)?;
            Ok(Backward {
                loss: out.loss,
                logits: out.logits.into(),
                gradients: out.gradients.into_iter().map(NamedTensor::from).collect(),
            })
        })
    }

    /// Loss and accuracy over one part of a data set: `train`, `validation` or `test`; of the mean logits over the views
    /// that `tta` names. `onProgress` hears of every batch, and may still be called after the promise has settled.
    #[napi(ts_return_type = "Promise<Metrics>")]
    pub fn evaluate(
        &self,
        dataset: &Dataset,
        part_name: String,
        validation_fraction: f64,
        tta: Option<String>,
        cancel: &Cancel,
        on_progress: Function<EvaluationProgress, ()>,
    ) -> Result<Promise<Metrics>> {
        let tta = views(tta).map_err(thrown)?;
        let (model, data, cancelled) = (self.inner.clone(), dataset.inner.clone(), cancel.inner.clone());
        let tell = listener(on_progress)?;
        Ok(start(move || {
            data.check_resolution(model.config().resolution)?;
            data.check_classes(&model.class_names())?;
            let (pictures, indices) = part(&data, &part_name, validation_fraction)?;
            let count = number(indices.len());
            let mut on_batch = |done| tell(EvaluationProgress { done: number(done), count });
            let metrics =
                model.evaluate(pictures, &indices, tta, &cancelled, &mut on_batch)?.ok_or_else(|| {
                    Error::invalid_option(format!(
                        "there is nothing to evaluate: no picture is in part {part_name}"
                    ))
                })?;
            Ok(metrics.into())
        }))
    }
}

impl From<core::metrics::Metrics> for Metrics {
    fn from(metrics: core::metrics::Metrics) -> Self {
        Self {
            loss: metrics.loss,
            accuracy: metrics.accuracy,
            correct: metrics.correct as u32,
            count: metrics.count as u32,
        }
    }
}

impl From<OnnxOptions> for ExportOptions {
    fn from(options: OnnxOptions) -> Self {
        Self {
            softmax: options.softmax.unwrap_or_default(),
            preprocess: options.preprocess.unwrap_or_default(),
        }
    }
}

/// The views that a network is asked about, by their name.
pub(crate) fn views(tta: Option<String>) -> core::Result<config::TestTimeAugmentation> {
    Ok(tta.map(|name| choice("tta", &name)).transpose()?.unwrap_or_default())
}

impl From<core::model::tensors::NamedTensor> for NamedTensor {
    fn from(tensor: core::model::tensors::NamedTensor) -> Self {
        Self { name: tensor.name, shape: dimensions(&tensor.shape), data: tensor.values.into() }
    }
}

/// No dimension of a tensor here comes near 2^32.
fn dimensions(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|&size| size as u32).collect()
}
