//! How a network is trained.

use super::check_threads;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How parameters move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Kingma and Ba 2014, as in PyTorch: betas 0.9 and 0.999, eps 1e-8 outside the root, bias-corrected, no decay.
    Adam {
        /// The learning rate at the start (or at the top, in a schedule that rises).
        learning_rate: f64,
    },
}

impl OptimizerConfig {
    /// The learning rate before the schedule.
    pub fn learning_rate(&self) -> f64 {
        let Self::Adam { learning_rate } = self;
        *learning_rate
    }
}

/// How the learning rate moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// It stays.
    Constant,
    /// PyTorch's `StepLR`: times `gamma` every `step_size` epochs.
    Step {
        /// Epochs between two drops.
        step_size: usize,
        /// What a drop multiplies by.
        gamma: f64,
    },
    /// PyTorch's `CosineAnnealingLR` down to 0 over all epochs, moved once an epoch.
    Cosine,
    /// Up in a line from 1/25 of the learning rate over the first 30 % of all steps, then down by a cosine to
    /// nearly 0: PyTorch's `OneCycleLR` with its defaults, moved every step.
    OneCycle,
}

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
    /// Both factors rounded to bfloat16: twice as fast on processors with AVX512_BF16, and only there.
    Bfloat16,
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
    pub optimizer: Option<OptimizerConfig>,
    /// Default `StepLR(10, 0.5)`.
    pub schedule: Option<ScheduleConfig>,
    /// Share of the training pictures kept for validation; default 0.1. Split by NumPy's seed 42.
    pub validation_fraction: Option<f64>,
    /// Decides the order and the augmentation; default 1.
    pub seed: Option<u64>,
    /// Crop (padding 4) and flip; default true.
    pub augment: Option<bool>,
    /// A new order each epoch; default true.
    pub shuffle: Option<bool>,
    /// At most this many pictures of each part (train, validation, test); default all.
    pub limit: Option<usize>,
    /// Steps between two `step` events; default 1.
    pub log_every: Option<usize>,
    /// The run's folder; default none: nothing is written.
    pub out: Option<PathBuf>,
    /// Default float32.
    pub precision: Option<Precision>,
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
    pub augment: bool,
    pub shuffle: bool,
    pub limit: Option<usize>,
    pub log_every: usize,
    /// Runs from before there was a choice were float32.
    #[serde(default)]
    pub precision: Precision,
}

impl Default for TrainConfig {
    /// The course's recipe.
    fn default() -> Self {
        Self {
            epochs: 50,
            batch_size: 64,
            optimizer: OptimizerConfig::Adam { learning_rate: 0.01 },
            schedule: ScheduleConfig::Step { step_size: 10, gamma: 0.5 },
            validation_fraction: 0.1,
            seed: 1,
            augment: true,
            shuffle: true,
            limit: None,
            log_every: 1,
            precision: Precision::Float32,
        }
    }
}

impl TrainOptions {
    /// Puts these options over `base` and checks the result.
    pub fn resolve(&self, base: &TrainConfig) -> Result<TrainConfig> {
        let config = TrainConfig {
            epochs: self.epochs.unwrap_or(base.epochs),
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            optimizer: self.optimizer.unwrap_or(base.optimizer),
            schedule: self.schedule.unwrap_or(base.schedule),
            validation_fraction: self.validation_fraction.unwrap_or(base.validation_fraction),
            seed: self.seed.unwrap_or(base.seed),
            augment: self.augment.unwrap_or(base.augment),
            shuffle: self.shuffle.unwrap_or(base.shuffle),
            limit: self.limit.or(base.limit),
            log_every: self.log_every.unwrap_or(base.log_every),
            precision: self.precision.unwrap_or(base.precision),
        };
        config.check()?;
        check_threads(self.threads)?;
        Ok(config)
    }
}

impl TrainConfig {
    /// Says what is wrong with this configuration, if anything is.
    pub fn check(&self) -> Result<()> {
        let at_least_one = [
            ("epochs", self.epochs),
            ("batchSize", self.batch_size),
            ("logEvery", self.log_every),
            ("limit", self.limit.unwrap_or(1)),
        ];
        for (name, value) in at_least_one {
            if value == 0 {
                return Err(Error::invalid_option(format!("{name} must be at least 1, not 0")));
            }
        }
        if self.batch_size < 2 {
            return Err(Error::invalid_option(
                "batchSize must be at least 2: batch norm can't take the variance of one picture",
            ));
        }
        let learning_rate = self.optimizer.learning_rate();
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            return Err(Error::invalid_option(format!(
                "learningRate must be a number above 0, not {learning_rate}"
            )));
        }
        if let ScheduleConfig::Step { step_size, gamma } = self.schedule {
            if step_size == 0 {
                return Err(Error::invalid_option("stepSize must be at least 1 epoch, not 0"));
            }
            if !(gamma > 0.0 && gamma <= 1.0) {
                return Err(Error::invalid_option(format!(
                    "gamma must be above 0 and at most 1, not {gamma}"
                )));
            }
        }
        if !(0.0..1.0).contains(&self.validation_fraction) {
            return Err(Error::invalid_option(format!(
                "validationFraction must be at least 0 and below 1, not {}",
                self.validation_fraction
            )));
        }
        Ok(())
    }
}
