//! What the card does, one thing after the other.

use super::Context;
use super::types::{STREAM_NON_BLOCKING, StreamHandle};
use mobilenet_core::Result;
use std::ptr::null_mut;
use std::sync::Arc;

/// A queue of work for a card, in order. Dropping it waits for the end of its work.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    handle: StreamHandle,
}

// SAFETY: the driver lets any thread use a stream.
unsafe impl Send for Stream {}
// SAFETY: the driver orders calls of several threads.
unsafe impl Sync for Stream {}

impl Stream {
    /// An empty queue.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn new(context: &Arc<Context>) -> Result<Arc<Self>> {
        let mut handle = null_mut();
        context.call("cuStreamCreate", |f| {
            // SAFETY: a place for the answer; the flag is one of `cuda.h`.
            unsafe { (f.stream_create)(&raw mut handle, STREAM_NON_BLOCKING) }
        })?;
        Ok(Arc::new(Self { context: context.clone(), handle }))
    }

    /// The card it belongs to.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn handle(&self) -> StreamHandle {
        self.handle
    }

    /// Waits until all is done.
    ///
    /// # Errors
    /// When a kernel or a copy failed.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: the handle is this stream's.
        self.context.call("cuStreamSynchronize", |f| unsafe { (f.stream_synchronize)(self.handle) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.context.release(|f| {
            // SAFETY: created in `new`, destroyed once, after its work has ended.
            unsafe {
                (f.stream_synchronize)(self.handle);
                (f.stream_destroy)(self.handle)
            }
        });
    }
}
