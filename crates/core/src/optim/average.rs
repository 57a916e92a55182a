//! An exponential moving average of the weights (Polyak and Juditsky 1992), as timm's `ModelEmaV3` and PyTorch's
//! `AveragedModel` with `get_ema_multi_avg_fn` and `use_buffers` keep it: running statistics are averaged, too.

use crate::config::EmaConfig;
use rayon::prelude::*;

/// Values that one task handles: 64 KB an operand.
const CHUNK: usize = 16_384;
/// timm's `warmup_power`.
const WARMUP_POWER: f64 = 2.0 / 3.0;

/// The averages of a network's parameters and of its running statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct Average {
    /// How it moves.
    pub config: EmaConfig,
    /// Of the parameters.
    pub parameters: Vec<f32>,
    /// Of the running statistics.
    pub statistics: Vec<f32>,
    /// Steps that are in it.
    pub updates: usize,
}

impl Average {
    /// With `updates` steps in it; what the values are does not matter when there are none.
    pub fn new(config: EmaConfig, parameters: Vec<f32>, statistics: Vec<f32>, updates: usize) -> Self {
        Self { config, parameters, statistics, updates }
    }

    /// Takes in the values after a step. The first are taken as they are.
    pub fn update(&mut self, parameters: &[f32], statistics: &[f32]) {
        let decay = self.decay();
        lerp(&mut self.parameters, parameters, 1.0 - decay);
        lerp(&mut self.statistics, statistics, 1.0 - decay);
        self.updates += 1;
    }

    /// How much of the average stays in the next update.
    pub fn decay(&self) -> f64 {
        decay(self.config, self.updates)
    }
}

/// How much of the average stays, after so many updates.
fn decay(EmaConfig { decay, warmup }: EmaConfig, updates: usize) -> f64 {
    match (updates, warmup) {
        (0, _) => 0.0,
        (_, false) => decay,
        (_, true) => decay.min(1.0 - (1.0 + updates as f64).powf(-WARMUP_POWER)),
    }
}

/// PyTorch's `lerp`: exact at both ends.
fn lerp(averages: &mut [f32], values: &[f32], weight: f64) {
    let (weight, rest, near) = (weight as f32, (1.0 - weight) as f32, weight < 0.5);
    averages.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(averages, values)| {
        for (average, value) in averages.iter_mut().zip(values) {
            let difference = value - *average;
            *average = if near { *average + weight * difference } else { value - difference * rest };
        }
    });
}
