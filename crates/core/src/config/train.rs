//! How a network is trained.

use super::average::{EmaConfig, EmaOptions};
use super::optimizer::{OptimizerConfig, OptimizerKind, OptimizerOptions};
use super::schedule::{ScheduleConfig, ScheduleKind, ScheduleOptions};
use super::{Augmentation, ClassWeights, augment, check_threads};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which device, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceChoice {
    /// The best that works.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// NVIDIA card number N.
    Cuda(usize),
}

/// What products multiply; sums, weights and all else are float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// On NVIDIA cards, and only there: both factors rounded to TF32, which has float32's range and 11 bits of precision.
    Tf32,
    /// Both factors rounded to bfloat16: twice as fast on processors with AVX512_BF16. On NVIDIA cards the maps are stored
    /// in it, too.
    Bfloat16,
}

impl Precision {
    /// What options call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Tf32 => "tf32",
            Self::Bfloat16 => "bfloat16",
        }
    }
}

/// What of a network stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freeze {
    /// All layers before the classifier, their running statistics, too.
    Backbone,
}

/// Every layer at the learning rate itself.
fn all_alike() -> f64 {
    1.0
}

/// A training run as asked for: what is absent takes its default (or, when resuming, the value of the run resumed).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainOptions {
    /// Passes over the training pictures; default 50.
    pub epochs: Option<usize>,
    /// Pictures a step; default 64.
    pub batch_size: Option<usize>,
    /// Default Adam with learning rate 0.01.
    pub optimizer: Option<OptimizerOptions>,
    /// Default `StepLR(10, 0.5)`.
    pub schedule: Option<ScheduleOptions>,
    /// Share of the training pictures kept for validation; default 0.1. Split by NumPy's seed 42.
    pub validation_fraction: Option<f64>,
    /// Decides the order and the augmentation; default 1.
    pub seed: Option<u64>,
    /// What is done to the training pictures, one step after the other; default crop (padding 4) and flip.
    pub augment: Option<Vec<Augmentation>>,
    /// Share of each target that is spread evenly over all classes while training; default 0.
    pub label_smoothing: Option<f64>,
    /// What each class counts in the loss while training; default all alike.
    pub class_weights: Option<ClassWeights>,
    /// What stays as it is in the first epochs; default nothing.
    pub freeze: Option<Freeze>,
    /// In how many epochs; default all.
    pub freeze_epochs: Option<usize>,
    /// What the learning rate is multiplied by for all layers before the classifier; default 1.
    pub backbone_rate: Option<f64>,
    /// A new order each epoch; default true.
    pub shuffle: Option<bool>,
    /// At most this many pictures of each part (train, validation, test); default all.
    pub limit: Option<usize>,
    /// Steps between two `step` events; default 1.
    pub log_every: Option<usize>,
    /// The run's folder; default none: nothing is written.
    pub out: Option<PathBuf>,
    /// Epochs between two states that stay in the folder; default none: only the newest and the best do.
    pub save_every: Option<usize>,
    /// How many of these stay, the newest; default all.
    pub keep: Option<usize>,
    /// Default float32.
    pub precision: Option<Precision>,
    /// An exponential moving average of the weights, which is then the network; default none.
    pub ema: Option<EmaOptions>,
    /// The run ends when the validation accuracy was not better than its best for so many epochs; 0 for never, which is
    /// the default.
    pub patience: Option<usize>,
    /// Threads that compute; default one a core.
    pub threads: Option<usize>,
}

/// A training run, complete: what the `start` event and a checkpoint's metadata hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)] // Each field is described at `TrainOptions`.
pub struct TrainConfig {
    pub epochs: usize,
    pub batch_size: usize,
    pub optimizer: OptimizerConfig,
    pub schedule: ScheduleConfig,
    pub validation_fraction: f64,
    pub seed: u64,
    #[serde(deserialize_with = "augment::steps")]
    pub augment: Vec<Augmentation>,
    /// Runs from before there was a choice had none.
    #[serde(default)]
    pub label_smoothing: f64,
    #[serde(default)]
    pub class_weights: Option<ClassWeights>,
    #[serde(default)]
    pub freeze: Option<Freeze>,
    #[serde(default)]
    pub freeze_epochs: Option<usize>,
    #[serde(default = "all_alike")]
    pub backbone_rate: f64,
    pub shuffle: bool,
    pub limit: Option<usize>,
    pub log_every: usize,
    /// Runs from before there was a choice were float32.
    #[serde(default)]
    pub precision: Precision,
    #[serde(default)]
    pub ema: Option<EmaConfig>,
    #[serde(default)]
    pub patience: Option<usize>,
    #[serde(default)]
    pub save_every: Option<usize>,
    #[serde(default)]
    pub keep: Option<usize>,
}

impl Default for TrainConfig {
    /// The course's recipe.
    fn default() -> Self {
        Self {
            epochs: 50,
            batch_size: 64,
            optimizer: OptimizerConfig::of(OptimizerKind::Adam),
            schedule: ScheduleConfig::of(ScheduleKind::Step),
            validation_fraction: 0.1,
            seed: 1,
            augment: Augmentation::course(),
            label_smoothing: 0.0,
            class_weights: None,
            freeze: None,
            freeze_epochs: None,
            backbone_rate: all_alike(),
            shuffle: true,
            limit: None,
            log_every: 1,
            precision: Precision::Float32,
            ema: None,
            patience: None,
            save_every: None,
            keep: None,
        }
    }
}

impl TrainOptions {
    /// Puts these options over `base` and checks the result.
    pub fn resolve(&self, base: &TrainConfig) -> Result<TrainConfig> {
        let config = TrainConfig {
            epochs: self.epochs.unwrap_or(base.epochs),
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            optimizer: self.optimizer.unwrap_or_default().resolve(&base.optimizer)?,
            schedule: match &self.schedule {
                Some(schedule) => schedule.resolve(&base.schedule)?,
                None => base.schedule.clone(),
            },
            validation_fraction: self.validation_fraction.unwrap_or(base.validation_fraction),
            seed: self.seed.unwrap_or(base.seed),
            augment: self.augment.clone().unwrap_or_else(|| base.augment.clone()),
            label_smoothing: self.label_smoothing.unwrap_or(base.label_smoothing),
            class_weights: self.class_weights.clone().or_else(|| base.class_weights.clone()),
            freeze: self.freeze.or(base.freeze),
            freeze_epochs: self.freeze_epochs.or(base.freeze_epochs),
            backbone_rate: self.backbone_rate.unwrap_or(base.backbone_rate),
            shuffle: self.shuffle.unwrap_or(base.shuffle),
            limit: self.limit.or(base.limit),
            log_every: self.log_every.unwrap_or(base.log_every),
            precision: self.precision.unwrap_or(base.precision),
            ema: match self.ema {
                Some(ema) => ema.resolve(base.ema),
                None => base.ema,
            },
            patience: self.patience.or(base.patience).filter(|epochs| *epochs > 0),
            save_every: self.save_every.or(base.save_every),
            keep: self.keep.or(base.keep),
        };
        config.check()?;
        check_threads(self.threads)?;
        Ok(config)
    }
}

impl TrainConfig {
    /// In how many epochs the backbone stays as it is.
    pub fn frozen_epochs(&self) -> usize {
        self.freeze.map_or(0, |_| self.freeze_epochs.unwrap_or(self.epochs).min(self.epochs))
    }

    /// Says what is wrong with this configuration, if anything is.
    pub fn check(&self) -> Result<()> {
        Augmentation::check_all(&self.augment)?;
        let at_least_one = [
            ("epochs", self.epochs),
            ("batchSize", self.batch_size),
            ("logEvery", self.log_every),
            ("limit", self.limit.unwrap_or(1)),
            ("saveEvery", self.save_every.unwrap_or(1)),
            ("keep", self.keep.unwrap_or(1)),
        ];
        for (name, value) in at_least_one {
            if value == 0 {
                return Err(Error::invalid_option(format!("{name} must be at least 1, not 0")));
            }
        }
        if self.keep.is_some() && self.save_every.is_none() {
            return Err(Error::invalid_option("keep is about the states that saveEvery asks for; give both"));
        }
        if self.batch_size < 2 {
            return Err(Error::invalid_option(
                "batchSize must be at least 2: batch norm can't take the variance of one picture",
            ));
        }
        self.optimizer.check()?;
        if let Some(ema) = self.ema {
            ema.check()?;
        }
        self.schedule.check(self.epochs, self.optimizer.learning_rate)?;
        if let Some(weights) = &self.class_weights {
            weights.check()?;
        }
        if self.freeze_epochs.is_some() && self.freeze.is_none() {
            return Err(Error::invalid_option("freezeEpochs is for freeze; give both"));
        }
        if !(self.backbone_rate > 0.0 && self.backbone_rate <= 1.0) {
            return Err(Error::invalid_option(format!(
                "backboneRate must be above 0 and at most 1, not {}; freeze leaves the backbone as it is",
                self.backbone_rate
            )));
        }
        let shares =
            [("validationFraction", self.validation_fraction), ("labelSmoothing", self.label_smoothing)];
        for (name, value) in shares {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::invalid_option(format!(
                    "{name} must be at least 0 and below 1, not {value}"
                )));
            }
        }
        Ok(())
    }
}
