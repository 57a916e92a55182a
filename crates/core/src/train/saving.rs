//! What a run leaves: weights in the model, checkpoints in its folder, its report.

use super::Control;
use super::event::{EndedBy, Event, Report};
use super::record::{BEST, Folder, keep_epochs, same};
use super::trainer::Trainer;
use super::validation::Evaluated;
use super::writer::Written;
use crate::checkpoint::{Checkpoint, TrainingState, read, write};
use crate::data::loader::{Feed, Loader};
use crate::data::prepare::Batch;
use crate::engine::backend::EngineState;
use crate::error::{Error, Result};
use crate::mobilenet::Weights;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

impl Trainer<'_> {
    /// Has the weights of a state handed to the model: the average, where there is one. What is saved later has them.
    pub(super) fn publish(&mut self, state: &Arc<EngineState>) {
        let (model, layout, state) = (self.model.clone(), self.layout.clone(), state.clone());
        let (mut weights, published) = (self.weights.clone(), Arc::new(OnceLock::new()));
        weights.batches_tracked = self.progress.steps as u64;
        self.published = published.clone();
        self.writer.give(None, move || {
            let (parameters, statistics) = network_of(&state);
            weights.tensors = Arc::new(layout.scatter(parameters, statistics));
            model.set_weights(published.get_or_init(|| weights).clone());
            Ok(())
        });
    }

    /// Has what was last published written as the best.
    pub(super) fn save_best(&mut self) {
        let Some(path) = self.record.as_ref().map(|record| record.folder.best()) else { return };
        let (model, published) = (self.model.clone(), self.published.clone());
        let written = Written { path: path.clone(), answers: None };
        self.writer.give(Some(written), move || write(&model.checkpoint(known(&published)?, None), &path));
    }

    /// A run that goes on in another folder than its own, or from an earlier state, brings the weights of its best epoch
    /// along. Where they are gone, the best is looked for anew: without its weights nobody could use it.
    pub(super) fn bring_best(&mut self) -> Result<()> {
        let resumed = self.config.resumed_epochs.and_then(|_| self.model.origin());
        let (Some(record), Some(origin), Some((epoch, _))) = (&self.record, resumed, self.progress.best)
        else {
            return Ok(());
        };
        if same(&record.folder.last(), origin) {
            return Ok(());
        }
        let steps = self.parts.train.indices.len().div_ceil(self.config.train.batch_size) * epoch;
        // Weights without a state tell by the steps that batch norm has seen of which epoch they are; of a network without
        // batch norm nobody knows.
        let fits = |found: &Checkpoint| match &found.training {
            Some(state) => (state.progress.epoch, state.progress.step) == (epoch, 0),
            None => found.batches_tracked == steps as u64 && found.config == self.config.model,
        };
        // The best may be the state itself.
        let found = [origin.with_file_name(BEST), origin.to_path_buf()].into_iter().find_map(|path| {
            let found = read(&path).ok().filter(fits)?;
            Some((path, found))
        });
        match found {
            Some((path, _)) if same(&path, &record.folder.best()) => Ok(()),
            Some((_, found)) => write(&Checkpoint { training: None, ..found }, &record.folder.best()),
            None => {
                self.progress.best = None;
                Ok(())
            }
        }
    }

    /// Has what was last published written, with the run's state, as the newest.
    pub(super) fn save_last(&mut self, state: &Arc<EngineState>, control: &Control) -> Result<()> {
        if self.record.is_none() {
            // There is nothing to wait for.
            control.answer_checkpoints(control.checkpoints_asked_for());
        }
        self.save_state(state, Folder::last, Some(control.checkpoints_asked_for()), None)
    }

    /// The same as the state after an epoch, which stays; those before are removed as the recipe says.
    pub(super) fn save_epoch(&mut self, state: &Arc<EngineState>, epoch: usize) -> Result<()> {
        self.save_state(state, |folder| folder.epoch(epoch), None, self.config.train.keep)
    }

    /// Publishes the state after the last step, and has it written as the newest.
    pub(super) fn save_now(&mut self, control: &Control) -> Result<()> {
        let state = Arc::new(self.engine.state()?);
        self.publish(&state);
        self.save_last(&state, control)
    }

    /// Writes the state that the run begins with, unless it has no folder.
    pub(super) fn save_beginning(&mut self) -> Result<()> {
        if self.record.is_none() {
            return Ok(());
        }
        let state = Arc::new(self.engine.state()?);
        self.save_state(&state, Folder::last, None, None)?;
        self.writer.written(true).map(drop)
    }

    fn save_state(
        &mut self,
        state: &Arc<EngineState>,
        place: impl FnOnce(&Folder) -> PathBuf,
        answers: Option<u64>,
        keep: Option<usize>,
    ) -> Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        let (path, folder, sync_log) =
            (place(&record.folder), record.folder.path().to_path_buf(), record.sync()?);
        let (model, published, layout) = (self.model.clone(), self.published.clone(), self.layout.clone());
        let (state, mut progress) = (state.clone(), self.progress.clone());
        let written = Written { path: path.clone(), answers };
        self.writer.give(Some(written), move || {
            let mut raw = None;
            if let Some(average) = &state.average {
                progress.averaged = average.updates;
                raw = Some(layout.scatter(&state.parameters, &state.statistics));
            }
            let buffers = state.optimizer.buffers.iter();
            let optimizer = buffers.map(|buffer| layout.scatter_parameters(buffer)).collect();
            sync_log()?;
            let training = TrainingState { progress, raw, optimizer };
            write(&model.checkpoint(known(&published)?, Some(training)), &path)?;
            keep.map_or(Ok(()), |keep| keep_epochs(&folder, keep))
        });
        Ok(())
    }

    /// Leaves the run's first batch in its folder, as pictures; they are made anew unless `batch` has them.
    pub(super) fn write_samples(&self, batch: Option<&Batch>) -> Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        let (side, normalization) = (self.config.model.resolution, &self.config.normalization);
        if let Some(batch) = batch.filter(|batch| batch.drawn.is_none()) {
            return record.write_samples(batch, side, normalization);
        }
        let pixels = Loader::start(Feed { drawn: false, ..self.feed() })?.next();
        let pixels = pixels.ok_or_else(|| Error::internal("an epoch without batches"))?;
        record.write_samples(&pixels?, side, normalization)
    }

    /// Writes `evaluation.json`: of the test pictures if there are any. Who hears of the epoch's end finds it.
    pub(super) fn save_evaluation(&self, evaluated: [Option<Evaluated>; 2], epoch: usize) -> Result<()> {
        match (&self.record, evaluated.into_iter().flatten().last()) {
            (Some(record), Some(part)) => part.write(epoch, &record.folder.evaluation()),
            _ => Ok(()),
        }
    }

    /// Tells which checkpoints are in place since the last call; with `all` those that were begun are waited for.
    pub(super) fn tell_written(
        &mut self,
        all: bool,
        control: &Control,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<()> {
        for Written { path, answers } in self.writer.written(all)? {
            if let Some(asked_for) = answers {
                control.answer_checkpoints(asked_for);
            }
            self.tell(Event::Checkpoint { path }, on_event)?;
        }
        Ok(())
    }

    pub(super) fn report(&self, ended_by: EndedBy) -> Report {
        let [train, validation, test] = self.progress.last;
        let folder = self.record.as_ref().map(|record| &record.folder);
        Report {
            epochs: self.progress.epoch,
            steps: self.progress.steps,
            train,
            validation,
            test,
            best_epoch: self.progress.best.map(|(epoch, _)| epoch),
            best_accuracy: self.progress.best.map(|(_, accuracy)| accuracy),
            stopped: ended_by == EndedBy::Stop,
            ended_by,
            seconds: self.started.elapsed().as_secs_f64(),
            checkpoint: folder.map(Folder::last).filter(|path| path.exists()),
            best: self.progress.best.and(folder).map(Folder::best).filter(|path| path.exists()),
        }
    }
}

/// Weights that were published before what is asked about now.
fn known(published: &OnceLock<Weights>) -> Result<&Weights> {
    published.get().ok_or_else(|| Error::internal("weights are saved before they are published"))
}

/// Parameters and running statistics of what is evaluated and saved: the average, where there is one.
pub(super) fn network_of(state: &EngineState) -> (&[f32], &[f32]) {
    match &state.average {
        Some(average) => (&average.parameters, &average.statistics),
        None => (&state.parameters, &state.statistics),
    }
}
