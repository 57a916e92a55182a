//! What the card does, one thing after the other.

use super::types::{STREAM_NON_BLOCKING, StreamHandle};
use super::{Context, Event};
use mobilenet_core::Result;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whose kernels a card begins first, where several streams' could begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The most urgent there is.
    First,
    /// The least.
    Last,
}

/// A queue of work for a card, in order. Dropping it waits for the end of its work.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    handle: StreamHandle,
    /// While it is recorded, whether a kernel may be there before the one in front of it has ended.
    overlapping: AtomicBool,
    /// Whether what was recorded last is a kernel, and nothing else is waited for.
    behind_kernel: AtomicBool,
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
    pub fn new(context: &Arc<Context>, priority: Priority) -> Result<Arc<Self>> {
        let (mut last, mut first) = (0, 0);
        context.call("cuCtxGetStreamPriorityRange", |f| {
            // SAFETY: two places for the answers.
            unsafe { (f.stream_priorities)(&raw mut last, &raw mut first) }
        })?;
        let priority = if priority == Priority::First { first } else { last };
        let mut handle = null_mut();
        context.call("cuStreamCreateWithPriority", |f| {
            // SAFETY: a place for the answer; the flag is one of `cuda.h`, the priority one of the context's.
            unsafe { (f.stream_create)(&raw mut handle, STREAM_NON_BLOCKING, priority) }
        })?;
        let (overlapping, behind_kernel) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Arc::new(Self { context: context.clone(), handle, overlapping, behind_kernel }))
    }

    /// The card it belongs to.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn handle(&self) -> StreamHandle {
        self.handle
    }

    /// The handle, for what is no kernel.
    pub(super) fn copying(&self) -> StreamHandle {
        self.behind_kernel.store(false, Ordering::Relaxed);
        self.handle
    }

    /// What comes next waits until another stream has come past the event's place of now.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn wait(&self, event: &Event) -> Result<()> {
        self.behind_kernel.store(false, Ordering::Relaxed);
        // SAFETY: both handles are of living objects; 0 is the only flag that is asked for.
        self.context.call("cuStreamWaitEvent", |f| unsafe { (f.stream_wait)(self.handle, event.handle(), 0) })
    }

    /// Begins or ends a recording in which kernels overlap.
    pub(super) fn set_overlapping(&self, overlapping: bool) {
        self.behind_kernel.store(false, Ordering::Relaxed);
        self.overlapping.store(overlapping, Ordering::Relaxed);
    }

    /// From here on, kernels that are recorded begin when the one in front of them has ended.
    pub fn end_overlapping(&self) {
        self.set_overlapping(false);
    }

    /// Whether the kernel that comes now may be there before the one in front of it has ended.
    pub(super) fn takes_early_kernel(&self) -> bool {
        self.behind_kernel.swap(true, Ordering::Relaxed) && self.overlapping.load(Ordering::Relaxed)
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
