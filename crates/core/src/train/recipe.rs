//! The recipe of a run, complete, and what is refused of it before anything is computed.

use super::parts::Parts;
use crate::checkpoint::{Progress, TrainingState};
use crate::config::{Augmentation, TrainConfig, TrainOptions};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::mobilenet::{MobileNet, Weights};
use crate::model::network::Network;
use std::sync::Arc;

/// Tells before there are pictures what is wrong with a run of `model`, as far as they don't decide it.
///
/// # Errors
/// Those of [`super::run`].
pub fn check(model: &MobileNet, options: &TrainOptions, resume: bool) -> Result<()> {
    let state = state_to_resume(&mut model.weights(), resume)?;
    let mut recipe = asked(options, state.as_deref())?;
    if let Some(TrainingState { progress, .. }) = state.as_deref() {
        // Where the pictures have a part of their own to validate with, the share is 0 whatever is asked for.
        if progress.config.validation_fraction == 0.0 {
            recipe.validation_fraction = 0.0;
        }
        check_unchanged(&progress.config, &recipe)?;
        check_unfinished(&Progress { config: recipe.clone(), ..progress.clone() })?;
    }
    model.backend().check_precision(recipe.precision)
}

/// The state that the run goes on from, if it is to; it is taken out of the weights.
pub(super) fn state_to_resume(weights: &mut Weights, resume: bool) -> Result<Option<Arc<TrainingState>>> {
    let state = weights.training.take();
    if resume && state.is_none() {
        return Err(Error::invalid_option(
            "there is no run to resume in this checkpoint; take a run's last.safetensors, or start a new run",
        ));
    }
    Ok(state.filter(|_| resume))
}

/// The recipe, complete but for what the pictures decide.
fn asked(options: &TrainOptions, state: Option<&TrainingState>) -> Result<TrainConfig> {
    let recipe = match state {
        Some(state) => options.resolve(&state.progress.config)?,
        None => options.resolve(&TrainConfig::default())?,
    };
    if options.save_every.is_some() && options.out.is_none() {
        return Err(Error::invalid_option("saveEvery keeps states in the run's folder; give it one by out"));
    }
    Ok(recipe)
}

/// The recipe, complete.
pub(super) fn recipe(
    options: &TrainOptions,
    data: &Dataset,
    state: Option<&TrainingState>,
) -> Result<TrainConfig> {
    let mut recipe = asked(options, state)?;
    if data.validation.is_some() {
        // There is nothing to be kept for it.
        recipe.validation_fraction = 0.0;
    }
    if data.train.resize().is_some() && options.augment.is_none() && state.is_none() {
        recipe.augment = Augmentation::photographs();
    }
    if let Some(state) = state {
        check_unchanged(&state.progress.config, &recipe)?;
    }
    Ok(recipe)
}

/// Refuses patience where nothing says whether an epoch was better.
pub(super) fn check_parts(parts: &Parts, recipe: &TrainConfig) -> Result<()> {
    if recipe.patience.is_some() && parts.validation.indices.is_empty() {
        return Err(Error::invalid_option(
            "patience waits for a better validation accuracy, and there are no validation pictures: validationFraction must be \
             above 0",
        ));
    }
    Ok(())
}

/// Refuses a last batch of one picture where a map is 1x1: batch norm can't take the variance of one value (PyTorch refuses
/// it, too), and the running variance would be pulled towards 0 just before each evaluation.
pub(super) fn check_last_batch(network: &Network, pictures: usize, recipe: &TrainConfig) -> Result<()> {
    // A backbone that stays frozen keeps its statistics.
    let frozen = recipe.freeze.is_some() && recipe.freeze_epochs.is_none();
    let single = network.layers.iter().any(|layer| layer.norm.is_some() && layer.output_side() == 1);
    if frozen || !single || pictures % recipe.batch_size != 1 {
        return Ok(());
    }
    Err(Error::invalid_option(format!(
        "batchSize {} leaves one of {pictures} training pictures for the last batch, and batch norm can't take the variance of \
         one value, which it would have to where a map of this network is 1x1; choose another batchSize",
        recipe.batch_size
    )))
}

/// Refuses to go on with other pictures than the run began with, or with an optimizer of another kind.
fn check_unchanged(before: &TrainConfig, now: &TrainConfig) -> Result<()> {
    let [kind, other] = [before, now].map(|config| config.optimizer.rule.kind());
    if kind != other {
        return Err(Error::invalid_option(format!(
            "the optimizer can't change from {} to {} when a run is resumed: what it keeps from step to step is its own",
            kind.name(),
            other.name()
        )));
    }
    let same = [
        ("batchSize", before.batch_size == now.batch_size),
        ("validationFraction", before.validation_fraction == now.validation_fraction),
        ("seed", before.seed == now.seed),
        ("augment", before.augment == now.augment),
        ("freeze", before.freeze == now.freeze && before.freeze_epochs == now.freeze_epochs),
        ("shuffle", before.shuffle == now.shuffle),
        ("limit", before.limit == now.limit),
    ];
    match same.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid_option(format!(
            "{name} can't change when a run is resumed: it decides which pictures come next"
        ))),
    }
}

/// Refuses to go on with a run that is at its end.
pub(super) fn check_unfinished(progress: &Progress) -> Result<()> {
    if progress.epoch >= progress.config.epochs {
        let done = match progress.epoch {
            1 => "the one epoch of this run is done".into(),
            epochs => format!("all {epochs} epochs of this run are done"),
        };
        return Err(Error::invalid_option(format!("{done}; ask for more epochs to go on")));
    }
    if out_of_patience(progress) {
        return Err(Error::invalid_option(format!(
            "this run has lost its patience: no epoch since number {} was better; ask for more patience to go on",
            progress.best.map_or(0, |(epoch, _)| epoch)
        )));
    }
    Ok(())
}

/// Whether the last epochs, as many as the recipe has patience for, were no better than the best.
pub(super) fn out_of_patience(Progress { config, epoch, best, .. }: &Progress) -> bool {
    matches!((config.patience, best), (Some(patience), Some((best, _))) if epoch.saturating_sub(*best) >= patience)
}
