//! What a benchmark measures, and what a comparison does.

use super::{
    Layout, ModelConfig, ModelOptions, Precision, Preset, TrainConfig, TrainOptions, Variant, check_threads,
};
use crate::error::{Error, Result};

/// How often a comparison comes back to each network: whatever else the machine does for a while then slows all of
/// them, and the medians leave it out.
const COMPARISON_ROUNDS: usize = 3;

/// A benchmark of presets as asked for: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BenchmarkOptions {
    /// Which presets' networks to measure; default all.
    pub presets: Option<Vec<Preset>>,
    /// What products multiply; default the presets'.
    pub precision: Option<Precision>,
    /// About how long it takes in all; default 30. It takes longer where two runs of everything don't fit.
    pub seconds: Option<f64>,
    /// Threads that compute; default one a core.
    pub threads: Option<usize>,
}

/// A comparison of variants as asked for: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ComparisonOptions {
    /// Which variants to measure; default all.
    pub variants: Option<Vec<Variant>>,
    /// What all of them have; its own `variant` is not looked at. Default layout `cifar`, for V1, too.
    pub model: ModelOptions,
    /// The recipe whose steps are timed.
    pub train: TrainOptions,
    /// About how long it takes in all; default 30. It takes longer where two runs of everything a round don't fit.
    pub seconds: Option<f64>,
    /// Threads that compute; default one a core.
    pub threads: Option<usize>,
}

/// A network to measure, and the recipe whose steps are timed.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// What options call it.
    pub name: &'static str,
    /// The network.
    pub model: ModelConfig,
    /// The recipe.
    pub train: TrainConfig,
}

/// What is to be measured, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchmarkConfig {
    /// The networks, in the order asked for.
    pub subjects: Vec<Subject>,
    /// How often each has its turn.
    pub rounds: usize,
    /// About how long it takes in all.
    pub seconds: f64,
    /// Threads that compute.
    pub threads: usize,
}

impl BenchmarkOptions {
    /// Fills in the defaults and checks the result.
    pub fn resolve(&self) -> Result<BenchmarkConfig> {
        let presets = self.presets.as_deref().unwrap_or(&Preset::ALL);
        if presets.is_empty() {
            return Err(Error::invalid_option("presets must name at least one preset"));
        }
        let subject = |preset: &Preset| {
            let (model, train) = preset.options();
            let train = TrainOptions { precision: self.precision.or(train.precision), ..train };
            let (model, train) = (model.resolve()?, train.resolve(&TrainConfig::default())?);
            Ok(Subject { name: preset.name(), model, train })
        };
        let subjects = presets.iter().map(subject).collect::<Result<Vec<_>>>()?;
        BenchmarkConfig::new(subjects, 1, self.seconds, self.threads)
    }
}

impl ComparisonOptions {
    /// Fills in the defaults and checks the result.
    pub fn resolve(&self) -> Result<BenchmarkConfig> {
        let variants = self.variants.as_deref().unwrap_or(&Variant::ALL);
        if variants.is_empty() {
            return Err(Error::invalid_option("variants must name at least one variant"));
        }
        if let Some((_, twice)) =
            variants.iter().enumerate().find(|(index, variant)| variants[..*index].contains(variant))
        {
            return Err(Error::invalid_option(format!("variants names {} twice", twice.name())));
        }
        let train = self.train.resolve(&TrainConfig::default())?;
        let subject = |variant: &Variant| {
            let layout = self.model.layout.or(Some(Layout::Cifar));
            let model = ModelOptions { variant: Some(*variant), layout, ..self.model.clone() };
            Ok(Subject { name: variant.name(), model: model.resolve()?, train: train.clone() })
        };
        let subjects = variants.iter().map(subject).collect::<Result<Vec<_>>>()?;
        BenchmarkConfig::new(subjects, COMPARISON_ROUNDS, self.seconds, self.threads)
    }
}

impl BenchmarkConfig {
    fn new(
        subjects: Vec<Subject>,
        rounds: usize,
        seconds: Option<f64>,
        threads: Option<usize>,
    ) -> Result<Self> {
        let seconds = seconds.unwrap_or(30.0);
        if !(seconds > 0.0 && seconds <= 3600.0) {
            return Err(Error::invalid_option(format!(
                "seconds must be above 0 and at most 3600, not {seconds}"
            )));
        }
        check_threads(threads)?;
        let threads = threads.unwrap_or_else(crate::device::default_threads);
        Ok(Self { subjects, rounds, seconds, threads })
    }
}
