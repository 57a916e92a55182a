//! How a failure reaches JavaScript: always an `Error` with the core's message and a `code` property.

use mobilenet_core as core;
use napi::{Env, JsError, Status};

/// A stable error code, as `error.code` holds it.
pub struct Code(&'static str);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl From<Status> for Code {
    fn from(status: Status) -> Self {
        Self(match status {
            Status::InvalidArg => core::ErrorCode::InvalidOption.as_str(),
            _ => core::ErrorCode::Internal.as_str(),
        })
    }
}

/// The result of a function that JavaScript calls and that answers at once.
pub type Result<T> = std::result::Result<T, napi::Error<Code>>;

/// For a function that answers at once: napi throws it with its code.
pub fn thrown(error: core::Error) -> napi::Error<Code> {
    napi::Error::new(Code(error.code.as_str()), error.message)
}

/// For a promise. A task's error type has no room for a code of ours, but it can carry a JavaScript value.
pub fn rejected(env: Env, error: core::Error) -> napi::Error {
    napi::Error::from(JsError::from(thrown(error)).into_unknown(env))
}

/// Runs `work` so that a panic becomes an `INTERNAL` error instead of taking Node down, or `OUT_OF_MEMORY` if it was that.
pub fn caught<T>(work: impl FnOnce() -> core::Result<T>) -> core::Result<T> {
    // What a panic may have left half changed is behind the core's locks, which then report it themselves.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        if let Some(out_of_memory) = panic.downcast_ref::<core::error::OutOfMemory>() {
            return Err((*out_of_memory).into());
        }
        let words = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without words");
        Err(core::Error::internal(words))
    })
}
