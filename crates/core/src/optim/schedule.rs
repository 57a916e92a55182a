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
    let rise_end = (RISE * total as f64 - 1.0).max(0.0);
    let last = (total as f64 - 1.0).max(1.0);
    let step = step as f64;
    let anneal = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + (PI * share).cos());
    // Runs of three steps and fewer have no time to rise.
    if rise_end > 0.0 && step <= rise_end {
        anneal(start, top, step / rise_end)
    } else {
        anneal(top, end, ((step - rise_end) / (last - rise_end)).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::learning_rate;
    use crate::config::ScheduleConfig;

    fn rates(schedule: ScheduleConfig, epochs: usize, steps_per_epoch: usize) -> Vec<f64> {
        let steps = (0..epochs).flat_map(|epoch| (0..steps_per_epoch).map(move |step| (epoch, step)));
        steps
            .map(|(epoch, step)| learning_rate(schedule, 0.01, epoch, step, epochs, steps_per_epoch))
            .collect()
    }

    /// Expected values are those of PyTorch 2.15's schedulers with a learning rate of 0.01.
    fn assert_rates(schedule: ScheduleConfig, steps_per_epoch: usize, expected: &[f64]) {
        let ours = rates(schedule, expected.len() / steps_per_epoch, steps_per_epoch);
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours - expected).abs() <= 1e-15, "{ours}, expected {expected}");
        }
    }

    #[test]
    fn step_is_step_lr() {
        let schedule = ScheduleConfig::Step { step_size: 2, gamma: 0.5 };
        assert_rates(schedule, 1, &[0.01, 0.01, 0.005, 0.005, 0.0025]);
        assert_eq!(rates(schedule, 3, 2), [0.01, 0.01, 0.01, 0.01, 0.005, 0.005]);
    }

    #[test]
    fn cosine_is_cosine_annealing_lr() {
        let expected =
            [0.01, 0.009045084971874737, 0.0065450849718747366, 0.0034549150281252628, 0.0009549150281252632];
        assert_rates(ScheduleConfig::Cosine, 1, &expected);
    }

    #[test]
    fn one_cycle_is_one_cycle_lr() {
        let expected = [
            0.0004,
            0.0052,
            0.01,
            0.009504846320134737,
            0.008117456539497631,
            0.0061126202193628925,
            0.003887419780637108,
            0.00188258346050237,
            0.0004951936798652628,
            4e-08,
        ];
        assert_rates(ScheduleConfig::OneCycle, 5, &expected);
    }

    #[test]
    fn a_cycle_of_a_few_steps_stays_within_its_bounds() {
        for steps in 1..8 {
            for rate in rates(ScheduleConfig::OneCycle, 1, steps) {
                assert!(rate > 0.0 && rate <= 0.01, "{rate} of {steps} steps");
            }
        }
    }
}
