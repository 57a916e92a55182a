//! What a run begins with: the recipe, the pictures of each part, the state that it goes on from; all of it checked before
//! anything is computed.

use super::event::{PictureCounts, RunConfig};
use super::frozen::Frozen;
use super::record::Record;
use super::trainer::Trainer;
use super::writer::Writer;
use crate::checkpoint::{Progress, TrainingState};
use crate::config::{Augmentation, TrainConfig, TrainOptions, TrainedOn};
use crate::data::prepare::Preparer;
use crate::data::{Dataset, Pictures};
use crate::engine::backend::{EngineState, KeptPictures, Recipe};
use crate::engine::head::Head;
use crate::engine::parameters::Parameters;
use crate::error::{Error, ErrorCode, Result};
use crate::kernels::simd::Isa;
use crate::mobilenet::{MobileNet, Weights, check_labels};
use crate::model::network::Network;
use crate::optim::average::Average;
use crate::optim::{State, buffers};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The pictures that a run trains on, validates with or tests with.
pub(super) struct Part {
    pub pictures: Arc<Pictures>,
    /// Which of them.
    pub indices: Vec<u32>,
    /// Those, where the engine that evaluates keeps them.
    pub kept: Option<KeptPictures>,
}

impl Part {
    /// Their right classes.
    pub fn labels(&self) -> Vec<u32> {
        self.indices.iter().map(|index| self.pictures.labels[*index as usize]).collect()
    }
}

/// All three.
pub(super) struct Parts {
    pub train: Part,
    pub validation: Part,
    pub test: Part,
}

impl<'a> Trainer<'a> {
    /// Sets up a run of `model`; with `resume` one that goes on.
    pub fn new(
        model: &'a MobileNet,
        data: &Dataset,
        options: &TrainOptions,
        resume: bool,
        threads: usize,
    ) -> Result<Self> {
        let started = Instant::now();
        let mut weights = model.weights();
        let state = state_to_resume(&mut weights, resume)?;
        let state = state.as_deref();
        let recipe = recipe(options, data, state)?;
        data.check_resolution(model.config().resolution)?;
        if state.is_some() {
            data.check_classes(&weights.classes)?;
        } else {
            data.check_outputs(&weights.classes)?;
        }
        check_labels(&data.train, model.config().classes)?;
        check_labels(&data.test, model.config().classes)?;
        let mut parts = Parts::of(data, &recipe)?;
        if state.is_none() {
            check_last_batch(model.network(), parts.train.indices.len(), &recipe)?;
        }
        if recipe.patience.is_some() && parts.validation.indices.is_empty() {
            return Err(Error::invalid_option(
                "patience waits for a better validation accuracy, and there are no validation pictures: validationFraction must be \
                 above 0",
            ));
        }
        let labels = parts.train.labels().into_iter();
        let class_weights = recipe.class_weights.as_ref();
        let class_weights =
            class_weights.map(|weights| weights.resolve(labels, model.config().classes)).transpose()?;
        let progress = progress(state, &recipe, parts.counts(data), data.digest.clone())?;
        if data.classes.len() == model.config().classes {
            weights.classes = data.classes.clone();
        }
        // From now on the network is asked about pictures as it is validated with them.
        weights.resize = data.train.resize().unwrap_or(model.config().resolution);
        weights.trained_on =
            Some(TrainedOn { validation_fraction: recipe.validation_fraction, folder: data.folder.clone() });

        let (network, backend) = (model.network(), model.backend());
        let layout = Parameters::new(network);
        let raw = match state.and_then(|state| state.raw.clone()) {
            Some(raw) => Arc::new(raw),
            None => weights.tensors.clone(),
        };
        let (parameters, statistics) = layout.gather(&raw);
        let average = recipe.ema.map(|ema| {
            let (parameters, statistics) = layout.gather(&weights.tensors);
            Average::new(ema, parameters, statistics, progress.averaged)
        });
        if recipe.ema.is_none() {
            // Of a run that had an average until now, the weights that were trained are the network.
            weights.tensors = raw.clone();
        }
        let frozen = if progress.epoch < recipe.frozen_epochs() {
            let mut engine = backend.inference(&network.backbone(), recipe.precision)?;
            let (parameters, statistics) = Parameters::new(&network.backbone()).gather(&raw);
            engine.prepare(&parameters, &statistics)?;
            Some(Frozen::new(engine, Head::of(network)))
        } else {
            None
        };
        let steps = parts.train.indices.len().div_ceil(recipe.batch_size);
        let mut engine = backend.training(
            Recipe {
                network,
                config: &recipe,
                class_weights: class_weights.as_deref(),
                capacity: recipe.batch_size.min(parts.train.indices.len()),
                frozen_steps: recipe.frozen_epochs() * steps,
            },
            EngineState {
                parameters,
                statistics,
                optimizer: optimizer_state(&recipe, &layout, state),
                average,
            },
        )?;
        let preparer = Preparer::new(&weights.normalization, network.resolution, &recipe.augment);
        let pictures = &parts.train.pictures;
        let keeps_pictures = preparer.can_draw(pictures) && engine.keep(pictures, &weights.normalization)?;
        let mut evaluation = backend.inference(network, recipe.precision)?;
        for Part { pictures, indices, kept } in [&mut parts.validation, &mut parts.test] {
            *kept = evaluation.keep(pictures, indices, &weights.normalization)?;
        }
        let resumed_from = if resume { model.origin().map(|path| (path, &progress)) } else { None };
        let record = options.out.as_deref().map(|path| Record::open(path, resumed_from)).transpose()?;
        let config = RunConfig {
            model: model.config(),
            train: recipe,
            normalization: weights.normalization,
            data: data.source.clone(),
            folder: data.folder.clone(),
            official: data.official,
            pictures: progress.pictures,
            skipped: data.skipped.len(),
            class_weights,
            device: backend.name(),
            simd: Isa::best().name().into(),
            threads,
            out: record.as_ref().map(|record| record.folder.path().to_path_buf()),
            resumed_epochs: state.map(|state| state.progress.epoch),
        };
        Ok(Self {
            model,
            layout,
            parts,
            config,
            record,
            progress,
            published: Arc::new(OnceLock::from(weights.clone())),
            weights,
            engine,
            keeps_pictures,
            frozen,
            evaluation,
            writer: Writer::start()?,
            evaluation_warned: false,
            started,
        })
    }
}

impl Parts {
    /// Those of a data set, as the recipe divides and limits them.
    fn of(data: &Dataset, recipe: &TrainConfig) -> Result<Self> {
        let limit = recipe.limit.unwrap_or(usize::MAX);
        let mut split = data.split(recipe.validation_fraction);
        let validation = data.validation.as_ref().unwrap_or(&data.train);
        if data.validation.is_some() {
            split.validation = (0..validation.len() as u32).collect();
        }
        if !recipe.shuffle {
            // Without shuffling the pictures come as they lie in the data set.
            split.train.sort_unstable();
        }
        let part = |pictures: &Arc<Pictures>, mut indices: Vec<u32>| {
            indices.truncate(limit);
            Part { pictures: pictures.clone(), indices, kept: None }
        };
        let parts = Self {
            train: part(&data.train, split.train),
            validation: part(validation, split.validation),
            test: part(&data.test, (0..data.test.len() as u32).collect()),
        };
        if parts.train.indices.len() < 2 {
            return Err(Error::invalid_option(format!(
                "there must be at least 2 pictures to train on, not {}; lower validationFraction or raise limit",
                parts.train.indices.len()
            )));
        }
        Ok(parts)
    }

    fn counts(&self, data: &Dataset) -> PictureCounts {
        PictureCounts {
            total: data.train.len() + data.validation.as_ref().map_or(0, |pictures| pictures.len()),
            train: self.train.indices.len(),
            validation: self.validation.indices.len(),
            test: self.test.indices.len(),
        }
    }
}

/// The state that the run goes on from, if it is to; it is taken out of the weights.
fn state_to_resume(weights: &mut Weights, resume: bool) -> Result<Option<Arc<TrainingState>>> {
    let state = weights.training.take();
    if resume && state.is_none() {
        return Err(Error::invalid_option(
            "there is no run to resume in this checkpoint; take a run's last.safetensors, or start a new run",
        ));
    }
    Ok(state.filter(|_| resume))
}

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
fn recipe(options: &TrainOptions, data: &Dataset, state: Option<&TrainingState>) -> Result<TrainConfig> {
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

/// Refuses a last batch of one picture where a map is 1x1: batch norm can't take the variance of one value (PyTorch refuses
/// it, too), and the running variance would be pulled towards 0 just before each evaluation.
fn check_last_batch(network: &Network, pictures: usize, recipe: &TrainConfig) -> Result<()> {
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

/// How far the run is: at its beginning, or where it goes on.
fn progress(
    state: Option<&TrainingState>,
    recipe: &TrainConfig,
    pictures: PictureCounts,
    digest: Option<String>,
) -> Result<Progress> {
    let progress = match state {
        Some(state) => Progress {
            config: recipe.clone(),
            averaged: if recipe.ema.is_some() { state.progress.averaged } else { 0 },
            // What an older version has begun is known from now on.
            digest: state.progress.digest.clone().or_else(|| digest.clone()),
            ..state.progress.clone()
        },
        None => Progress::new(recipe.clone(), pictures, digest.clone()),
    };
    let before = progress.pictures;
    if before != pictures {
        return Err(Error::new(
            ErrorCode::CheckpointMismatch,
            format!(
                "the run to resume used {} training, {} validation and {} test pictures, and this data has {}, {} and {}",
                before.train,
                before.validation,
                before.test,
                pictures.train,
                pictures.validation,
                pictures.test
            ),
        ));
    }
    if progress.digest != digest {
        return Err(Error::new(
            ErrorCode::CheckpointMismatch,
            "the run to resume has other pictures in its parts than this data would give it, though as many: open the same \
             folder, with the same testFraction and seed",
        ));
    }
    check_unfinished(&progress)?;
    Ok(progress)
}

/// Refuses to go on with a run that is at its end.
fn check_unfinished(progress: &Progress) -> Result<()> {
    if progress.epoch >= progress.config.epochs {
        return Err(Error::invalid_option(format!(
            "all {} epochs of this run are done; ask for more epochs to go on",
            progress.epoch
        )));
    }
    if out_of_patience(progress) {
        return Err(Error::invalid_option(format!(
            "this run has lost its patience: no epoch since number {} was better; ask for more patience to go on",
            progress.best.map_or(0, |(epoch, _)| epoch)
        )));
    }
    Ok(())
}

/// What the optimizer begins with. A momentum that the run before did without begins at rest.
fn optimizer_state(recipe: &TrainConfig, layout: &Parameters, resumed: Option<&TrainingState>) -> State {
    let rule = recipe.optimizer.rule;
    let mut state = State::new(rule, layout.parameter_floats);
    if let Some(resumed) = resumed {
        state.steps = resumed.progress.steps as u64;
        let names = buffers(resumed.progress.config.optimizer.rule).iter().map(|(name, _)| name);
        for (name, tensors) in names.zip(&resumed.optimizer) {
            if let Some(index) = buffers(rule).iter().position(|(own, _)| own == name) {
                state.buffers[index] = layout.gather_parameters(tensors);
            }
        }
    }
    state
}

/// Whether the last epochs, as many as the recipe has patience for, were no better than the best.
pub(super) fn out_of_patience(Progress { config, epoch, best, .. }: &Progress) -> bool {
    matches!((config.patience, best), (Some(patience), Some((best, _))) if epoch.saturating_sub(*best) >= patience)
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
