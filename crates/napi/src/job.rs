//! Long work as a promise, off Node's event loop.

use crate::error::{caught, rejected};
use mobilenet_core as core;
use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Result, Task};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Work that runs on one of Node's worker threads and gives a `T`.
pub struct Job<T>(Option<Box<dyn FnOnce() -> core::Result<T> + Send>>);

/// A promise of a `T`.
pub type Promise<T> = AsyncTask<Job<T>>;

/// Starts `work`; the promise settles when it ends.
pub fn start<T>(work: impl FnOnce() -> core::Result<T> + Send + 'static) -> Promise<T>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Job(Some(Box::new(work))))
}

/// Like [`start`], for work whose pieces may take seconds: when `cancelled` is set, the work has some `patience` to end, and tidy up;
/// then the promise is rejected, and the work ends unheard after its piece. Node waits at its end for its worker threads, so the work
/// is on one of its own.
pub fn start_abandonable<T>(
    cancelled: Arc<AtomicBool>,
    patience: Duration,
    work: impl FnOnce() -> core::Result<T> + Send + 'static,
) -> Promise<T>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    start(move || {
        let (send, result) = channel();
        std::thread::Builder::new()
            .name("mobilenet-job".into())
            // Nobody receives any more when the work was abandoned.
            .spawn(move || drop(send.send(caught(work))))
            .map_err(core::Error::no_thread)?;
        let mut deadline = None;
        loop {
            if cancelled.load(Ordering::Relaxed) {
                deadline.get_or_insert_with(|| Instant::now() + patience);
            }
            match result.recv_timeout(Duration::from_millis(20)) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(core::Error::internal("a job ended without a result"));
                }
                Err(RecvTimeoutError::Timeout)
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) =>
                {
                    return Err(core::Error::invalid_option("the work was cancelled"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    })
}

impl<T: Send + ToNapiValue + TypeName + 'static> Task for Job<T> {
    // The core's error goes through as a value, because only `resolve` is where JavaScript objects can be made.
    type Output = core::Result<T>;
    type JsValue = T;

    fn compute(&mut self) -> Result<Self::Output> {
        let work = self.0.take().ok_or_else(|| napi::Error::from_reason("a job runs once"))?;
        Ok(caught(work))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> Result<T> {
        output.map_err(|error| rejected(env, error))
    }
}
