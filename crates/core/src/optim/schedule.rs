//! The learning rate of a step, as a function of where the run is, so that a resumed run needs no state for it.

use crate::config::ScheduleConfig;
use std::f64::consts::PI;

/// The learning rate for step `step` (from 0) of epoch `epoch` (from 0).
pub fn learning_rate(
    schedule: ScheduleConfig,
    base: f64,
    epoch: usize,
    step: usize,
    epochs: usize,
    steps_per_epoch: usize,
) -> f64 {
    match schedule {
        ScheduleConfig::Constant => base,
        ScheduleConfig::Step { step_size, gamma } => base * gamma.powi((epoch / step_size) as i32),
        ScheduleConfig::Cosine => base * (1.0 + (PI * epoch as f64 / epochs as f64).cos()) / 2.0,
        ScheduleConfig::OneCycle => one_cycle(base, epoch * steps_per_epoch + step, epochs * steps_per_epoch),
    }
}

/// PyTorch's `OneCycleLR` with its defaults (`pct_start` 0.3, `div_factor` 25, `final_div_factor` 1e4, cosine both
/// ways), at step `step` of `total`.
fn one_cycle(top: f64, step: usize, total: usize) -> f64 {
    const RISE: f64 = 0.3;
    let (start, end) = (top / 25.0, top / 25.0 / 1e4);
    let rise_end = RISE * total as f64 - 1.0;
    let last = total as f64 - 1.0;
    let step = step as f64;
    let anneal = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + (PI * share).cos());
    if step <= rise_end {
        anneal(start, top, step / rise_end)
    } else {
        anneal(top, end, ((step - rise_end) / (last - rise_end)).min(1.0))
    }
}
