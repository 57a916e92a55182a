//! Copies that are done while the processor goes on. What they read and write is locked until they are done.

use super::{DeviceBuffer, Element, Event, PinnedBuffer, Stream};
use mobilenet_core::{Error, Result};
use std::sync::Arc;

/// A piece of the machine's memory, on its way to the card again and again.
#[derive(Debug)]
pub struct Upload<T: Element> {
    stream: Arc<Stream>,
    from: PinnedBuffer<T>,
    /// Behind the last copy.
    copied: Event,
}

impl<T: Element> Upload<T> {
    /// Room for `length` values.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when the system gives no such memory.
    pub fn new(stream: &Arc<Stream>, length: usize) -> Result<Self> {
        let context = stream.context();
        let (from, copied) = (PinnedBuffer::zeros(context, length)?, Event::new(context)?);
        Ok(Self { stream: stream.clone(), from, copied })
    }

    /// Has `fill` set the values, and copies the first ones, as many as it says, to the first of `to` when the stream comes
    /// to it. Waits before only for the copy before.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn send(&mut self, to: &mut DeviceBuffer<T>, fill: impl FnOnce(&mut [T]) -> usize) -> Result<()> {
        self.copied.synchronize()?;
        let count = fill(self.from.values_mut());
        // SAFETY: the values are changed only above, after the event behind the last copy (a copy whose event could not be
        // recorded ends the plan), and dropped only after the stream was waited for.
        unsafe { to.write_later(&self.stream, &self.from, count)? };
        self.copied.record(&self.stream)
    }
}

impl<T: Element> Drop for Upload<T> {
    fn drop(&mut self) {
        // Of a failure nobody is left to hear.
        let _ = self.stream.synchronize();
    }
}

/// Values on their way back from the card, one group after the other.
#[derive(Debug)]
pub struct Download<T: Element> {
    stream: Arc<Stream>,
    to: PinnedBuffer<T>,
    capacity: usize,
    /// Those that were asked for since the last wait.
    pending: usize,
}

impl<T: Element> Download<T> {
    /// Room for `capacity` values.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when the system gives no such memory.
    pub fn new(stream: &Arc<Stream>, capacity: usize) -> Result<Self> {
        let to = PinnedBuffer::zeros(stream.context(), capacity)?;
        Ok(Self { stream: stream.clone(), to, capacity, pending: 0 })
    }

    /// Values that were asked for since the last wait.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether so many more can be asked for.
    pub fn has_room(&self, count: usize) -> bool {
        self.pending + count <= self.capacity
    }

    /// Asks for the first `count` values as they are when the stream comes to it.
    ///
    /// # Errors
    /// When the driver fails; `INTERNAL` when there is no room.
    pub fn ask(&mut self, from: &DeviceBuffer<T>, count: usize) -> Result<()> {
        if !self.has_room(count) {
            return Err(Error::internal("more values were asked for than there is room for"));
        }
        // SAFETY: the values are read only after the stream was waited for, and dropped only after it.
        unsafe { from.read_later(&self.stream, &mut self.to, self.pending, count)? };
        self.pending += count;
        Ok(())
    }

    /// Waits for all that was asked for, and gives it, in order.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn wait(&mut self) -> Result<&[T]> {
        if self.pending > 0 {
            self.stream.synchronize()?;
        }
        Ok(&self.to.values()[..std::mem::take(&mut self.pending)])
    }
}

impl<T: Element> Drop for Download<T> {
    fn drop(&mut self) {
        // Of a failure nobody is left to hear.
        let _ = self.stream.synchronize();
    }
}
