//! Options as JavaScript gives them. These descriptions are the only ones: the types of the public API are made
//! from them. Every default and every rule about a value stands in the core.

use crate::error::{Result, thrown};
use mobilenet_core::config as core;
use mobilenet_core::{Error, config::Preset};
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

/// How parameters move: Adam (betas 0.9 and 0.999, eps 1e-8, bias-corrected, no weight decay).
#[napi(object)]
pub struct OptimizerOptions {
    /// Default `adam`.
    #[napi(js_name = "type", ts_type = "'adam' | null")]
    pub kind: Option<String>,
    /// At the start, or at the top in a schedule that rises. Above 0; default 0.01.
    #[napi(ts_type = "number | null")]
    pub learning_rate: Option<f64>,
}

/// How the learning rate moves.
#[napi(object)]
pub struct ScheduleOptions {
    /// `constant`; `step`: times `gamma` every `stepSize` epochs; `cosine`: down to 0 over all epochs;
    /// `one-cycle`: up to the learning rate over the first 30 % of all steps, then down to nearly 0.
    #[napi(js_name = "type", ts_type = "'constant' | 'step' | 'cosine' | 'one-cycle'")]
    pub kind: String,
    /// Epochs between two drops, in `step`; default 10.
    #[napi(ts_type = "number | null")]
    pub step_size: Option<f64>,
    /// What a drop multiplies by, in `step`; above 0 and at most 1; default 0.5.
    #[napi(ts_type = "number | null")]
    pub gamma: Option<f64>,
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
    /// Crop (padding 4) and flip the training pictures; default true.
    #[napi(ts_type = "boolean | null")]
    pub augment: Option<bool>,
    /// A new order each epoch; default true.
    #[napi(ts_type = "boolean | null")]
    pub shuffle: Option<bool>,
    /// At most this many pictures of each part (train, validation, test); default all.
    #[napi(ts_type = "number | null")]
    pub limit: Option<f64>,
    /// Steps between two `step` events; default 1.
    #[napi(ts_type = "number | null")]
    pub log_every: Option<f64>,
    /// The run's folder, for `last.safetensors` and `best.safetensors`; default none: nothing is written.
    #[napi(ts_type = "string | null")]
    pub out: Option<String>,
    /// What products multiply: `float32` (default), or `bfloat16`, which is faster where the processor has AVX512_BF16, and
    /// DEVICE_UNAVAILABLE elsewhere. Weights, sums and all else are float32.
    #[napi(ts_type = "'float32' | 'bfloat16' | null")]
    pub precision: Option<String>,
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

/// A recipe with every default filled in; refuses what makes no sense.
#[napi(ts_return_type = "object")]
pub fn resolve_train_options(options: TrainOptions) -> Result<serde_json::Value> {
    let options = core::TrainOptions::try_from(options).map_err(thrown)?;
    json(&options.resolve(&core::TrainConfig::default()).map_err(thrown)?)
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
            optimizer: options.optimizer.map(optimizer).transpose()?,
            schedule: options.schedule.map(schedule).transpose()?,
            validation_fraction: options.validation_fraction,
            seed: seed(options.seed)?,
            augment: options.augment,
            shuffle: options.shuffle,
            limit: whole("limit", options.limit)?,
            log_every: whole("logEvery", options.log_every)?,
            precision: options.precision.map(|name| choice("precision", &name)).transpose()?,
            out: options.out.map(PathBuf::from),
            threads: whole("threads", options.threads)?,
        })
    }
}

fn optimizer(options: OptimizerOptions) -> std::result::Result<core::OptimizerConfig, Error> {
    if let Some(kind) = options.kind.filter(|kind| kind != "adam") {
        return Err(Error::invalid_option(format!("optimizer must be adam, not {kind}")));
    }
    let default = core::TrainConfig::default().optimizer.learning_rate();
    Ok(core::OptimizerConfig::Adam { learning_rate: options.learning_rate.unwrap_or(default) })
}

fn schedule(options: ScheduleOptions) -> std::result::Result<core::ScheduleConfig, Error> {
    use core::ScheduleConfig::{Constant, Cosine, OneCycle, Step};
    let stepped = options.step_size.is_some() || options.gamma.is_some();
    if stepped && options.kind != "step" {
        return Err(Error::invalid_option(format!(
            "stepSize and gamma belong to schedule step, not to schedule {}",
            options.kind
        )));
    }
    match options.kind.as_str() {
        "constant" => Ok(Constant),
        "cosine" => Ok(Cosine),
        "one-cycle" => Ok(OneCycle),
        "step" => {
            let Step { step_size, gamma } = core::TrainConfig::default().schedule else {
                return Err(Error::internal("the default schedule is not step"));
            };
            Ok(Step {
                step_size: whole("stepSize", options.step_size)?.unwrap_or(step_size),
                gamma: options.gamma.unwrap_or(gamma),
            })
        }
        other => Err(Error::invalid_option(format!(
            "schedule must be one of constant, step, cosine, one-cycle, not {other}"
        ))),
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
