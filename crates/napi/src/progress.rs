//! What long work tells JavaScript while it goes on.

use crate::error::{Code, Result};
use napi::bindgen_prelude::{Function, ToNapiValue};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;

/// `on_progress` as a function that any thread may call. It returns at once; JavaScript hears when it has time.
pub fn listener<P: ToNapiValue + Send + 'static>(
    on_progress: Function<P, ()>,
) -> Result<impl Fn(P) + Send + Sync + 'static> {
    let send = on_progress
        .build_threadsafe_function::<P>()
        // The work's promise keeps Node alive; work that was abandoned does not.
        .weak::<true>()
        .build()
        .map_err(|error| napi::Error::new(Code::from(error.status), error.reason.clone()))?;
    Ok(move |progress| {
        // Fails only when Node is closing down, and then nobody is left to tell.
        send.call(progress, ThreadsafeFunctionCallMode::NonBlocking);
    })
}
