//! Long work as a promise, off Node's event loop.

use crate::error::{caught, rejected};
use mobilenet_core as core;
use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Result, Task};

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
