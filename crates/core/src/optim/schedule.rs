//! The learning rate of a step, as a function of where the run is, so that a resumed run needs no state for it.

use crate::config::{Curve, Every, ScheduleConfig, Warmup};
use std::f64::consts::PI;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 0.
    pub epoch: usize,
    /// From 0, within the epoch.
    pub step: usize,
    /// Of the whole run.
    pub epochs: usize,
    /// Steps an epoch.
    pub steps: usize,
}

/// The learning rate there: `base` after the warm-up, as the schedule moves it.
pub fn learning_rate(schedule: &ScheduleConfig, base: f64, place: Place) -> f64 {
    let Some(Warmup { epochs, start_factor, every }) = schedule.warmup else {
        return curve(&schedule.curve, base, place);
    };
    if place.epoch >= epochs {
        let after = Place { epoch: place.epoch - epochs, epochs: place.epochs - epochs, ..place };
        return curve(&schedule.curve, base, after);
    }
    let done = match every {
        Every::Epoch => place.epoch as f64 / epochs as f64,
        Every::Step => (place.epoch * place.steps + place.step) as f64 / (epochs * place.steps) as f64,
    };
    base * (start_factor + (1.0 - start_factor) * done)
}

fn curve(curve: &Curve, base: f64, Place { epoch, step, epochs, steps }: Place) -> f64 {
    match curve {
        Curve::Constant => base,
        Curve::Step { step_size, gamma } => base * gamma.powi((epoch / step_size) as i32),
        Curve::MultiStep { milestones, gamma } => {
            let drops = milestones.iter().filter(|milestone| **milestone <= epoch).count();
            base * gamma.powi(drops as i32)
        }
        Curve::Cosine { minimum_learning_rate } => {
            cosine(base, *minimum_learning_rate, epoch as f64 / epochs as f64)
        }
        Curve::OneCycle { rise_fraction, div_factor, final_div_factor } => {
            let start = base / div_factor;
            let heights = [start, base, start / final_div_factor];
            one_cycle(heights, *rise_fraction, epoch * steps + step, epochs * steps)
        }
        Curve::Exponential { gamma } => base * gamma.powi(epoch as i32),
    }
}

/// Half a wave `from` one value `to` another, after this share of the way.
fn cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (PI * share).cos())
}

/// PyTorch's `OneCycleLR` at step `step` of `total`.
fn one_cycle([start, top, end]: [f64; 3], rise_fraction: f64, step: usize, total: usize) -> f64 {
    let rise_end = (rise_fraction * total as f64 - 1.0).max(0.0);
    let last = (total as f64 - 1.0).max(1.0);
    let step = step as f64;
    // Runs of three steps and fewer have no time to rise.
    if rise_end > 0.0 && step <= rise_end {
        cosine(start, top, step / rise_end)
    } else {
        cosine(top, end, ((step - rise_end) / (last - rise_end)).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, learning_rate};
    use crate::config::{Every, ScheduleConfig, ScheduleKind, Warmup};

    // That each is PyTorch's, tests/optim.rs shows.

    fn rates(schedule: &ScheduleConfig, epochs: usize, steps: usize) -> Vec<f64> {
        let places = (0..epochs).flat_map(|epoch| (0..steps).map(move |step| (epoch, step)));
        places
            .map(|(epoch, step)| learning_rate(schedule, 0.01, Place { epoch, step, epochs, steps }))
            .collect()
    }

    #[test]
    fn the_courses_drops_after_every_tenth_epoch() {
        let rates = rates(&ScheduleConfig::of(ScheduleKind::Step), 21, 2);
        assert!(rates[..20].iter().all(|rate| *rate == 0.01));
        assert!(rates[20..40].iter().all(|rate| *rate == 0.005));
        assert_eq!(rates[40..], [0.0025; 2]);
    }

    #[test]
    fn a_cycle_of_a_few_steps_stays_within_its_bounds() {
        for steps in 1..8 {
            for rate in rates(&ScheduleConfig::of(ScheduleKind::OneCycle), 1, steps) {
                assert!(rate > 0.0 && rate <= 0.01, "{rate} of {steps} steps");
            }
        }
    }

    #[test]
    fn a_warmup_leads_up_to_the_schedule_and_no_further() {
        for kind in
            [ScheduleKind::Constant, ScheduleKind::Step, ScheduleKind::Cosine, ScheduleKind::Exponential]
        {
            for every in [Every::Step, Every::Epoch] {
                let warmup = Some(Warmup { epochs: 3, start_factor: 0.1, every });
                let rates = rates(&ScheduleConfig { warmup, ..ScheduleConfig::of(kind) }, 6, 4);
                assert_eq!((rates[0], rates[12]), (0.01 * 0.1, 0.01), "{kind:?}");
                assert!(rates[..13].windows(2).all(|pair| pair[0] <= pair[1]), "{kind:?}: {rates:?}");
                assert!(rates[12..].windows(2).all(|pair| pair[0] >= pair[1]), "{kind:?}: {rates:?}");
            }
        }
    }
}
