//! Which network, and what its pictures are normalised with.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

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
