//! The benchmark of this machine by the presets' networks.

use crate::device::backend;
use crate::error::{Result, thrown};
use crate::job::{Promise, start_abandonable};
use crate::model::Cancel;
use crate::number::number;
use crate::options::{choice, whole};
use crate::progress::listener;
use mobilenet_core::{self as core, Error, config};
use napi::bindgen_prelude::{Function, ToNapiValue, TypeName};
use napi_derive::napi;
use std::time::Duration;

/// What to measure, and for how long.
#[napi(object)]
#[derive(Default)]
pub struct BenchmarkOptions {
    /// Whose networks to measure; default every preset's.
    #[napi(ts_type = "readonly ('course' | 'cifar' | 'quick')[] | null")]
    pub presets: Option<Vec<String>>,
    /// What products multiply, as in a recipe; default each preset's, which is `float32`.
    #[napi(ts_type = "'float32' | 'tf32' | 'bfloat16' | null")]
    pub precision: Option<String>,
    /// About how long it takes in all, above 0 and at most 3600; default 30. It takes longer where each work can't be
    /// done three times in that time: once to warm up, and twice to be timed.
    #[napi(ts_type = "number | null")]
    pub seconds: Option<f64>,
    /// Threads that compute; default one a core.
    #[napi(ts_type = "number | null")]
    pub threads: Option<f64>,
}

/// How far a benchmark is.
#[napi(object)]
pub struct BenchmarkProgress {
    /// What is being measured: multiply-adds in registers, a copy in main memory, or one of a network's works.
    #[napi(ts_type = "'peak' | 'memory' | 'training' | 'evaluation' | 'prediction'")]
    pub work: String,
    /// Whose network; null where there is none.
    #[napi(ts_type = "'course' | 'cifar' | 'quick' | null")]
    pub preset: Option<String>,
    /// How much of the whole benchmark is done, from 0 to 1.
    pub share: f64,
}

/// How fast a network trains. Times are medians.
#[napi(object)]
pub struct TrainingSpeed {
    /// Pictures a step.
    pub batch_size: u32,
    /// Time of a step: forward, loss, backward and optimizer.
    pub step_seconds: f64,
    /// Pictures trained on in a second.
    pub images_per_second: f64,
    /// Multiply-adds a second as a share of `multiplyAddsPerSecond`, which is the peak in float32: with `bfloat16` and `tf32` it may be
    /// above 1. A picture takes those of the forward pass three times: also for the gradients of the weights and of the maps (of the
    /// first layer only those of the weights).
    pub share_of_peak: f64,
    /// Steps that were timed.
    pub repetitions: u32,
}

/// How fast a network evaluates. Times are medians.
#[napi(object)]
pub struct EvaluationSpeed {
    /// Pictures a batch.
    pub batch_size: u32,
    /// Time of a batch: forward and loss.
    pub batch_seconds: f64,
    /// Pictures evaluated in a second.
    pub images_per_second: f64,
    /// Multiply-adds a second as a share of `multiplyAddsPerSecond`.
    pub share_of_peak: f64,
    /// Batches that were timed.
    pub repetitions: u32,
}

/// How fast a network answers. Times are medians.
#[napi(object)]
pub struct PredictionSpeed {
    /// Time from one normalised picture to its logits.
    pub latency_seconds: f64,
    /// Multiply-adds a second as a share of `multiplyAddsPerSecond`.
    pub share_of_peak: f64,
    /// Pictures that were timed.
    pub repetitions: u32,
}

/// What one preset would do on this machine.
#[napi(object)]
pub struct PresetSpeed {
    /// Which preset.
    #[napi(ts_type = "'course' | 'cifar' | 'quick'")]
    pub name: String,
    /// What its products multiply.
    #[napi(ts_type = "'float32' | 'tf32' | 'bfloat16'")]
    pub precision: String,
    /// Multiplications with addition for one picture, forward.
    pub multiply_adds: f64,
    /// Training, at the preset's batch size.
    pub training: TrainingSpeed,
    /// Evaluation, in the batches that validation and test use.
    pub evaluation: EvaluationSpeed,
    /// One picture by itself.
    pub prediction: PredictionSpeed,
    /// How long the preset's run would take: all its epochs over CIFAR-10, with validation and test. What prepares
    /// the pictures meanwhile is not counted.
    pub preset_seconds: f64,
}

/// What a benchmark found.
#[napi(object)]
pub struct BenchmarkReport {
    /// The instruction set in use.
    #[napi(ts_type = "'avx512' | 'avx2' | 'neon' | 'plain'")]
    pub simd: String,
    /// Threads that computed.
    pub threads: u32,
    /// The machine's peak: float32 multiplications with addition that all these threads did in a second, in registers. Of a
    /// card, what its maker's numbers say, without tensor cores.
    pub multiply_adds_per_second: f64,
    /// Bytes that all these threads read and wrote in a second, in a copy of main memory. Of a card, what its maker's numbers
    /// say.
    pub bytes_per_second: f64,
    /// In the order asked for.
    pub presets: Vec<PresetSpeed>,
    /// How long the benchmark took.
    pub seconds: f64,
}

/// Measures this machine. `onProgress` hears what is being measured a few times a second, and may still be called
/// after the promise has settled. Cancelled, it fails at once, while the step in work goes on to its end.
#[napi(
    ts_args_type = "options: BenchmarkOptions, device: string, cancel: Cancel, onProgress: (progress: BenchmarkProgress) => void",
    ts_return_type = "Promise<BenchmarkReport>"
)]
pub fn benchmark(
    options: BenchmarkOptions,
    device: String,
    cancel: &Cancel,
    on_progress: Function<BenchmarkProgress, ()>,
) -> Result<Promise<BenchmarkReport>> {
    let options = config::BenchmarkOptions::try_from(options).map_err(thrown)?;
    measure(options.resolve().map_err(thrown)?, &device, cancel, on_progress)
}

/// Starts to measure what `config` says. Progress and report go through `P` and `R`.
pub fn measure<P, R>(
    config: config::BenchmarkConfig,
    device: &str,
    cancel: &Cancel,
    on_progress: Function<P, ()>,
) -> Result<Promise<R>>
where
    P: From<Named<core::benchmark::Progress>> + ToNapiValue + Send + 'static,
    R: From<core::benchmark::Report> + ToNapiValue + TypeName + Send + 'static,
{
    let backend = backend(device).map_err(thrown)?;
    let tell = listener(on_progress)?;
    let cancelled = cancel.inner.clone();
    Ok(start_abandonable(cancelled.clone(), Duration::ZERO, move || {
        let report = core::benchmark::run(&config, &*backend, &cancelled, &mut |progress| {
            let network = progress.network.and_then(|index| config.subjects.get(index));
            let named = Named { value: progress, name: network.map(|subject| subject.name.into()) };
            tell(named.into());
        })?;
        report.map(R::from).ok_or_else(|| Error::invalid_option("the benchmark was cancelled"))
    }))
}

/// What the core numbers, with the name that options have for it.
pub struct Named<T> {
    pub value: T,
    pub name: Option<String>,
}

impl TryFrom<BenchmarkOptions> for config::BenchmarkOptions {
    type Error = Error;

    fn try_from(options: BenchmarkOptions) -> std::result::Result<Self, Error> {
        let presets = options.presets.map(|names| names.iter().map(|name| choice("presets", name)).collect());
        Ok(Self {
            presets: presets.transpose()?,
            precision: options.precision.map(|name| choice("precision", &name)).transpose()?,
            seconds: options.seconds,
            threads: whole("threads", options.threads)?,
        })
    }
}

impl From<Named<core::benchmark::Progress>> for BenchmarkProgress {
    fn from(Named { value, name }: Named<core::benchmark::Progress>) -> Self {
        Self { work: value.work.name().into(), preset: name, share: value.share }
    }
}

impl From<core::benchmark::Report> for BenchmarkReport {
    fn from(report: core::benchmark::Report) -> Self {
        Self {
            simd: report.simd.into(),
            threads: number(report.threads),
            multiply_adds_per_second: report.multiply_adds_per_second,
            bytes_per_second: report.bytes_per_second,
            presets: report.networks.into_iter().map(PresetSpeed::from).collect(),
            seconds: report.seconds,
        }
    }
}

impl From<core::benchmark::NetworkReport> for PresetSpeed {
    fn from(report: core::benchmark::NetworkReport) -> Self {
        Self {
            name: report.name.into(),
            precision: report.precision.name().into(),
            multiply_adds: report.multiply_adds as f64,
            training: report.training.into(),
            evaluation: report.evaluation.into(),
            prediction: report.prediction.into(),
            preset_seconds: report.run_seconds,
        }
    }
}

impl From<core::benchmark::TrainingSpeed> for TrainingSpeed {
    fn from(speed: core::benchmark::TrainingSpeed) -> Self {
        Self {
            batch_size: number(speed.batch_size),
            step_seconds: speed.step_seconds,
            images_per_second: speed.images_per_second,
            share_of_peak: speed.share_of_peak,
            repetitions: number(speed.repetitions),
        }
    }
}

impl From<core::benchmark::EvaluationSpeed> for EvaluationSpeed {
    fn from(speed: core::benchmark::EvaluationSpeed) -> Self {
        Self {
            batch_size: number(speed.batch_size),
            batch_seconds: speed.batch_seconds,
            images_per_second: speed.images_per_second,
            share_of_peak: speed.share_of_peak,
            repetitions: number(speed.repetitions),
        }
    }
}

impl From<core::benchmark::PredictionSpeed> for PredictionSpeed {
    fn from(speed: core::benchmark::PredictionSpeed) -> Self {
        Self {
            latency_seconds: speed.latency_seconds,
            share_of_peak: speed.share_of_peak,
            repetitions: number(speed.repetitions),
        }
    }
}
