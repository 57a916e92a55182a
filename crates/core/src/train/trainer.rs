//! One run: epochs of steps, each epoch with validation and test at its end.

use super::Control;
use super::event::{EndedBy, Event, Metrics, Report, RunConfig};
use super::frozen::Frozen;
use super::parts::Parts;
use super::recipe::out_of_patience;
use super::record::Record;
use super::validation::check_evaluated;
use super::writer::Writer;
use crate::checkpoint::Progress;
use crate::engine::backend::{InferenceEngine, TrainingEngine};
use crate::engine::parameters::Parameters;
use crate::error::{Error, Result};
use crate::mobilenet::{MobileNet, Weights};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

pub(super) struct Trainer<'a> {
    pub(super) model: &'a MobileNet,
    /// Where every tensor lies.
    pub(super) layout: Parameters,
    pub(super) parts: Parts,
    pub(super) config: RunConfig,
    pub(super) record: Option<Record>,
    pub(super) progress: Progress,
    /// The weights as the run began; class names and normalisation stay.
    pub(super) weights: Weights,
    /// Those that were handed to the model last, once the writer has done that; at first those that the run began with.
    pub(super) published: Arc<OnceLock<Weights>>,
    pub(super) engine: Box<dyn TrainingEngine>,
    /// Whether the engine keeps the training pictures, so that batches need not bring them.
    pub(super) keeps_pictures: bool,
    /// While the backbone stays as it is.
    pub(super) frozen: Option<Frozen>,
    pub(super) evaluation: Box<dyn InferenceEngine>,
    pub(super) writer: Writer,
    /// Whether it was told that `evaluation.json` can't be written.
    pub(super) evaluation_warned: bool,
    pub(super) started: Instant,
}

/// A file for people that can't be written is told, and the run goes on.
pub(super) fn warn_of(written: Result<()>, on_event: &mut (dyn FnMut(Event) + Send)) {
    if let Err(Error { message, .. }) = written {
        on_event(Event::Warning { message });
    }
}

/// How an epoch or a part of it ended.
pub(super) enum Outcome {
    Complete,
    Stopped,
}

impl Trainer<'_> {
    /// Everything between the events `start` and `done`, `start` included.
    pub fn run(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Report> {
        self.tell(Event::Start { config: Box::new(self.config.clone()) }, on_event)?;
        self.bring_best()?;
        // So that a run can go on whenever it is killed, and a disk that is too small is found out now.
        self.save_beginning()?;
        let mut ended_by = EndedBy::Epochs;
        while self.progress.epoch < self.config.train.epochs {
            if let Outcome::Stopped = self.epoch(control, on_event)? {
                self.save_now(control)?;
                ended_by = EndedBy::Stop;
                break;
            }
            if out_of_patience(&self.progress) {
                ended_by = EndedBy::Patience;
                break;
            }
        }
        self.tell_written(true, control, on_event)?;
        Ok(self.report(ended_by))
    }

    /// Logs an event, and tells it.
    pub(super) fn tell(&mut self, event: Event, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        if let Some(record) = &mut self.record {
            record.add(&event)?;
        }
        on_event(event);
        Ok(())
    }

    /// The rest of the epoch that the run is in, with validation, test and checkpoints.
    fn epoch(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let started = Instant::now();
        if let Outcome::Stopped = self.steps(control, on_event)? {
            return Ok(Outcome::Stopped);
        }
        let train = Metrics::of(self.progress.loss_sum, self.progress.correct, self.progress.count);
        let train = train.ok_or_else(|| Error::internal("an epoch without pictures"))?;
        let state = Arc::new(self.engine.state()?);
        let evaluated = self.evaluate_parts(&state, control, on_event)?;
        if control.stopping().load(Ordering::Relaxed) {
            // Stopped during the evaluation: a resumed run begins with it.
            return Ok(Outcome::Stopped);
        }
        let epoch = self.progress.epoch + 1;
        check_evaluated(&evaluated, &state, epoch)?;
        let [validation, test] = evaluated.each_ref().map(|part| part.as_ref().map(|part| part.metrics));
        // Where epochs are shorter than the disk takes, files would pile up in memory.
        self.tell_written(true, control, on_event)?;
        let saved = self.save_evaluation(evaluated, epoch);
        // Once: a disk that is full would be told after every epoch.
        if saved.is_ok() || !std::mem::replace(&mut self.evaluation_warned, true) {
            warn_of(saved, on_event);
        }
        let accuracy = validation.or(test).unwrap_or(train).accuracy;
        let improved = self.progress.best.is_none_or(|(_, best)| accuracy > best);
        if improved {
            self.progress.best = Some((epoch, accuracy));
        }
        let progress = &mut self.progress;
        progress.last = [Some(train), validation, test];
        (progress.epoch, progress.step) = (epoch, 0);
        (progress.loss_sum, progress.correct, progress.count) = (0.0, 0, 0);
        let seconds = started.elapsed().as_secs_f64();
        self.tell(Event::Epoch { epoch, train, validation, test, seconds }, on_event)?;
        self.publish(&state);
        if improved {
            self.save_best();
        }
        if self.config.train.save_every.is_some_and(|every| epoch.is_multiple_of(every)) {
            self.save_epoch(&state, epoch)?;
        }
        self.save_last(&state, control)?;
        Ok(Outcome::Complete)
    }
}
