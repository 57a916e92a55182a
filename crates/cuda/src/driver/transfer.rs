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

    /// For how many values there is room.
    pub fn length(&self) -> usize {
        self.from.values().len()
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
    /// Room for groups of the same length, used in turn.
    to: PinnedBuffer<T>,
    length: usize,
    /// Behind the newest group and the one before it, in turns.
    behind: [Event; 2],
    asked: usize,
    given: usize,
}

impl<T: Element> Download<T> {
    /// Room for so many groups on their way, each of at most `length` values.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when the system gives no such memory.
    pub fn new(stream: &Arc<Stream>, groups: usize, length: usize) -> Result<Self> {
        let context = stream.context();
        Ok(Self {
            stream: stream.clone(),
            to: PinnedBuffer::zeros(context, groups * length)?,
            length,
            behind: [Event::new(context)?, Event::new(context)?],
            asked: 0,
            given: 0,
        })
    }

    fn groups(&self) -> usize {
        self.to.values().len() / self.length
    }

    /// Whether one more group can be asked for.
    pub fn has_room(&self) -> bool {
        self.asked - self.given < self.groups()
    }

    /// Asks for the first `count` values as they are when the stream comes to it.
    ///
    /// # Errors
    /// When the driver fails; `INTERNAL` when there is no room.
    pub fn ask(&mut self, from: &DeviceBuffer<T>, count: usize) -> Result<()> {
        if !self.has_room() || count > self.length {
            return Err(Error::internal("more values were asked for than there is room for"));
        }
        let first = self.asked % self.groups() * self.length;
        // SAFETY: the values are read only after the event behind them, or a later one, was waited for, and dropped only after
        // the stream was.
        unsafe { from.read_later(&self.stream, &mut self.to, first, count)? };
        self.behind[self.asked % 2].record(&self.stream)?;
        self.asked += 1;
        Ok(())
    }

    /// Waits for all groups that were asked for but the newest `later` (0 or 1), and gives those that were not given yet, in
    /// order, each in the whole room of a group.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn wait(&mut self, later: usize) -> Result<impl Iterator<Item = &[T]>> {
        let end = self.asked.saturating_sub(later).max(self.given);
        if end > self.given && later == 0 {
            self.stream.synchronize()?;
        } else if end > self.given {
            self.behind[(end - 1) % 2].synchronize()?;
        }
        let (groups, length) = (self.groups(), self.length);
        let given = std::mem::replace(&mut self.given, end)..end;
        let values = self.to.values();
        Ok(given.map(move |group| &values[group % groups * length..][..length]))
    }
}

impl<T: Element> Drop for Download<T> {
    fn drop(&mut self) {
        // Of a failure nobody is left to hear.
        let _ = self.stream.synchronize();
    }
}
