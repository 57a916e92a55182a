//! What can be configured, with every default in one place, and the check that a configuration makes sense.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which MobileNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Howard et al. 2017, arXiv 1704.04861.
    V1,
}

/// How the network is laid out for its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The course's: no padding, all strides 1, a stem with a bias and without batch norm. For 32x32.
    Unpadded,
    /// The paper's with the stem's stride set to 1. For 32x32.
    Cifar,
    /// The paper's, table 1. For 224x224.
    Imagenet,
}

/// The non-linearity of V1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(0, x)`, as in the paper.
    Relu,
    /// `min(max(0, x), 6)`, as in the paper's released weights and in timm.
    Relu6,
}

/// A network, complete: what a checkpoint's metadata holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelConfig {
    /// Which MobileNet.
    pub variant: Variant,
    /// How it is laid out.
    pub layout: Layout,
    /// Its non-linearity.
    pub activation: Activation,
    /// The width multiplier alpha; channel counts are rounded to multiples of 8 (at least 8).
    pub width: f64,
    /// Height and width of a picture in pixels.
    pub resolution: usize,
    /// How many classes.
    pub classes: usize,
}

/// A network as asked for: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelOptions {
    /// Default `v1`.
    pub variant: Option<Variant>,
    /// Default `unpadded`.
    pub layout: Option<Layout>,
    /// Default `relu`.
    pub activation: Option<Activation>,
    /// Default 1.
    pub width: Option<f64>,
    /// Default 32, or 224 in layout `imagenet`.
    pub resolution: Option<usize>,
    /// Default 10, or 1000 in layout `imagenet`.
    pub classes: Option<usize>,
}

impl ModelOptions {
    /// Fills in the defaults and checks the result.
    pub fn resolve(&self) -> Result<ModelConfig> {
        let layout = self.layout.unwrap_or(Layout::Unpadded);
        let imagenet = layout == Layout::Imagenet;
        let config = ModelConfig {
            variant: self.variant.unwrap_or(Variant::V1),
            layout,
            activation: self.activation.unwrap_or(Activation::Relu),
            width: self.width.unwrap_or(1.0),
            resolution: self.resolution.unwrap_or(if imagenet { 224 } else { 32 }),
            classes: self.classes.unwrap_or(if imagenet { 1000 } else { 10 }),
        };
        config.check()?;
        Ok(config)
    }
}

impl ModelConfig {
    /// Says what is wrong with this configuration, if anything is.
    pub fn check(&self) -> Result<()> {
        if !(self.width > 0.0 && self.width <= 4.0) {
            return Err(Error::invalid_option(format!(
                "width must be above 0 and at most 4, not {}",
                self.width
            )));
        }
        // Unpadded: 14 convolutions take 2 pixels each, and at least one must be left.
        let least = if self.layout == Layout::Unpadded { 29 } else { 32 };
        if self.resolution < least || self.resolution > 1024 {
            return Err(Error::invalid_option(format!(
                "resolution must be from {least} to 1024 in this layout, not {}",
                self.resolution
            )));
        }
        if self.classes < 2 || self.classes > 100_000 {
            return Err(Error::invalid_option(format!(
                "classes must be from 2 to 100000, not {}",
                self.classes
            )));
        }
        Ok(())
    }
}

/// Per-channel mean and standard deviation, of values from 0 to 1, in the order red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted.
    pub mean: [f64; 3],
    /// Divided by, after that.
    pub std: [f64; 3],
}

impl Default for Normalization {
    /// ImageNet's, which the course uses for CIFAR-10, too.
    fn default() -> Self {
        Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }
}

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

/// A named pair of network and recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The course's script to the letter.
    Course,
    /// The paper's network for 32x32, with a recipe tuned for accuracy.
    Cifar,
    /// The best accuracy that two CPU cores reach in about ten minutes.
    Quick,
}

impl Preset {
    /// Every preset, the default first.
    pub const ALL: [Self; 3] = [Self::Course, Self::Cifar, Self::Quick];

    /// What options call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Course => "course",
            Self::Cifar => "cifar",
            Self::Quick => "quick",
        }
    }

    /// The preset's network and recipe.
    pub fn options(self) -> (ModelOptions, TrainOptions) {
        // One cycle of Adam up to 0.003. Not tuned yet: of the rates tried only this one was run to its end (81.28 %
        // of the test pictures with `quick`).
        let one_cycle = |epochs| TrainOptions {
            epochs: Some(epochs),
            optimizer: Some(OptimizerConfig::Adam { learning_rate: 0.003 }),
            schedule: Some(ScheduleConfig::OneCycle),
            ..Default::default()
        };
        let cifar = ModelOptions { layout: Some(Layout::Cifar), ..Default::default() };
        match self {
            Self::Course => (ModelOptions::default(), TrainOptions::default()),
            Self::Cifar => (cifar, one_cycle(60)),
            // Half the width trains three times as fast, and 15 epochs then fill the ten minutes.
            Self::Quick => (ModelOptions { width: Some(0.5), ..cifar }, one_cycle(15)),
        }
    }
}

/// A benchmark as asked for: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BenchmarkOptions {
    /// Which presets' networks to measure; default all.
    pub presets: Option<Vec<Preset>>,
    /// About how long it takes in all; default 30. It takes longer where two runs of everything don't fit.
    pub seconds: Option<f64>,
    /// Threads that compute; default one a core.
    pub threads: Option<usize>,
}

/// A benchmark, complete.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // Each field is described at `BenchmarkOptions`.
pub struct BenchmarkConfig {
    pub presets: Vec<Preset>,
    pub seconds: f64,
    pub threads: usize,
}

impl BenchmarkOptions {
    /// Fills in the defaults and checks the result.
    pub fn resolve(&self) -> Result<BenchmarkConfig> {
        let presets = self.presets.clone().unwrap_or_else(|| Preset::ALL.to_vec());
        if presets.is_empty() {
            return Err(Error::invalid_option("presets must name at least one preset"));
        }
        let seconds = self.seconds.unwrap_or(30.0);
        if !(seconds > 0.0 && seconds <= 3600.0) {
            return Err(Error::invalid_option(format!(
                "seconds must be above 0 and at most 3600, not {seconds}"
            )));
        }
        check_threads(self.threads)?;
        Ok(BenchmarkConfig {
            presets,
            seconds,
            threads: self.threads.unwrap_or_else(crate::device::default_threads),
        })
    }
}

fn check_threads(threads: Option<usize>) -> Result<()> {
    match threads {
        Some(0 | 1025..) => Err(Error::invalid_option("threads must be from 1 to 1024")),
        _ => Ok(()),
    }
}
