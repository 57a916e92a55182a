//! What a benchmark measures.

use super::{Preset, check_threads};
use crate::error::{Error, Result};

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
