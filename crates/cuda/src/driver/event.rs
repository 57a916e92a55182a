//! Places in a stream that can be waited for.

use super::types::{EVENT_DISABLE_TIMING, EventHandle};
use super::{Context, Stream};
use mobilenet_core::Result;
use std::ptr::null_mut;
use std::sync::Arc;

/// A place in a stream.
#[derive(Debug)]
pub struct Event {
    context: Arc<Context>,
    handle: EventHandle,
}

// SAFETY: the driver lets any thread use an event.
unsafe impl Send for Event {}

impl Event {
    /// Nowhere yet: waiting for it returns at once.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn new(context: &Arc<Context>) -> Result<Self> {
        let mut handle = null_mut();
        context.call("cuEventCreate", |f| {
            // SAFETY: a place for the answer; the flag is one of `cuda.h`.
            unsafe { (f.event_create)(&raw mut handle, EVENT_DISABLE_TIMING) }
        })?;
        Ok(Self { context: context.clone(), handle })
    }

    /// Puts it at the stream's end.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn record(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both handles are of living objects.
        self.context.call("cuEventRecord", |f| unsafe { (f.event_record)(self.handle, stream.handle()) })
    }

    pub(super) fn handle(&self) -> EventHandle {
        self.handle
    }

    /// Waits until the stream has come past it.
    ///
    /// # Errors
    /// When the work before it failed.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: the handle is this event's.
        self.context.call("cuEventSynchronize", |f| unsafe { (f.event_synchronize)(self.handle) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        self.context.release(|f| unsafe { (f.event_destroy)(self.handle) });
    }
}
