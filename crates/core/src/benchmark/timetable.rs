//! How the time of a benchmark is divided among its pieces of work, and how each is repeated.

use crate::config::BenchmarkConfig;
use crate::error::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Runs that count, at least: a median needs more than one.
const LEAST: usize = 2;

/// The least time between two reports of progress of the same work.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Multiply-adds in registers.
    Peak,
    /// A copy in main memory.
    Memory,
    /// Training steps.
    Training,
    /// Evaluation of batches.
    Evaluation,
    /// Pictures one at a time.
    Prediction,
}

impl Work {
    /// `peak`, `memory`, `training`, `evaluation` or `prediction`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peak => "peak",
            Self::Memory => "memory",
            Self::Training => "training",
            Self::Evaluation => "evaluation",
            Self::Prediction => "prediction",
        }
    }

    /// Its share of the time, against the others'.
    fn weight(self) -> f64 {
        match self {
            Self::Memory | Self::Prediction => 1.0,
            // Other programs have to leave all threads alone at once for it.
            Self::Peak => 2.0,
            Self::Training => 6.0,
            Self::Evaluation => 3.0,
        }
    }
}

/// How far a benchmark is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being measured.
    pub work: Work,
    /// With which network, if with one: its number in the order asked for, from 0.
    pub network: Option<usize>,
    /// How much of the whole benchmark is done, from 0 to 1.
    pub share: f64,
}

/// The time that is left, and the work that it is for. Each work gets its share of what the works before it left, so
/// one that takes longer than its share shortens those after it.
pub(super) struct Timetable<'a> {
    end: Instant,
    weight: f64,
    weight_done: f64,
    cancelled: &'a AtomicBool,
    on_progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl<'a> Timetable<'a> {
    /// Begins now.
    pub fn new(
        config: &BenchmarkConfig,
        cancelled: &'a AtomicBool,
        on_progress: &'a mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        let of_turn: f64 =
            [Work::Training, Work::Evaluation, Work::Prediction].map(Work::weight).iter().sum();
        let turns = config.subjects.len() * config.rounds;
        Self {
            end: Instant::now() + Duration::from_secs_f64(config.seconds),
            weight: Work::Peak.weight() + Work::Memory.weight() + of_turn * turns as f64,
            weight_done: 0.0,
            cancelled,
            on_progress,
        }
    }

    /// Runs `measure` once to warm up, then at least twice, and on until its share of the time is used up. Gives what
    /// the runs after the first one gave; `None` when the benchmark was cancelled.
    pub fn repeat(
        &mut self,
        work: Work,
        network: Option<usize>,
        mut measure: impl FnMut() -> Result<f64>,
    ) -> Result<Option<Vec<f64>>> {
        let started = Instant::now();
        let left = self.end.saturating_duration_since(started);
        let time = left.mul_f64(work.weight() / (self.weight - self.weight_done));
        let mut values = Vec::new();
        let (mut runs, mut reported) = (0, None::<Instant>);
        while runs <= LEAST || started.elapsed() < time {
            if self.cancelled.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                reported = Some(Instant::now());
                let of_runs = runs as f64 / (LEAST + 1) as f64;
                // Where no time is left this is no number, and `min` takes the other one.
                let of_time = started.elapsed().as_secs_f64() / time.as_secs_f64();
                let share = (self.weight_done + work.weight() * of_runs.min(of_time)) / self.weight;
                (self.on_progress)(Progress { work, network, share });
            }
            let value = measure()?;
            if runs > 0 {
                values.push(value);
            }
            runs += 1;
        }
        self.weight_done += work.weight();
        Ok(Some(values))
    }
}
