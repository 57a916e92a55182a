//! The training run: read from top to bottom, it is the recipe.

mod control;
pub mod event;
mod frozen;
mod parts;
mod recipe;
mod record;
mod saving;
mod setup;
mod steps;
mod trainer;
mod validation;
mod writer;

pub use control::Control;
pub use recipe::check;
pub use record::is_running;

use crate::config::TrainOptions;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::mobilenet::{MobileNet, TrainingGuard};
use event::{Event, Report};
use trainer::Trainer;

/// Trains `model` on `data`, and leaves the trained weights in it: after each epoch, and at the end. With `resume`,
/// goes on from the state in the checkpoint that the model came from, and the result is bit-equal to that of a run
/// that was never stopped.
///
/// # Errors
/// `INVALID_OPTION` for options that make no sense together or with the data, for a folder that holds another run
/// already, and when the loss is no number any more; `CHECKPOINT_MISMATCH` when a resumed run meets other pictures;
/// `IO` when the folder can't be written to.
pub fn run(
    model: &MobileNet,
    data: &Dataset,
    options: &TrainOptions,
    resume: bool,
    control: &Control,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> Result<Report> {
    run_begun(model.begin_training()?, data, options, resume, control, on_event)
}

/// The same for who has taken the network before: on another thread, say, where the order of two runs is known.
///
/// # Errors
/// Those of [`run`].
pub fn run_begun(
    guard: TrainingGuard,
    data: &Dataset,
    options: &TrainOptions,
    resume: bool,
    control: &Control,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> Result<Report> {
    check(guard.model(), options, resume)?;
    let threads = options.threads.unwrap_or_else(crate::device::default_threads);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("mobilenet-{index}"))
        .build()
        .map_err(Error::no_thread)?;
    let (outcome, mut record) = pool.install(|| {
        let mut trainer = Trainer::new(guard.model(), data, options, resume, threads)?;
        Ok::<_, Error>((trainer.run(control, on_event), trainer.record))
    })?;
    let outcome = outcome.map(|report| (Event::Done { report: Box::new(report.clone()) }, report));
    if let Some(record) = &mut record {
        match &outcome {
            Ok((done, _)) => record.add(done)?,
            // Where the log can't be written, either, the run's own failure is the one to tell.
            Err(error) => drop(record.add_failure(error)),
        }
    }
    let (done, report) = outcome?;
    // Model and folder are free before anyone hears of the end, so that whoever waited can use them again at once.
    drop((guard, record));
    on_event(done);
    Ok(report)
}
