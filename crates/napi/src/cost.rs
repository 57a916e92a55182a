//! What depthwise separable convolution saves.

use crate::error::{Result, thrown};
use crate::options::{ModelOptions, whole};
use mobilenet_core::{self as core, Error, config};
use napi_derive::napi;

/// A convolution of stride 1 with padding `same`, without bias: each size a whole number from 1 to 1,000,000, and all
/// together at most 2^52 multiply-adds.
#[napi(object)]
pub struct ConvolutionSize {
    /// F: height and width of the input, and of the output.
    pub input: f64,
    /// C: channels of the input.
    pub channels: f64,
    /// K: height and width of the kernel.
    pub kernel: f64,
    /// M: channels of the output.
    pub outputs: f64,
}

/// What a convolution or a network costs.
#[napi(object)]
pub struct Cost {
    /// Multiplications with addition for one picture.
    pub multiply_adds: f64,
    /// Trainable values.
    pub parameters: f64,
}

/// What a depthwise separable convolution costs, and each of its two parts.
#[napi(object)]
pub struct SeparableParts {
    /// One K x K filter a channel: K K C F F multiply-adds, K K C parameters.
    pub depthwise: Cost,
    /// The 1x1 convolution behind it: C M F F multiply-adds, C M parameters.
    pub pointwise: Cost,
    /// Of both, for one picture.
    pub multiply_adds: f64,
    /// Of both.
    pub parameters: f64,
}

/// A convolution beside the depthwise separable one that takes its place.
#[napi(object)]
pub struct SeparableCost {
    /// K K C M F F multiply-adds, K K C M parameters.
    pub standard: Cost,
    /// K K C F F + C M F F multiply-adds, K K C + C M parameters.
    pub separable: SeparableParts,
    /// The second as a share of the first, the same for multiply-adds and parameters: 1/M + 1/K^2.
    pub ratio: f64,
    /// 1/M + 1/F^2, with which a well-known course note ends the same derivation: it is the ratio only where F = K.
    pub course_note_ratio: f64,
}

/// A network beside the same one with a standard convolution in place of each depthwise separable one.
#[napi(object)]
pub struct ModelCost {
    /// Which network it is, complete.
    #[napi(ts_type = "object")]
    pub config: serde_json::Value,
    /// Multiplications with addition for one picture.
    pub multiply_adds: f64,
    /// Trainable values.
    pub parameters: f64,
    /// The same network with standard convolutions.
    pub standard: Cost,
    /// Multiply-adds as a share of those with standard convolutions.
    pub ratio: f64,
}

/// What a convolution costs, and a depthwise separable one in its place (arXiv 1704.04861, section 3.1).
#[napi]
pub fn separable_cost(size: ConvolutionSize) -> Result<SeparableCost> {
    let convolution = core::model::cost::Convolution::try_from(size).map_err(thrown)?;
    Ok(convolution.cost().map_err(thrown)?.into())
}

/// What a network costs, and the same one with standard convolutions (table 4 of the paper).
#[napi]
pub fn model_cost(options: ModelOptions) -> Result<ModelCost> {
    let config = config::ModelOptions::try_from(options).and_then(|options| options.resolve());
    let config = config.map_err(thrown)?;
    let cost = core::model::cost::network(&config);
    Ok(ModelCost {
        config: serde_json::to_value(&config).map_err(|error| thrown(Error::internal(error)))?,
        multiply_adds: cost.separable.multiply_adds as f64,
        parameters: cost.separable.parameters as f64,
        standard: cost.standard.into(),
        ratio: cost.ratio,
    })
}

impl TryFrom<ConvolutionSize> for core::model::cost::Convolution {
    type Error = Error;

    fn try_from(size: ConvolutionSize) -> std::result::Result<Self, Error> {
        let given = |name, value| whole(name, Some(value)).map(Option::unwrap_or_default);
        Ok(Self {
            input: given("input", size.input)?,
            channels: given("channels", size.channels)?,
            kernel: given("kernel", size.kernel)?,
            outputs: given("outputs", size.outputs)?,
        })
    }
}

impl From<core::model::cost::SeparableCost> for SeparableCost {
    fn from(cost: core::model::cost::SeparableCost) -> Self {
        let Cost { multiply_adds, parameters } = cost.separable().into();
        Self {
            standard: cost.standard.into(),
            separable: SeparableParts {
                depthwise: cost.depthwise.into(),
                pointwise: cost.pointwise.into(),
                multiply_adds,
                parameters,
            },
            ratio: cost.ratio,
            course_note_ratio: cost.course_note_ratio,
        }
    }
}

impl From<core::model::cost::Cost> for Cost {
    /// The core's limits keep both below 2^53.
    fn from(cost: core::model::cost::Cost) -> Self {
        Self { multiply_adds: cost.multiply_adds as f64, parameters: cost.parameters as f64 }
    }
}
