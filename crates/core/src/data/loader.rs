//! Batches of an epoch, prepared by a second thread while the current one is trained on.

use super::Pictures;
use super::prepare::{Batch, Place, Preparer};
use crate::config::{Augmentation, Normalization};
use crate::error::{Error, Result};
use crate::rng::{Purpose, shuffle, stream};
use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// How many finished batches may wait. One hides the work; the second evens out a slow moment.
const WAITING: usize = 2;

/// The order in which an epoch goes through the pictures: `indices` as they are, or shuffled from (seed, epoch) alone.
pub fn epoch_order(indices: &[u32], seed: u64, epoch: u64, shuffled: bool) -> Vec<u32> {
    let mut order = indices.to_vec();
    if shuffled {
        shuffle(&mut stream(seed, Purpose::Order, epoch, 0), &mut order);
    }
    order
}

/// What a [`Loader`] goes through.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Where the pictures come from.
    pub pictures: Arc<Pictures>,
    /// Their indices, in the order of the epoch; see [`epoch_order`].
    pub order: Arc<[u32]>,
    /// Pictures a batch; the last batch may have fewer, even a single one.
    pub batch_size: usize,
    /// What is done to the pictures.
    pub augment: Vec<Augmentation>,
    /// The run's seed.
    pub seed: u64,
    /// The epoch; decides the augmentation.
    pub epoch: u64,
    /// Height and width that the network takes, in pixels.
    pub resolution: usize,
    /// What pictures are normalised with.
    pub normalization: Normalization,
    /// Batches to leave out at the beginning, when an epoch goes on where it was interrupted.
    pub first_batch: usize,
    /// Whether batches are only [drawn](Preparer::draw), for a device that keeps the pictures.
    pub drawn: bool,
}

/// The batches of a [`Feed`], in order. Dropping it stops its thread and waits for the end of it.
#[derive(Debug)]
pub struct Loader {
    /// Absent once the last batch was given.
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts to prepare batches.
    ///
    /// # Errors
    /// `INTERNAL` when the batch size is 0 or an index lies outside the pictures; `IO` when the system gives no thread.
    pub fn start(feed: Feed) -> Result<Self> {
        if feed.batch_size == 0 {
            return Err(Error::internal("a batch of no pictures was asked for"));
        }
        feed.pictures.check()?;
        let count = feed.pictures.len();
        if let Some(index) = feed.order.iter().find(|&&index| index as usize >= count) {
            return Err(Error::internal(format!("picture {index} was asked for, of {count}")));
        }
        Self::spawn(move |batches| prepare_all(&feed, batches))
    }

    fn spawn(work: impl FnOnce(&SyncSender<Result<Batch>>) + Send + 'static) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread =
            Builder::new().name("batches".into()).spawn(move || work(&sender)).map_err(Error::no_thread)?;
        Ok(Self { batches: Some(receiver), thread: Some(thread) })
    }

    /// Stops the thread and waits for its end; tells if it panicked.
    fn finish(&mut self) -> Result<()> {
        // The thread may be waiting for room in the channel: without a receiver it learns that nobody wants more.
        self.batches = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => {
                Err(Error::internal(format!("preparing a batch failed: {}", panic_message(&*panic))))
            }
            _ => Ok(()),
        }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batches.as_ref()?.recv() {
            Ok(batch) => Some(batch),
            Err(_) => self.finish().err().map(Err),
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A panic of the thread was reported by `next`, or nobody asked.
        let _ = self.finish();
    }
}

/// Sends the batches one after the other until there is no more, one fails, or nobody listens.
fn prepare_all(feed: &Feed, batches: &SyncSender<Result<Batch>>) {
    let preparer = Preparer::new(&feed.normalization, feed.resolution, &feed.augment);
    for (number, indices) in feed.order.chunks(feed.batch_size).enumerate().skip(feed.first_batch) {
        let place = Place { seed: feed.seed, epoch: feed.epoch, position: (number * feed.batch_size) as u64 };
        let batch = match feed.drawn {
            true => Ok(preparer.draw(&feed.pictures, indices, place)),
            false => preparer.batch(&feed.pictures, indices, place),
        };
        let failed = batch.is_err();
        if batches.send(batch).is_err() || failed {
            return;
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;
    use proptest::prelude::*;

    fn feed(count: usize, batch_size: usize) -> Feed {
        let pixels = (0..count * 48).map(|i| (i * 13 % 256) as u8).collect();
        let labels = (0..count as u32).collect();
        let indices: Vec<u32> = (0..count as u32).collect();
        Feed {
            pictures: Arc::new(Pictures::of_one_size(pixels, labels, (4, 4))),
            order: epoch_order(&indices, 1, 1, true).into(),
            batch_size,
            augment: Augmentation::ALL.to_vec(),
            seed: 1,
            epoch: 1,
            resolution: 4,
            normalization: Normalization::default(),
            first_batch: 0,
            drawn: false,
        }
    }

    fn all(feed: Feed) -> Vec<Batch> {
        Loader::start(feed).unwrap().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_only() {
        let indices: Vec<u32> = (100..200).collect();
        let order = epoch_order(&indices, 1, 2, true);
        assert_eq!(order, epoch_order(&indices, 1, 2, true));
        assert_ne!(order, epoch_order(&indices, 1, 3, true));
        assert_ne!(order, epoch_order(&indices, 2, 2, true));
        assert_eq!(epoch_order(&indices, 1, 2, false), indices);
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, indices);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_picture_comes_once_and_a_resumed_epoch_goes_on_alike(
            count in 0usize..40,
            batch_size in 1usize..12,
            first_batch in 0usize..6,
        ) {
            let whole = all(feed(count, batch_size));
            prop_assert_eq!(whole.len(), count.div_ceil(batch_size));
            let labels: Vec<u32> = whole.iter().flat_map(|batch| batch.labels.clone()).collect();
            prop_assert_eq!(&labels[..], &feed(count, batch_size).order[..]);
            for batch in &whole {
                prop_assert_eq!(batch.labels.len(), batch.count);
                prop_assert_eq!(batch.input.len(), batch.count * 48);
            }
            let rest = all(Feed { first_batch, ..feed(count, batch_size) });
            prop_assert_eq!(&rest[..], &whole[first_batch.min(whole.len())..]);
        }

        #[test]
        fn augmented_pixels_do_not_depend_on_the_batch_size(a in 1usize..12, b in 1usize..12) {
            let steps = Augmentation::ALL[..7].to_vec();
            let feed = |size| Feed { augment: steps.clone(), ..feed(20, size) };
            let pixels = |size| all(feed(size)).into_iter().flat_map(|batch| batch.input).collect::<Vec<f32>>();
            prop_assert_eq!(pixels(a), pixels(b));
        }
    }

    #[test]
    fn dropping_it_early_ends_the_thread() {
        let feed = feed(1000, 1);
        let pictures = feed.pictures.clone();
        let mut loader = Loader::start(feed).unwrap();
        assert_eq!(loader.next().unwrap().unwrap().count, 1);
        drop(loader);
        assert_eq!(Arc::strong_count(&pictures), 1, "the thread is gone with all that it held");
    }

    #[test]
    fn a_panic_becomes_an_error_once() {
        let mut loader = Loader::spawn(|_| panic!("on purpose, {}", 1)).unwrap();
        let error = loader.next().unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(error.message.contains("on purpose, 1"), "{}", error.message);
        assert!(loader.next().is_none());
    }

    #[test]
    fn impossible_feeds_are_refused() {
        assert!(Loader::start(Feed { batch_size: 0, ..feed(4, 1) }).is_err());
        let error = Loader::start(Feed { order: [4].into(), ..feed(4, 1) }).unwrap_err();
        assert!(error.message.contains("picture 4 was asked for, of 4"), "{}", error.message);
    }
}
