//! What a training run tells while it goes on. Names and shapes are part of the public contract.

use crate::config::{FolderSplit, ModelConfig, Normalization, TrainConfig};
pub use crate::metrics::{Metrics, PictureCounts};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that decides a run, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunConfig {
    /// The network.
    pub model: ModelConfig,
    /// The recipe.
    pub train: TrainConfig,
    /// What pictures are normalised with.
    pub normalization: Normalization,
    /// Where the pictures came from.
    pub data: String,
    /// How they were taken from a folder; absent for CIFAR-10.
    pub folder: Option<FolderSplit>,
    /// They are exactly the published CIFAR-10.
    #[serde(default)]
    pub official: bool,
    /// How many there are.
    pub pictures: PictureCounts,
    /// Files of the data set that could not be read as pictures, and are left out.
    pub skipped: usize,
    /// What each class counts in the training loss; absent when all count alike.
    pub class_weights: Option<Vec<f64>>,
    /// `cpu`, or `cuda:N`.
    pub device: String,
    /// Instruction set chosen at run time: `avx512`, `avx2`, `neon` or `plain`.
    pub simd: String,
    /// Threads that compute.
    pub threads: usize,
    /// The run's folder, if it has one.
    pub out: Option<PathBuf>,
    /// Set when an earlier run goes on: epochs done before.
    pub resumed_epochs: Option<usize>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Epochs completed, those before a resume included.
    pub epochs: usize,
    /// Steps done, those before a resume included.
    pub steps: usize,
    /// Metrics of the last complete epoch.
    pub train: Option<Metrics>,
    /// Of the validation pictures, after the last complete epoch.
    pub validation: Option<Metrics>,
    /// Of the test pictures, after the last complete epoch.
    pub test: Option<Metrics>,
    /// The epoch (from 1) with the best validation accuracy (test accuracy where there is no validation).
    pub best_epoch: Option<usize>,
    /// That epoch's accuracy, from 0 to 1.
    pub best_accuracy: Option<f64>,
    /// The run was stopped before its last epoch, by a person or a program.
    pub stopped: bool,
    /// What ended it.
    pub ended_by: EndedBy,
    /// Wall-clock time of this run.
    pub seconds: f64,
    /// The newest checkpoint, if the run has a folder.
    pub checkpoint: Option<PathBuf>,
    /// The best checkpoint, if the run has a folder and completed an epoch.
    pub best: Option<PathBuf>,
}

/// Pictures that a run evaluates and doesn't train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Split {
    /// Those kept from the training pictures.
    Validation,
    /// Those of the data set's test files.
    Test,
}

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndedBy {
    /// Its last epoch.
    Epochs,
    /// A person or a program.
    Stop,
    /// Its own patience: for so many epochs validation was not better.
    Patience,
}

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The first.
    Start {
        /// Everything resolved.
        config: Box<RunConfig>,
    },
    /// Every `logEvery` steps, and the last step of an epoch.
    Step {
        /// From 1.
        epoch: usize,
        /// From 1, within the epoch.
        step: usize,
        /// Steps an epoch.
        steps: usize,
        /// This batch's mean cross-entropy.
        loss: f64,
        /// This batch's share of right answers.
        accuracy: f64,
        /// In force for this step.
        learning_rate: f64,
        /// Since the last `step` event.
        images_per_second: f64,
    },
    /// After each batch of the evaluations at the end of an epoch.
    Evaluating {
        /// From 1.
        epoch: usize,
        /// Which pictures.
        split: Split,
        /// Pictures evaluated so far, of this split.
        done: usize,
        /// Pictures of this split.
        count: usize,
    },
    /// The end of each epoch.
    Epoch {
        /// From 1.
        epoch: usize,
        /// Mean over the epoch's batches, as they were trained on.
        train: Metrics,
        /// Absent when no share is kept for validation.
        validation: Option<Metrics>,
        /// Absent when the data set has no test pictures.
        test: Option<Metrics>,
        /// Wall-clock time, validation and test included.
        seconds: f64,
    },
    /// Something that doesn't end the run, but that a person should know. Not logged.
    Warning {
        /// What it is.
        message: String,
    },
    /// The learning rate was set from without.
    LearningRate {
        /// Of the first step that has it; from 1.
        epoch: usize,
        /// That step; from 1, within the epoch.
        step: usize,
        /// What was asked for.
        learning_rate: f64,
        /// What the schedule had there: later rates are in that proportion to it.
        scheduled: f64,
    },
    /// A checkpoint is in place.
    Checkpoint {
        /// Where.
        path: PathBuf,
    },
    /// The last.
    Done {
        /// What came out.
        report: Box<Report>,
    },
}
