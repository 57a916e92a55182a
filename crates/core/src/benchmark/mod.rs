//! How fast this machine trains and runs networks (those of presets, or several variants side by side), how near that
//! is to what the machine could do, and how long a whole run would take on it.

mod memory;
mod network;
mod peak;
mod timetable;
mod turn;

pub use network::{EvaluationSpeed, NetworkReport, PredictionSpeed, TrainingSpeed};
pub use timetable::{Progress, Work};

use crate::config::BenchmarkConfig;
use crate::engine::backend::{Backend, Peak};
use crate::error::{Error, Result};
use crate::kernels::simd::Isa;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use timetable::Timetable;

/// What a benchmark found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The instruction set in use.
    pub simd: &'static str,
    /// Threads that computed.
    pub threads: usize,
    /// The most that all these threads can do together: float32 multiplications with an addition a second, in
    /// registers. Of a card, what its maker's numbers say.
    pub multiply_adds_per_second: f64,
    /// The most that all these threads can copy in main memory, bytes read and bytes written counted, a second.
    pub bytes_per_second: f64,
    /// In the order asked for.
    pub networks: Vec<NetworkReport>,
    /// How long the benchmark took, in seconds.
    pub seconds: f64,
}

/// Says before anything is measured what the device can't do of it.
///
/// # Errors
/// Those of [`Backend::check_precision`].
pub fn check(config: &BenchmarkConfig, backend: &dyn Backend) -> Result<()> {
    config.subjects.iter().try_for_each(|subject| backend.check_precision(subject.train.precision))
}

/// Runs the benchmark of a device on threads of its own; `None` when `cancelled` was set before the end, which is looked at after
/// each piece of work (a training step at most).
///
/// # Errors
/// Those of [`check`].
pub fn run(
    config: &BenchmarkConfig,
    backend: &dyn Backend,
    cancelled: &AtomicBool,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<Report>> {
    check(config, backend)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.threads)
        .thread_name(|index| format!("mobilenet-{index}"))
        .build()
        .map_err(Error::no_thread)?;
    pool.install(|| measure(config, backend, cancelled, on_progress))
}

fn measure(
    config: &BenchmarkConfig,
    backend: &dyn Backend,
    cancelled: &AtomicBool,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<Report>> {
    let started = Instant::now();
    let mut timetable = Timetable::new(config, cancelled, on_progress);
    let Some(peak) = peak(backend, &mut timetable)? else { return Ok(None) };
    let Peak { multiply_adds_per_second, bytes_per_second } = peak;
    let Some(networks) = network::measure(config, backend, multiply_adds_per_second, &mut timetable)? else {
        return Ok(None);
    };
    Ok(Some(Report {
        simd: Isa::best().name(),
        threads: config.threads,
        multiply_adds_per_second,
        bytes_per_second,
        networks,
        seconds: started.elapsed().as_secs_f64(),
    }))
}

/// The device's, or what the processor is measured to do; `None` when the benchmark was cancelled.
fn peak(backend: &dyn Backend, timetable: &mut Timetable) -> Result<Option<Peak>> {
    if let Some(peak) = backend.peak() {
        return Ok(Some(peak));
    }
    let isa = Isa::best();
    let Some(rates) = timetable.repeat(Work::Peak, None, || Ok(peak::rate(isa)))? else { return Ok(None) };
    let multiply_adds_per_second = largest(&rates);
    let mut buffers = memory::Buffers::new();
    let Some(rates) = timetable.repeat(Work::Memory, None, || Ok(buffers.copy_rate()))? else {
        return Ok(None);
    };
    Ok(Some(Peak { multiply_adds_per_second, bytes_per_second: largest(&rates) }))
}

/// What the machine can do is what it did in its best moment: whatever else runs on it only takes away.
fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
