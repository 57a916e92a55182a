//! A network with its weights: created, loaded, asked, saved.

mod answers;

pub use answers::Backward;
pub(crate) use answers::in_batches;

use crate::checkpoint::{self, Checkpoint, TrainingState};
use crate::config::{Layout, ModelConfig, ModelOptions, Normalization, TrainedOn};
use crate::data::{Pictures, cifar10, imagenet};
use crate::engine::backend::Backend;
use crate::engine::processor::Processor;
use crate::error::{Error, Result};
use crate::model::network::Network;
use crate::model::summary::{LayerSummary, layers};
use crate::model::tensors::{NamedTensor, specs};
use crate::model::{self, initial};
use answers::Evaluator;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A network with its weights. Clones share them.
#[derive(Debug, Clone)]
pub struct MobileNet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    network: Network,
    config: ModelConfig,
    /// The checkpoint that it was loaded from.
    origin: Option<PathBuf>,
    /// What trains and runs it.
    backend: Arc<dyn Backend>,
    /// Everything that training changes.
    state: Mutex<Weights>,
    /// The engine that evaluates, kept between calls, with the version of the weights that it holds.
    evaluator: Mutex<Option<Evaluator>>,
    training: AtomicBool,
}

/// What training changes.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    pub tensors: Arc<Vec<NamedTensor>>,
    pub batches_tracked: u64,
    pub classes: Vec<String>,
    pub normalization: Normalization,
    pub resize: usize,
    pub trained_on: Option<TrainedOn>,
    pub training: Option<Arc<TrainingState>>,
    version: u64,
}

impl MobileNet {
    /// A new network, initialised as PyTorch does it, from `seed`.
    ///
    /// # Errors
    /// `INVALID_OPTION`.
    pub fn create(options: &ModelOptions, seed: u64) -> Result<Self> {
        let config = options.resolve()?;
        let tensors = initial::tensors(&model::network(&config), seed);
        let checkpoint = Checkpoint {
            classes: class_names(&config),
            resize: config.resolution,
            trained_on: None,
            config,
            normalization: Normalization::default(),
            tensors,
            batches_tracked: 0,
            training: None,
        };
        Ok(Self::from_checkpoint(checkpoint, None))
    }

    /// From a checkpoint; see [`checkpoint::read`] for the errors.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self::from_checkpoint(checkpoint::read(path)?, Some(path.to_path_buf())))
    }

    /// From another program's weights; see [`checkpoint::import`] for what is given, and for the errors.
    pub fn import(path: &Path, options: &ModelOptions, resize: Option<usize>) -> Result<Self> {
        let mut imported = checkpoint::import(path, options, resize)?;
        if imported.classes.is_empty() {
            imported.classes = class_names(&imported.config);
        }
        Ok(Self::from_checkpoint(imported, None))
    }

    pub(crate) fn from_checkpoint(checkpoint: Checkpoint, origin: Option<PathBuf>) -> Self {
        let state = Weights {
            tensors: Arc::new(checkpoint.tensors),
            batches_tracked: checkpoint.batches_tracked,
            classes: checkpoint.classes,
            normalization: checkpoint.normalization,
            resize: checkpoint.resize,
            trained_on: checkpoint.trained_on,
            training: checkpoint.training.map(Arc::new),
            version: 0,
        };
        Self {
            shared: Arc::new(Shared {
                network: model::network(&checkpoint.config),
                config: checkpoint.config,
                origin,
                backend: Arc::new(Processor),
                state: Mutex::new(state),
                evaluator: Mutex::new(None),
                training: AtomicBool::new(false),
            }),
        }
    }

    /// The same network with the same weights on another device. What is done with one of the two doesn't change the other.
    pub fn on(&self, backend: Arc<dyn Backend>) -> Self {
        let Shared { network, config, origin, .. } = &*self.shared;
        Self {
            shared: Arc::new(Shared {
                network: network.clone(),
                config: config.clone(),
                origin: origin.clone(),
                backend,
                state: Mutex::new(self.weights()),
                evaluator: Mutex::new(None),
                training: AtomicBool::new(false),
            }),
        }
    }

    /// What trains and runs it; the processor unless it was put elsewhere ([`Self::on`]).
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    /// Writes the weights to a checkpoint (without a run's state).
    ///
    /// # Errors
    /// `IO`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let weights = self.weights();
        checkpoint::write(&self.checkpoint(&weights, None), path)
    }

    /// A checkpoint of these weights.
    pub(crate) fn checkpoint(&self, weights: &Weights, training: Option<TrainingState>) -> Checkpoint {
        Checkpoint {
            config: self.config(),
            classes: weights.classes.clone(),
            normalization: weights.normalization,
            resize: weights.resize,
            trained_on: weights.trained_on.clone(),
            tensors: weights.tensors.to_vec(),
            batches_tracked: weights.batches_tracked,
            training,
        }
    }

    /// What network it is.
    pub fn config(&self) -> ModelConfig {
        self.shared.config.clone()
    }

    /// The checkpoint that it was loaded from, if it was.
    pub(crate) fn origin(&self) -> Option<&Path> {
        self.shared.origin.as_deref()
    }

    /// Its layers.
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// Its layers with their costs.
    pub fn layers(&self) -> Vec<LayerSummary> {
        layers(&self.shared.network)
    }

    /// Names of the classes, in the order of the logits.
    pub fn class_names(&self) -> Vec<String> {
        self.weights().classes
    }

    /// What pictures are normalised with.
    pub fn normalization(&self) -> Normalization {
        self.weights().normalization
    }

    /// How the pictures were divided that it was trained on; `None` when it wasn't, or by a version that didn't say.
    pub fn trained_on(&self) -> Option<TrainedOn> {
        self.weights().trained_on
    }

    /// What a picture's shorter side is resized to, in pixels, before the square of the network's resolution is cut out.
    pub fn resize(&self) -> usize {
        self.weights().resize
    }

    /// How many values are trained.
    pub fn parameters(&self) -> usize {
        specs(&self.shared.network)
            .iter()
            .filter(|spec| spec.role.is_parameter())
            .map(|spec| spec.count())
            .sum()
    }

    /// Every tensor of the state dict, in PyTorch's order (`num_batches_tracked` left out).
    pub fn tensors(&self) -> Arc<Vec<NamedTensor>> {
        self.weights().tensors
    }

    /// Whether the checkpoint that it came from holds a run that can go on.
    pub fn can_resume(&self) -> bool {
        self.weights().training.is_some()
    }

    /// A copy of what training changes.
    pub(crate) fn weights(&self) -> Weights {
        lock(&self.shared.state).clone()
    }

    /// Takes over what training changed.
    pub(crate) fn set_weights(&self, weights: Weights) {
        let mut state = lock(&self.shared.state);
        let version = state.version + 1;
        *state = Weights { version, ..weights };
    }

    /// Takes the network for a run, which ends when the guard is dropped.
    ///
    /// # Errors
    /// `INVALID_OPTION` when another run has it.
    pub fn begin_training(&self) -> Result<TrainingGuard> {
        if self.shared.training.swap(true, Ordering::Acquire) {
            return Err(Error::invalid_option(
                "this model is being trained already; wait for that run's result, or load the weights a second time",
            ));
        }
        Ok(TrainingGuard { model: self.clone() })
    }
}

/// Refuses pictures whose labels the network has no class for.
pub(crate) fn check_labels(pictures: &Pictures, classes: usize) -> Result<()> {
    match pictures.labels.iter().max() {
        Some(label) if *label as usize >= classes => Err(Error::invalid_option(format!(
            "the pictures have labels up to {label}, so the network needs at least {} classes, not {classes}",
            label + 1
        ))),
        _ => Ok(()),
    }
}

/// CIFAR-10's for a network of ten classes and 32x32 pictures, ImageNet's for one of a thousand in layout `imagenet`, else
/// numbers.
pub(crate) fn class_names(config: &ModelConfig) -> Vec<String> {
    if config.classes == cifar10::CLASSES.len() && config.resolution == 32 {
        return cifar10::CLASSES.map(String::from).to_vec();
    }
    if config.classes == imagenet::CLASSES && config.layout == Layout::Imagenet {
        return imagenet::class_names();
    }
    (0..config.classes).map(|class| class.to_string()).collect()
}

/// A lock whose holder panicked is still good: what it guards is replaced whole, never half.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// While it lives, its network is being trained.
#[derive(Debug)]
pub struct TrainingGuard {
    model: MobileNet,
}

impl TrainingGuard {
    /// The network that it has taken.
    pub fn model(&self) -> &MobileNet {
        &self.model
    }
}

impl Drop for TrainingGuard {
    fn drop(&mut self) {
        self.model.shared.training.store(false, Ordering::Release);
    }
}
