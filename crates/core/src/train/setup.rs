//! What a run begins with: its recipe and pictures, and the state that it goes on from; all of it checked before anything
//! is computed.

use super::event::{PictureCounts, RunConfig};
use super::frozen::Frozen;
use super::parts::{Part, Parts};
use super::recipe::{check_last_batch, check_parts, check_unfinished, recipe, state_to_resume};
use super::record::Record;
use super::trainer::Trainer;
use super::writer::Writer;
use crate::checkpoint::{Progress, TrainingState};
use crate::config::{TrainConfig, TrainOptions, TrainedOn};
use crate::data::Dataset;
use crate::data::prepare::Preparer;
use crate::engine::backend::{EngineState, Recipe};
use crate::engine::head::Head;
use crate::engine::parameters::Parameters;
use crate::error::{Error, ErrorCode, Result};
use crate::kernels::simd::Isa;
use crate::mobilenet::{MobileNet, check_labels};
use crate::model::tensors::NamedTensor;
use crate::optim::average::Average;
use crate::optim::{State, buffers};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

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
        check_parts(&parts, &recipe)?;
        if state.is_none() {
            check_last_batch(model.network(), parts.train.indices.len(), &recipe)?;
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
        let begins_frozen = progress.epoch < recipe.frozen_epochs();
        let frozen = begins_frozen.then(|| frozen_backbone(model, &recipe, &raw)).transpose()?;
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

/// The backbone that stays as it is, with these weights and statistics.
fn frozen_backbone(model: &MobileNet, recipe: &TrainConfig, tensors: &[NamedTensor]) -> Result<Frozen> {
    let backbone = model.network().backbone();
    let mut engine = model.backend().inference(&backbone, recipe.precision)?;
    let (parameters, statistics) = Parameters::new(&backbone).gather(tensors);
    engine.prepare(&parameters, &statistics)?;
    Ok(Frozen::new(engine, Head::of(model.network())))
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
