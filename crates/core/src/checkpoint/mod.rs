//! A network on disk: safetensors whose `weight` names and shapes are PyTorch's, with everything else that belongs to
//! it in the metadata, and a run's state under names that begin with `training.`.

mod detect;
mod import;
mod legacy;
mod read;
mod state_dict;
#[cfg(test)]
mod tests;
mod weights;
mod write;
mod zip;
mod zipped;

pub use import::import;
pub use read::read;
pub use write::write;

use crate::config::{ModelConfig, Normalization, TrainConfig, TrainedOn};
use crate::metrics::{Metrics, PictureCounts};
use crate::model::tensors::NamedTensor;
use serde::{Deserialize, Serialize};

/// The version of this layout, in the metadata's `version`.
const VERSION: &str = "1";
/// The metadata's `format`.
const FORMAT: &str = "mobilenet-native";
/// Prefix of the names of what belongs to a run alone.
const TRAINING: &str = "training.";
/// What follows it in the names of the weights that go on being trained beside their average.
const RAW: &str = "raw.";

/// Everything that a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The network.
    pub config: ModelConfig,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// What pictures are normalised with.
    pub normalization: Normalization,
    /// What a picture's shorter side is resized to, in pixels, before the square of the network's resolution is cut out.
    pub resize: usize,
    /// How the pictures were divided that it was trained on; `None` when it wasn't, or by a version that didn't say.
    pub trained_on: Option<TrainedOn>,
    /// The state dict, in PyTorch's order.
    pub tensors: Vec<NamedTensor>,
    /// Steps that batch norm has seen.
    pub batches_tracked: u64,
    /// Where a run was, if it can go on.
    pub training: Option<TrainingState>,
}

/// Where a run was when the checkpoint was written, complete: what follows is the same, bit for bit, as if it had
/// never stopped. (Order and augmentation follow from the seed, the epoch and the step, so there is no other random state.)
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingState {
    /// The numbers.
    pub progress: Progress,
    /// Where weights are averaged, the state dict is the average's, and here stands what goes on being trained.
    pub raw: Option<Vec<NamedTensor>>,
    /// What the optimizer keeps, in the order of [`crate::optim::buffers`]: of each, tensors like the parameters.
    pub optimizer: Vec<Vec<NamedTensor>>,
}

/// The numbers of a run's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The recipe.
    pub config: TrainConfig,
    /// The pictures.
    pub pictures: PictureCounts,
    /// Differs where other pictures of a folder were in the parts; `None` for CIFAR-10, and in files that don't say.
    #[serde(default)]
    pub digest: Option<String>,
    /// The epoch that it is in, from 0.
    pub epoch: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps done in all.
    pub steps: usize,
    /// Those of them that are in the average of the weights; 0 where there is none.
    #[serde(default)]
    pub averaged: usize,
    /// The learning rate that was last set from without, and what the schedule had in that step: since then all are in
    /// that proportion.
    #[serde(default)]
    pub learning_rate: Option<(f64, f64)>,
    /// Sum of the losses of this epoch's pictures so far.
    pub loss_sum: f64,
    /// Right answers among them.
    pub correct: usize,
    /// How many they are.
    pub count: usize,
    /// The best epoch so far, from 1, and its accuracy.
    pub best: Option<(usize, f64)>,
    /// Of the last complete epoch: training, validation, test.
    pub last: [Option<Metrics>; 3],
}

impl Progress {
    /// A run at its beginning.
    pub fn new(config: TrainConfig, pictures: PictureCounts, digest: Option<String>) -> Self {
        Self {
            config,
            pictures,
            digest,
            epoch: 0,
            step: 0,
            steps: 0,
            averaged: 0,
            learning_rate: None,
            loss_sum: 0.0,
            correct: 0,
            count: 0,
            best: None,
            last: [None; 3],
        }
    }

    /// Says in words what of these numbers can't be, if anything can't.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let Self { config, pictures, epoch, step, steps, averaged, correct, count, best, .. } = self;
        let refuse = |wrong: bool, why: String| if wrong { Err(why) } else { Ok(()) };
        refuse(config.batch_size == 0, "its batches have no pictures".into())?;
        let each = pictures.train.div_ceil(config.batch_size);
        let most = epoch.saturating_mul(each).saturating_add(*step);
        refuse(*epoch > config.epochs, format!("epoch {epoch} of {}", config.epochs))?;
        refuse(*step > each, format!("step {step} of {each} in an epoch"))?;
        refuse(
            steps < step || *steps > most,
            format!("{steps} steps in all, in epoch {epoch} with {each} steps"),
        )?;
        refuse(averaged > steps, format!("{averaged} averaged steps of {steps}"))?;
        refuse(correct > count || *count > pictures.train, format!("{correct} right answers of {count}"))?;
        let Some((best, accuracy)) = *best else { return Ok(()) };
        let wrong = best == 0 || best > *epoch || !accuracy.is_finite();
        refuse(wrong, format!("the best epoch is {best}, with accuracy {accuracy}, and {epoch} are done"))
    }
}
