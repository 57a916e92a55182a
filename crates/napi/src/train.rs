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

    /// The run writes a checkpoint after the current batch.
    #[napi]
    pub fn checkpoint(&self) {
        self.inner.checkpoint();
    }
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
    let (model, data) = (model.inner.clone(), dataset.inner.clone());
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
                train::run(&model, &data, &options, resume, &control, &mut |event| {
                    tell(Message::Event(event))
                })
            });
            if let Err(error) = result {
                tell(Message::Failed(error));
            }
        })
        .map_err(|error| thrown(Error::internal(format!("cannot start a thread: {error}"))))?;
    Ok(Run { inner })
}
