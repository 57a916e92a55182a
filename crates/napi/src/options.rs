//! Options as JavaScript gives them. These descriptions are the only ones: the types of the public API are made
//! from them. Every default and every rule about a value stands in the core.

use crate::augment::{AugmentationStep, steps};
use crate::error::{Result, thrown};
use crate::optim::{EmaOptions, OptimizerOptions, ScheduleOptions};
use mobilenet_core::config as core;
use mobilenet_core::{Error, config::Preset};
use napi::Either;
use napi_derive::napi;
use std::path::PathBuf;

/// A network.
#[napi(object)]
#[derive(Default)]
pub struct ModelOptions {
    /// Which MobileNet; default `v1`.
    #[napi(ts_type = "'v1' | 'v2' | 'v3-large' | 'v3-small' | null")]
    pub variant: Option<String>,
    /// `unpadded`: the course's small V1 for 32x32 (no padding, all strides 1, a stem without batch norm);
    /// `cifar`: the paper's with fewer strides, for 32x32: the stem's is 1, and in V2 and V3 the first stage's, too;
    /// `imagenet`: the paper's, for 224x224. Default `unpadded` for V1, `cifar` for the others.
    #[napi(ts_type = "'unpadded' | 'cifar' | 'imagenet' | null")]
    pub layout: Option<String>,
    /// The non-linearity. V1: `relu`, as in the paper (default), or `relu6`, as in its released weights and timm's. V2
    /// has `relu6` and V3 `hard-swish`, and no other.
    #[napi(ts_type = "'relu' | 'relu6' | 'hard-swish' | null")]
    pub activation: Option<String>,
    /// Width multiplier, above 0 and at most 4; channel counts are rounded to multiples of 8. Default 1.
    #[napi(ts_type = "number | null")]
    pub width: Option<f64>,
    /// Height and width of a picture in pixels. Default 32, or 224 in layout `imagenet`.
    #[napi(ts_type = "number | null")]
    pub resolution: Option<f64>,
    /// Number of classes. Default 10, or 1000 in layout `imagenet`.
    #[napi(ts_type = "number | null")]
    pub classes: Option<f64>,
    /// Share of the classifier's inputs that a training step leaves out, from 0 to below 1. Default 0 for V1, 0.2 for the
    /// others.
    #[napi(ts_type = "number | null")]
    pub dropout: Option<f64>,
}

/// A training run. What is absent takes its default: the course's recipe, or when resuming, what the run
/// resumed had.
#[napi(object)]
#[derive(Default)]
pub struct TrainOptions {
    /// Passes over the training pictures, those before a resume included; default 50.
    #[napi(ts_type = "number | null")]
    pub epochs: Option<f64>,
    /// Pictures a step, at least 2; default 64.
    #[napi(ts_type = "number | null")]
    pub batch_size: Option<f64>,
    /// Default Adam with learning rate 0.01.
    #[napi(ts_type = "OptimizerOptions | null")]
    pub optimizer: Option<OptimizerOptions>,
    /// Default `step`: half the learning rate every 10 epochs.
    #[napi(ts_type = "ScheduleOptions | null")]
    pub schedule: Option<ScheduleOptions>,
    /// Share of the training pictures kept for validation, from 0 to below 1; default 0.1.
    #[napi(ts_type = "number | null")]
    pub validation_fraction: Option<f64>,
    /// Decides the order and the augmentation: a whole number from 0 to 4294967295; default 1.
    #[napi(ts_type = "number | null")]
    pub seed: Option<f64>,
    /// What is done to the training pictures, one step after the other; `true` (default) stands for what is usual, `false`
    /// for nothing. Usual are crop (padding 4) and flip, for a folder of pictures resizedcrop and flip.
    #[napi(ts_type = "boolean | AugmentationStep[] | null")]
    pub augment: Option<Either<bool, Vec<AugmentationStep>>>,
    /// Share of each target that is spread evenly over all classes while training, from 0 to below 1; default 0. As
    /// `label_smoothing` of PyTorch's `CrossEntropyLoss`; validation and test are without.
    #[napi(ts_type = "number | null")]
    pub label_smoothing: Option<f64>,
    /// What each class counts in the training loss: a number above 0 for each, or `balanced`, with which every class counts
    /// alike however many pictures it has. As `weight` of PyTorch's `CrossEntropyLoss`; default all pictures alike.
    #[napi(ts_type = "'balanced' | Array<number> | null")]
    pub class_weights: Option<Either<String, Vec<f64>>>,
    /// `backbone`: in the first epochs only the classifier learns, and all layers before it stay as they are, their running
    /// statistics, too. Without augmentation their outputs are then computed once, and an epoch takes a moment.
    #[napi(ts_type = "'backbone' | null")]
    pub freeze: Option<String>,
    /// In how many epochs, with `freeze`; default all.
    #[napi(ts_type = "number | null")]
    pub freeze_epochs: Option<f64>,
    /// What the learning rate is multiplied by for all layers before the classifier, above 0 and at most 1; default 1.
    #[napi(ts_type = "number | null")]
    pub backbone_rate: Option<f64>,
    /// A new order each epoch; default true.
    #[napi(ts_type = "boolean | null")]
    pub shuffle: Option<bool>,
    /// At most this many pictures of each part (train, validation, test); default all.
    #[napi(ts_type = "number | null")]
    pub limit: Option<f64>,
    /// Steps between two `step` events; default 1.
    #[napi(ts_type = "number | null")]
    pub log_every: Option<f64>,
    /// The run's folder, for checkpoints and all that is to be known about the run; default none: nothing is written.
    #[napi(ts_type = "string | null")]
    pub out: Option<String>,
    /// Every so many epochs the state stays in the folder, as `epoch-<n>.safetensors`; default: only the newest and the
    /// best stay.
    #[napi(ts_type = "number | null")]
    pub save_every: Option<f64>,
    /// How many of these stay, the newest; default all.
    #[napi(ts_type = "number | null")]
    pub keep: Option<f64>,
    /// What products multiply: `float32` (default), in full precision on every device; `tf32`, which cards have, and only they
    /// (INVALID_OPTION on a processor): their tensor cores multiply float32 values rounded to 11 bits; or `bfloat16`, on
    /// cards, where maps are stored in it, too, and on processors with AVX512_BF16 (DEVICE_UNAVAILABLE on others). Weights,
    /// sums and all else are float32.
    #[napi(ts_type = "'float32' | 'tf32' | 'bfloat16' | null")]
    pub precision: Option<String>,
    /// Averages the weights, and takes the average as the network; default none.
    #[napi(ts_type = "EmaOptions | null")]
    pub ema: Option<EmaOptions>,
    /// The run ends when the validation accuracy was not better than its best for so many epochs; 0 for never, which is
    /// the default.
    #[napi(ts_type = "number | null")]
    pub patience: Option<f64>,
    /// Threads that compute; default one a core. The result does not depend on it.
    #[napi(ts_type = "number | null")]
    pub threads: Option<f64>,
}

/// A named pair of network and recipe, complete.
#[napi(object)]
pub struct NamedPreset {
    /// `course`, `cifar` or `quick`.
    pub name: String,
    /// The network.
    #[napi(ts_type = "object")]
    pub model: serde_json::Value,
    /// The recipe.
    #[napi(ts_type = "object")]
    pub train: serde_json::Value,
}

/// Every preset with all values filled in.
#[napi]
pub fn presets() -> Result<Vec<NamedPreset>> {
    Preset::ALL
        .into_iter()
        .map(|preset| {
            let (model, train) = preset.options();
            Ok(NamedPreset {
                name: preset.name().into(),
                model: json(&model.resolve().map_err(thrown)?)?,
                train: json(&train.resolve(&core::TrainConfig::default()).map_err(thrown)?)?,
            })
        })
        .collect()
}

/// The recipe for a network that begins with the weights of another, with all values filled in.
#[napi(ts_return_type = "object")]
pub fn fine_tuning() -> Result<serde_json::Value> {
    json(&core::fine_tuning().resolve(&core::TrainConfig::default()).map_err(thrown)?)
}

/// A recipe with every default filled in; refuses what makes no sense.
#[napi(ts_return_type = "object")]
pub fn resolve_train_options(options: TrainOptions) -> Result<serde_json::Value> {
    let options = core::TrainOptions::try_from(options).map_err(thrown)?;
    json(&options.resolve(&core::TrainConfig::default()).map_err(thrown)?)
}

/// Refuses what no network is, of weights that are yet to be read.
#[napi]
pub fn check_model_options(options: ModelOptions) -> Result<()> {
    core::ModelOptions::try_from(options).and_then(|options| options.check()).map_err(thrown)
}

impl TryFrom<ModelOptions> for core::ModelOptions {
    type Error = Error;

    fn try_from(options: ModelOptions) -> std::result::Result<Self, Error> {
        Ok(Self {
            variant: options.variant.map(|name| choice("variant", &name)).transpose()?,
            layout: options.layout.map(|name| choice("layout", &name)).transpose()?,
            activation: options.activation.map(|name| choice("activation", &name)).transpose()?,
            width: options.width,
            resolution: whole("resolution", options.resolution)?,
            classes: whole("classes", options.classes)?,
            dropout: options.dropout,
        })
    }
}

impl TryFrom<TrainOptions> for core::TrainOptions {
    type Error = Error;

    fn try_from(options: TrainOptions) -> std::result::Result<Self, Error> {
        Ok(Self {
            epochs: whole("epochs", options.epochs)?,
            batch_size: whole("batchSize", options.batch_size)?,
            optimizer: options.optimizer.map(TryInto::try_into).transpose()?,
            schedule: options.schedule.map(TryInto::try_into).transpose()?,
            validation_fraction: options.validation_fraction,
            seed: seed(options.seed)?,
            augment: options.augment.map(steps).transpose()?.flatten(),
            label_smoothing: options.label_smoothing,
            class_weights: options.class_weights.map(class_weights).transpose()?,
            freeze: options.freeze.map(|name| choice("freeze", &name)).transpose()?,
            freeze_epochs: whole("freezeEpochs", options.freeze_epochs)?,
            backbone_rate: options.backbone_rate,
            shuffle: options.shuffle,
            limit: whole("limit", options.limit)?,
            log_every: whole("logEvery", options.log_every)?,
            precision: options.precision.map(|name| choice("precision", &name)).transpose()?,
            ema: options.ema.map(Into::into),
            patience: whole("patience", options.patience)?,
            out: options.out.map(PathBuf::from),
            save_every: whole("saveEvery", options.save_every)?,
            keep: whole("keep", options.keep)?,
            threads: whole("threads", options.threads)?,
        })
    }
}

fn class_weights(given: Either<String, Vec<f64>>) -> std::result::Result<core::ClassWeights, Error> {
    match given {
        Either::A(name) => Ok(core::ClassWeights::Counted(choice("classWeights", &name)?)),
        Either::B(weights) => Ok(core::ClassWeights::Each(weights)),
    }
}

/// A choice by the name that configuration files use for it; a wrong one is told what there is.
pub fn choice<T: serde::de::DeserializeOwned>(option: &str, name: &str) -> std::result::Result<T, Error> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|error| {
        // serde says: unknown variant `x`, expected `a` or `b`
        let words = error.to_string();
        let expected = words.split_once("expected ").map_or("", |(_, rest)| rest).replace('`', "");
        Error::invalid_option(format!("{option} must be {expected}, not {name}"))
    })
}

/// JavaScript has one kind of number: this takes only those that are whole and not negative.
pub fn whole(option: &str, value: Option<f64>) -> std::result::Result<Option<usize>, Error> {
    let Some(value) = value else { return Ok(None) };
    if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&value) {
        return Err(Error::invalid_option(format!(
            "{option} must be a whole number from 0 to {}, not {value}",
            u32::MAX
        )));
    }
    // Checked above: whole, and in the range of 32 bits.
    Ok(Some(value as usize))
}

/// The seed, with the same rule.
pub fn seed(value: Option<f64>) -> std::result::Result<Option<u64>, Error> {
    Ok(whole("seed", value)?.map(|seed| seed as u64))
}

fn json(value: &impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| thrown(Error::internal(error)))
}
