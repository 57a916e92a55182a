//! Which network, and what its pictures are normalised with.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::slice::from_ref;

/// The most that a picture's shorter side may be resized to: four times the largest resolution.
pub(super) const MAX_RESIZE: usize = 4096;

/// Which MobileNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Howard et al. 2017, arXiv 1704.04861.
    V1,
    /// Sandler et al. 2018, arXiv 1801.04381.
    V2,
    /// Howard et al. 2019, arXiv 1905.02244, table 1.
    V3Large,
    /// Howard et al. 2019, arXiv 1905.02244, table 2.
    V3Small,
}

/// How the network is laid out for its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The course's: no padding, all strides 1, a stem with a bias and without batch norm. V1 only, for 32x32.
    Unpadded,
    /// The paper's with fewer strides, for 32x32. V1: the stem's is 1, so the last map is 2x2. V2 and V3: also the
    /// first stage's that has one, so the last map is 4x4.
    Cifar,
    /// The paper's. For 224x224.
    Imagenet,
}

/// A non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// None: the linear bottleneck of V2 (section 3.2). Not for a network as a whole.
    #[serde(skip)]
    Identity,
    /// `max(0, x)`, as in V1's paper.
    Relu,
    /// `min(max(0, x), 6)`, as in V1's released weights and in V2.
    Relu6,
    /// `x * min(max(0, x + 3), 6) / 6`, in V3 (section 5.2).
    HardSwish,
    /// `min(max(0, x + 3), 6) / 6`, behind V3's squeeze-and-excitation (section 5.3). Not for a network as a whole.
    #[serde(skip)]
    HardSigmoid,
}

/// A network, complete: what a checkpoint's metadata holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelConfig {
    /// Which MobileNet.
    pub variant: Variant,
    /// How it is laid out.
    pub layout: Layout,
    /// Its non-linearity. V1: `relu` or `relu6`; V2: `relu6`; V3: `hard-swish` (beside the `relu` that its table asks
    /// for in the first stages).
    pub activation: Activation,
    /// The width multiplier alpha; channel counts are rounded to multiples of 8 (at least 8).
    pub width: f64,
    /// Height and width of a picture in pixels.
    pub resolution: usize,
    /// How many classes.
    pub classes: usize,
    /// Share of the classifier's inputs that a training step leaves out, from 0 to below 1.
    #[serde(default)]
    pub dropout: f64,
}

/// A network as asked for: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelOptions {
    /// Default `v1`.
    pub variant: Option<Variant>,
    /// Default `unpadded` for V1, `cifar` for the others.
    pub layout: Option<Layout>,
    /// Default `relu` for V1; the others have but one.
    pub activation: Option<Activation>,
    /// Default 1.
    pub width: Option<f64>,
    /// Default 32, or 224 in layout `imagenet`.
    pub resolution: Option<usize>,
    /// Default 10, or 1000 in layout `imagenet`.
    pub classes: Option<usize>,
    /// Default 0 for V1, 0.2 for the others (as torchvision has it).
    pub dropout: Option<f64>,
}

impl Variant {
    /// Every variant, the oldest first.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3Large, Self::V3Small];

    /// What options call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3Large => "v3-large",
            Self::V3Small => "v3-small",
        }
    }

    /// What its blocks use where nothing else is asked for.
    fn activation(self) -> Activation {
        match self {
            Self::V1 => Activation::Relu,
            Self::V2 => Activation::Relu6,
            Self::V3Large | Self::V3Small => Activation::HardSwish,
        }
    }
}

impl ModelOptions {
    /// Fills in the defaults and checks the result.
    pub fn resolve(&self) -> Result<ModelConfig> {
        let variant = self.variant.unwrap_or(Variant::V1);
        let v1 = variant == Variant::V1;
        let layout = self.layout.unwrap_or(if v1 { Layout::Unpadded } else { Layout::Cifar });
        let imagenet = layout == Layout::Imagenet;
        let config = ModelConfig {
            variant,
            layout,
            activation: self.activation.unwrap_or(variant.activation()),
            width: self.width.unwrap_or(1.0),
            resolution: self.resolution.unwrap_or(if imagenet { 224 } else { 32 }),
            classes: self.classes.unwrap_or(if imagenet { 1000 } else { 10 }),
            dropout: self.dropout.unwrap_or(if v1 { 0.0 } else { 0.2 }),
        };
        config.check()?;
        Ok(config)
    }

    /// Says what is wrong with these options, if anything is, of weights that are yet to be read: what isn't given may be
    /// whatever it likes.
    pub fn check(&self) -> Result<()> {
        let layouts = [Layout::Cifar, Layout::Imagenet, Layout::Unpadded];
        let variants = self.variant.as_ref().map_or(&Variant::ALL[..], from_ref);
        let layouts = self.layout.as_ref().map_or(&layouts[..], from_ref);
        let networks = variants.iter().flat_map(|&variant| {
            let of = move |&layout| Self { variant: Some(variant), layout: Some(layout), ..self.clone() };
            layouts.iter().map(of)
        });
        let mut first = Ok(());
        for network in networks {
            match network.resolve() {
                Ok(_) => return Ok(()),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
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
        if self.variant != Variant::V1 && self.layout == Layout::Unpadded {
            return Err(Error::invalid_option(
                "layout unpadded is V1's, the course's network; V2 and V3 have cifar and imagenet",
            ));
        }
        let other_relu = self.variant == Variant::V1 && self.activation == Activation::Relu6;
        if self.activation != self.variant.activation() && !other_relu {
            return Err(Error::invalid_option(
                "activation can be chosen for V1 only, relu or relu6; V2 has relu6 and V3 hard-swish",
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::invalid_option(format!(
                "dropout must be at least 0 and below 1, not {}",
                self.dropout
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

    /// What a picture's shorter side is resized to for a network whose weights come from elsewhere: in layout `imagenet`
    /// 8/7 of the resolution (256 for 224), as torchvision and timm have it where they don't say something else.
    pub fn usual_resize(&self) -> usize {
        match self.layout {
            Layout::Imagenet => (self.resolution * 8 + 3) / 7,
            Layout::Unpadded | Layout::Cifar => self.resolution,
        }
    }

    /// Says what is wrong with resizing a picture's shorter side to so many pixels, if anything is.
    pub fn check_resize(&self, resize: usize) -> Result<()> {
        let least = self.resolution;
        if resize < least || resize > MAX_RESIZE {
            return Err(Error::invalid_option(format!(
                "resize must be from {least}, the network's resolution, to {MAX_RESIZE}, not {resize}"
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

impl Normalization {
    /// Says what is wrong with these numbers, if anything is.
    pub fn check(&self) -> Result<()> {
        let Self { mean, std } = self;
        if mean.iter().all(|mean| mean.is_finite()) && std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return Ok(());
        }
        Err(Error::invalid_option(format!(
            "normalization must have finite means, and standard deviations above 0, not mean {mean:?} and std {std:?}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn refused(options: ModelOptions, words: &str) {
        let error = options.resolve().unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption, "{}", error.message);
        assert!(error.message.contains(words), "{}", error.message);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let none = ModelOptions::default;
        for width in [0.0, -1.0, 4.1, f64::NAN, f64::INFINITY] {
            refused(ModelOptions { width: Some(width), ..none() }, "width must be above 0 and at most 4");
        }
        for dropout in [1.0, -0.1, f64::NAN] {
            let words = "dropout must be at least 0 and below 1";
            refused(ModelOptions { dropout: Some(dropout), ..none() }, words);
        }
        for resolution in [0, 28, 1025] {
            let words = format!("resolution must be from 29 to 1024 in this layout, not {resolution}");
            refused(ModelOptions { resolution: Some(resolution), ..none() }, &words);
        }
        for layout in [Layout::Cifar, Layout::Imagenet] {
            let options = ModelOptions { layout: Some(layout), resolution: Some(31), ..none() };
            refused(options, "resolution must be from 32 to 1024 in this layout, not 31");
        }
        for classes in [0, 1, 100_001] {
            let words = format!("classes must be from 2 to 100000, not {classes}");
            refused(ModelOptions { classes: Some(classes), ..none() }, &words);
        }
        for variant in [Variant::V2, Variant::V3Large, Variant::V3Small] {
            let layout = Some(Layout::Unpadded);
            refused(ModelOptions { variant: Some(variant), layout, ..none() }, "layout unpadded is V1's");
        }
        for (variant, activation) in [
            (Variant::V1, Activation::HardSwish),
            (Variant::V1, Activation::Identity),
            (Variant::V2, Activation::Relu),
            (Variant::V2, Activation::HardSwish),
            (Variant::V3Large, Activation::Relu6),
            (Variant::V3Small, Activation::HardSigmoid),
        ] {
            let options = ModelOptions { variant: Some(variant), activation: Some(activation), ..none() };
            refused(options, "activation can be chosen for V1 only");
        }
    }

    #[test]
    fn what_no_weights_can_be_is_told_before_they_are_read() {
        let none = ModelOptions::default;
        let (v1, v2, swish) = (Some(Variant::V1), Some(Variant::V2), Some(Activation::HardSwish));
        for (options, words) in [
            (ModelOptions { width: Some(0.0), ..none() }, "width must be above 0 and at most 4, not 0"),
            (ModelOptions { resolution: Some(28), ..none() }, "resolution must be from 32 to 1024"),
            (ModelOptions { classes: Some(1), ..none() }, "classes must be from 2 to 100000, not 1"),
            (ModelOptions { dropout: Some(1.0), variant: v2, ..none() }, "dropout must be at least 0"),
            (
                ModelOptions { layout: Some(Layout::Unpadded), variant: v2, ..none() },
                "layout unpadded is V1's",
            ),
            (
                ModelOptions { activation: swish, variant: v1, ..none() },
                "activation can be chosen for V1 only",
            ),
        ] {
            let error = options.check().unwrap_err();
            assert!(error.message.contains(words), "{}", error.message);
        }
        // Some network is so.
        for options in [
            none(),
            ModelOptions { activation: swish, ..none() },
            ModelOptions { resolution: Some(29), ..none() },
            ModelOptions { layout: Some(Layout::Unpadded), ..none() },
            ModelOptions { resolution: Some(1024), classes: Some(2), width: Some(4.0), ..none() },
        ] {
            options.check().unwrap();
        }
    }

    #[test]
    fn the_ends_of_what_is_allowed_are() {
        let none = ModelOptions::default;
        for options in [
            ModelOptions { width: Some(4.0), ..none() },
            ModelOptions { dropout: Some(0.0), ..none() },
            ModelOptions { dropout: Some(0.999), ..none() },
            ModelOptions { resolution: Some(29), ..none() },
            ModelOptions { resolution: Some(1024), ..none() },
            ModelOptions { layout: Some(Layout::Cifar), resolution: Some(32), ..none() },
            ModelOptions { classes: Some(2), ..none() },
            ModelOptions { classes: Some(100_000), ..none() },
            ModelOptions { activation: Some(Activation::Relu6), ..none() },
        ] {
            options.resolve().unwrap();
        }
    }
}
