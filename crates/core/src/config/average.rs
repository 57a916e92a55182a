//! The average of the weights.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// An exponential moving average of the weights, complete.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)] // Each field is described at `EmaOptions`.
pub struct EmaConfig {
    pub decay: f64,
    pub warmup: bool,
}

/// An exponential moving average of the weights as asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmaOptions {
    /// How much of the average stays in a step; 0 for no average; default 0.9999, timm's.
    pub decay: Option<f64>,
    /// Whether it stays less at first: at most 1 - (1 + n)^(-2/3) in step n, as timm's `use_warmup` has it. Default true,
    /// other than timm's: a run of 20 epochs has 14,000 steps, and an average over the last 10,000 of them would hold the
    /// first epochs.
    pub warmup: Option<bool>,
}

impl EmaConfig {
    /// Says what is wrong with this configuration, if anything is.
    pub fn check(self) -> Result<()> {
        if (0.0..1.0).contains(&self.decay) {
            return Ok(());
        }
        Err(Error::invalid_option(format!("ema.decay must be from 0 to below 1, not {}", self.decay)))
    }
}

impl EmaOptions {
    /// Puts these options over `base`; none when there is to be no average.
    pub fn resolve(self, base: Option<EmaConfig>) -> Option<EmaConfig> {
        let base = base.unwrap_or(EmaConfig { decay: 0.9999, warmup: true });
        let decay = self.decay.unwrap_or(base.decay);
        (decay != 0.0).then(|| EmaConfig { decay, warmup: self.warmup.unwrap_or(base.warmup) })
    }
}
