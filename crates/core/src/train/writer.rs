//! Files that are written by a second thread while the run goes on: of a network on a fast device an epoch can be shorter than
//! the disk takes to have its state.

use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};

type Work = Box<dyn FnOnce() -> Result<()> + Send>;

/// A checkpoint that is in place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub path: PathBuf,
    /// Requests for a checkpoint up to this one are answered by it.
    pub answers: Option<u64>,
}

/// Does one thing after the other, in the order in which they were given. The first failure ends it. Dropping it waits for what was
/// given.
#[derive(Debug)]
pub(super) struct Writer {
    /// Absent once nothing more is to come.
    work: Option<Sender<Work>>,
    done: Receiver<Result<()>>,
    thread: Option<JoinHandle<()>>,
    /// What was given and isn't known to be done, in order; what is to be told of it.
    given: VecDeque<Option<Written>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// `IO` when the system gives no thread.
    pub fn start() -> Result<Self> {
        let (work, todo) = channel::<Work>();
        let (tell, done) = channel();
        let thread = Builder::new()
            .name("writer".into())
            .spawn(move || {
                for work in todo {
                    let outcome = work();
                    let failed = outcome.is_err();
                    if tell.send(outcome).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(Error::no_thread)?;
        Ok(Self { work: Some(work), done, thread: Some(thread), given: VecDeque::new() })
    }

    /// Gives it something to do; `written` is told when that is done.
    pub fn give(&mut self, written: Option<Written>, work: impl FnOnce() -> Result<()> + Send + 'static) {
        // Without its thread nobody takes it: the failure that ended the thread is told by `written`.
        let _ = self.work.as_ref().map(|sender| sender.send(Box::new(work)));
        self.given.push_back(written);
    }

    /// What was written since the last call, in order; with `all` everything that was given is waited for.
    ///
    /// # Errors
    /// The first failure.
    pub fn written(&mut self, all: bool) -> Result<Vec<Written>> {
        let mut told = Vec::new();
        while !self.given.is_empty() {
            let outcome = if all {
                self.done.recv().ok()
            } else {
                match self.done.try_recv() {
                    Err(TryRecvError::Empty) => break,
                    outcome => outcome.ok(),
                }
            };
            outcome.unwrap_or_else(|| Err(Error::internal("the thread that writes files panicked")))?;
            told.extend(self.given.pop_front().flatten());
        }
        Ok(told)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.work = None;
        // What it failed at was told, or nobody is left to hear.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    fn named(name: &str) -> Written {
        Written { path: name.into(), answers: None }
    }

    fn some(name: &str) -> Option<Written> {
        Some(named(name))
    }

    #[test]
    fn what_is_written_is_told_in_order_and_once() {
        let (mut writer, barrier) = (Writer::start().unwrap(), Arc::new(Barrier::new(2)));
        let waits = barrier.clone();
        writer.give(some("a"), move || {
            waits.wait();
            Ok(())
        });
        writer.give(None, || Ok(()));
        writer.give(some("b"), || Ok(()));
        assert_eq!(writer.written(false).unwrap(), [], "the first one waits");
        barrier.wait();
        assert_eq!(writer.written(true).unwrap(), [named("a"), named("b")]);
        assert_eq!(writer.written(true).unwrap(), []);
    }

    #[test]
    fn after_a_failure_nothing_more_is_written() {
        let mut writer = Writer::start().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        writer.give(some("a"), || Err(Error::internal("no room")));
        let later = count.clone();
        writer.give(some("b"), move || {
            later.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert!(writer.written(true).unwrap_err().message.contains("no room"));
        drop(writer);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_is_an_error() {
        let mut writer = Writer::start().unwrap();
        writer.give(some("a"), || panic!("on purpose"));
        assert!(writer.written(true).unwrap_err().message.contains("panicked"));
    }

    #[test]
    fn dropping_it_waits_for_what_was_given() {
        let (mut writer, count) = (Writer::start().unwrap(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..3 {
            let counted = count.clone();
            writer.give(some("a"), move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
        drop(writer);
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }
}
