//! Validation and test at an epoch's end.

use super::Control;
use super::event::{Event, Metrics, Split};
use super::parts::Part;
use super::record::Tally;
use super::saving::network_of;
use super::trainer::Trainer;
use crate::config::TestTimeAugmentation;
use crate::data::Pictures;
use crate::engine::backend::EngineState;
use crate::engine::evaluate::{Answers, evaluate, evaluate_kept};
use crate::error::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// What the network made of one part.
pub(super) struct Evaluated {
    pub metrics: Metrics,
    split: Split,
    /// For the record, if there is one.
    tally: Option<Tally>,
    pictures: Arc<Pictures>,
}

impl Evaluated {
    /// Writes it as the run's folder keeps it.
    pub fn write(self, epoch: usize, path: &Path) -> Result<()> {
        match self.tally {
            Some(tally) => tally.evaluation(epoch, self.split, self.metrics, &self.pictures)?.write(path),
            None => Ok(()),
        }
    }
}

/// Refuses an epoch whose last step was too large: the loss of a step is that of the weights before it. Nothing of such an
/// epoch may be published or saved.
pub(super) fn check_evaluated(
    evaluated: &[Option<Evaluated>; 2],
    state: &EngineState,
    epoch: usize,
) -> Result<()> {
    let mut parts = evaluated.iter().flatten();
    let told = parts.find(|part| !part.metrics.loss.is_finite()).map(|part| match part.split {
        Split::Validation => "the loss of the validation pictures is no number any more",
        Split::Test => "the loss of the test pictures is no number any more",
    });
    let (parameters, statistics) = network_of(state);
    let broken = || parameters.iter().chain(statistics).any(|value| !value.is_finite());
    // There may be no pictures to evaluate with, or none whose answers show it.
    match told.or_else(|| broken().then_some("some weights are no numbers any more")) {
        None => Ok(()),
        Some(what) => {
            Err(Error::invalid_option(format!("{what} at the end of epoch {epoch}; lower the learning rate")))
        }
    }
}

impl Trainer<'_> {
    /// Validation and test; `None` for a part without pictures, and where the run was stopped meanwhile.
    pub(super) fn evaluate_parts(
        &mut self,
        state: &EngineState,
        control: &Control,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) -> Result<[Option<Evaluated>; 2]> {
        let (parameters, statistics) = network_of(state);
        self.evaluation.prepare(parameters, statistics)?;
        let head = &parameters[self.layout.head()];
        let (epoch, normalization) = (self.progress.epoch + 1, self.config.normalization);
        let mut evaluated = [None, None];
        let parts = [(Split::Validation, &self.parts.validation), (Split::Test, &self.parts.test)];
        for (place, (evaluated, (split, part))) in evaluated.iter_mut().zip(parts).enumerate() {
            let Part { pictures, indices, kept } = part;
            let mut tally = self.record.as_ref().map(|_| Tally::new(&self.weights.classes));
            let (mut done, count) = (0, indices.len());
            let mut hear = |answers: &Answers| {
                if let Some(tally) = &mut tally {
                    tally.add(answers);
                }
                done += answers.labels.len();
                // Not logged: it is of use only while it is waited for.
                on_event(Event::Evaluating { epoch, split, done, count });
            };
            let (stopping, tta) = (control.stopping(), TestTimeAugmentation::None);
            let features = match &mut self.frozen {
                Some(frozen) => frozen.of_part(place + 1, part, normalization, stopping)?,
                None => None,
            };
            let engine = &mut *self.evaluation;
            let metrics = match (&mut self.frozen, features, kept) {
                (Some(frozen), Some(features), _) => {
                    frozen.evaluate(&features, indices, &part.labels(), head, &mut hear)
                }
                (_, _, Some(kept)) => evaluate_kept(engine, *kept, pictures, indices, stopping, &mut hear)?,
                _ => evaluate(engine, pictures, indices, normalization, tta, stopping, &mut hear)?,
            };
            *evaluated =
                metrics.map(|metrics| Evaluated { metrics, split, tally, pictures: pictures.clone() });
        }
        Ok(evaluated)
    }
}
