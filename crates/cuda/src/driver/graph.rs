//! Work that was recorded once, and is launched as one.

use super::types::{CAPTURE_THREAD_LOCAL, GRAPH_NODE_PRIORITY, GraphExecHandle, GraphHandle};
use super::{Context, Stream};
use mobilenet_core::Result;
use std::ptr::null_mut;
use std::sync::Arc;

/// Recorded work, ready to be launched as often as wanted. Whoever launches it must see that what it works with is there.
#[derive(Debug)]
pub struct Graph {
    context: Arc<Context>,
    handle: GraphExecHandle,
}

// SAFETY: the driver lets any thread launch a graph.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` puts into the stream, which is not done meanwhile; and into others, from where they wait for an event of
    /// the stream on. The stream must have waited for their ends when `work` returns. Where `overlapping`, a kernel that can wait
    /// itself ([`super::Module::load`]) is there as soon as the one in front of it in the stream leaves it room.
    ///
    /// # Errors
    /// When `work` fails or does what can't be recorded. The streams are as before then: the end of recording is that of all.
    pub fn record(stream: &Stream, overlapping: bool, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let context = stream.context();
        // SAFETY: the handle is the stream's; the mode is one of `cuda.h`.
        context.call("cuStreamBeginCapture", |f| unsafe {
            (f.capture_begin)(stream.handle(), CAPTURE_THREAD_LOCAL)
        })?;
        stream.set_overlapping(overlapping);
        let worked = work();
        stream.set_overlapping(false);
        let mut recorded = Recorded { context: context.clone(), handle: null_mut() };
        let mut end = || {
            // SAFETY: a place for the answer; recording began above.
            context.call("cuStreamEndCapture", |f| unsafe {
                (f.capture_end)(stream.handle(), &raw mut recorded.handle)
            })
        };
        // Also after a failure, so that the stream does its work again; once more where the call itself did nothing.
        let ended = end();
        if ended.is_err() {
            let _ = end();
        }
        worked?;
        ended?;
        let mut handle = null_mut();
        // SAFETY: a place for the answer, and a graph that was just recorded; the flag is one of `cuda.h`.
        context.call("cuGraphInstantiate", |f| unsafe {
            (f.graph_instantiate)(&raw mut handle, recorded.handle, GRAPH_NODE_PRIORITY)
        })?;
        Ok(Self { context: context.clone(), handle })
    }

    /// Puts all of it at the stream's end.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn launch(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both handles are of living objects.
        self.context.call("cuGraphLaunch", |f| unsafe { (f.graph_launch)(self.handle, stream.handle()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: instantiated once, destroyed once.
        self.context.release(|f| unsafe { (f.graph_exec_destroy)(self.handle) });
    }
}

/// What was recorded, until it is instantiated.
struct Recorded {
    context: Arc<Context>,
    handle: GraphHandle,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: given by the end of recording, destroyed once.
            self.context.release(|f| unsafe { (f.graph_destroy)(self.handle) });
        }
    }
}
