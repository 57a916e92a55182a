//! An epoch's steps: its batches, and their losses, which a device may give only after later steps have begun.

use super::Control;
use super::event::Event;
use super::frozen;
use super::trainer::{Outcome, Trainer, warn_of};
use crate::data::loader::{Feed, Loader, epoch_order};
use crate::data::prepare::Batch;
use crate::engine::backend::{Update, Wait};
use crate::error::{Error, Result};
use crate::optim::schedule::{Place, learning_rate};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Steps whose losses aren't known yet, and the time since the last step that was told.
struct Begun {
    steps: VecDeque<BegunStep>,
    /// How many an epoch has.
    all: usize,
    told: Instant,
    /// Pictures of the steps since then whose losses are known.
    pictures: usize,
}

struct BegunStep {
    /// Its number in the epoch, from 1.
    step: usize,
    /// Pictures of its batch.
    count: usize,
    rate: f64,
    /// Whether it is told when its loss is known.
    log: bool,
}

/// The learning rate of a step: the schedule's, or in proportion to it since one was `set`, and what was scheduled then.
fn rate(scheduled: f64, set: Option<(f64, f64)>) -> f64 {
    match set {
        // A schedule that fell below what a number holds is in no proportion to anything: what was set stays.
        Some((set, then)) if then > 0.0 => set * (scheduled / then),
        Some((set, _)) => set,
        None => scheduled,
    }
}

impl Trainer<'_> {
    /// The steps of the epoch that are left.
    pub(super) fn steps(
        &mut self,
        control: &Control,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Outcome> {
        let train = self.config.train.clone();
        let steps = self.parts.train.indices.len().div_ceil(train.batch_size);
        let epoch = self.progress.epoch;
        if epoch >= train.frozen_epochs() {
            self.frozen = None;
        }
        let features = self.train_features(control)?;
        let kept = features.is_some();
        let mut step = self.progress.step;
        let mut begun = Begun { steps: VecDeque::new(), all: steps, told: Instant::now(), pictures: 0 };
        for batch in self.batches(features)? {
            if control.stopping().load(Ordering::Relaxed) {
                self.count(&mut begun, Wait::ForAll, on_event)?;
                return Ok(Outcome::Stopped);
            }
            self.tell_written(false, control, on_event)?;
            let batch = batch?;
            if self.progress.steps + begun.steps.len() == 0 {
                // Of a frozen backbone that was asked once, a batch has features in the place of pictures.
                let shown = (!kept).then_some(&batch);
                warn_of(self.write_samples(shown), on_event);
            }
            let place = Place { epoch, step, epochs: train.epochs, steps };
            let scheduled = learning_rate(&train.schedule, train.optimizer.learning_rate, place);
            if let Some(learning_rate) = control.take_learning_rate() {
                // In the log it stands behind the steps before it.
                self.count(&mut begun, Wait::ForAll, on_event)?;
                self.progress.learning_rate = Some((learning_rate, scheduled));
                let (epoch, step) = (epoch + 1, step + 1);
                self.tell(Event::LearningRate { epoch, step, learning_rate, scheduled }, on_event)?;
            }
            let rate = rate(scheduled, self.progress.learning_rate);
            step += 1;
            let number = (self.progress.steps + begun.steps.len()) as u64;
            let log = step.is_multiple_of(train.log_every) || step == steps;
            // The device has this step to do while the one before is told. (Others were told before that.)
            let earlier = begun.steps.back().is_some_and(|begun| begun.log);
            begun.steps.push_back(BegunStep { step, count: batch.count, rate, log });
            self.take_step(batch, kept, Update { rate, stream: (train.seed, number) })?;
            let checkpoint = control.wants_checkpoint();
            let wait = match (checkpoint || step == steps, earlier) {
                (true, _) => Wait::ForAll,
                (false, true) => Wait::ForEarlier,
                (false, false) => Wait::No,
            };
            self.count(&mut begun, wait, on_event)?;
            if checkpoint {
                self.save_now(control)?;
                self.tell_written(true, control, on_event)?;
            }
        }
        Ok(Outcome::Complete)
    }

    /// One step on a batch of pictures, or of features if they are `kept`.
    fn take_step(&mut self, mut batch: Batch, kept: bool, update: Update) -> Result<()> {
        let Some(frozen) = &mut self.frozen else { return self.engine.step(batch, update) };
        if !kept {
            batch.input = frozen.features_of(&batch.input)?;
        }
        self.engine.step_head(&mut frozen.head, batch, update)
    }

    /// Counts the steps whose losses are known, and tells those of them that are to be.
    fn count(
        &mut self,
        begun: &mut Begun,
        wait: Wait,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<()> {
        for loss in self.engine.losses(wait)? {
            let Some(BegunStep { step, count, rate, log }) = begun.steps.pop_front() else {
                return Err(Error::internal("more losses than steps"));
            };
            if !loss.sum.is_finite() {
                return Err(Error::invalid_option(format!(
                    "the loss is no number any more at step {step} of epoch {}; lower the learning rate (it is {rate} now)",
                    self.progress.epoch + 1
                )));
            }
            let progress = &mut self.progress;
            progress.step += 1;
            progress.steps += 1;
            progress.loss_sum += loss.sum;
            progress.correct += loss.correct;
            progress.count += count;
            begun.pictures += count;
            if log {
                let event = Event::Step {
                    epoch: progress.epoch + 1,
                    step,
                    steps: begun.all,
                    loss: loss.sum / count as f64,
                    accuracy: loss.correct as f64 / count as f64,
                    learning_rate: rate,
                    images_per_second: begun.pictures as f64 / begun.told.elapsed().as_secs_f64(),
                };
                self.tell(event, on_event)?;
                (begun.told, begun.pictures) = (Instant::now(), 0);
            }
        }
        Ok(())
    }

    /// What a frozen backbone gives of the training pictures, where that is the same in each epoch and not too much.
    fn train_features(&mut self, control: &Control) -> Result<Option<Arc<Vec<f32>>>> {
        match &mut self.frozen {
            Some(frozen) if self.config.train.augment.is_empty() => {
                let normalization = self.config.normalization;
                frozen.of_part(0, &self.parts.train, normalization, control.stopping())
            }
            _ => Ok(None),
        }
    }

    /// The batches of the epoch that are left: pictures, or their features where there are any.
    fn batches(&self, features: Option<Arc<Vec<f32>>>) -> Result<Box<dyn Iterator<Item = Result<Batch>>>> {
        let (train, part) = (&self.config.train, &self.parts.train);
        let (epoch, first_batch) = (self.progress.epoch as u64, self.progress.step);
        if let (Some(features), Some(frozen)) = (features, &self.frozen) {
            let places: Vec<u32> = (0..part.indices.len() as u32).collect();
            let labels = part.labels();
            let width = frozen.head.features;
            let order = epoch_order(&places, train.seed, epoch, train.shuffle);
            return Ok(Box::new(frozen::batches(
                features,
                width,
                labels,
                order,
                train.batch_size,
                first_batch,
            )));
        }
        Ok(Box::new(Loader::start(self.feed())?))
    }

    /// The training pictures of the epoch that are left.
    pub(super) fn feed(&self) -> Feed {
        let (train, part) = (&self.config.train, &self.parts.train);
        let epoch = self.progress.epoch as u64;
        Feed {
            pictures: part.pictures.clone(),
            order: epoch_order(&part.indices, train.seed, epoch, train.shuffle).into(),
            batch_size: train.batch_size,
            augment: train.augment.clone(),
            seed: train.seed,
            epoch,
            resolution: self.config.model.resolution,
            normalization: self.config.normalization,
            first_batch: self.progress.step,
            // A frozen backbone is asked about pixels.
            drawn: self.keeps_pictures && self.frozen.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_learning_rate_that_was_set_moves_with_the_schedule_or_stays_where_that_has_ended() {
        assert_eq!(rate(0.5, None), 0.5);
        assert_eq!(rate(0.25, Some((0.1, 0.5))), 0.05);
        assert_eq!(rate(0.0, Some((0.1, 0.5))), 0.0);
        assert_eq!(rate(0.0, Some((0.1, 0.0))), 0.1);
    }
}
