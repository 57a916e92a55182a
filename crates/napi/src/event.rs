//! What a training run tells JavaScript, in one queue: its events, and last how it ended.

use mobilenet_core::Error;
use mobilenet_core::train::event::Event;
use napi::bindgen_prelude::Unknown;
use napi::{Env, JsValue, Result};

/// One message of a run.
pub enum Message {
    /// Something happened.
    Event(Event),
    /// The run failed, and this is the last message. (A run that ended well says so by the event `done`.)
    Failed(Error),
}

impl Message {
    /// The JavaScript object: an event, or `{ type: 'error', code, message }`.
    pub fn into_js(self, env: Env) -> Result<Unknown<'static>> {
        let value = match self {
            Self::Event(event) => env.to_js_value(&event)?,
            Self::Failed(error) => env.to_js_value(&Failure {
                kind: "error",
                code: error.code.as_str(),
                message: &error.message,
            })?,
        };
        // SAFETY: the value belongs to `env` and is used before the scope of this callback ends; the lifetime is
        // only spelled `'static` because a threadsafe function's arguments have to be.
        Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), value.raw()) })
    }
}

#[derive(serde::Serialize)]
struct Failure<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    message: &'a str,
}
