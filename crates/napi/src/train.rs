//! Training: a thread of its own, and one queue through which everything it has to say goes to JavaScript.

use crate::dataset::Dataset;
use crate::error::{Code, Result, caught, thrown};
use crate::event::Message;
use crate::model::Model;
use crate::options::TrainOptions;
use mobilenet_core::train::{self, Control};
use mobilenet_core::{Error, config};
use napi::bindgen_prelude::{Function, Unknown};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use std::path::Path;

/// A run that has begun.
#[napi]
pub struct Run {
    inner: Control,
}

#[napi]
impl Run {
    /// The run ends after the current batch.
    #[napi]
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// The run writes a checkpoint after the current batch. Gives the request's number, from 1.
    #[napi]
    pub fn checkpoint(&self) -> f64 {
        self.inner.checkpoint() as f64
    }

    /// Requests up to this number have a checkpoint that was written after they were made.
    #[napi]
    pub fn checkpoints_written(&self) -> f64 {
        self.inner.checkpoints_written() as f64
    }

    /// From the next step on the learning rate is this, and moves in proportion to the schedule. Gives the request's
    /// number, from 1.
    #[napi]
    pub fn set_learning_rate(&self, learning_rate: f64) -> Result<f64> {
        Ok(self.inner.set_learning_rate(learning_rate).map_err(thrown)? as f64)
    }

    /// Requests up to this number have been answered, by their own learning rate or by a later one.
    #[napi]
    pub fn learning_rates_set(&self) -> f64 {
        self.inner.learning_rates_set() as f64
    }
}

/// Tells before there are pictures what is wrong with a run, as far as they don't decide it.
#[napi]
pub fn check_training(model: &Model, options: TrainOptions, resume: bool) -> Result<()> {
    let options = config::TrainOptions::try_from(options).map_err(thrown)?;
    train::check(&model.inner, &options, resume).map_err(thrown)
}

/// Starts a run and returns at once. `onEvent` gets every event, and as the last either the event `done` or
/// `{ type: 'error', code, message }`. Node stays alive until then.
#[napi(
    ts_args_type = "model: Model, dataset: Dataset, options: TrainOptions, resume: boolean, onEvent: (event: object) => void"
)]
pub fn start_training(
    model: &Model,
    dataset: &Dataset,
    options: TrainOptions,
    resume: bool,
    on_event: Function<Unknown<'static>, ()>,
) -> Result<Run> {
    let options = config::TrainOptions::try_from(options).map_err(thrown)?;
    let send = on_event
        .build_threadsafe_function::<Message>()
        .build_callback(|context| context.value.into_js(context.env))
        .map_err(|error| napi::Error::new(Code::from(error.status), error.reason.clone()))?;
    // Here, so that of two runs the one that is asked for later is refused.
    let guard = model.inner.begin_training().map_err(thrown)?;
    let data = dataset.inner.clone();
    let inner = Control::default();
    let control = inner.clone();
    // Not one of libuv's workers: a run takes hours, and there are four of those for all of Node's file work.
    std::thread::Builder::new()
        .name("mobilenet-train".into())
        .spawn(move || {
            let tell = |message| {
                // Fails only when Node is closing down; then nobody is left to tell, and the run should end.
                if send.call(message, ThreadsafeFunctionCallMode::NonBlocking) != napi::Status::Ok {
                    control.stop();
                }
            };
            let result = caught(|| {
                train::run_begun(guard, &data, &options, resume, &control, &mut |event| {
                    tell(Message::Event(event))
                })
            });
            if let Err(error) = result {
                tell(Message::Failed(error));
            }
        })
        .map_err(|error| thrown(Error::no_thread(error)))?;
    Ok(Run { inner })
}

/// Whether a run is writing to this folder at this moment, in this process or another.
#[napi]
pub fn is_running(folder: String) -> bool {
    train::is_running(Path::new(&folder))
}
