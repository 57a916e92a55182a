//! Several variants measured side by side.

use crate::benchmark::{EvaluationSpeed, Named, PredictionSpeed, TrainingSpeed, measure};
use crate::device::backend;
use crate::error::{Result, thrown};
use crate::job::Promise;
use crate::model::Cancel;
use crate::number::number;
use crate::options::{ModelOptions, TrainOptions, choice, whole};
use mobilenet_core::{self as core, Error, config};
use napi::bindgen_prelude::Function;
use napi_derive::napi;

/// Which networks to measure, and for how long.
#[napi(object)]
pub struct ComparisonOptions {
    /// Which variants; default all four.
    #[napi(ts_type = "readonly ('v1' | 'v2' | 'v3-large' | 'v3-small')[] | null")]
    pub variants: Option<Vec<String>>,
    /// What all of them have; a `variant` in it is not looked at. Default layout `cifar`.
    pub model: ModelOptions,
    /// The recipe whose steps are timed.
    pub recipe: TrainOptions,
    /// About how long it takes in all, above 0 and at most 3600; default 30.
    #[napi(ts_type = "number | null")]
    pub seconds: Option<f64>,
    /// Threads that compute; default one a core.
    #[napi(ts_type = "number | null")]
    pub threads: Option<f64>,
}

/// How far the measuring is.
#[napi(object)]
pub struct ComparisonProgress {
    /// What is being measured: multiply-adds in registers, a copy in main memory, or one of a network's works.
    #[napi(ts_type = "'peak' | 'memory' | 'training' | 'evaluation' | 'prediction'")]
    pub work: String,
    /// Which network; absent where there is none.
    #[napi(ts_type = "'v1' | 'v2' | 'v3-large' | 'v3-small' | null")]
    pub variant: Option<String>,
    /// How much of all measuring is done, from 0 to 1.
    pub share: f64,
}

/// What one variant does on this machine.
#[napi(object)]
pub struct VariantSpeed {
    /// Which variant.
    #[napi(ts_type = "'v1' | 'v2' | 'v3-large' | 'v3-small'")]
    pub variant: String,
    /// Multiplications with addition for one picture, forward.
    pub multiply_adds: f64,
    /// Training, at the recipe's batch size.
    pub training: TrainingSpeed,
    /// Evaluation, in the batches that validation and test use.
    pub evaluation: EvaluationSpeed,
    /// One picture by itself.
    pub prediction: PredictionSpeed,
    /// Bytes that training works with at this batch size: parameters, gradients, the optimizer's state, and the plan's
    /// buffers.
    /// Pictures and the rest of the process are not counted.
    pub training_bytes: f64,
    /// Bytes that evaluation works with in these batches: the plan's buffers, which hold the weights, too.
    pub inference_bytes: f64,
    /// How long the recipe's run would take: all its epochs over CIFAR-10, with validation and test. What prepares the
    /// pictures meanwhile is not counted.
    pub run_seconds: f64,
}

/// What was measured.
#[napi(object)]
pub struct ComparisonSpeeds {
    /// The instruction set in use.
    #[napi(ts_type = "'avx512' | 'avx2' | 'neon' | 'plain'")]
    pub simd: String,
    /// Threads that computed.
    pub threads: u32,
    /// The machine's peak: float32 multiplications with addition that all these threads did in a second, in registers.
    pub multiply_adds_per_second: f64,
    /// Bytes that all these threads read and wrote in a second, in a copy of main memory.
    pub bytes_per_second: f64,
    /// In the order asked for.
    pub variants: Vec<VariantSpeed>,
    /// How long the measuring took.
    pub seconds: f64,
}

/// Refuses what can't be measured; of a device that was selected, also what that can't do.
#[napi]
pub fn check_comparison(options: ComparisonOptions, device: Option<String>) -> Result<()> {
    let options = config::ComparisonOptions::try_from(options).map_err(thrown)?;
    let config = options.resolve().map_err(thrown)?;
    let Some(name) = device else { return Ok(()) };
    backend(&name).and_then(|backend| core::benchmark::check(&config, &*backend)).map_err(thrown)
}

/// Measures variants in turns. `onProgress` and `cancel` are as in `benchmark`.
#[napi(
    ts_args_type = "options: ComparisonOptions, device: string, cancel: Cancel, onProgress: (progress: ComparisonProgress) => void",
    ts_return_type = "Promise<ComparisonSpeeds>"
)]
pub fn compare_speeds(
    options: ComparisonOptions,
    device: String,
    cancel: &Cancel,
    on_progress: Function<ComparisonProgress, ()>,
) -> Result<Promise<ComparisonSpeeds>> {
    let options = config::ComparisonOptions::try_from(options).map_err(thrown)?;
    measure(options.resolve().map_err(thrown)?, &device, cancel, on_progress)
}

impl TryFrom<ComparisonOptions> for config::ComparisonOptions {
    type Error = Error;

    fn try_from(options: ComparisonOptions) -> std::result::Result<Self, Error> {
        let variants =
            options.variants.map(|names| names.iter().map(|name| choice("variants", name)).collect());
        Ok(Self {
            variants: variants.transpose()?,
            model: options.model.try_into()?,
            train: options.recipe.try_into()?,
            seconds: options.seconds,
            threads: whole("threads", options.threads)?,
        })
    }
}

impl From<Named<core::benchmark::Progress>> for ComparisonProgress {
    fn from(Named { value, name }: Named<core::benchmark::Progress>) -> Self {
        Self { work: value.work.name().into(), variant: name, share: value.share }
    }
}

impl From<core::benchmark::Report> for ComparisonSpeeds {
    fn from(report: core::benchmark::Report) -> Self {
        Self {
            simd: report.simd.into(),
            threads: number(report.threads),
            multiply_adds_per_second: report.multiply_adds_per_second,
            bytes_per_second: report.bytes_per_second,
            variants: report.networks.into_iter().map(VariantSpeed::from).collect(),
            seconds: report.seconds,
        }
    }
}

impl From<core::benchmark::NetworkReport> for VariantSpeed {
    fn from(report: core::benchmark::NetworkReport) -> Self {
        Self {
            variant: report.name.into(),
            multiply_adds: report.multiply_adds as f64,
            training: report.training.into(),
            evaluation: report.evaluation.into(),
            prediction: report.prediction.into(),
            training_bytes: report.training_bytes as f64,
            inference_bytes: report.inference_bytes as f64,
            run_seconds: report.run_seconds,
        }
    }
}
