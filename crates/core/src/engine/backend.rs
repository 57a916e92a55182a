//! What a run and a prediction ask of the device that computes. [`super::processor`] is the processor's; cards have theirs
//! in a crate of their own.

use crate::config::{Normalization, Precision, TrainConfig};
use crate::data::Pictures;
use crate::data::prepare::Batch;
use crate::engine::head::Head;
use crate::error::{Error, Result};
use crate::kernels::loss::Loss;
use crate::model::network::Network;
use crate::optim::State;
use crate::optim::average::Average;
use std::fmt::Debug;
use std::ops::ControlFlow;

/// A device that trains and runs networks.
pub trait Backend: Debug + Send + Sync {
    /// What options call it: `cpu`, or `cuda:N`.
    fn name(&self) -> String;

    /// What it could do at most; `None` for the processor, where that is measured.
    fn peak(&self) -> Option<Peak> {
        None
    }

    /// Says what is wrong with products in this precision, if anything is.
    ///
    /// # Errors
    /// `INVALID_OPTION` or `DEVICE_UNAVAILABLE` where the device hasn't got it.
    fn check_precision(&self, precision: Precision) -> Result<()> {
        let _ = precision;
        Ok(())
    }

    /// A network to be trained, from the state of another engine, or at its beginning.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` where the device can't do what the recipe asks for; `OUT_OF_MEMORY`.
    fn training(&self, recipe: Recipe<'_>, state: EngineState) -> Result<Box<dyn TrainingEngine>>;

    /// A network to be asked, in batches of a size that suits the device. It answers once it is prepared.
    ///
    /// # Errors
    /// The same.
    fn inference(&self, network: &Network, precision: Precision) -> Result<Box<dyn InferenceEngine>>;
}

/// What a device could do at most, by its maker's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Multiplications with an addition a second, in float32 and without tensor cores.
    pub multiply_adds_per_second: f64,
    /// Bytes a second between the device and its memory.
    pub bytes_per_second: f64,
}

/// What is trained, and how.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The network.
    pub network: &'a Network,
    /// The recipe; what concerns pictures, epochs and files is not the engine's.
    pub config: &'a TrainConfig,
    /// What each class counts in the loss, `[classes]`.
    pub class_weights: Option<&'a [f64]>,
    /// Batches hold at most this many pictures.
    pub capacity: usize,
    /// Steps at the beginning of the run that move the classifier alone.
    pub frozen_steps: usize,
}

/// All that training changes. Arrays lie as [`super::parameters::Parameters`] has it, which is the same on every device: so
/// a run goes on on another one.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineState {
    /// Of the network.
    pub parameters: Vec<f32>,
    /// Of the network: the running statistics.
    pub statistics: Vec<f32>,
    /// Of the optimizer: its steps, and what it keeps of every parameter.
    pub optimizer: State,
    /// The average of the weights, if the recipe has it.
    pub average: Option<Average>,
}

/// What one step needs beside its batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// The learning rate.
    pub rate: f64,
    /// What dropout leaves out follows from these two: the run's seed, and the number of the step.
    pub stream: (u64, u64),
}

/// Which steps' losses are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// None.
    No,
    /// Those of all steps but the last, which may still be in work: so the device has something to do meanwhile.
    ForEarlier,
    /// Those of all steps.
    ForAll,
}

/// A network that is being trained.
pub trait TrainingEngine: Debug + Send {
    /// Keeps the pictures on the device, so that batches of them can come [drawn](crate::data::drawn); whether it does.
    ///
    /// # Errors
    /// When the device fails. That it has no room for them is none.
    fn keep(&mut self, _pictures: &Pictures, _normalization: &Normalization) -> Result<bool> {
        Ok(false)
    }

    /// One step: forward, loss, backward, optimizer, average. It may still be in work when this returns.
    ///
    /// # Errors
    /// When the device fails, in this step or in one before.
    fn step(&mut self, batch: Batch, update: Update) -> Result<()>;

    /// The same for the classifier alone, on features that the layers before it gave: `batch.input` is `[count, features]`.
    ///
    /// # Errors
    /// When the device fails, in this step or in one before.
    fn step_head(&mut self, head: &mut Head, batch: Batch, update: Update) -> Result<()>;

    /// The losses of the steps that are known and were not given yet, in order.
    ///
    /// # Errors
    /// When the device failed.
    fn losses(&mut self, wait: Wait) -> Result<Vec<Loss>>;

    /// A copy of the state after the last step.
    ///
    /// # Errors
    /// When the device failed.
    fn state(&mut self) -> Result<EngineState>;

    /// Bytes of the device's memory that it works with: parameters, gradients, optimizer state, and buffers.
    fn bytes(&self) -> usize;
}

/// Pictures that an [`InferenceEngine`] keeps, by their number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptPictures(pub usize);

/// A network that answers.
pub trait InferenceEngine: Debug + Send {
    /// The network.
    fn network(&self) -> &Network;

    /// Batches hold at most this many pictures.
    fn capacity(&self) -> usize;

    /// Takes over parameters and running statistics, which lie as [`super::parameters::Parameters`] has it.
    ///
    /// # Errors
    /// When the device fails.
    fn prepare(&mut self, parameters: &[f32], statistics: &[f32]) -> Result<()>;

    /// The logits `[pictures, classes]` of normalised pictures `[pictures, resolution, resolution, 3]`.
    ///
    /// # Errors
    /// When the device fails.
    fn logits(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>>;

    /// The pooled features of the same: `[pictures, features]`, what the classifier, in V3 its first layer, reads.
    ///
    /// # Errors
    /// When the device fails.
    fn features(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>>;

    /// Keeps the pictures with these indices on the device, to be asked about again and again; `None` where it doesn't.
    ///
    /// # Errors
    /// When the device fails. That it has no room for them is none.
    fn keep(
        &mut self,
        _pictures: &Pictures,
        _indices: &[u32],
        _normalization: &Normalization,
    ) -> Result<Option<KeptPictures>> {
        Ok(None)
    }

    /// The logits of all pictures that it keeps under this number: `hear` gets those of one batch after the other, in order,
    /// `[pictures, classes]`, each of [`Self::capacity`] pictures but the last, until it breaks off.
    ///
    /// # Errors
    /// When the device fails.
    fn logits_of_kept(
        &mut self,
        _kept: KeptPictures,
        _hear: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<()> {
        Err(Error::internal("no pictures are kept here"))
    }

    /// Bytes of the device's memory that it works with.
    fn bytes(&self) -> usize;
}
