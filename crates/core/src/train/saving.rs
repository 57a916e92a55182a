//! What a run leaves: weights in the model, checkpoints in its folder, its report.

use super::Control;
use super::event::{EndedBy, Event, Report};
use super::record::Folder;
use super::trainer::Trainer;
use crate::checkpoint::{TrainingState, write};
use crate::engine::backend::EngineState;
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;

impl Trainer<'_> {
    /// Hands the weights as they are now to the model: the average, where there is one.
    pub(super) fn publish(&mut self) -> Result<()> {
        let (parameters, statistics) = network_of(self.engine.state()?);
        self.weights.tensors = Arc::new(self.layout.scatter(&parameters, &statistics));
        self.weights.batches_tracked = self.progress.steps as u64;
        self.model.set_weights(self.weights.clone());
        Ok(())
    }

    /// Writes what was last published, with the run's state, as the newest.
    pub(super) fn save_last(
        &mut self,
        control: &Control,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<()> {
        let asked_for = control.checkpoints_asked_for();
        let Some(path) = self.save_state(Folder::last)? else { return Ok(()) };
        control.answer_checkpoints(asked_for);
        self.tell(Event::Checkpoint { path }, on_event)
    }

    /// The same as the state after an epoch, which stays; those before are removed as the recipe says.
    pub(super) fn save_epoch(
        &mut self,
        epoch: usize,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<()> {
        let Some(path) = self.save_state(|folder| folder.epoch(epoch))? else { return Ok(()) };
        if let (Some(keep), Some(record)) = (self.config.train.keep, &self.record) {
            record.folder.keep_epochs(keep)?;
        }
        self.tell(Event::Checkpoint { path }, on_event)
    }

    /// Writes what was last published, with the run's state; gives the file, if the run has a folder.
    pub(super) fn save_state(&mut self, place: impl FnOnce(&Folder) -> PathBuf) -> Result<Option<PathBuf>> {
        let Some(record) = &self.record else { return Ok(None) };
        let state = self.engine.state()?;
        let mut progress = self.progress.clone();
        let mut raw = None;
        if let Some(average) = &state.average {
            progress.averaged = average.updates;
            raw = Some(self.layout.scatter(&state.parameters, &state.statistics));
        }
        let buffers = state.optimizer.buffers.iter();
        let optimizer = buffers.map(|buffer| self.layout.scatter_parameters(buffer)).collect();
        let path = place(&record.folder);
        record.sync()?;
        write(
            &self.model.checkpoint(&self.weights, Some(TrainingState { progress, raw, optimizer })),
            &path,
        )?;
        Ok(Some(path))
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
            best: folder.map(Folder::best).filter(|path| path.exists()),
        }
    }
}

/// Parameters and running statistics of what is evaluated and saved: the average, where there is one.
pub(super) fn network_of(state: EngineState) -> (Vec<f32>, Vec<f32>) {
    match state.average {
        Some(average) => (average.parameters, average.statistics),
        None => (state.parameters, state.statistics),
    }
}
